//! A virtual machine monitor with a stream of its own: it writes a snapshot of the whole machine into one file, in which a
//! device's data is just one more kind of record. It takes the bytes without the container of this project; whether they
//! arrive as they left is then its own business (a record has a checksum).
//!
//! ```text
//! cargo run --example vmm -- save machine.snapshot
//! cargo run --example vmm -- load machine.snapshot
//! ```

use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use vfio_migration::protocol::session::{Message, Object, Offer};
use vfio_migration::protocol::stream::{Encoder, PREAMBLE_LEN, Preamble, payload_crc};
use vfio_migration::{
    EventKind, FrameSink, FrameSource, Outcome, RestoreBuilder, RestoreOptions, SaveBuilder, SaveOptions, Sink, Source,
    Then, device,
};

const DEVICE: &str = "model:size=8MiB";

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [verb, path] = &words[..] else { return Err("usage: vmm save|load FILE".into()) };
    run(verb, path.as_ref(), &mut io::stdout())
}

pub(crate) fn run(verb: &str, path: &Path, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    match verb {
        "save" => save(path, out),
        "load" => load(path, out),
        _ => Err("usage: vmm save|load FILE".into()),
    }
}

/// The rest of the machine, which is not ours to move.
#[derive(Debug, Default, PartialEq, Eq)]
struct Vcpu {
    registers: [u64; 4],
}

fn save(path: &Path, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let vcpu = Vcpu { registers: [1, 2, 3, 0xfee1] };
    let mut snapshot = BufWriter::new(File::create(path)?);
    let registers: Vec<u8> = vcpu.registers.iter().flat_map(|register| register.to_le_bytes()).collect();
    write_record(&mut snapshot, Kind::Vcpu, &[], &registers)?;

    let opened = device::open(DEVICE, None)?;
    let guest = opened.model.ok_or("a model")?.guest();
    guest.resume();
    // A snapshot: the machine goes on afterwards.
    let mut save = SaveBuilder::new(SaveOptions { then: Then::Resume, ..SaveOptions::default() });
    save.device("gpu0", opened.device);
    let (stop, go) = (guest.clone(), guest.clone());
    save.on_pause(move |_left| {
        stop.pause();
        Ok(())
    });
    save.on_unpause(move |_outcome| {
        go.resume();
        Ok(())
    });
    // Nothing here blocks for long, so that there is nothing to interrupt.
    let session = save.start(Sink::frames(Records { file: snapshot }, || ()))?;
    let finished = session.wait();
    if let Some(failure) = finished.failure {
        return Err(failure.into());
    }
    if !guest.runs() {
        guest.resume();
    }
    writeln!(out, "saved {} bytes of gpu0; it is in {:?}", finished.report.bytes, finished.devices[0].state)?;
    Ok(())
}

fn load(path: &Path, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let mut snapshot = BufReader::new(File::open(path)?);
    let registers = read_record(&mut snapshot)?.filter(|record| record.kind == Kind::Vcpu).ok_or("no vCPU first")?;
    let mut vcpu = Vcpu::default();
    for (register, bytes) in vcpu.registers.iter_mut().zip(registers.payload.chunks_exact(8)) {
        *register = u64::from_le_bytes(bytes.try_into()?);
    }

    let opened = device::open(DEVICE, None)?;
    let model = opened.model.ok_or("a model")?;
    let mut restore = RestoreBuilder::new(RestoreOptions { run: Some(true), ..RestoreOptions::default() });
    restore.device("gpu0", opened.device);
    restore.on_configure(|| Ok(()));
    let guest = model.guest();
    restore.on_take_over(move || {
        guest.resume();
        Ok(())
    });
    let session = restore.start(Source::frames(Records { file: snapshot }, || ()))?;
    for event in session.events() {
        if let EventKind::State { device, to, .. } = event.kind {
            writeln!(out, "{device} is in {to}")?;
        }
    }
    let finished = session.wait();
    if let Some(failure) = finished.failure {
        return Err(failure.into());
    }
    let outcome: Outcome = finished.report.outcome;
    writeln!(out, "loaded {:#x?}, gpu0 {outcome}, {} resets", vcpu.registers[3], model.resets())?;
    Ok(())
}

