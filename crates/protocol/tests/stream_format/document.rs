//! A reader that was written from docs/stream-format.md and uses nothing else, and what it makes of our streams.

use vfio_migration_protocol::session::{Message, Mode, ObjectKind};

use crate::sample::{self, joined};

/// CRC32C of `bytes`, continued from `sum`, a bit at a time.
fn crc32c(sum: u32, bytes: &[u8]) -> u32 {
    let bit = |sum: u32| if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
    !bytes.iter().fold(!sum, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| bit(sum)))
}

/// Numbers and texts, from the front of some bytes.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], String> {
        let split = self.0.split_at_checked(usize::try_from(len).map_err(|_| "long")?);
        let (bytes, rest) = split.ok_or("cut short")?;
        self.0 = rest;
        Ok(bytes)
    }

    fn number(&mut self, len: u64) -> Result<u64, String> {
        Ok(self.take(len)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn text(&mut self, length_bytes: u64) -> Result<String, String> {
        let len = self.number(length_bytes)?;
        String::from_utf8(self.take(len)?.to_vec()).map_err(|_| "not UTF-8".into())
    }
}

#[derive(Debug, PartialEq)]
struct Object {
    kind: u64,
    id: String,
    size: Option<u64>,
    /// Protocol, capabilities and passport of a device, iova of a memory.
    rest: (u64, u64, Vec<(bool, String, String)>),
}

/// Type, object, offset, flags, generation, payload.
type Frame = (u64, u64, u64, u64, u64, Vec<u8>);

fn need(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.into()) }
}

/// The mode, the seed forward, the largest frame, the objects; what remains are frames.
fn read_head(stream: &mut Bytes<'_>) -> Result<(u64, u32, u64, Vec<Object>), String> {
    let preamble = stream.take(64)?;
    let p = crc32c(0, &preamble[..60]);
    let mut fields = Bytes(preamble);
    need(fields.take(8)? == b"\x89VFM\r\n\x1a\n", "magic")?;
    need(fields.number(2)? == 1 && fields.number(2)? == 0xfeff, "version or byte order")?;
    let (mode, suite, flags) = (fields.number(1)?, fields.number(1)?, fields.number(2)?);
    let (largest, epoch) = (fields.number(4)?, fields.number(4)?);
    let _session = fields.take(16)?;
    let table_length = fields.number(4)?;
    need(fields.take(16)?.iter().all(|byte| *byte == 0) && flags == 0 && epoch == 0 && suite == 0, "reserved")?;
    need((1..=2).contains(&mode) && (4096..=64 << 20).contains(&largest) && table_length <= 1 << 20, "bounds")?;
    need(fields.number(4)? == u64::from(p), "P")?;
    let table = stream.take(table_length)?;
    let (table, sum) = table.split_last_chunk::<4>().ok_or("table")?;
    let t = crc32c(p, table);
    need(u32::from_le_bytes(*sum) == t, "T")?;
    let mut table = Bytes(table);
    let mut objects = Vec::new();
    for _ in 0..table.number(4)? {
        let (kind, id) = (table.number(1)?, table.text(1)?);
        let (known, size) = (table.number(1)? == 1, table.number(8)?);
        let rest = if kind == 1 {
            let (protocol, capabilities, mut passport) = (table.number(1)?, table.number(8)?, Vec::new());
            for _ in 0..table.number(2)? {
                passport.push((table.number(1)? == 1, table.text(1)?, table.text(2)?));
            }
            (protocol, capabilities, passport)
        } else {
            (0, table.number(8)?, Vec::new())
        };
        objects.push(Object { kind, id, size: known.then_some(size), rest });
    }
    need(table.0.is_empty(), "table")?;
    Ok((mode, t, largest, objects))
}

fn read_frames(stream: &mut Bytes<'_>, seed: u32, largest: u64, objects: &[Object]) -> Result<Vec<Frame>, String> {
    let mut frames = Vec::new();
    let mut totals = vec![(0_u64, 0_u64, 0_u32); objects.len()];
    while !stream.0.is_empty() {
        let header = stream.take(64)?;
        need(u32::from_le_bytes(*header.last_chunk().ok_or("header")?) == crc32c(seed, &header[..60]), "header")?;
        let mut fields = Bytes(header);
        let (kind, channel, length, sequence) =
            (fields.number(2)?, fields.number(2)?, fields.number(4)?, fields.number(8)?);
        let (offset, object, flags) = (fields.number(8)?, fields.number(4)?, fields.number(4)?);
        let (generation, reserved, check) = (fields.number(4)?, fields.number(8)?, fields.take(16)?);
        need(channel == 0 && reserved == 0 && check[4..] == [0; 12], "reserved")?;
        need(sequence == frames.len() as u64 && length <= largest, "sequence or length")?;
        let payload = stream.take(length)?;
        need(check[..4] == crc32c(0, payload).to_le_bytes(), "payload")?;
        let place = usize::try_from(object).map_err(|_| "object")?;
        let mut body = Bytes(payload);
        match kind {
            0x8001 => {
                let total = totals.get_mut(place).ok_or("object")?;
                let device = objects[place].kind == 1;
                need(if device { offset == total.1 } else { Some(offset + length) <= objects[place].size }, "offset")?;
                *total = (total.0 + 1, total.1 + length, crc32c(total.2, check));
            }
            0x8002 => {
                let is = (body.number(8)?, body.number(8)?, u32::try_from(body.number(4)?).map_err(|_| "sum")?);
                need(totals.get(place) == Some(&is) && body.number(4)? == 0, "totals")?;
            }
            0x8006 => {
                let sum = |bytes: u32, total: &(u64, u64, u32)| crc32c(bytes, &total.2.to_le_bytes());
                need(body.number(8)? == totals.iter().map(|total| total.0).sum::<u64>(), "frames")?;
                need(body.number(8)? == totals.iter().map(|total| total.1).sum::<u64>(), "bytes")?;
                need(body.number(4)? == u64::from(totals.iter().fold(0, sum)), "checksum")?;
            }
            _ => {}
        }
        frames.push((kind, object, offset, flags, generation, payload.to_vec()));
    }
    Ok(frames)
}

