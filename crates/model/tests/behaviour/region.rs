//! Programs that drive a region: one that does it by the text, and QEMU until 7.2.

use vfio_migration_model::{Model, Settings};
use vfio_migration_protocol::CallError;
use vfio_migration_protocol::region::Register;

/// A model with a region.
pub(crate) fn region(settings: &str, nonce: u64) -> Model {
    Model::new(&Settings::parse(&format!("{settings},protocol=region")).expect("these are settings"), nonce)
        .expect("such a model can be")
}

pub(crate) fn read(model: &mut Model, register: Register) -> Result<u64, CallError> {
    let mut bytes = [0; 8];
    let into = &mut bytes[..register.width()];
    assert_eq!(model.region_read(register.offset(), into)?, into.len(), "a register comes whole");
    Ok(match register.width() {
        4 => u32::from_ne_bytes(into.try_into().expect("four")).into(),
        _ => u64::from_ne_bytes(bytes),
    })
}

pub(crate) fn write(model: &mut Model, register: Register, value: u64) -> Result<(), CallError> {
    let bytes = match register.width() {
        4 => u32::try_from(value).expect("a value of four bytes").to_ne_bytes().to_vec(),
        _ => value.to_ne_bytes().to_vec(),
    };
    model.region_write(register.offset(), &bytes).map(|written| assert_eq!(written, bytes.len()))
}

pub(crate) fn state(model: &mut Model) -> u64 {
    read(model, Register::DeviceState).expect("the state can be read")
}

/// How data is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// Through the mapped window.
    Window,
    /// By one access for each segment.
    One,
    /// By accesses of so many bytes.
    Pieces(usize),
}

/// The next segment, by the text; `None` once nothing is pending.
pub(crate) fn segment(model: &mut Model, by: By) -> Result<Option<Vec<u8>>, CallError> {
    if read(model, Register::PendingBytes)? == 0 {
        return Ok(None);
    }
    let offset = read(model, Register::DataOffset)?;
    let mut bytes = vec![0; usize::try_from(read(model, Register::DataSize)?).expect("small")];
    let data = model.region().expect("a region").data;
    match by {
        By::Window => model.window().expect("a window").load(offset - data, &mut bytes)?,
        By::One => assert_eq!(model.region_read(offset, &mut bytes)?, bytes.len()),
        By::Pieces(size) => {
            for (number, piece) in (0..).zip(bytes.chunks_mut(size)) {
                model.region_read(offset + number * size as u64, piece)?;
            }
        }
    }
    Ok(Some(bytes))
}

/// All segments until nothing is pending.
pub(crate) fn segments(model: &mut Model, by: By) -> Vec<Vec<u8>> {
    core::iter::from_fn(|| segment(model, by).expect("a segment")).collect()
}

/// Hands a segment over, by the text.
pub(crate) fn give(model: &mut Model, bytes: &[u8], by: By) -> Result<(), CallError> {
    let offset = read(model, Register::DataOffset)?;
    let data = model.region().expect("a region").data;
    match by {
        By::Window => model.window().expect("a window").store(offset - data, bytes)?,
        By::One => assert_eq!(model.region_write(offset, bytes)?, bytes.len()),
        By::Pieces(size) => {
            for (number, piece) in (0..).zip(bytes.chunks(size)) {
                model.region_write(offset + number * size as u64, piece)?;
            }
        }
    }
    write(model, Register::DataSize, bytes.len() as u64)
}
