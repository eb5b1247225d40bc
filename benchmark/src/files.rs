//! A file of each kind that can be looked into.

use std::error::Error;
use std::io::Write;

use vfio_migration::protocol::Protocol;
use vfio_migration::protocol::session::{Message, Mode, Object, ObjectDescription, ObjectKind, Offer};
use vfio_migration::protocol::stream::{Encoder, payload_crc};
use vfio_migration::{Capabilities, Estimate, Passport};

/// What a device gives at once.
const PIECE: usize = 1 << 20;
const PAGE: usize = 4096;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Writes a file of so many bytes, a multiple of a MiB, besides what stands around them. They come from `data`, in turn.
pub(crate) type Writer = fn(&mut dyn Write, u64, &[u8]) -> Result<()>;

/// Each kind by its name.
pub(crate) const KINDS: [(&str, Writer); 4] =
    [("stream", stream), ("qemuDevice", qemu_device), ("qemuMemory", qemu_memory), ("qemuOpaque", qemu_opaque)];

/// A stream of this project with one device.
fn stream(out: &mut dyn Write, size: u64, data: &[u8]) -> Result<()> {
    let kind = ObjectKind::Device {
        protocol: Protocol::Fsm,
        capabilities: Capabilities::STOP_COPY,
        passport: Passport::new(),
    };
    let chunk = u32::try_from(PIECE)?;
    let objects = vec![ObjectDescription { id: "device".into(), kind, size: Estimate::Unknown }];
    let (mut encoder, head) = Encoder::forward(&Offer { session: [7; 16], mode: Mode::OneWay, chunk, objects })?;
    out.write_all(&head)?;
    let device = Object(0);
    let mut pieces = data.chunks_exact(PIECE).cycle();
    for offset in (0..size).step_by(PIECE) {
        let payload = pieces.next().ok_or("no data")?;
        out.write_all(&encoder.data(device, offset, chunk, false, None, payload_crc(payload)))?;
        out.write_all(payload)?;
    }
    for message in [Message::ObjectEnd(device), Message::End { goes_on: false }] {
        out.write_all(&encoder.message(&message))?;
    }
    Ok(())
}

const QEMU_HEAD: &[u8] = b"QEVM\0\0\0\x03\x07\0\0\0\x04none";
const DATA: u64 = 0xffff_ffff_ef10_0004;
const END: u64 = 0xffff_ffff_ef10_0001;

/// The head of a section of QEMU's: 1 begins, 3 ends, 4 is all.
fn section(out: &mut dyn Write, kind: u8, name: &str) -> Result<()> {
    out.write_all(&[kind, 0, 0, 0, 9])?;
    if kind != 3 {
        out.write_all(&[u8::try_from(name.len())?])?;
        out.write_all(name.as_bytes())?;
        out.write_all(&[0, 0, 0, 0, 0, 0, 0, 1])?;
    }
    Ok(())
}

/// The end of a section, and of the file.
fn footer(out: &mut dyn Write) -> Result<()> {
    Ok(out.write_all(&[0x7e, 0, 0, 0, 9, 0])?)
}

/// A file of QEMU's with the data of a device, a MiB a piece, which is what it reads at most.
fn qemu_device(out: &mut dyn Write, size: u64, data: &[u8]) -> Result<()> {
    out.write_all(QEMU_HEAD)?;
    section(out, 1, "0000:00:02.0/vfio")?;
    let pieces = usize::try_from(size)? / PIECE;
    for piece in data.chunks_exact(PIECE).cycle().take(pieces) {
        out.write_all(&DATA.to_be_bytes())?;
        out.write_all(&(PIECE as u64).to_be_bytes())?;
        out.write_all(piece)?;
    }
    out.write_all(&END.to_be_bytes())?;
    footer(out)
}

/// A file of QEMU's with guest memory, each page with its address before it.
fn qemu_memory(out: &mut dyn Write, size: u64, data: &[u8]) -> Result<()> {
    out.write_all(QEMU_HEAD)?;
    section(out, 1, "ram")?;
    out.write_all(&(size | 4).to_be_bytes())?;
    out.write_all(b"\x06pc.ram")?;
    out.write_all(&size.to_be_bytes())?;
    for (address, page) in (0..size).step_by(PAGE).zip(data.chunks_exact(PAGE).cycle()) {
        // The first page names its block, the others go on in it.
        out.write_all(&(address | 8 | if address == 0 { 0 } else { 0x20 }).to_be_bytes())?;
        if address == 0 {
            out.write_all(b"\x06pc.ram")?;
        }
        out.write_all(page)?;
    }
    out.write_all(&0x10_u64.to_be_bytes())?;
    footer(out)
}

/// A file of QEMU's with a section of which nothing is known but where it ends.
fn qemu_opaque(out: &mut dyn Write, size: u64, data: &[u8]) -> Result<()> {
    out.write_all(QEMU_HEAD)?;
    section(out, 4, "dbus-vmstate/dbus-vmstate")?;
    let pieces = usize::try_from(size)? / PIECE;
    for piece in data.chunks_exact(PIECE).cycle().take(pieces) {
        out.write_all(piece)?;
    }
    footer(out)
}
