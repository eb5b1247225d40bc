//! A destination that takes its time holds the source back; one that stops altogether is overdue.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use vfio_migration::{Code, EventKind, RestoreOptions, RestoreSettings, SaveOptions, Sink, Source, State};

use crate::scene::{DEVICE, assert_moved, origin, target, within};

#[test]
fn at_every_depth() {
    for (save_depth, depth) in [(1, 1), (4, 1), (1, 4), (8, 2)] {
        let (near, far) = UnixStream::pair().unwrap();
        let options = SaveOptions { chunk: 64 << 10, depth: save_depth, ..SaveOptions::default() };
        let mut origin = origin(DEVICE, options);
        let mut target = target(&format!("{DEVICE},fault=write@5+:delay:1ms"), RestoreOptions::default());
        target.restore.settings(RestoreSettings { depth, ..RestoreSettings::default() });
        let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
        let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
        let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
        assert_moved(&origin, &saved, &target, &restored);
    }
}

#[test]
fn until_the_deadline() {
    let (near, far) = UnixStream::pair().unwrap();
    let deadline = Duration::from_millis(300);
    let mut origin = origin(DEVICE, SaveOptions { deadline, ..SaveOptions::default() });
    let mut target = target(
        &format!("{DEVICE},fault=write@3:delay:3600s"),
        RestoreOptions { deadline, ..RestoreOptions::default() },
    );
    let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let model = target.model.clone();
    let (saved, restored) = within("the migration", move || {
        let overdue = restoring.events().any(|event| matches!(event.kind, EventKind::Overdue { .. }));
        assert!(overdue && !restoring.is_finished(), "the call has not returned");
        model.release_delays();
        (saving.wait(), restoring.wait())
    });
    assert!(saved.failure.is_some());
    assert_eq!(saved.devices[0].state, Some(State::Running));
    assert_eq!(restored.failure.unwrap().code, Code::Deadline);
    origin.assert_works();
    target.assert_never_ran();
}

#[test]
fn and_a_depth_of_nothing_is_refused() {
    let (_near, far) = UnixStream::pair().unwrap();
    let mut target = target(DEVICE, RestoreOptions::default());
    target.restore.settings(RestoreSettings { depth: 0, ..RestoreSettings::default() });
    let error = target.restore.start(Source::fd(far.into()).unwrap()).unwrap_err();
    assert_eq!(error.code, Code::Usage);
    assert_eq!(target.restore.into_parts().devices.len(), 1, "the device is still there");
}
