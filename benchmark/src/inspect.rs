//! How fast a file is looked into, beside reading it and computing its CRC32C: one file of each kind.

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};
use vfio_migration::protocol::Protocol;
use vfio_migration::protocol::inspect::Inspector;
use vfio_migration::protocol::session::{Message, Mode, Object, ObjectDescription, ObjectKind, Offer};
use vfio_migration::protocol::stream::{Encoder, payload_crc};
use vfio_migration::{Capabilities, Estimate, Passport};

use crate::device::{Ring, buffer};

/// The speed that looking into a file has at least, as a part of that of reading it with a checksum.
const GOAL: f64 = 0.5;
/// What is read at once: as the command line does it.
const PIECE: usize = 1 << 20;
const PAGE: usize = 4096;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// A file of each kind, and how its bytes are written.
const KINDS: [(&str, Writer); 4] =
    [("stream", stream), ("qemuDevice", qemu_device), ("qemuMemory", qemu_memory), ("qemuOpaque", qemu_opaque)];

type Writer = fn(&mut dyn Write, u64, &[u8]) -> Result<()>;

/// Ratios of the medians of so many rounds over files of so many bytes, and whether all reach the [goal](GOAL).
pub(crate) fn measure(rounds: usize, size: u64) -> Result<(Value, bool)> {
    let data = buffer();
    let (mut report, mut holds) = (serde_json::Map::new(), true);
    for (name, write) in KINDS {
        let file = Temporary::new(name);
        let mut out = BufWriter::with_capacity(PIECE, File::create(&file.0)?);
        write(&mut out, size, &data)?;
        out.flush()?;
        let mut ratios = Vec::new();
        let mut mib = (0.0, 0.0);
        // One round to warm up that is not counted.
        for round in 0..=rounds {
            let (read, looked) = (seconds(|| sum(&file.0))?, seconds(|| look(&file.0))?);
            if round > 0 {
                ratios.push(read / looked);
                mib = (rate(size, read).max(mib.0), rate(size, looked).max(mib.1));
            }
        }
        ratios.sort_by(f64::total_cmp);
        let ratio = ratios[ratios.len() / 2];
        holds &= ratio >= GOAL;
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        let line = json!({
            "ratio": round3(ratio), "ratioSpread": [round3(least), round3(most)], "goal": GOAL,
            "fastestMibPerSecond": { "read": mib.0.round(), "inspected": mib.1.round() },
        });
        report.insert(name.into(), line);
    }
    Ok((report.into(), holds))
}

/// The reference: one buffer, a read, a checksum.
fn sum(path: &Path) -> Result<()> {
    let (mut file, mut buffer, mut sum) = (File::open(path)?, vec![0; PIECE], 0);
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            black_box(sum);
            return Ok(());
        }
        sum = crc32c::crc32c_append(sum, &buffer[..len]);
    }
}

fn look(path: &Path) -> Result<()> {
    let (mut file, mut buffer, mut inspector) = (File::open(path)?, vec![0; PIECE], Inspector::default());
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            let outline = inspector.finish(&mut ());
            return outline.damage.map_or(Ok(()), |damage| Err(damage.into()));
        }
        inspector.feed(&buffer[..len], &mut ());
    }
}

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
    let (mut ring, device) = (Ring::default(), Object(0));
    for offset in (0..size).step_by(PIECE) {
        let payload = &data[ring.next(PIECE)];
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
    let mut ring = Ring::default();
    for _ in 0..size / PIECE as u64 {
        out.write_all(&DATA.to_be_bytes())?;
        out.write_all(&(PIECE as u64).to_be_bytes())?;
        out.write_all(&data[ring.next(PIECE)])?;
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
    let mut ring = Ring::default();
    for address in (0..size).step_by(PAGE) {
        // The first page names its block, the others go on in it.
        out.write_all(&(address | 8 | if address == 0 { 0 } else { 0x20 }).to_be_bytes())?;
        if address == 0 {
            out.write_all(b"\x06pc.ram")?;
        }
        out.write_all(&data[ring.next(PAGE)])?;
    }
    out.write_all(&0x10_u64.to_be_bytes())?;
    footer(out)
}

/// A file of QEMU's with a section of which nothing is known but where it ends.
fn qemu_opaque(out: &mut dyn Write, size: u64, data: &[u8]) -> Result<()> {
    out.write_all(QEMU_HEAD)?;
    section(out, 4, "dbus-vmstate/dbus-vmstate")?;
    let mut ring = Ring::default();
    for _ in 0..size / PIECE as u64 {
        out.write_all(&data[ring.next(PIECE)])?;
    }
    footer(out)
}

/// A file that is gone afterwards.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("vfio-migration-benchmark-{}-{name}", std::process::id())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
fn rate(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / f64::from(1 << 20) / seconds
}

fn round3(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
