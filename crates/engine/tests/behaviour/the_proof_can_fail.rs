//! The checks of these tests see what they are there to see: break the thing on purpose, and they fail.

use std::os::unix::net::UnixStream;

use vfio_migration::{Finished, RestoreOptions, SaveOptions, Sink, Source};

use crate::scene::{DEVICE, Origin, Target, assert_identical, origin, target, within};

fn run(origin_faults: &str, target_faults: &str) -> (Origin, Finished, Target, Finished) {
    let (near, far) = UnixStream::pair().unwrap();
    let mut origin = origin(&format!("{DEVICE}{origin_faults}"), SaveOptions::default());
    let mut target = target(&format!("{DEVICE}{target_faults}"), RestoreOptions::default());
    let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    (origin, saved, target, restored)
}

fn is_identical(origin: &Origin, target: &Target) -> bool {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| assert_identical(origin, target))).is_ok()
}

#[test]
fn when_a_page_rots_after_it_was_verified() {
    let (origin, saved, target, restored) = run("", ",fault=write@2:rot");
    assert_eq!((saved.failure, restored.failure), (None, None), "nobody could see it");
    assert!(!is_identical(&origin, &target));
}

#[test]
fn when_a_bit_flips_after_it_was_verified() {
    let (origin, saved, target, restored) = run("", ",fault=write@2:flip");
    assert!(restored.failure.is_some(), "the device checks what it is given");
    assert!(saved.failure.is_some());
    origin.assert_works();
    target.assert_never_ran();
}

#[test]
fn when_the_log_loses_a_page() {
    let (origin, saved, target, restored) = run(",fault=tracker-report@1+:lost-page", "");
    assert_eq!((saved.failure, restored.failure), (None, None));
    assert!(!is_identical(&origin, &target));
    let digests = target.digests.lock().unwrap().clone().unwrap();
    assert!(!origin.memory.pages_unlike(&digests).is_empty());
}

#[test]
fn when_the_destination_discards() {
    let (origin, saved, target, restored) = run("", ",fault=write@2:discard");
    assert_eq!((saved.failure, restored.failure), (None, None));
    assert!(!is_identical(&origin, &target));
}
