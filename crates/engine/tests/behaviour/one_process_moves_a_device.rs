//! A device and the guest memory it writes to move live over a socket pair, both ends in this process.

use std::os::unix::net::UnixStream;

use vfio_migration::{RestoreOptions, RestoreSettings, SaveOptions, Sink, Source};

use crate::scene::{DEVICE, assert_moved, origin, target, within};

fn move_with(options: SaveOptions, settings: RestoreSettings, device: &'static str) {
    within("the migration", move || {
        let (near, far) = UnixStream::pair().unwrap();
        let mut origin = origin(device, options);
        let mut target = target(device, RestoreOptions::default());
        target.restore.settings(settings);
        let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
        let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
        let (saved, restored) = (saving.wait(), restoring.wait());
        assert_moved(&origin, &saved, &target, &restored);
        assert_eq!(origin.heard(), ["pause"]);
        assert_eq!(target.heard(), ["configure", "takeOver"]);
    });
}

#[test]
fn with_pre_copy() {
    move_with(SaveOptions::default(), RestoreSettings::default(), DEVICE);
}

#[test]
fn without_pre_copy() {
    let options = SaveOptions { pre_copy: false, ..SaveOptions::default() };
    move_with(options, RestoreSettings::default(), DEVICE);
}

#[test]
fn with_a_device_that_can_only_stop() {
    move_with(SaveOptions::default(), RestoreSettings::default(), "size=4MiB,dirty-tracking");
}

#[test]
fn one_small_chunk_at_a_time() {
    for (save_depth, depth) in [(1, 1), (1, 4), (4, 1)] {
        let options = SaveOptions { depth: save_depth, chunk: 4096, ..SaveOptions::default() };
        move_with(options, RestoreSettings { depth, ..RestoreSettings::default() }, DEVICE);
    }
}
