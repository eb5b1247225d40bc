//! What this crate declares is what a C compiler makes of kernel headers: those of this machine, and those in the
//! folders of `VFIO_MIGRATION_HEADERS` (separated by colons; each has a `linux/vfio.h`).
#![cfg(target_os = "linux")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use vfio_migration_uapi::layout::{NUMBERS, STRUCTURES};

const FOLDERS: &str = "VFIO_MIGRATION_HEADERS";

/// Structures that grew: what they were, in bytes, and where they were not yet what they are.
const GREW: [(&str, u64, &str); 4] = [
    ("vfio_device_bind_iommufd", 16, "VFIO_DEVICE_BIND_IOMMUFD && !defined VFIO_DEVICE_BIND_FLAG_TOKEN"),
    ("vfio_device_attach_iommufd_pt", 12, "VFIO_DEVICE_ATTACH_IOMMUFD_PT && !defined VFIO_DEVICE_ATTACH_PASID"),
    ("vfio_device_detach_iommufd_pt", 8, "VFIO_DEVICE_DETACH_IOMMUFD_PT && !defined VFIO_DEVICE_DETACH_PASID"),
    ("iommu_hwpt_alloc", 40, "IOMMU_HWPT_SET_DIRTY_TRACKING && !defined IOMMU_FAULT_QUEUE_ALLOC"),
];

/// Every name with its number, size or offset, and the macro that a header has which has it.
fn ours() -> Vec<(String, u64, &'static str)> {
    let mut ours: Vec<_> =
        GREW.iter().map(|(name, size, guard)| (format!("0 + sizeof(struct {name})"), *size, *guard)).collect();
    for number in NUMBERS.iter().copied().flatten() {
        ours.push((number.name.to_owned(), number.value, number.guard));
    }
    for structure in STRUCTURES.iter().copied().flatten() {
        let name = structure.name;
        ours.push((format!("sizeof({name})"), structure.size as u64, structure.guard));
        for (field, offset, size) in structure.fields {
            let field = field.trim_start_matches("r#");
            if !field.starts_with("reserved") && !field.starts_with("pad") {
                ours.push((format!("offsetof({name}, {field})"), *offset as u64, structure.guard));
                ours.push((format!("sizeof((({name} *)0)->{field})"), *size as u64, structure.guard));
            }
        }
    }
    ours
}

/// A program that prints each expression with its value, where the headers in `folder` have it. Headers of a kernel's
/// source know types only by including more of it, so those come from the machine.
fn program(ours: &[(String, u64, &str)], folder: &Path) -> String {
    let mut text =
        String::from("#define __user\n#define __counted_by(count)\n#include <stddef.h>\n#include <stdio.h>\n");
    for header in ["vfio.h", "iommufd.h"].map(|name| folder.join(name)) {
        if header.exists() {
            writeln!(text, "#include \"{}\"", header.display()).unwrap();
        }
    }
    text += "int main(void) {\n";
    for (expression, _, guard) in ours {
        let line = format!("printf(\"%llu %s\\n\", (unsigned long long)({expression}), \"{expression}\");");
        let guarded = if guard.is_empty() { line } else { format!("#if defined {guard}\n{line}\n#endif") };
        writeln!(text, "{guarded}").unwrap();
    }
    text + "return 0; }\n"
}

/// What the compiler makes of the headers in `folder`.
fn theirs(ours: &[(String, u64, &str)], folder: &Path) -> Result<HashMap<String, u64>, String> {
    let place = std::env::temp_dir().join(format!("vfio-migration-headers-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    let (source, binary) = (place.join("headers.c"), place.join("headers"));
    std::fs::write(&source, program(ours, folder)).unwrap();
    let cc = Command::new("cc").arg("-o").arg(&binary).arg(&source).output();
    let compiled = cc.map_err(|error| format!("no C compiler: cc: {error}"))?;
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let printed = Command::new(&binary).output().unwrap();
    std::fs::remove_dir_all(&place).unwrap();
    let lines = String::from_utf8(printed.stdout).unwrap();
    let pairs = lines.lines().map(|line| line.split_once(' ').unwrap());
    Ok(pairs.map(|(value, of)| (of.to_owned(), value.parse().unwrap())).collect())
}

/// Says it where a passing test is heard too.
#[expect(clippy::explicit_write, reason = "eprintln! is kept back by a test that passes")]
fn skipped(why: &str) {
    writeln!(std::io::stderr(), "skipped: comparing with kernel headers: {why}").unwrap();
}

#[test]
fn a_compiler_sees_the_same_in_kernel_headers() {
    let ours = ours();
    let given = std::env::var_os(FOLDERS).unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&given).filter(|path| !path.as_os_str().is_empty()).collect();
    for folder in &folders {
        assert!(folder.join("linux/vfio.h").exists(), "{FOLDERS}: {} has no linux/vfio.h", folder.display());
    }
    folders.extend(Path::new("/usr/include/linux/vfio.h").exists().then(|| "/usr/include".into()));
    if folders.is_empty() {
        skipped(&format!("this machine has none (linux-libc-dev), and {FOLDERS} is not set"));
    }
    for folder in folders.iter().map(|folder| folder.join("linux")) {
        let name = folder.display();
        let theirs = match theirs(&ours, &folder) {
            Ok(theirs) => theirs,
            Err(error) => return skipped(&error),
        };
        let compared = ours.iter().filter_map(|(of, value, _)| Some((of, value, theirs.get(of)?)));
        let wrong: Vec<_> = compared.filter(|(_, value, their)| value != their).collect();
        assert!(wrong.is_empty(), "{name}: what, ours, theirs: {wrong:#?}");
        let needed = ours.iter().filter(|(_, _, guard)| guard.is_empty()).count();
        assert!(theirs.len() >= needed, "{name}: only {} of {needed} were found", theirs.len());
        println!("{name}: {} of {} are the same, the others are not in them", theirs.len(), ours.len());
    }
}
