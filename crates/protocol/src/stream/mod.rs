//! The container of a migration: a preamble, a table of objects, then frames. docs/stream-format.md describes each byte.
//!
//! Encoder and decoder are machines without I/O, and they never copy or keep the bytes of an object: the payload of a
//! [`Message::Data`](crate::session::Message::Data) stays where the caller has it, only its length and its
//! [`payload_crc`] pass through here.
//!
//! - **Writing.** [`Encoder::forward`] gives the head of the stream. Then [`Encoder::data`] gives the header of a chunk,
//!   to be written right before its payload, and [`Encoder::message`] everything else, whole.
//! - **Reading.** Read [`PREAMBLE_LEN`] bytes for [`Preamble::parse`], then [`Preamble::table_len`] bytes for
//!   [`Preamble::open`]. Then, again and again: [`HEADER_LEN`] bytes for [`Decoder::header`], and [`Header::len`] bytes
//!   for [`Decoder::payload`]. Nothing is believed, and nothing may be used, before `payload` has said `Ok`. At the end
//!   of the input, [`Decoder::finish`] says whether it may end there.
//! - **Messages back** have the same frames without a head: [`Encoder::back`] and [`Decoder::back`], with the
//!   [`BackKey`] that either end has of the stream forward.
//!
//! A decoder that has refused something refuses everything after it: there is no way back into step.
//!
//! ```
//! use vfio_migration_protocol::session::{Message, Mode, Object, ObjectDescription, ObjectKind, Offer};
//! use vfio_migration_protocol::stream::{Encoder, HEADER_LEN, PREAMBLE_LEN, Preamble, payload_crc};
//! use vfio_migration_protocol::Estimate;
//!
//! let memory = ObjectDescription {
//!     id: "ram".into(),
//!     kind: ObjectKind::Memory { iova: 0 },
//!     size: Estimate::Known(4096),
//! };
//! let offer = Offer { session: [7; 16], mode: Mode::OneWay, chunk: 4096, objects: vec![memory] };
//!
//! // The source.
//! let (mut encoder, mut stream) = Encoder::forward(&offer)?;
//! let page = [42; 4096];
//! stream.extend(encoder.data(Object(0), 0, 4096, false, None, payload_crc(&page)));
//! stream.extend(page);
//! stream.extend(encoder.message(&Message::ObjectEnd(Object(0))));
//! stream.extend(encoder.message(&Message::End { goes_on: false }));
//!
//! // The destination.
//! let (head, rest) = stream.split_first_chunk::<PREAMBLE_LEN>().unwrap();
//! let preamble = Preamble::parse(head)?;
//! let (table, mut rest) = rest.split_at(preamble.table_len());
//! let mut opened = preamble.open(table)?;
//! assert_eq!(opened.offer, offer);
//! let mut messages = Vec::new();
//! while let Some((head, after)) = rest.split_first_chunk::<HEADER_LEN>() {
//!     let header = opened.decoder.header(head)?;
//!     let (payload, after) = after.split_at(header.len());
//!     messages.extend(opened.decoder.payload(header, payload)?);
//!     rest = after;
//! }
//! opened.decoder.finish()?;
//! assert!(matches!(messages[0], Message::Data { object: Object(0), offset: 0, len: 4096, .. }));
//! assert_eq!(messages[2], Message::End { goes_on: false });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checksum;
mod decoder;
mod encoder;
mod error;
mod header;
mod ledger;
mod preamble;
mod table;

pub use decoder::{Decoder, Header};
pub use encoder::Encoder;
pub use error::{HeadError, Part, StreamError};
pub use ledger::Totals;
pub use preamble::{Opened, Preamble};

/// Bytes of a stream's preamble.
pub const PREAMBLE_LEN: usize = 64;
/// Bytes of a frame's header.
pub const HEADER_LEN: usize = 64;
/// The version of the format that is written and read here.
pub const VERSION: u16 = 1;
/// Most bytes of a stream's table of objects, its checksum included.
pub const MAX_TABLE_LEN: u32 = 1 << 20;
/// Most objects of a stream.
pub const MAX_OBJECTS: u32 = 1024;
/// Most entries of one passport.
pub const MAX_PASSPORT_ENTRIES: u16 = 256;
/// Most bytes of one value in a passport.
pub const MAX_PASSPORT_VALUE: u16 = 4096;
/// The smallest that a stream's largest frame may be, in bytes of payload.
pub const MIN_CHUNK: u32 = 4 << 10;
/// The largest that a stream's largest frame may be, in bytes of payload.
pub const MAX_CHUNK: u32 = 64 << 20;
/// Most bytes of a reason: the text of `cancelled`, `refused` and `failed`. A longer one is cut when it is sent.
pub const MAX_REASON: usize = 64 << 10;
/// Most bytes of an `event` or a `report`. A longer one is left out when it is to be sent.
pub const MAX_DOCUMENT: usize = 16 << 20;

/// The CRC32C of a payload, for [`Encoder::data`] and [`Decoder::payload_with_crc`]: computed where the bytes are warm.
///
/// ```
/// assert_eq!(vfio_migration_protocol::stream::payload_crc(b"123456789"), 0xe306_9283);
/// ```
pub fn payload_crc(payload: &[u8]) -> u32 {
    checksum::crc32c(payload)
}

/// The [`payload_crc`] of a payload that comes in pieces: goes on from that of what came before.
///
/// ```
/// use vfio_migration_protocol::stream::{payload_crc, payload_crc_append};
/// assert_eq!(payload_crc_append(payload_crc(b"1234"), b"56789"), payload_crc(b"123456789"));
/// ```
pub fn payload_crc_append(crc: u32, more: &[u8]) -> u32 {
    checksum::crc32c_append(crc, more)
}

/// The [`payload_crc`] of two payloads, one after the other, from those of each and the length of the second: no byte is
/// looked at again.
///
/// ```
/// use vfio_migration_protocol::stream::{payload_crc, payload_crc_combine};
/// assert_eq!(payload_crc_combine(payload_crc(b"1234"), payload_crc(b"56789"), 5), payload_crc(b"123456789"));
/// ```
pub fn payload_crc_combine(first: u32, second: u32, len: u64) -> u32 {
    checksum::crc32c_combine(first, second, len)
}

/// What the two ends of a connected session need to frame messages back: it ties them to the stream forward, so that
/// no frame of another session or of the other direction is taken for one. [`Encoder::back_key`] and
/// [`Opened::back`] have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackKey {
    seed: u32,
    chunk: u32,
    objects: u32,
}

impl BackKey {
    /// The checksums of headers back start from another value than those forward.
    const DIRECTION: u32 = 0x4b43_4142;

    const fn new(forward_seed: u32, chunk: u32, objects: u32) -> Self {
        Self { seed: forward_seed ^ Self::DIRECTION, chunk, objects }
    }
}

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Forward,
    Back,
}
