//! The header of a frame: its bytes, and what they mean.

use super::checksum::crc32c_append;
use super::{Direction, HEADER_LEN, MAX_DOCUMENT, MAX_REASON, Part, StreamError, Totals};
use crate::session::{Mode, Object};

/// The number of a type with this bit must be known to a reader.
pub(super) const CRITICAL: u16 = 0x8000;

pub(super) const EVENT: u16 = 0x0001;
pub(super) const REPORT: u16 = 0x0002;
pub(super) const DATA: u16 = 0x8001;
pub(super) const OBJECT_END: u16 = 0x8002;
pub(super) const GIVEN_UP: u16 = 0x8003;
pub(super) const WITHDRAW: u16 = 0x8004;
pub(super) const CANCELLED: u16 = 0x8005;
pub(super) const END: u16 = 0x8006;
pub(super) const BEGIN: u16 = 0x8007;
pub(super) const ALIVE: u16 = 0x8010;
pub(super) const ACCEPTED: u16 = 0x8020;
pub(super) const INITIAL_LOADED: u16 = 0x8021;
pub(super) const ACK: u16 = 0x8022;
pub(super) const LOADED: u16 = 0x8023;
pub(super) const RUNNING: u16 = 0x8024;
pub(super) const REFUSED: u16 = 0x8025;
pub(super) const FAILED: u16 = 0x8026;

pub(super) const SEGMENT_END: u32 = 1;
pub(super) const INITIAL_END: u32 = 2;
/// The text goes on in the next frame.
pub(super) const MORE: u32 = 4;

/// In a frame that is about no object.
pub(super) const NO_OBJECT: u32 = u32::MAX;

/// What stands in a header, less what is the same in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) kind: u16,
    pub(super) len: u32,
    pub(super) sequence: u64,
    pub(super) offset: u64,
    pub(super) object: u32,
    pub(super) flags: u32,
    pub(super) generation: u32,
    pub(super) crc: u32,
}

impl Fields {
    /// A frame about no object, without a payload.
    pub(super) const fn bare(kind: u16) -> Self {
        Self { kind, len: 0, sequence: 0, offset: 0, object: NO_OBJECT, flags: 0, generation: 0, crc: 0 }
    }

    /// The check of the payload: room for 16 bytes, of which CRC32C takes four.
    pub(super) fn check(&self) -> [u8; 16] {
        let mut check = [0; 16];
        check[..4].copy_from_slice(&self.crc.to_le_bytes());
        check
    }

    pub(super) fn seal(&self, seed: u32) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0..2].copy_from_slice(&self.kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.len.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.object.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.flags.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.generation.to_le_bytes());
        bytes[44..60].copy_from_slice(&self.check());
        let sum = crc32c_append(seed, &bytes[..60]);
        bytes[60..64].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Believes nothing before the checksum.
    pub(super) fn unseal(bytes: &[u8; HEADER_LEN], seed: u32, at: u64) -> Result<Self, StreamError> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let (expected, found) = (crc32c_append(seed, &bytes[..60]), word(60));
        if expected != found {
            return Err(StreamError::Checksum { at, part: Part::Header, expected, found });
        }
        let zero = |field, found| if found == 0 { Ok(()) } else { Err(StreamError::Unknown { at, field, found }) };
        zero("the channel", u64::from(u16::from_le_bytes([bytes[2], bytes[3]])))?;
        zero("the reserved part of a header", long(36))?;
        zero("the check of a payload beyond its CRC32C", long(48) | u64::from(word(56)))?;
        Ok(Self {
            kind: u16::from_le_bytes([bytes[0], bytes[1]]),
            len: word(4),
            sequence: long(8),
            offset: long(16),
            object: word(24),
            flags: word(28),
            generation: word(32),
            crc: word(44),
        })
    }
}

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Data {
        object: Object,
        offset: u64,
        segment_end: bool,
        initial_end: Option<u32>,
    },
    ObjectEnd(Object),
    Begin,
    GivenUp,
    Withdraw,
    End,
    Alive,
    Accepted,
    InitialLoaded(Object, u32),
    Ack(Object, u64),
    Loaded,
    Running,
    /// Text, or a part of one.
    Text(Text, bool),
    /// Of a type that a reader need not know.
    Optional,
}

impl Frame {
    /// Whether the object that the frame is about, if it is about one, stands in a table of so many.
    pub(super) fn check_object(self, at: u64, objects: u32) -> Result<(), StreamError> {
        match self {
            Self::Data { object, .. }
            | Self::ObjectEnd(object)
            | Self::InitialLoaded(object, _)
            | Self::Ack(object, _)
                if object.0 >= objects =>
            {
                Err(StreamError::NoSuchObject { at, found: object.0, objects })
            }
            _ => Ok(()),
        }
    }
}

/// The frames whose payload is UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Cancelled,
    Event,
    Report,
    Refused,
    Failed,
}

impl Text {
    pub(super) const fn limit(self) -> usize {
        match self {
            Self::Cancelled | Self::Refused | Self::Failed => MAX_REASON,
            Self::Event | Self::Report => MAX_DOCUMENT,
        }
    }

