//! A small stream with all that the format has, a way to read it, and a way to forge it.

use vfio_migration_protocol::session::{Message, Mode, Object, ObjectDescription, ObjectKind, Offer, Protocol};
use vfio_migration_protocol::stream::{
    BackKey, Decoder, Encoder, HEADER_LEN, Opened, PREAMBLE_LEN, Preamble, StreamError, payload_crc,
};
use vfio_migration_protocol::{Capabilities, Estimate, Passport};

pub(crate) const NET: Object = Object(0);
pub(crate) const GPU: Object = Object(1);
pub(crate) const RAM: Object = Object(2);
pub(crate) const CHUNK: u32 = 4096;

pub(crate) fn offer(mode: Mode) -> Offer {
    let passport = Passport::new().needs("device", "mlx5").needs("firmware", "").says("host", "größe");
    let objects = vec![
        ObjectDescription {
            id: "net0".into(),
            kind: ObjectKind::Device {
                protocol: Protocol::Fsm,
                capabilities: Capabilities::STOP_COPY | Capabilities::PRE_COPY | Capabilities::DIRTY_TRACKING,
                passport,
            },
            size: Estimate::Unknown,
        },
        ObjectDescription {
            id: "gpu".into(),
            kind: ObjectKind::Device {
                protocol: Protocol::Region,
                capabilities: Capabilities::STOP_COPY | Capabilities::P2P,
                passport: Passport::new(),
            },
            size: Estimate::Known(1 << 33),
        },
        ObjectDescription { id: "ram".into(), kind: ObjectKind::Memory { iova: 1 << 32 }, size: Estimate::Known(8192) },
    ];
    Offer { session: *b"a random session", mode, chunk: CHUNK, objects }
}

/// A part of a stream: its name, its bytes, and what a reader says to it.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) message: Option<Message>,
}

pub(crate) fn joined(pieces: &[Piece]) -> Vec<u8> {
    pieces.iter().flat_map(|piece| piece.bytes.iter().copied()).collect()
}

pub(crate) fn messages(pieces: &[Piece]) -> Vec<Message> {
    pieces.iter().filter_map(|piece| piece.message.clone()).collect()
}

/// A chunk as a session would send it.
pub(crate) fn data(encoder: &mut Encoder, object: Object, offset: u64, payload: &[u8]) -> Piece {
    flagged(encoder, object, offset, payload, false, None)
}

pub(crate) fn flagged(
    encoder: &mut Encoder,
    object: Object,
    offset: u64,
    payload: &[u8],
    segment_end: bool,
    initial_end: Option<u32>,
) -> Piece {
    let len = u32::try_from(payload.len()).expect("a small payload");
    let header = encoder.data(object, offset, len, segment_end, initial_end, payload_crc(payload));
    let message = Message::Data { object, offset, len, segment_end, initial_end };
    Piece { name: "data", bytes: [&header[..], payload].concat(), message: Some(message) }
}

pub(crate) fn say(encoder: &mut Encoder, name: &'static str, message: Message) -> Piece {
    Piece { name, bytes: encoder.message(&message), message: Some(message) }
}

