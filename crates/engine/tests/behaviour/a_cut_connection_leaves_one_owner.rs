//! However a connection is cut, there is one owner of the guest, or doubt that its callers can settle.

use std::sync::atomic::Ordering;
use std::time::Duration;

use vfio_migration::{Code, EventKind, Outcome, RestoreOptions, SaveOptions, Session};

use crate::relay::{Relay, Way};
use crate::scene::{Draw, SMALL_PAIRS, assert_identical, assert_works, origin, target, within};

const DEADLINE: Duration = Duration::from_secs(10);

/// How many bytes a whole migration takes each way, about.
fn lengths(pair: (&str, &str)) -> [u64; 2] {
    let mut relay = Relay::whole();
    let threads = std::mem::take(&mut relay.threads);
    let ended = run(relay, pair);
    assert_eq!(ended, Ended::Moved);
    let mut lengths = threads.into_iter().map(|thread| thread.join().unwrap());
    [lengths.next().unwrap(), lengths.next().unwrap()]
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Moved,
    Stayed,
    /// It could not be known, and the callers settled it.
    Settled,
}

/// One migration over a relay, with callers who settle what is in doubt: the destination has the last word if it runs.
fn run(relay: Relay, (here, there): (&str, &str)) -> Ended {
    let options = SaveOptions { chunk: 64 << 10, deadline: DEADLINE, ..SaveOptions::default() };
    let mut origin = origin(here, options);
    let mut target = target(there, RestoreOptions { deadline: DEADLINE, ..RestoreOptions::default() });
    let restoring = target.restore.start(relay.source).unwrap();
    let saving = origin.save.start(relay.sink).unwrap();
    let (saved, restored, doubts) = within("the migration", move || {
        // Both ends come to an end or to doubt before anybody decides.
        let doubts = [settle(&restoring), settle(&saving)];
        if doubts[0] {
            // Nobody has heard whether the guest was given up. The source keeps all it has, so that it may have it back.
            restoring.discard().unwrap();
        }
        let restored = restoring.wait();
        if doubts[1] {
            if restored.report.outcome == Outcome::Completed {
                saving.discard().unwrap();
            } else {
                saving.take_back(true).unwrap();
            }
        }
        (saving.wait(), restored, doubts)
    });
    let runs = [origin.model.guest().runs(), target.model.guest().runs()];
    assert_eq!(runs.iter().filter(|runs| **runs).count(), 1, "one owner: {saved:#?} {restored:#?}");
    if runs[1] {
        assert_identical(&origin, &target);
        assert_works(&target.model);
    } else {
        origin.assert_works();
        target.assert_never_ran();
        assert_eq!(origin.model.resets(), 0, "a source device is never reset on its own");
        if let Some(failure) = &saved.failure {
            assert!(
                matches!(failure.code, Code::Transport | Code::Peer | Code::Refused | Code::Deadline),
                "{failure:?}"
            );
        }
    }
    match (doubts, runs) {
        ([false, false], [false, true]) => Ended::Moved,
        ([false, false], _) => Ended::Stayed,
        _ => Ended::Settled,
    }
}

/// Waits until a session is over or in doubt. Whether it is in doubt.
fn settle(session: &Session) -> bool {
    session.events().any(|event| matches!(event.kind, EventKind::InDoubt { .. })) && !session.is_finished()
}

#[test]
fn at_seeded_bytes_forward() {
    for pair in SMALL_PAIRS {
        let [length, _] = lengths(pair);
        let mut draw = Draw(3);
        for _ in 0..30 {
            cut(Way::Forward, draw.below(length), pair);
        }
        // The end of a stream is where ownership changes hands.
        for before_end in (0..512).step_by(16) {
            cut(Way::Forward, length.saturating_sub(before_end), pair);
        }
    }
}

#[test]
fn at_seeded_bytes_back() {
    for pair in SMALL_PAIRS {
        let [_, length] = lengths(pair);
        let mut draw = Draw(4);
        for _ in 0..30 {
            cut(Way::Back, draw.below(length), pair);
        }
        for before_end in (0..512).step_by(16) {
            cut(Way::Back, length.saturating_sub(before_end), pair);
        }
    }
}

fn cut(way: Way, after: u64, pair: (&str, &str)) {
    let relay = Relay::cut(way, after);
    let was_cut = relay.was_cut.clone();
    let ended = run(relay, pair);
    assert!(
        was_cut.load(Ordering::SeqCst) || ended == Ended::Moved,
        "{ended:?} of {} with nothing cut after {after} {way:?}",
        pair.0
    );
}
