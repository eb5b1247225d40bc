//! Cancelled at any moment, either end brings everything back, or says that it is too late.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use vfio_migration::{Code, Finished, Outcome, RestoreOptions, SaveOptions, Sink, Source};

use crate::scene::{DEVICE, Draw, Origin, Target, assert_moved, origin, target, within};

/// Cancels one end after some time. Whether that was in time.
fn cancel(after: Duration, the_save: bool) -> bool {
    let (near, far) = UnixStream::pair().unwrap();
    let mut origin = origin(DEVICE, SaveOptions { chunk: 64 << 10, ..SaveOptions::default() });
    let mut target = target(DEVICE, RestoreOptions::default());
    let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let (answer, saved, restored) = within("the migration", move || {
        std::thread::sleep(after);
        let answer = if the_save { saving.cancel("enough") } else { restoring.cancel("enough") };
        (answer, saving.wait(), restoring.wait())
    });
    match answer {
        Ok(()) if saved.report.outcome == Outcome::Returned => {
            assert_returned(&origin, &saved, &target, &restored, the_save);
            true
        }
        // A restore that was cancelled between its last word and the source's hears that it is too late.
        answer => {
            if let Err(error) = answer {
                assert!(matches!(error.code, Code::TooLate | Code::Usage), "{error:?}");
            }
            assert_moved(&origin, &saved, &target, &restored);
            false
        }
    }
}

fn assert_returned(origin: &Origin, saved: &Finished, target: &Target, restored: &Finished, the_save: bool) {
    let codes = [saved, restored].map(|end| end.failure.as_ref().map(|failure| failure.code));
    // Before the stream was opened there is no way to say why; the connection just ends.
    let (own, other) = if the_save { (codes[0], codes[1]) } else { (codes[1], codes[0]) };
    assert_eq!(own, Some(Code::Cancelled), "{saved:#?} {restored:#?}");
    let told = if the_save { Code::Cancelled } else { Code::Refused };
    assert!([Some(told), Some(Code::Transport)].contains(&other), "{saved:#?} {restored:#?}");
    origin.assert_works();
    target.assert_never_ran();
    assert_eq!(origin.model.resets(), 0);
    let heard = origin.heard();
    assert!(heard.is_empty() || heard == ["pause", "unpause returned"], "{heard:?}");
}

fn at_seeded_moments(seed: u64, the_save: bool) {
    let mut draw = Draw(seed);
    let in_time = (0..25).filter(|_| cancel(Duration::from_micros(draw.below(40_000)), the_save)).count();
    assert!(in_time > 0, "some of it was in time");
    assert!(cancel(Duration::ZERO, the_save));
}

#[test]
fn a_save() {
    at_seeded_moments(5, true);
}

#[test]
fn a_restore() {
    at_seeded_moments(6, false);
}

#[test]
fn and_a_session_that_is_dropped_is_cancelled() {
    let (near, _far) = UnixStream::pair().unwrap();
    let mut origin = origin(DEVICE, SaveOptions::default());
    let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let control = saving.control();
    drop(saving);
    within("the session", move || {
        // The iterator ends when everything has.
        assert!(control.events().count() > 0);
        assert!(control.is_finished());
        assert_eq!(control.cancel("again").unwrap_err().code, Code::Usage);
    });
    origin.assert_works();
}