/// What the document says that a message looks like. A text that takes several frames comes joined.
fn as_frame(message: &Message) -> Frame {
    let bare = |kind| (kind, 0xffff_ffff, 0, 0, 0, Vec::new());
    let text = |kind, text: &str| (kind, 0xffff_ffff, 0, 0, 0, text.as_bytes().to_vec());
    match message {
        Message::Data { object, offset, segment_end, initial_end, .. } => {
            let flags = u64::from(*segment_end) | u64::from(initial_end.is_some()) << 1;
            (0x8001, object.0.into(), *offset, flags, initial_end.unwrap_or(0).into(), Vec::new())
        }
        Message::ObjectEnd(object) => (0x8002, object.0.into(), 0, 0, 0, Vec::new()),
        Message::GivenUp => bare(0x8003),
        Message::Withdraw => bare(0x8004),
        Message::Cancelled(why) => text(0x8005, why),
        Message::End { goes_on } => (0x8006, 0xffff_ffff, 0, 0, 0, u32::from(*goes_on).to_le_bytes().to_vec()),
        Message::Begin => bare(0x8007),
        Message::Event(json) => text(1, json),
        Message::Report(json) => text(2, json),
        Message::Alive => bare(0x8010),
        Message::Accepted => bare(0x8020),
        Message::InitialLoaded(object, generation) => (0x8021, object.0.into(), 0, 0, (*generation).into(), Vec::new()),
        Message::Ack(object, offset) => (0x8022, object.0.into(), *offset, 0, 0, Vec::new()),
        Message::Loaded => bare(0x8023),
        Message::Running => bare(0x8024),
        Message::Refused(why) => text(0x8025, why),
        Message::Failed(why) => text(0x8026, why),
    }
}

/// Joins texts, and leaves of other payloads what a message knows.
fn as_messages(frames: Vec<Frame>) -> Vec<Frame> {
    let mut messages: Vec<Frame> = Vec::new();
    let mut goes_on = false;
    for (kind, object, offset, flags, generation, payload) in frames {
        let text = matches!(kind, 1 | 2 | 0x8005 | 0x8025 | 0x8026);
        match messages.last_mut().filter(|_| goes_on) {
            Some(begun) => begun.5.extend(payload),
            None if text => messages.push((kind, object, offset, 0, generation, payload)),
            None => {
                let payload = if kind == 0x8006 { payload[20..].to_vec() } else { Vec::new() };
                messages.push((kind, object, offset, flags, generation, payload));
            }
        }
        goes_on = text && flags & 4 != 0;
    }
    messages
}

#[test]
fn the_documents_reader_agrees_with_ours() {
    for (mode, number) in [(Mode::OneWay, 1), (Mode::Connected, 2)] {
        let pieces = sample::stream(mode);
        let stream = joined(&pieces);
        let mut bytes = Bytes(&stream);
        let (is, seed, largest, objects) = read_head(&mut bytes).unwrap();
        let offer = sample::offer(mode);
        assert_eq!((is, largest), (number, u64::from(offer.chunk)));
        let described = offer.objects.iter().map(|object| {
            let (kind, rest) = match &object.kind {
                ObjectKind::Device { protocol, capabilities, passport } => {
                    let lines = passport.entries().iter().map(|e| (e.needed, e.key.clone(), e.value.clone()));
                    (1, (*protocol as u64 + 1, capabilities.bits(), lines.collect()))
                }
                ObjectKind::Memory { iova } => (2, (0, *iova, Vec::new())),
            };
            Object { kind, id: object.id.clone(), size: object.size.known(), rest }
        });
        assert_eq!(objects, described.collect::<Vec<_>>());
        let frames = read_frames(&mut bytes, seed, largest, &objects).unwrap();
        let expected: Vec<Frame> = sample::messages(&pieces).iter().map(as_frame).collect();
        // The bytes of the objects are where they were written: right after the header.
        let data = frames.iter().filter(|frame| frame.0 == 0x8001).map(|frame| frame.5.clone());
        let written = pieces.iter().filter(|piece| piece.name == "data").map(|piece| piece.bytes[64..].to_vec());
        assert!(data.eq(written));
        assert_eq!(as_messages(frames), expected);
    }
}

#[test]
fn the_documents_reader_reads_messages_back() {
    let stream = joined(&sample::stream(Mode::Connected));
    let (_, forward, largest, objects) = read_head(&mut Bytes(&stream)).unwrap();
    let pieces = sample::back();
    let back = joined(&pieces);
    let frames = read_frames(&mut Bytes(&back), forward ^ 0x4b43_4142, largest, &objects).unwrap();
    let expected: Vec<Frame> = sample::messages(&pieces).iter().map(as_frame).collect();
    assert_eq!(as_messages(frames), expected);
}

#[test]
fn the_documents_reader_finds_damage_too() {
    let stream = joined(&sample::stream(Mode::OneWay));
    let read = |stream: &[u8]| {
        let mut bytes = Bytes(stream);
        let (_, seed, largest, objects) = read_head(&mut bytes)?;
        read_frames(&mut bytes, seed, largest, &objects)
    };
    assert!(read(&stream).is_ok());
    for at in 0..stream.len() {
        let mut damaged = stream.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(read(&damaged).is_err(), "byte {at}");
    }
}
