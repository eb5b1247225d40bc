//! Trackers of dirty pages: what they say is believed only where it is about the memory that moves.

use vfio_migration_protocol::session::{
    Action, Command, Input, Message, Object, Save, SaveObject, SaveOptions, TrackerAnswer, TrackerCall, TrackerIndex,
};
use vfio_migration_protocol::{Bitmap, EventKind, IovaRange, Outcome};

use crate::driver::End;
use crate::scenes::{CHUNK, RAM, options, saved};

const PAGE: u64 = CHUNK as u64;

fn source() -> End<Save> {
    let trackers = vec![TrackerIndex(0)];
    let ram = SaveObject::Memory { id: "ram".into(), range: RAM, page_size: PAGE, trackers };
    End::source_of(SaveOptions { depth: 16, ..options() }, vec![saved(0), ram])
}

fn starts(source: &mut End<Save>, answer: u64) -> Vec<String> {
    source.withhold = |action| matches!(action, Action::Track(_, TrackerCall::Start { .. }));
    assert_eq!(source.go().last().map(String::as_str), Some("tracker 0: start"));
    source.withhold = |_| false;
    let call = TrackerCall::Start { ranges: vec![RAM], page_size: PAGE };
    source.hear(Input::Tracked(TrackerIndex(0), call, Ok(TrackerAnswer::Started(answer))));
    source.go()
}

/// A tracker page that is no whole part of the memory, or that begins outside of it, marks bits for other addresses
/// than the ones written to: pages would be missed. That is refused "before anything changes".
#[test]
fn a_tracker_page_that_does_not_fit_the_memory_is_refused() {
    assert_eq!(RAM, IovaRange { iova: 0x10_0000, length: 8 * PAGE });
    for page_size in [0, 3 * PAGE, 16 * PAGE, 1 << 30, 1 << 63] {
        let mut source = source();
        let asked = starts(&mut source, page_size);
        assert_eq!(asked, ["says cancelled", "tracker 0: stop", "disconnects"], "a page of {page_size} bytes");
        assert_eq!(source.verdict().0, Outcome::Returned);
        assert!(source.devices[0].state.is_running());
    }
}

/// A tracker page that is larger than a page of the memory, and fits, marks all pages of the memory that it covers.
#[test]
fn a_larger_tracker_page_marks_every_page_that_it_covers() {
    let mut source = source();
    source.withhold =
        |action| matches!(action, Action::Track(_, TrackerCall::Start { .. } | TrackerCall::Report { .. }));
    source.go();
    let call = TrackerCall::Start { ranges: vec![RAM], page_size: PAGE };
    source.hear(Input::Tracked(TrackerIndex(0), call, Ok(TrackerAnswer::Started(4 * PAGE))));
    source.go();
    assert_eq!(source.read_of_memory(), 8 * PAGE, "everything counts as dirty at first");

    let mut bits = Bitmap::new(2);
    bits.set(1);
    reports(&mut source, 4 * PAGE, bits);
    assert_eq!(source.read_of_memory(), 4 * PAGE);
}

/// What a tracker says of a part of the memory says nothing about the rest: every page counts as dirty.
#[test]
fn a_report_that_covers_only_a_part_makes_everything_dirty() {
    let mut source = source();
    source.withhold = |action| matches!(action, Action::Track(_, TrackerCall::Report { .. }));
    source.go();
    assert_eq!(source.read_of_memory(), 8 * PAGE);
    reports(&mut source, PAGE, Bitmap::new(7));
    let lost = source.events.iter().filter(|event| matches!(event, EventKind::TrackerLost { tracker: 0, .. })).count();
    assert_eq!(lost, 1);
    assert_eq!(source.read_of_memory(), 0, "it cannot be moved while the guest runs");

    source.withhold = |_| false;
    source.order(Command::Switchover).expect("it may switch over");
    let asked = source.go();
    assert_eq!(source.read_of_memory(), 8 * PAGE, "{asked:?}");
    source.hears(Message::Loaded);
    source.hears(Message::Running);
    assert_eq!(source.verdict().0, Outcome::Completed);
}

/// "Last read of every tracker, never before the last device stopped".
#[test]
fn trackers_are_read_last_once_every_device_has_stopped() {
    let mut source = source();
    source.go();
    source.order(Command::Switchover).expect("it may switch over");
    let asked = source.go();
    let place = |what: &str| asked.iter().rposition(|line| line == what).unwrap_or_else(|| panic!("{what}: {asked:?}"));
    assert!(place("d0: set state stop-copy") < place("tracker 0: report"), "{asked:?}");
    assert!(place("tracker 0: report") < place("says object-end"), "{asked:?}");
}

fn reports(source: &mut End<Save>, page_size: u64, bits: Bitmap) {
    let call = TrackerCall::Report { memory: Object(1), range: RAM, page_size };
    source.hear(Input::Tracked(TrackerIndex(0), call, Ok(TrackerAnswer::Dirty(bits))));
    source.go();
}
