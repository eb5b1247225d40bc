//! Lengths and positions that cannot be, from devices, memory and the peer.

use vfio_migration_protocol::session::{
    Action, Chunk, Input, Message, Mode, Object, Restore, RestoreOptions, SaveObject, SaveOptions,
};
use vfio_migration_protocol::{Errno, Outcome, Then};

use crate::driver::End;
use crate::scenes::{CHUNK, RAM, plain, saved};

/// A device that says it filled more than its buffer is not believed, and its bytes are not sent.
#[test]
fn a_read_of_more_than_was_asked_for_leads_back() {
    for len in [CHUNK as usize + 1, usize::MAX] {
        let mut source = End::source(plain(), 1);
        source.withhold = |action| matches!(action, Action::Fill { .. });
        source.go();
        source.filled(0, Ok((len, Then::More)));
        source.filled(1, Ok((0, Then::End)));
        let failure = source.ending().failure.clone().expect("it failed");
        assert_eq!(failure.error.map(|error| error.errno), Some(Errno::EOVERFLOW), "{len} bytes");
        assert_eq!(source.report().bytes, 0, "nothing of it was sent");
        assert_eq!(source.verdict().0, Outcome::Returned);
    }
}

/// A memory fills all that was asked for. Pages that it leaves out count as sent: they would be lost.
#[test]
fn memory_that_fills_less_than_was_asked_for_leads_back() {
    let ram = SaveObject::Memory { id: "ram".into(), range: RAM, page_size: 4096, trackers: vec![] };
    let mut source = End::source_of(SaveOptions { chunk: 2 * CHUNK, ..plain() }, vec![saved(0), ram]);
    source.withhold = |action| matches!(action, Action::Fill { object: Object(1), .. });
    source.go();
    source.filled(1, Ok((CHUNK as usize, Then::More)));
    source.release();
    let failure = source.ending().failure.clone().expect("it failed");
    assert_eq!(failure.object.as_deref(), Some("ram"));
    assert_eq!(failure.error.map(|error| error.errno), Some(Errno::EIO));
    assert_eq!(source.verdict().0, Outcome::Returned);
}

fn destination(mode: Mode) -> End<Restore> {
    End::destination(RestoreOptions::default(), mode, 1)
}

/// "Nothing from outside can panic", and nothing is written where no byte can lie.
#[test]
fn data_beyond_the_last_offset_is_refused() {
    for mode in [Mode::Connected, Mode::OneWay] {
        let mut destination = destination(mode);
        let asked = destination.data(0, u64::MAX, 10, None);
        assert!(asked.iter().all(|line| !line.contains("write")), "{asked:?}");
        assert_eq!(destination.verdict().0, Outcome::Reset);
        assert_eq!(destination.released, [Chunk(0)]);
    }
}

/// A frame has bytes exactly if it has a length; a chunk that is not wanted is given back.
#[test]
fn data_whose_length_is_not_its_own_is_refused() {
    for (len, chunk) in [(10, None), (0, Some(Chunk(3)))] {
        let mut destination = destination(Mode::Connected);
        let data = Message::Data { object: Object(0), offset: 0, len, segment_end: false, initial_end: None };
        destination.hear(Input::Received(data, chunk));
        let asked = destination.go();
        assert_eq!(asked, ["d0: read state", "says refused", "d0: reset", "disconnects"], "{len} bytes in {chunk:?}");
        assert_eq!(destination.released, chunk.into_iter().collect::<Vec<_>>());
    }
}

/// Every chunk that a destination was given is given back, whatever becomes of the session.
#[test]
fn chunks_are_given_back_on_the_way_down() {
    let mut destination = destination(Mode::Connected);
    destination.withhold = |action| matches!(action, Action::Place { .. });
    destination.data(0, 0, 10, None);
    destination.hears(Message::Begin);
    destination.data(1, 10, 10, None);
    destination.placed(0, Ok(()));
    assert!(destination.is_finished());
    destination.released.sort();
    assert_eq!(destination.released, [Chunk(0), Chunk(1)]);
}
