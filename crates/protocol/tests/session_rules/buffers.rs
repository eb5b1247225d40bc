//! Which buffers are filled when: few of them, which stay in the processor's caches, and none before its bytes were sent.

use vfio_migration_protocol::session::{Action, Chunk, Input, Message, Mode, Object, Save, SaveOptions};

use crate::driver::End;
use crate::scenes::{CHUNK, plain};

const DEPTH: u32 = 4;

/// A source whose transport takes nothing yet; each device has `chunks` whole chunks left.
fn source(mode: Mode, devices: usize, chunks: u64) -> End<Save> {
    let mut source = End::source(SaveOptions { mode, depth: DEPTH, ..plain() }, devices);
    source.devices.iter_mut().for_each(|device| device.left = chunks * u64::from(CHUNK));
    source.withhold = |action| matches!(action, Action::Send(Message::Data { .. }, _));
    source.go();
    source
}

fn sent(source: &mut End<Save>, chunk: u32) {
    source.hear(Input::Sent(Chunk(chunk)));
    source.go();
}

/// The first so many chunks of a device have arrived.
fn acknowledged(source: &mut End<Save>, chunks: u64) {
    source.hears(Message::Ack(Object(0), chunks * u64::from(CHUNK)));
}

/// The transport still reads from a buffer whose bytes were acknowledged too early: it is not filled again before it was
/// sent.
#[test]
fn an_acknowledgement_frees_no_buffer_that_was_not_sent() {
    let mut source = source(Mode::Connected, 1, 100);
    assert_eq!(source.filling, [0, 1].map(Chunk));
    acknowledged(&mut source, 1);
    assert_eq!((source.filling.len(), source.released.len()), (2, 0));
    sent(&mut source, 0);
    assert_eq!(source.released, [Chunk(0)]);
    assert_eq!(source.filling, [0, 1, 0].map(Chunk));
}

/// What was sent is read into again at once, so that two buffers do for a device; the depth bounds what has not arrived.
#[test]
fn two_buffers_do_for_a_device_and_the_depth_bounds_what_is_in_flight() {
    let mut source = source(Mode::Connected, 1, 100);
    for chunk in [0, 1, 0, 1] {
        sent(&mut source, chunk);
    }
    assert_eq!(source.filling, [0, 1, 0, 1].map(Chunk), "the depth is {DEPTH}");
    acknowledged(&mut source, 1);
    assert_eq!(source.filling.len(), 5);
    acknowledged(&mut source, 2);
    assert_eq!(source.filling.len(), 6);
    acknowledged(&mut source, 3);
    assert_eq!(source.filling.len(), 6, "two wait to be sent");
}

/// Devices do not wait for each other's buffers.
#[test]
fn each_device_has_buffers_of_its_own_as_far_as_the_depth_goes() {
    let devices_of = |devices| source(Mode::Connected, devices, 100).filling;
    assert_eq!(devices_of(2), [0, 1, 2, 3].map(Chunk));
    assert_eq!(devices_of(3).len(), 4, "the depth is {DEPTH}");
}

/// One-way, sent is all that is known: nothing is in flight after it.
#[test]
fn one_way_what_was_sent_has_arrived() {
    let mut source = source(Mode::OneWay, 1, 3);
    for (chunk, chunks) in [(0, 1), (1, 2), (0, 3), /* twice is once */ (0, 3)] {
        sent(&mut source, chunk);
        assert_eq!(source.report().bytes, chunks * u64::from(CHUNK));
    }
}