/// What a record of the snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Vcpu,
    /// What the devices' data is of: passports above all. Opaque here.
    Offer,
    /// Some bytes of a device.
    Data,
    /// A device is complete.
    Complete,
    /// All devices are.
    End,
}

/// One record: kind, two numbers, checksum, length, payload.
struct Record {
    kind: Kind,
    /// Object and offset of data; the object of `Complete`; whether the machine goes on at `End`.
    numbers: [u64; 2],
    payload: Vec<u8>,
}

/// The snapshot's file as a sink and a source of a session.
struct Records<F> {
    file: F,
}

impl<F: Write + Send> FrameSink for Records<F> {
    fn open(&mut self, offer: &Offer) -> io::Result<()> {
        let (_, head) = Encoder::forward(offer).map_err(io::Error::other)?;
        write_record(&mut self.file, Kind::Offer, &[], &head)
    }

    fn send(&mut self, message: &Message, payload: &[u8]) -> io::Result<()> {
        let file = &mut self.file;
        match *message {
            Message::Data { object: Object(object), offset, .. } => {
                write_record(file, Kind::Data, &[u64::from(object), offset], payload)
            }
            Message::ObjectEnd(Object(object)) => write_record(file, Kind::Complete, &[u64::from(object)], &[]),
            Message::End { goes_on } => write_record(file, Kind::End, &[u64::from(goes_on)], &[]),
            // This monitor keeps its own log of events.
            _ => Ok(()),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl<F: Read + Send> FrameSource for Records<F> {
    fn open(&mut self) -> io::Result<Offer> {
        let record = read_record(&mut self.file)?.filter(|record| record.kind == Kind::Offer);
        let record = record.ok_or_else(|| broken("no offer before the data"))?;
        let (head, table) =
            record.payload.split_first_chunk::<PREAMBLE_LEN>().ok_or_else(|| broken("a short offer"))?;
        let opened = Preamble::parse(head).and_then(|preamble| preamble.open(table)).map_err(io::Error::other)?;
        Ok(opened.offer)
    }

    fn receive(&mut self, into: &mut [u8]) -> io::Result<Option<Message>> {
        let Some(Record { kind, numbers: [first, second], payload }) = read_record(&mut self.file)? else {
            return Ok(None);
        };
        let object = || u32::try_from(first).map(Object).map_err(|_| broken("an object's number is too large"));
        match kind {
            Kind::Data => {
                let room = into.get_mut(..payload.len()).ok_or_else(|| broken("a record larger than a chunk"))?;
                room.copy_from_slice(&payload);
                let len = u32::try_from(payload.len()).map_err(|_| broken("a record larger than a chunk"))?;
                let (object, offset) = (object()?, second);
                Ok(Some(Message::Data { object, offset, len, segment_end: false, initial_end: None }))
            }
            Kind::Complete => Ok(Some(Message::ObjectEnd(object()?))),
            Kind::End => Ok(Some(Message::End { goes_on: first != 0 })),
            Kind::Vcpu | Kind::Offer => Err(broken("a record that has no place there")),
        }
    }
}

fn write_record(file: &mut impl Write, kind: Kind, numbers: &[u64], payload: &[u8]) -> io::Result<()> {
    let number = |index: usize| numbers.get(index).copied().unwrap_or(0).to_le_bytes();
    file.write_all(&[kind as u8])?;
    file.write_all(&[number(0), number(1)].concat())?;
    file.write_all(&payload_crc(payload).to_le_bytes())?;
    file.write_all(&u32::try_from(payload.len()).map_err(io::Error::other)?.to_le_bytes())?;
    file.write_all(payload)
}

fn read_record(file: &mut impl Read) -> io::Result<Option<Record>> {
    let mut head = [0; 25];
    match file.read_exact(&mut head) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        answer => answer?,
    }
    let kinds = [Kind::Vcpu, Kind::Offer, Kind::Data, Kind::Complete, Kind::End];
    let kind = kinds.into_iter().find(|kind| *kind as u8 == head[0]).ok_or_else(|| broken("an unknown record"))?;
    let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let mut payload = Vec::new();
    file.take(u64::from(word(21))).read_to_end(&mut payload)?;
    if payload_crc(&payload) != word(17) {
        return Err(broken("a damaged record"));
    }
    Ok(Some(Record { kind, numbers: [number(1), number(9)], payload }))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the snapshot has {what}"))
}
