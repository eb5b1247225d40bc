//! The examples do what they say.

#[path = "../examples/both.rs"]
#[expect(dead_code, reason = "the example's own main is not called here")]
mod both;
#[path = "../examples/restore.rs"]
#[expect(dead_code, reason = "the example's own main is not called here")]
mod restore;
#[path = "../examples/save.rs"]
#[expect(dead_code, reason = "the example's own main is not called here")]
mod save;
#[path = "../examples/vmm.rs"]
#[expect(dead_code, reason = "the example's own main is not called here")]
mod vmm;

use std::path::PathBuf;

fn place(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("vfio-migration-example-{name}-{}", std::process::id()))
}

const DEVICE: &str = "model:size=8MiB,pre-copy,p2p";

fn outcome(report: &[u8]) -> serde_json::Value {
    serde_json::from_slice::<serde_json::Value>(report).unwrap()["outcome"].clone()
}

#[test]
fn save_and_restore_meet_at_a_socket() {
    let path = place("socket");
    let address = format!("unix:{}", path.display());
    let elsewhere = address.clone();
    let restoring = std::thread::spawn(move || {
        let mut report = Vec::new();
        restore::run(DEVICE, &elsewhere, &mut report).map(|()| report).map_err(|error| error.to_string())
    });
    let mut report = Vec::new();
    save::run(DEVICE, &address, &mut report).unwrap();
    assert_eq!(outcome(&report), "completed");
    assert_eq!(outcome(&restoring.join().unwrap().unwrap()), "completed");
    assert!(!path.exists());
}

#[test]
fn save_and_restore_meet_at_a_file() {
    let path = place("file");
    let address = path.display().to_string();
    let (mut saved, mut restored) = (Vec::new(), Vec::new());
    save::run(DEVICE, &address, &mut saved).unwrap();
    restore::run(DEVICE, &address, &mut restored).unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!((outcome(&saved), outcome(&restored)), ("completed".into(), "completed".into()));
}

#[test]
fn both_ends_in_one_process() {
    let mut table = Vec::new();
    both::run("size=8MiB,pre-copy,p2p,dirty-tracking", &mut table).unwrap();
    let table = String::from_utf8(table).unwrap();
    for line in ["gpu0", "ram", "completed", "pre-copy > pre-copy-p2p > stop-copy", "resets 0", "the counter went on"] {
        assert!(table.contains(line), "the table says '{line}':\n{table}");
    }
}

#[test]
fn a_monitor_with_its_own_stream() {
    let path = place("vmm");
    let (mut saved, mut loaded) = (Vec::new(), Vec::new());
    vmm::run("save", &path, &mut saved).unwrap();
    vmm::run("load", &path, &mut loaded).unwrap();
    assert!(String::from_utf8(saved).unwrap().contains("it is in Some(Running)"));
    let loaded = String::from_utf8(loaded).unwrap();
    assert!(loaded.contains("loaded 0xfee1, gpu0 completed, 0 resets"), "{loaded}");

    let mut damaged = std::fs::read(&path).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let error = vmm::run("load", &path, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("a damaged record"), "{error}");
    std::fs::remove_file(path).unwrap();
}
