//! Whatever access to a region fails, at either end: one owner of the guest, or doubt that its callers settle; a named
//! outcome; and no device of the source is reset.

use std::os::unix::net::UnixStream;

use vfio_migration::{EventKind, Finished, Outcome, RestoreOptions, SaveOptions, Session, Sink, Source, State};

use crate::scene::{Origin, Target, assert_identical, assert_works, origin, target, within};

const DEVICE: &str = "size=128KiB,pre-copy,dirty-tracking,dirty-rate=2,dma-rate=2,protocol=region,window=64KiB";
const DIALECTS: [&str; 3] = ["dialect=thread,p2p", "dialect=qemu", "dialect=libvfio-user"];

/// Whether it ends in doubt, for its caller to settle.
fn is_in_doubt(session: &Session) -> bool {
    session.events().any(|event| matches!(event.kind, EventKind::InDoubt { .. })) && !session.is_finished()
}

/// A migration whose callers let the source have the guest back where it cannot be known.
fn run(here: &str, there: &str) -> (Origin, Finished, Target, Finished) {
    let (near, far) = UnixStream::pair().unwrap();
    let options = SaveOptions { chunk: 16 << 10, ..SaveOptions::default() };
    let (mut origin, mut target) = (origin(here, options), target(there, RestoreOptions::default()));
    let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let (saved, restored) = within("the migration", move || {
        if is_in_doubt(&restoring) {
            restoring.discard().unwrap();
        }
        let restored = restoring.wait();
        if is_in_doubt(&saving) {
            // It may hear meanwhile that the destination has refused.
            let _ = saving.take_back(true);
        }
        (saving.wait(), restored)
    });
    (origin, saved, target, restored)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Moved,
    Stayed,
    Lost,
}

fn ended(fault: &str, (origin, saved, target, restored): &(Origin, Finished, Target, Finished)) -> Ended {
    assert_eq!(origin.model.resets(), 0, "{fault}: a source device is never reset on its own");
    let runs = [origin.model.guest().runs(), target.model.guest().runs()];
    assert_eq!(runs.iter().filter(|runs| **runs).count(), 1, "{fault}: one owner: {saved:#?} {restored:#?}");
    if runs[1] {
        assert_identical(origin, target);
        assert_works(&target.model);
        assert_eq!(
            (saved.report.outcome, restored.report.outcome),
            (Outcome::Completed, Outcome::Completed),
            "{fault}"
        );
        return Ended::Moved;
    }
    target.assert_never_ran();
    assert_eq!(restored.devices[0].state, Some(State::Running), "{fault}: nothing is left there: {restored:#?}");
    assert!(saved.failure.is_some() && restored.failure.is_some(), "{fault}: {saved:#?} {restored:#?}");
    if saved.report.outcome == Outcome::Lost {
        assert_eq!(saved.devices[0].state, Some(State::Error), "{fault}: {saved:#?}");
        return Ended::Lost;
    }
    assert_eq!(saved.report.outcome, Outcome::Returned, "{fault}: {saved:#?}");
    origin.assert_works();
    Ended::Stayed
}

/// Runs each fault in each dialect, and counts what came of it.
fn all(faults: &[&str], at_source: bool) -> [usize; 3] {
    let mut counts = [0; 3];
    for (dialect, fault) in DIALECTS.into_iter().flat_map(|dialect| faults.iter().map(move |fault| (dialect, *fault))) {
        let sound = format!("{DEVICE},{dialect}");
        let broken = format!("{sound},fault={fault}");
        let (here, there) = if at_source { (&broken, &sound) } else { (&sound, &broken) };
        counts[ended(&format!("{dialect} {fault}"), &run(here, there)) as usize] += 1;
    }
    counts
}

#[test]
fn at_accesses_of_the_source() {
    let faults = [
        "read-device-state@1:EIO",
        "read-device-state@3:EIO",
        "write-device-state@1:EIO",
        "write-device-state@2:EIO",
        "write-device-state@2:EIO:1",
        "write-device-state@2:error",
        "read-pending-bytes@1:EIO",
        "read-pending-bytes@2:huge",
        "read-pending-bytes@1/stop-copy:EIO",
        "read-pending-bytes@1/stop-copy:zero",
        "read-pending-bytes@1+:stuck",
        "read-data-offset@1:EIO",
        "read-data-offset@2:unknown",
        "read-data-offset@1/stop-copy:zero",
        "read-data-size@1:EIO",
        "read-data-size@2:huge",
        "read-data-size@1+/stop-copy:zero",
        "read-data-size@1/stop-copy:error",
        "read-window@1:EIO",
        "read-window@2:short:100",
        "read-window@2:flip",
        "read-window@1/stop-copy:EIO",
    ];
    let [moved, stayed, lost] = all(&faults, true);
    assert!(moved > 5 && stayed > 20 && lost >= 3, "{moved} moved, {stayed} stayed, {lost} were lost");
}

#[test]
fn at_accesses_of_the_destination() {
    let faults = [
        "read-device-state@1:EIO",
        "read-device-state@3:EIO",
        "write-device-state@1:EIO",
        "write-device-state@2:EIO",
        "write-device-state@2+/resuming:EIO",
        "write-device-state@1/resuming:error",
        "read-data-offset@1:EIO",
        "read-data-offset@2:zero",
        "read-data-offset@3:huge",
        "write-window@1:EIO",
        "write-window@2:short:100",
        "write-window@2:flip",
        "write-data-size@1:EIO",
        "write-data-size@2:error",
    ];
    let [moved, stayed, lost] = all(&faults, false);
    assert!(moved >= 3 && stayed > 20 && lost == 0, "{moved} moved, {stayed} stayed, {lost} were lost");
}

/// What only the comparison of both ends shows is shown by it.
#[test]
fn and_data_that_is_thrown_away_or_damaged_is_found_out() {
    for (dialect, fault) in DIALECTS.into_iter().flat_map(|dialect| ["discard", "rot"].map(|fault| (dialect, fault))) {
        let sound = format!("{DEVICE},{dialect}");
        let (origin, saved, target, restored) = run(&sound, &format!("{sound},fault=write-data-size@1:{fault}"));
        assert_eq!((saved.failure, restored.failure), (None, None), "nobody could see it");
        let identical = std::panic::AssertUnwindSafe(|| assert_identical(&origin, &target));
        assert!(std::panic::catch_unwind(identical).is_err(), "{dialect} {fault}");
    }
}
