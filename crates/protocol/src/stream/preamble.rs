use super::checksum::{crc32c, crc32c_append};
use super::{
    BackKey, Decoder, HeadError, MAX_CHUNK, MAX_TABLE_LEN, MIN_CHUNK, PREAMBLE_LEN, Part, StreamError, VERSION, table,
};
use crate::session::{Mode, Offer};

/// As in PNG: a byte that is no ASCII, a name, and line ends of both kinds, so that a transport which clears the eighth
/// bit or rewrites line ends is found out at once.
const MAGIC: [u8; 8] = [0x89, b'V', b'F', b'M', b'\r', b'\n', 0x1a, b'\n'];
const BYTE_ORDER: u16 = 0xfeff;
const ONE_WAY: u8 = 1;
const CONNECTED: u8 = 2;
/// The shortest table: a count, one memory with an id of one byte, a checksum.
const MIN_TABLE_LEN: u32 = 4 + 20 + 4;

/// The first bytes of a stream, verified: how to read the rest.
#[derive(Clone, Debug)]
pub struct Preamble {
    session: [u8; 16],
    mode: Mode,
    chunk: u32,
    table_len: u32,
    /// Where the table's checksum goes on, so that it covers the preamble as well.
    sum: u32,
}

/// The head of a stream, verified.
#[derive(Debug)]
pub struct Opened {
    /// What the source offers.
    pub offer: Offer,
    /// For the frames that follow.
    pub decoder: Decoder,
    /// For the messages back; `None` if the stream is one-way.
    pub back: Option<BackKey>,
}

