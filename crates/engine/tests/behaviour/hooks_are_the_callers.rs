//! Hooks run on a thread of their own, once, and what they say decides.

use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::time::Duration;

use vfio_migration::{Code, EventKind, Finished, Outcome, RestoreOptions, SaveOptions, Sink, Source, State};

use crate::scene::{DEVICE, Origin, Target, origin, target, within};

fn run(origin: &mut Origin, target: &mut Target) -> (Finished, Finished) {
    let (near, far) = UnixStream::pair().unwrap();
    let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
    within("the migration", move || (saving.wait(), restoring.wait()))
}

fn ends() -> (Origin, Target) {
    (origin(DEVICE, SaveOptions::default()), target(DEVICE, RestoreOptions::default()))
}

#[test]
fn a_pause_that_fails_brings_everything_back() {
    let (mut origin, mut target) = ends();
    origin.save.on_pause(|_| Err("the vCPU does not stop".into()));
    let (saved, _) = run(&mut origin, &mut target);
    let failure = saved.failure.unwrap();
    assert_eq!(failure.code, Code::Hook);
    assert!(failure.what.contains("the vCPU does not stop"), "{failure}");
    assert_eq!(saved.devices[0].state, Some(State::Running));
    assert_eq!(origin.heard(), ["unpause returned"], "exactly once, after pause has settled");
    target.assert_never_ran();
}

#[test]
fn a_pause_that_panics_has_failed() {
    let (mut origin, mut target) = ends();
    origin.save.on_pause(|_| panic!("no such vCPU"));
    let (saved, _) = run(&mut origin, &mut target);
    assert!(saved.failure.unwrap().what.contains("no such vCPU"));
    assert_eq!(saved.report.outcome, Outcome::Returned);
}

#[test]
fn a_configure_that_fails_refuses_the_guest() {
    let (mut origin, mut target) = ends();
    target.restore.on_configure(|| Err("no interrupt is left".into()));
    let (saved, restored) = run(&mut origin, &mut target);
    assert_eq!(restored.failure.unwrap().code, Code::Hook);
    let failure = saved.failure.unwrap();
    assert_eq!(failure.code, Code::Refused);
    assert!(failure.what.contains("no interrupt is left"), "{failure}");
    origin.assert_works();
    target.assert_never_ran();
}

#[test]
fn a_take_over_that_fails_leaves_doubt_to_the_source() {
    let (mut origin, mut target) = ends();
    target.restore.on_take_over(|| Err("the guest does not start".into()));
    let (near, far) = UnixStream::pair().unwrap();
    let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let (saved, restored) = within("the migration", move || {
        assert!(saving.events().any(|event| matches!(event.kind, EventKind::InDoubt { .. })));
        assert!(saving.is_in_doubt());
        assert_eq!(saving.cancel("enough").unwrap_err().code, Code::TooLate);
        // Its caller knows that the guest never started.
        assert!(restoring.events().any(|event| matches!(event.kind, EventKind::InDoubt { .. })));
        restoring.discard().unwrap();
        saving.take_back(true).unwrap();
        (saving.wait(), restoring.wait())
    });
    assert_eq!(restored.failure.unwrap().code, Code::Hook);
    assert_ne!(restored.report.outcome, Outcome::Completed);
    assert_eq!(saved.report.outcome, Outcome::Returned);
    origin.assert_works();
    assert!(!target.model.guest().runs());
}

#[test]
fn a_pause_that_takes_its_time_is_overdue_and_holds_the_session() {
    let (mut origin, mut target) = (
        origin(DEVICE, SaveOptions { deadline: Duration::from_secs(1), ..SaveOptions::default() }),
        target(DEVICE, RestoreOptions::default()),
    );
    let (release, held) = channel::<()>();
    origin.save.on_pause(move |_| {
        held.recv().unwrap();
        Ok(())
    });
    let (near, far) = UnixStream::pair().unwrap();
    let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let (saved, _) = within("the migration", move || {
        let overdue = |kind: &EventKind| matches!(kind, EventKind::Overdue { object, .. } if object == "pause");
        assert!(saving.events().any(|event| overdue(&event.kind)));
        assert!(!saving.is_finished(), "its thread is still in the hook");
        release.send(()).unwrap();
        (saving.wait(), restoring.wait())
    });
    assert_eq!(saved.failure.unwrap().code, Code::Deadline);
    assert_eq!(saved.devices[0].state, Some(State::Running));
    target.assert_never_ran();
}
