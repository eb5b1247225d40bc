use core::fmt;

use super::Totals;
use crate::session::{Fault, Object};

/// Why a stream was refused. `at` is the byte of the stream (or of the messages back) at which the refused part begins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StreamError {
    /// The input is something else: it does not begin with the magic number.
    NotAStream {
        /// Its first bytes.
        found: [u8; 8],
    },
    /// The transport rewrote line ends, as text mode does.
    TextMode,
    /// Damaged on the way or at rest: the bytes do not have the checksum that stands beside them.
    Checksum {
        /// Where the part begins.
        at: u64,
        /// Which part.
        part: Part,
        /// The checksum of the bytes that are there.
        expected: u32,
        /// The checksum that the stream states.
        found: u32,
    },
    /// A frame is missing, came again or came too early.
    Sequence {
        /// Where the frame begins.
        at: u64,
        /// Its turn.
        expected: u64,
        /// The number that it has.
        found: u64,
    },
    /// The input ended within this part, or before it.
    Truncated {
        /// Where the input ended.
        at: u64,
        /// What was due.
        part: Part,
    },
    /// The bytes of a device do not begin where the last ones ended.
    Position {
        /// Where the frame begins.
        at: u64,
        /// Whose bytes.
        object: Object,
        /// Where they ended.
        expected: u64,
        /// Where these begin.
        found: u64,
    },
    /// What arrived is not what was sent in all.
    Totals {
        /// Where the frame with the totals begins.
        at: u64,
        /// Of which object; `None` for all together.
        object: Option<Object>,
        /// What arrived.
        expected: Totals,
        /// What the stream states.
        found: Totals,
    },
    /// The writer broke the format: a field has a value that nothing may have.
    Field {
        /// Where the part with the field begins.
        at: u64,
        /// Which field.
        field: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: u64,
    },
    /// The writer broke the format: something is longer than it may be.
    TooLong {
        /// Where the part with the length begins.
        at: u64,
        /// What is too long.
        field: &'static str,
        /// The most that it may be.
        limit: u64,
        /// What it is.
        found: u64,
    },
    /// The writer broke the format: a frame names an object that the table does not have.
    NoSuchObject {
        /// Where the frame begins.
        at: u64,
        /// The number that it names.
        found: u32,
        /// How many the table has.
        objects: u32,
    },
    /// The writer broke the format: bytes lie outside of their memory.
    OutOfRange {
        /// Where the frame begins.
        at: u64,
        /// Whose bytes.
        object: Object,
        /// Bytes of the memory.
        length: u64,
        /// Where the bytes begin in it.
        offset: u64,
        /// How many they are.
        len: u32,
    },
    /// The writer broke the order: this frame may not stand here.
    Order {
        /// Where the frame begins.
        at: u64,
        /// Which frame.
        frame: &'static str,
        /// The rule, as what holds.
        rule: &'static str,
    },
    /// The writer broke the format: a text is not UTF-8.
    NotUtf8 {
        /// Where the part with the text begins.
        at: u64,
        /// Which text.
        field: &'static str,
    },
    /// The writer has the other byte order.
    ByteOrder,
    /// The writer speaks another version of the format.
    Version {
        /// Its version.
        found: u16,
    },
    /// The writer protects the stream in a way that is not known here.
    Suite {
        /// The number of the suite.
        found: u8,
    },
    /// The writer uses something that this version reserves, or a value that it has no meaning for.
    Unknown {
        /// Where the part with the field begins.
        at: u64,
        /// Which field.
        field: &'static str,
        /// What it is.
        found: u64,
    },
    /// The writer sent a critical frame of a type that is not known here.
    UnknownFrame {
        /// Where the frame begins.
        at: u64,
        /// Its type.
        kind: u16,
    },
}

impl StreamError {
    /// Whether the stream may be sound and another reader might read it; otherwise it is damaged or wrongly written.
    pub const fn is_incompatible(&self) -> bool {
        matches!(
            self,
            Self::ByteOrder
                | Self::Version { .. }
                | Self::Suite { .. }
                | Self::Unknown { .. }
                | Self::UnknownFrame { .. }
        )
    }

