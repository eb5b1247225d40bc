//! A program that knows nothing of us makes a device work, follows its dirty pages, and moves it to another process.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod support;

use std::fs;

use support::{Folder, said};

const DEVICE: &str = "model:size=256KiB,pre-copy,dirty-tracking,dma-buffer,working-set=64KiB,seed=5";

/// Moves a device from one process to another; answers the traces of both.
fn moved(by: &str) -> [String; 2] {
    let folder = Folder::new();
    let program = folder.compile("client", &[]);
    let run = |what: &str| {
        let mut command = folder.command(&program, DEVICE);
        let output = command.arg(by).arg(what).arg(folder.path().join("data")).output().expect("it runs");
        let trace = fs::read_to_string(folder.trace()).expect("accesses are traced");
        fs::remove_file(folder.trace()).expect("it is ours");
        (said(&output), trace)
    };
    let (saved, source) = run("save");
    let (loaded, destination) = run("load");
    assert_eq!(saved, loaded, "the device's counter goes on where it was");
    assert!(saved.trim().parse::<u64>().is_ok_and(|counter| counter > 0), "{saved}");
    [source, destination]
}

/// What the model says that it held: at the end of stop-copy, or on leaving resuming.
fn held<'a>(trace: &'a str, note: &str) -> &'a str {
    let line = trace.lines().find_map(|line| line.split_once(&format!("note {note} ")));
    line.unwrap_or_else(|| panic!("a note '{note}' in\n{trace}")).1
}

#[test]
fn by_group_and_by_character_device_nothing_is_lost() {
    for by in ["group", "cdev"] {
        let [source, destination] = moved(by);
        assert_eq!(held(&source, "saved"), held(&destination, "loaded"), "{by}");
        for trace in [&source, &destination] {
            assert_eq!(held(trace, "resets"), "0", "{by}: nobody resets\n{trace}");
        }
    }
}

#[test]
fn a_blind_log_is_noticed() {
    let folder = Folder::new();
    let program = folder.compile("client", &[]);
    let mut command = folder.command(&program, DEVICE);
    command.env("VFIO_MIGRATION_PRELOAD_BLIND", "1").args(["group", "save"]).arg(folder.path().join("data"));
    let output = command.output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("copy_dirty(copy) >= 1"), "{error}");
}