/// A whole stream. The report takes two frames, which are one piece.
pub(crate) fn stream(mode: Mode) -> Vec<Piece> {
    let (mut encoder, head) = Encoder::forward(&offer(mode)).expect("a sound offer");
    let e = &mut encoder;
    let (preamble, table) = head.split_at(PREAMBLE_LEN);
    let mut pieces = vec![
        Piece { name: "preamble", bytes: preamble.into(), message: None },
        Piece { name: "table of objects", bytes: table.into(), message: None },
        say(e, "event", Message::Event(r#"{"atMicros":0}"#.into())),
    ];
    if mode == Mode::Connected {
        pieces.push(say(e, "begin", Message::Begin));
    }
    pieces.extend([
        data(e, NET, 0, b"initial "),
        flagged(e, NET, 8, b"data", false, Some(0)),
        flagged(e, GPU, 0, &[0; 40], true, None),
        data(e, RAM, 4096, &[0xaa; 64]),
        data(e, RAM, 0, &[0xbb; 64]),
        data(e, RAM, 4096, &[0xcc; 64]),
        flagged(e, NET, 12, b"", false, Some(1)),
        say(e, "object-end", Message::ObjectEnd(RAM)),
        data(e, NET, 12, b"the rest"),
        say(e, "object-end", Message::ObjectEnd(NET)),
        flagged(e, GPU, 40, b"a segment", true, Some(7)),
        say(e, "object-end", Message::ObjectEnd(GPU)),
        say(e, "report", Message::Report(format!("{{\"side\":\"save\"{}}}", " ".repeat(4100)))),
    ]);
    pieces.extend(match mode {
        Mode::OneWay => vec![say(e, "end", Message::End { goes_on: true })],
        Mode::Connected => vec![
            say(e, "alive", Message::Alive),
            say(e, "given-up", Message::GivenUp),
            say(e, "withdraw", Message::Withdraw),
            say(e, "cancelled", Message::Cancelled("never mind".into())),
        ],
    });
    pieces
}

pub(crate) fn back_key() -> BackKey {
    let (encoder, _) = Encoder::forward(&offer(Mode::Connected)).expect("a sound offer");
    encoder.back_key().expect("connected")
}

/// All messages back.
pub(crate) fn back() -> Vec<Piece> {
    let mut encoder = Encoder::back(back_key());
    [
        ("accepted", Message::Accepted),
        ("ack", Message::Ack(GPU, 40)),
        ("initial-loaded", Message::InitialLoaded(NET, 3)),
        ("ack", Message::Ack(RAM, u64::MAX)),
        ("loaded", Message::Loaded),
        ("alive", Message::Alive),
        ("running", Message::Running),
        ("refused", Message::Refused("no room".into())),
        ("failed", Message::Failed(String::new())),
    ]
    .map(|(name, message)| say(&mut encoder, name, message))
    .into()
}

/// What came of reading a stream.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) offer: Option<Offer>,
    pub(crate) messages: Vec<Message>,
    /// Where the last frame that was believed ended.
    pub(crate) believed: usize,
    pub(crate) result: Result<(), StreamError>,
}

pub(crate) fn read(stream: &[u8]) -> Read {
    match open(stream) {
        Ok((opened, rest)) => {
            let offer = Some(opened.offer);
            Read { offer, ..read_frames(opened.decoder, rest, stream.len() - rest.len()) }
        }
        Err(error) => Read { offer: None, messages: Vec::new(), believed: 0, result: Err(error) },
    }
}

pub(crate) fn open(stream: &[u8]) -> Result<(Opened, &[u8]), StreamError> {
    let short = |bytes: &[u8]| Preamble::cut_short(bytes.len() as u64);
    let (preamble, rest) = stream.split_first_chunk::<PREAMBLE_LEN>().ok_or_else(|| short(stream))?;
    let preamble = Preamble::parse(preamble)?;
    let (table, rest) = rest.split_at_checked(preamble.table_len()).ok_or_else(|| short(stream))?;
    Ok((preamble.open(table)?, rest))
}

pub(crate) fn read_back(stream: &[u8]) -> Read {
    read_frames(Decoder::back(back_key()), stream, 0)
}

fn read_frames(mut decoder: Decoder, mut rest: &[u8], start: usize) -> Read {
    let (mut messages, mut believed) = (Vec::new(), start);
    let mut frames = || {
        while !rest.is_empty() {
            let cut = decoder.cut_short(rest.len());
            let (head, after) = rest.split_first_chunk::<HEADER_LEN>().ok_or_else(|| cut.clone())?;
            let header = decoder.header(head)?;
            let (payload, after) = after.split_at_checked(header.len()).ok_or(cut)?;
            messages.extend(decoder.payload(header, payload)?);
            believed += HEADER_LEN + payload.len();
            rest = after;
        }
        decoder.finish()
    };
    let result = frames();
    Read { offer: None, messages, believed, result }
}

/// What the checksums of headers forward start from: docs/stream-format.md, F.
pub(crate) fn seed(head: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head[..60]), &head[PREAMBLE_LEN..head.len() - 4])
}

/// Makes the checksums of a head right again.
pub(crate) fn reseal_head(head: &mut [u8]) {
    let sum = crc32c::crc32c(&head[..60]);
    head[60..64].copy_from_slice(&sum.to_le_bytes());
    let (sum, end) = (seed(head), head.len() - 4);
    head[end..].copy_from_slice(&sum.to_le_bytes());
}

/// Makes the checksum of a header right again.
pub(crate) fn reseal(header: &mut [u8], seed: u32) {
    let sum = crc32c::crc32c_append(seed, &header[..60]);
    header[60..64].copy_from_slice(&sum.to_le_bytes());
}

/// Numbers that look random and are the same in every run (splitmix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).expect("below a usize")
    }
}