    /// Who must act: [`Fault::Corrupt`] where bytes were damaged, lost or moved, [`Fault::Truncated`]
    /// where they end too early, [`Fault::Peer`] where they arrived as
    /// they were sent and break the format, [`Fault::Incompatible`] by [`is_incompatible`](Self::is_incompatible).
    pub const fn fault(&self) -> Fault {
        match self {
            Self::NotAStream { .. }
            | Self::TextMode
            | Self::Checksum { .. }
            | Self::Sequence { .. }
            | Self::Position { .. }
            | Self::Totals { .. } => Fault::Corrupt,
            Self::Truncated { .. } => Fault::Truncated,
            Self::Field { .. }
            | Self::TooLong { .. }
            | Self::NoSuchObject { .. }
            | Self::OutOfRange { .. }
            | Self::Order { .. }
            | Self::NotUtf8 { .. } => Fault::Peer,
            Self::ByteOrder
            | Self::Version { .. }
            | Self::Suite { .. }
            | Self::Unknown { .. }
            | Self::UnknownFrame { .. } => Fault::Incompatible,
        }
    }

    /// The byte of the stream at which the refused part begins.
    pub const fn at(&self) -> u64 {
        match self {
            Self::NotAStream { .. } | Self::TextMode | Self::ByteOrder | Self::Version { .. } | Self::Suite { .. } => 0,
            Self::Checksum { at, .. }
            | Self::Sequence { at, .. }
            | Self::Truncated { at, .. }
            | Self::Position { at, .. }
            | Self::Totals { at, .. }
            | Self::Field { at, .. }
            | Self::TooLong { at, .. }
            | Self::NoSuchObject { at, .. }
            | Self::OutOfRange { at, .. }
            | Self::Order { at, .. }
            | Self::NotUtf8 { at, .. }
            | Self::Unknown { at, .. }
            | Self::UnknownFrame { at, .. } => *at,
        }
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAStream { found } => {
                write!(f, "this is not a migration stream: it begins with \"{}\"", found.escape_ascii())
            }
            Self::TextMode => {
                f.write_str("the stream went through something that rewrites line ends; it must be carried as binary")
            }
            Self::Checksum { at, part, expected, found } => write!(
                f,
                "the {part} at byte {at} is damaged: its checksum is {expected:#010x} and should be {found:#010x}"
            ),
            Self::Sequence { at, expected, found } => {
                write!(f, "the frame at byte {at} is number {found} where number {expected} is due")
            }
            Self::Truncated { at, part } => write!(f, "the stream ends at byte {at}, where the {part} is due"),
            Self::Position { at, object, expected, found } => write!(
                f,
                "the frame at byte {at} has bytes from {found} of object {} where those from {expected} are due",
                object.0
            ),
            Self::Totals { at, object, expected, found } => {
                match object {
                    Some(Object(number)) => write!(f, "of object {number} arrived {expected}")?,
                    None => write!(f, "in all arrived {expected}")?,
                }
                write!(f, "; by the frame at byte {at} it should be {found}")
            }
            Self::Field { at, field, expected, found } => {
                write!(f, "the writer broke the format at byte {at}: {field} is {found:#x} and should be {expected}")
            }
            Self::TooLong { at, field, limit, found } => {
                write!(f, "the writer broke the format at byte {at}: {field} is {found} and may be {limit} at most")
            }
            Self::NoSuchObject { at, found, objects } => {
                write!(f, "the frame at byte {at} names object {found} of a table of {objects}")
            }
            Self::OutOfRange { at, object, length, offset, len } => write!(
                f,
                "the frame at byte {at} has {len} bytes from {offset} of object {}, a memory of {length} bytes",
                object.0
            ),
            Self::Order { at, frame, rule } => {
                write!(f, "the frame at byte {at}, {frame}, may not stand there: {rule}")
            }
            Self::NotUtf8 { at, field } => {
                write!(f, "the writer broke the format at byte {at}: {field} is not UTF-8")
            }
            Self::ByteOrder => {
                f.write_str("the stream was written in big-endian byte order, and must be little-endian")
            }
            Self::Version { found } => {
                write!(f, "the stream has version {found} of the format, and version {} is read here", super::VERSION)
            }
            Self::Suite { found } => {
                write!(f, "the stream is protected by suite {found}, and only suite 0 (CRC32C) is known here")
            }
            Self::Unknown { at, field, found } => {
                write!(f, "the stream needs a newer reader: at byte {at}, {field} is {found:#x}")
            }
            Self::UnknownFrame { at, kind } => {
                write!(f, "the stream needs a newer reader: the frame at byte {at} is of type {kind:#06x}")
            }
        }
    }
}