impl Preamble {
    /// Reads the first 64 bytes of a stream.
    ///
    /// ```
    /// use vfio_migration_protocol::stream::{Preamble, StreamError};
    /// let error = Preamble::parse(&[0; 64]).unwrap_err();
    /// assert!(matches!(error, StreamError::NotAStream { .. }));
    /// ```
    pub fn parse(bytes: &[u8; PREAMBLE_LEN]) -> Result<Self, StreamError> {
        let word = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let magic: [u8; 8] = *bytes.first_chunk().expect("64 is more than 8");
        if magic != MAGIC {
            return Err(if is_text_mode(magic) {
                StreamError::TextMode
            } else {
                StreamError::NotAStream { found: magic }
            });
        }
        // Magic, version, byte order mark and checksum have their places in every version, so that damage is told from
        // a version that is not known here.
        let byte_order = u16::from_le_bytes([bytes[10], bytes[11]]);
        let swapped = byte_order == BYTE_ORDER.swap_bytes();
        let sum = crc32c(&bytes[..60]);
        let stated = if swapped { u32::from_be_bytes(word(60)) } else { u32::from_le_bytes(word(60)) };
        if sum != stated {
            return Err(StreamError::Checksum { at: 0, part: Part::Preamble, expected: sum, found: stated });
        }
        if swapped {
            return Err(StreamError::ByteOrder);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != VERSION {
            return Err(StreamError::Version { found: version });
        }
        if bytes[13] != 0 {
            return Err(StreamError::Suite { found: bytes[13] });
        }
        if byte_order != BYTE_ORDER {
            let found = u64::from(byte_order);
            return Err(StreamError::Field { at: 0, field: "the byte order mark", expected: "0xfeff", found });
        }
        let mode = match bytes[12] {
            ONE_WAY => Mode::OneWay,
            CONNECTED => Mode::Connected,
            other => return Err(StreamError::Unknown { at: 0, field: "the mode", found: u64::from(other) }),
        };
        let zero = |field, bytes: &[u8]| match bytes.iter().find(|byte| **byte != 0) {
            None => Ok(()),
            Some(byte) => Err(StreamError::Unknown { at: 0, field, found: u64::from(*byte) }),
        };
        zero("the flags of the preamble", &bytes[14..16])?;
        zero("the epoch", &bytes[20..24])?;
        zero("the reserved part of the preamble", &bytes[44..60])?;
        let chunk = u32::from_le_bytes(word(16));
        if !(MIN_CHUNK..=MAX_CHUNK).contains(&chunk) {
            let (field, expected) = ("the largest frame", "4 KiB to 64 MiB");
            return Err(StreamError::Field { at: 0, field, expected, found: u64::from(chunk) });
        }
        let table_len = u32::from_le_bytes(word(40));
        if table_len > MAX_TABLE_LEN {
            let (limit, found) = (u64::from(MAX_TABLE_LEN), u64::from(table_len));
            return Err(StreamError::TooLong { at: 0, field: "the table of objects", limit, found });
        }
        if table_len < MIN_TABLE_LEN {
            let (field, expected) = ("the length of the table of objects", "enough for one object");
            return Err(StreamError::Field { at: 0, field, expected, found: u64::from(table_len) });
        }
        let mut session = [0; 16];
        session.copy_from_slice(&bytes[24..40]);
        Ok(Self { session, mode, chunk, table_len, sum })
    }

    /// How many bytes follow for [`open`](Self::open): at most [`MAX_TABLE_LEN`].
    pub const fn table_len(&self) -> usize {
        self.table_len as usize
    }

    /// Reads the table of objects, all [`table_len`](Self::table_len) bytes of it.
    pub fn open(self, table: &[u8]) -> Result<Opened, StreamError> {
        let at = PREAMBLE_LEN as u64;
        let Some((body, stated)) = table.split_last_chunk().filter(|_| table.len() == self.table_len()) else {
            return Err(StreamError::Truncated { at: at + table.len() as u64, part: Part::Table });
        };
        let (seed, found) = (crc32c_append(self.sum, body), u32::from_le_bytes(*stated));
        if seed != found {
            return Err(StreamError::Checksum { at, part: Part::Table, expected: seed, found });
        }
        let objects = table::parse(body, at)?;
        let Self { session, mode, chunk, .. } = self;
        let offer = Offer { session, mode, chunk, objects };
        let decoder = Decoder::forward(&offer, seed, at + table.len() as u64);
        let back = decoder.back_key();
        Ok(Opened { offer, decoder, back })
    }

    /// What is wrong with an input that ended after `got` bytes, within the preamble or the table of objects.
    ///
    /// ```
    /// use vfio_migration_protocol::stream::Preamble;
    /// assert_eq!(Preamble::cut_short(3).to_string(), "the stream ends at byte 3, where the preamble is due");
    /// ```
    pub const fn cut_short(got: u64) -> StreamError {
        let part = if got < PREAMBLE_LEN as u64 { Part::Preamble } else { Part::Table };
        StreamError::Truncated { at: got, part }
    }
}

/// The head of a stream, and what the checksums of its headers start from.
pub(super) fn write(offer: &Offer) -> Result<(Vec<u8>, u32), HeadError> {
    if !(MIN_CHUNK..=MAX_CHUNK).contains(&offer.chunk) {
        return Err(HeadError::Chunk(offer.chunk));
    }
    let table = table::write(&offer.objects)?;
    let table_len = u32::try_from(table.len() + 4).map_err(|_| HeadError::Table(table.len()))?;
    let mut head = Vec::with_capacity(PREAMBLE_LEN + table.len() + 4);
    head.extend(MAGIC);
    head.extend(VERSION.to_le_bytes());
    head.extend(BYTE_ORDER.to_le_bytes());
    head.push(match offer.mode {
        Mode::OneWay => ONE_WAY,
        Mode::Connected => CONNECTED,
    });
    // Suite 0, no flags.
    head.extend([0; 3]);
    head.extend(offer.chunk.to_le_bytes());
    // Epoch 0.
    head.extend([0; 4]);
    head.extend(offer.session);
    head.extend(table_len.to_le_bytes());
    head.extend([0; 16]);
    let sum = crc32c(&head);
    head.extend(sum.to_le_bytes());
    head.extend(&table);
    // The table's checksum covers the preamble, less the preamble's own checksum: bytes followed by their own CRC always
    // come to the same value, which would forget what the preamble said.
    let seed = crc32c_append(sum, &table);
    head.extend(seed.to_le_bytes());
    Ok((head, seed))
}

/// Whether these are the first bytes of a stream after its line ends were rewritten, or its eighth bits cleared.
fn is_text_mode(found: [u8; 8]) -> bool {
    let rewritten: [&[u8]; 4] = [b"\x89VFM\n\x1a\n", b"\x89VFM\r\r\n\x1a", b"\x89VFM\r\x1a\r", b"\x09VFM"];
    rewritten.iter().any(|start| found.starts_with(start))
}
