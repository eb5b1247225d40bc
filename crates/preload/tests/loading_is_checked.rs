//! What would make calls go past the devices, or devices impossible, ends the program when the library is loaded.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod support;

use std::path::Path;
use std::process::Command;

use support::Folder;

/// How a program ends that cannot go on.
const STATUS: Option<i32> = Some(113);

/// How a program ended, and what was said.
fn ended(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_program_that_calls_an_unknown_variant_is_not_run() {
    let folder = Folder::new();
    let library = folder.path().join("libmissed.so");
    std::fs::rename(folder.compile("missed", &["-shared", "-fPIC", "-DLIBRARY"]), &library).expect("it was made");
    let library = library.to_str().expect("the name is text");
    let search = format!("-Wl,-rpath,{}", folder.path().display());
    let program = folder.compile("missed", &[&search, "-Wl,--no-as-needed", library]);
    let (status, error) = ended(&mut folder.command(&program, "model:"));
    assert_eq!(status, STATUS);
    assert!(error.contains("the program calls '__pwrite64_chk', which this library does not answer"), "{error}");
    let (status, error) = ended(&mut folder.command(&program, ""));
    assert_eq!(status, Some(0), "without devices it is run: {error}");
}

#[test]
fn a_library_that_stands_in_front_is_named() {
    let folder = Folder::new();
    let front = folder.compile("front", &["-shared", "-fPIC"]);
    let mut command = folder.command(Path::new("true"), "model:");
    let ours = command.get_envs().find(|(name, _)| *name == "LD_PRELOAD").and_then(|(_, value)| value);
    let both = format!("{}:{}", front.display(), ours.expect("it is preloaded").to_str().expect("the name is text"));
    let (status, error) = ended(command.env("LD_PRELOAD", both));
    assert_eq!(status, STATUS);
    assert!(error.contains(&format!("'ioctl' is answered by {}", front.display())), "{error}");
}

#[test]
fn devices_that_cannot_be_are_refused_before_the_program_begins() {
    let folder = Folder::new();
    let many = ["model:"; 32].join(" ");
    for (devices, why) in [
        ("model:size=no", "model:size=no: "),
        ("vfio:0000:00:01.0", "vfio:0000:00:01.0 is no software device"),
        (many.as_str(), "32 devices are more than a PCI bus has room for"),
    ] {
        let (status, error) = ended(&mut folder.command(Path::new("true"), devices));
        assert_eq!(status, STATUS, "{devices}");
        assert!(error.contains(why), "{error}");
    }
}
