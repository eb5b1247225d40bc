//! Moves data between two models as a session would, and says what came.

use vfio_migration_model::{Model, Settings};
use vfio_migration_protocol::{CallError, Device, Errno, State, Then};

/// A source that was at work, and a destination that is another device.
pub(crate) fn pair(settings: &str) -> (Model, Model) {
    let settings = Settings::parse(settings).expect("the settings are right");
    let model = |nonce| Model::new(&settings, nonce).expect("the settings are right");
    let (mut source, destination) = (model(1), model(2));
    source.start();
    source.advance(20);
    (source, destination)
}

/// Reads in pieces of `piece` bytes until there is nothing for now, or nothing any more.
pub(crate) fn drain(source: &mut Model, piece: usize, into: &mut Vec<u8>) -> Then {
    let mut buffer = vec![0; piece];
    loop {
        let filled = source.read(&mut buffer).expect("data can be read");
        into.extend_from_slice(&buffer[..filled.len]);
        if filled.then != Then::More {
            return filled.then;
        }
    }
}

/// All data of a source: in stop-copy afterwards.
pub(crate) fn save(source: &mut Model, piece: usize) -> Vec<u8> {
    let mut data = Vec::new();
    source.set_state(State::StopCopy).expect("the arcs are legal");
    assert_eq!(drain(source, piece, &mut data), Then::End);
    data
}

/// Writes in pieces of `piece` bytes.
pub(crate) fn write(destination: &mut Model, data: &[u8], piece: usize) -> Result<(), CallError> {
    for mut rest in data.chunks(piece) {
        while !rest.is_empty() {
            rest = &rest[destination.write(rest, false)?..];
        }
    }
    Ok(())
}

/// Enters resuming, writes, and leaves it to stop.
pub(crate) fn load(destination: &mut Model, data: &[u8], piece: usize) -> Result<(), CallError> {
    destination.set_state(State::Resuming)?;
    write(destination, data, piece)?;
    destination.set_state(State::Stop)
}

/// What a call failed with.
pub(crate) fn errno<T: std::fmt::Debug>(answer: Result<T, CallError>) -> Errno {
    answer.expect_err("the call must fail").errno
}