impl core::error::Error for StreamError {}

/// A part of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first 64 bytes.
    Preamble,
    /// The table of objects.
    Table,
    /// The header of a frame.
    Header,
    /// The payload of a frame.
    Payload,
    /// The rest of a text that takes several frames.
    RestOfText,
    /// The frame `end`, the last of a one-way stream.
    End,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Preamble => "preamble",
            Self::Table => "table of objects",
            Self::Header => "header of a frame",
            Self::Payload => "payload of a frame",
            Self::RestOfText => "rest of a text",
            Self::End => "frame \"end\"",
        })
    }
}

/// Why an [`Offer`](crate::session::Offer) cannot be the head of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// The caller's chunk is outside of [`MIN_CHUNK`](super::MIN_CHUNK)..=[`MAX_CHUNK`](super::MAX_CHUNK).
    Chunk(u32),
    /// There are no objects, or more than [`MAX_OBJECTS`](super::MAX_OBJECTS).
    Objects(usize),
    /// An id is not 1 to 255 bytes long.
    Id(String),
    /// Two objects have this id.
    SameId(String),
    /// The length of the memory with this id is unknown, or it reaches beyond the end of its address space.
    Memory(String),
    /// The passport of the device with this id has more than [`MAX_PASSPORT_ENTRIES`](super::MAX_PASSPORT_ENTRIES).
    PassportEntries(String),
    /// The passport of the device `id` has this key twice, or it is not 1 to 255 bytes long, or its value is longer
    /// than [`MAX_PASSPORT_VALUE`](super::MAX_PASSPORT_VALUE).
    PassportEntry {
        /// The device.
        id: String,
        /// The key.
        key: String,
    },
    /// The table has more bytes than [`MAX_TABLE_LEN`](super::MAX_TABLE_LEN).
    Table(usize),
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chunk(chunk) => {
                write!(f, "the chunk is {chunk} bytes and must be {} to {}", super::MIN_CHUNK, super::MAX_CHUNK)
            }
            Self::Objects(count) => write!(f, "there are {count} objects and must be 1 to {}", super::MAX_OBJECTS),
            Self::Id(id) => write!(f, "the id \"{id}\" has {} bytes and must have 1 to 255", id.len()),
            Self::SameId(id) => write!(f, "two objects have the id \"{id}\""),
            Self::Memory(id) => write!(f, "the memory \"{id}\" needs a length that fits its address space"),
            Self::PassportEntries(id) => {
                write!(f, "the passport of \"{id}\" has more than {} entries", super::MAX_PASSPORT_ENTRIES)
            }
            Self::PassportEntry { id, key } => write!(
                f,
                "the passport of \"{id}\" has \"{key}\" twice, or its key is not 1 to 255 bytes or its value more than {} bytes long",
                super::MAX_PASSPORT_VALUE
            ),
            Self::Table(len) => {
                write!(f, "the table of objects has {len} bytes and may have {}", super::MAX_TABLE_LEN)
            }
        }
    }
}

impl core::error::Error for HeadError {}