    pub(super) const fn kind(self) -> u16 {
        match self {
            Self::Cancelled => CANCELLED,
            Self::Event => EVENT,
            Self::Report => REPORT,
            Self::Refused => REFUSED,
            Self::Failed => FAILED,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Event => "event",
            Self::Report => "report",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Where frames of a type may go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Forward,
    /// Forward, and only where messages come back.
    ForwardConnected,
    /// Forward, and only where none do.
    ForwardAlone,
    Back,
    /// Both, whether messages come back or not.
    Any,
}

/// Which fields a type uses. The others must be empty.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Nothing,
    Object,
    ObjectAndOffset,
    ObjectAndGeneration,
    Data,
    Text,
}

impl Fields {
    /// What the frame says, as far as that shows without knowing what came before.
    pub(super) fn parse(&self, at: u64, direction: Direction, mode: Mode, chunk: u32) -> Result<Frame, StreamError> {
        if self.len > chunk {
            let (limit, found) = (u64::from(chunk), u64::from(self.len));
            return Err(StreamError::TooLong { at, field: "the payload of a frame", limit, found });
        }
        let object = Object(self.object);
        let (frame, name, way, uses, len) = match self.kind {
            DATA => (self.data(), "data", Way::Forward, Use::Data, None),
            OBJECT_END => (Frame::ObjectEnd(object), "object-end", Way::Forward, Use::Object, Some(Totals::LEN)),
            BEGIN => (Frame::Begin, "begin", Way::ForwardConnected, Use::Nothing, Some(0)),
            GIVEN_UP => (Frame::GivenUp, "given-up", Way::ForwardConnected, Use::Nothing, Some(0)),
            WITHDRAW => (Frame::Withdraw, "withdraw", Way::ForwardConnected, Use::Nothing, Some(0)),
            CANCELLED => self.text(Text::Cancelled, Way::Forward),
            END => (Frame::End, "end", Way::ForwardAlone, Use::Nothing, Some(Totals::LEN)),
            EVENT => self.text(Text::Event, Way::Forward),
            REPORT => self.text(Text::Report, Way::Forward),
            ALIVE => (Frame::Alive, "alive", Way::Any, Use::Nothing, Some(0)),
            ACCEPTED => (Frame::Accepted, "accepted", Way::Back, Use::Nothing, Some(0)),
            INITIAL_LOADED => {
                let frame = Frame::InitialLoaded(object, self.generation);
                (frame, "initial-loaded", Way::Back, Use::ObjectAndGeneration, Some(0))
            }
            ACK => (Frame::Ack(object, self.offset), "ack", Way::Back, Use::ObjectAndOffset, Some(0)),
            LOADED => (Frame::Loaded, "loaded", Way::Back, Use::Nothing, Some(0)),
            RUNNING => (Frame::Running, "running", Way::Back, Use::Nothing, Some(0)),
            REFUSED => self.text(Text::Refused, Way::Back),
            FAILED => self.text(Text::Failed, Way::Back),
            kind if kind & CRITICAL != 0 => return Err(StreamError::UnknownFrame { at, kind }),
            _ => return Ok(Frame::Optional),
        };
        way.allows(at, name, direction, mode)?;
        self.check_fields(at, uses)?;
        match len {
            Some(len) if usize::try_from(self.len) != Ok(len) => Err(StreamError::Field {
                at,
                field: "the length of a frame's payload",
                expected: "the fixed length of its type",
                found: u64::from(self.len),
            }),
            _ => Ok(frame),
        }
    }

    fn data(&self) -> Frame {
        Frame::Data {
            object: Object(self.object),
            offset: self.offset,
            segment_end: self.flags & SEGMENT_END != 0,
            initial_end: (self.flags & INITIAL_END != 0).then_some(self.generation),
        }
    }

    fn text(&self, text: Text, way: Way) -> (Frame, &'static str, Way, Use, Option<usize>) {
        (Frame::Text(text, self.flags & MORE != 0), text.name(), way, Use::Text, None)
    }

    fn check_fields(&self, at: u64, uses: Use) -> Result<(), StreamError> {
        let unknown = self.flags & !(SEGMENT_END | INITIAL_END | MORE);
        if unknown != 0 {
            return Err(StreamError::Unknown { at, field: "a frame's flags", found: u64::from(unknown) });
        }
        let flags = match uses {
            Use::Data => SEGMENT_END | INITIAL_END,
            Use::Text => MORE,
            _ => 0,
        };
        let empty = |ok: bool, field, expected, found: u64| {
            if ok { Ok(()) } else { Err(StreamError::Field { at, field, expected, found }) }
        };
        let zero = "0 in a frame of this type";
        empty(self.flags & !flags == 0, "a flag", zero, u64::from(self.flags & !flags))?;
        let generation = match uses {
            Use::Data => self.flags & INITIAL_END != 0,
            other => other == Use::ObjectAndGeneration,
        };
        empty(generation || self.generation == 0, "the generation", zero, u64::from(self.generation))?;
        let offset = matches!(uses, Use::Data | Use::ObjectAndOffset);
        empty(offset || self.offset == 0, "the offset", zero, self.offset)?;
        let object = !matches!(uses, Use::Nothing | Use::Text);
        let none = "0xffffffff in a frame of this type";
        empty(object || self.object == NO_OBJECT, "the object", none, u64::from(self.object))?;
        // A segment's end is with its last bytes; that of initial data may come later.
        let idle = uses == Use::Data && self.len == 0 && self.flags != INITIAL_END;
        empty(!idle, "the length of data", "1 or more without the end of initial data alone", 0)
    }
}

impl Way {
    fn allows(self, at: u64, frame: &'static str, direction: Direction, mode: Mode) -> Result<(), StreamError> {
        let back = match self {
            Self::Forward | Self::ForwardConnected | Self::ForwardAlone => direction == Direction::Back,
            Self::Back => direction == Direction::Forward,
            Self::Any => false,
        };
        let rule = match (self, mode) {
            _ if back => "it goes the other way",
            (Self::ForwardConnected, Mode::OneWay) => "it needs a connection, and this is one-way",
            (Self::ForwardAlone, Mode::Connected) => "it ends a one-way stream, and this is connected",
            _ => return Ok(()),
        };
        Err(StreamError::Order { at, frame, rule })
    }
}
