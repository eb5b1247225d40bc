//! Programs call libc's functions in many variants, by how they were compiled: each must reach the devices.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod support;

use support::{Folder, said};

#[test]
fn every_variant_reaches_the_device() {
    let folder = Folder::new();
    let program = folder.compile("variants", &[]);
    let output = folder.command(&program, "model:size=256KiB,device-memory=64KiB,seed=3").output().expect("it runs");
    assert_eq!(said(&output), "every variant\n");
}

#[test]
fn without_devices_every_call_goes_to_libc() {
    let folder = Folder::new();
    let program = folder.compile("variants", &[]);
    let output = folder.command(&program, "").output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("fd >= 0 (errno 2)"), "{error}");
    assert!(!folder.device().exists());
}
