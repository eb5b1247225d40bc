//! C programs that know nothing of us, compiled and run with the library preloaded.
#![expect(dead_code, reason = "each test uses its part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("vfio-migration-preload-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("the folder of temporary files may be written to");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Where the first device is.
    pub(crate) fn device(&self) -> PathBuf {
        self.0.join("sysfs/0000:00:01.0")
    }

    /// Compiles a program of `tests/programs`, with the checks that distributions compile with.
    pub(crate) fn compile(&self, name: &str, more: &[&str]) -> PathBuf {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(format!("{name}.c"));
        let program = self.0.join(name);
        let flags = ["-O2", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2"];
        let compiled = Command::new("cc").args(flags).args(more).arg("-o").arg(&program).arg(source).output();
        let compiled = compiled.expect("there is a C compiler");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        program
    }

    /// A program that is to be run with these devices.
    pub(crate) fn command(&self, program: &Path, devices: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("LD_PRELOAD", library())
            .env("VFIO_MIGRATION_PRELOAD_DEVICES", devices)
            .env("VFIO_MIGRATION_PRELOAD_FOLDER", self.0.join("sysfs"))
            .env("VFIO_MIGRATION_PRELOAD_TRACE", self.trace());
        command
    }

    /// Where the trace is written.
    pub(crate) fn trace(&self) -> PathBuf {
        self.0.join("trace")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The library, which was built beside this test.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let library = test.parent().expect("it is in a folder").join("libvfio_migration_preload.so");
    assert!(library.exists(), "{} is there", library.display());
    library
}

/// What a program said, where it ended well.
pub(crate) fn said(output: &Output) -> String {
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}{error}", output.status);
    format!("{out}{error}")
}
