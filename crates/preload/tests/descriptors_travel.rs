//! Descriptors are duplicated, kept over exec, passed on and inherited: what is possible works, the rest is refused clearly.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod support;

use support::{Folder, said};

/// Runs one case, and answers what was said.
fn case(name: &str) -> String {
    let folder = Folder::new();
    let program = folder.compile("descriptors", &[]);
    said(&folder.command(&program, "model:size=64KiB").arg(name).output().expect("it runs"))
}

#[test]
fn nodes_that_were_only_opened_are_kept_over_exec() {
    assert_eq!(case("kept-over-exec"), "");
}

#[test]
fn nodes_that_were_only_opened_are_passed_to_another_process() {
    assert_eq!(case("passed-to-another"), "");
}

#[test]
fn a_device_that_was_used_is_refused_after_exec() {
    let said = case("used-before-exec");
    assert!(said.contains("was made in process"), "{said}");
    assert!(said.contains("was opened and used in process"), "{said}");
}

#[test]
fn a_descriptor_that_comes_back_is_the_same_device() {
    assert_eq!(case("passed-to-itself"), "");
}

#[test]
fn the_child_of_a_fork_has_no_device_of_its_parents() {
    let said = case("forked");
    assert!(said.contains("where its state is: it can be used only there"), "{said}");
}

#[test]
fn the_child_of_a_fork_may_open_devices() {
    assert_eq!(case("forked-before"), "");
}

#[test]
fn the_child_of_a_vfork_closes_only_its_own() {
    assert_eq!(case("vforked"), "");
}

#[test]
fn system_calls_that_go_past_us_fail() {
    let said = case("past-us");
    assert!(
        said.contains("went to the kernel: it is '/dev/null', which was not opened through this library"),
        "{said}"
    );
}

#[test]
fn a_device_ends_with_its_last_descriptor() {
    assert_eq!(case("nothing-left"), "");
}
