//! The data format: a sequence of records, little-endian.
//!
//! Each record has a head of 16 bytes: kind (4), version (4), number (8); and a payload.
//!
//! | kind | version | number | payload |
//! |---|---|---|---|
//! | 1 header | of the format: 1 | magic `VFIOMODL` | size (8), page size (8), secret (16), generation (8), check (8) |
//! | 2 page | of the page | of the page | what the page holds: 4096 bytes, the last page maybe fewer |
//! | 5 memory | 0 | of the page | 4096 bytes of the device's own memory, check (8) |
//! | 3 registers | 0 | how many | their values (8 each), check (8) |
//! | 4 trailer | 0 | pages sent | bytes before the trailer (8), proof (16), check (8) |
//!
//! A header comes first; in pre-copy another one, of the next generation, begins new initial data. Memory (of devices
//! that have it: the guest writes to it unseen), registers and trailer come last, the latter two once. A check is a digest of head and payload under the secret: what a page holds needs none,
//! since it follows from the secret, the number and the version.

use crate::pages::{PAGE_LEN, mix};

/// Bytes of a record's head.
pub(crate) const HEAD: usize = 16;
/// How many registers a device has.
pub(crate) const REGISTERS: usize = 8;
/// Bytes of the largest record that is not a page.
pub(crate) const LARGEST: usize = HEAD + REGISTERS * 8 + CHECK;

/// Bytes of a header with its head.
pub(crate) const HEADER: usize = HEAD + 40 + CHECK;
/// Bytes of the registers with their head.
pub(crate) const REGISTER_RECORD: usize = HEAD + REGISTERS * 8 + CHECK;
/// Bytes of a trailer with its head.
pub(crate) const TRAILER: usize = HEAD + 24 + CHECK;

pub(crate) const KIND_HEADER: u32 = 1;
pub(crate) const KIND_PAGE: u32 = 2;
pub(crate) const KIND_REGISTERS: u32 = 3;
pub(crate) const KIND_TRAILER: u32 = 4;
pub(crate) const KIND_MEMORY: u32 = 5;
/// Only in a region, and around the other records: [`region`](crate::region).
pub(crate) const KIND_SEGMENT: u32 = 6;

/// Bytes of a page of memory with its head.
pub(crate) const MEMORY_RECORD: usize = HEAD + PAGE_LEN + CHECK;

/// Version of the format.
pub(crate) const VERSION: u32 = 1;
/// `VFIOMODL`, as bytes in this order.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"VFIOMODL");

const CHECK: usize = 8;

/// What every record starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: u32,
    pub(crate) version: u32,
    pub(crate) number: u64,
}

impl Head {
    pub(crate) fn to_bytes(self) -> [u8; HEAD] {
        let mut record = SmallRecord::default();
        record.put(&self.kind.to_le_bytes());
        record.put(&self.version.to_le_bytes());
        record.put(&self.number.to_le_bytes());
        core::array::from_fn(|at| record.bytes[at])
    }

    pub(crate) fn from_bytes(bytes: [u8; HEAD]) -> Self {
        let [word, number] = [0, 8].map(|at| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte])));
        let half = |shift: u32| u32::try_from(word >> shift & 0xffff_ffff).expect("half a word");
        Self { kind: half(0), version: half(32), number }
    }
}

/// A record that is not a page, or the head of one.
#[derive(Clone, Debug)]
pub(crate) struct SmallRecord {
    bytes: [u8; LARGEST],
    len: usize,
}

impl Default for SmallRecord {
    fn default() -> Self {
        Self { bytes: [0; LARGEST], len: 0 }
    }
}

impl SmallRecord {
    pub(crate) fn page_head(page: u64, version: u32) -> Self {
        Self::head(Head { kind: KIND_PAGE, version, number: page })
    }

    pub(crate) fn header(size: u64, page_size: u64, secret: u128, generation: u64) -> Self {
        let mut record = Self::head(Head { kind: KIND_HEADER, version: VERSION, number: MAGIC });
        record.put(&size.to_le_bytes());
        record.put(&page_size.to_le_bytes());
        record.put(&secret.to_le_bytes());
        record.put(&generation.to_le_bytes());
        record.seal(secret)
    }

    pub(crate) fn registers(values: &[u64; REGISTERS], secret: u128) -> Self {
        let mut record = Self::head(Head { kind: KIND_REGISTERS, version: 0, number: REGISTERS as u64 });
        for value in values {
            record.put(&value.to_le_bytes());
        }
        record.seal(secret)
    }

    pub(crate) fn trailer(pages: u64, bytes: u64, proof: [u8; 16], secret: u128) -> Self {
        let mut record = Self::head(Head { kind: KIND_TRAILER, version: 0, number: pages });
        record.put(&bytes.to_le_bytes());
        record.put(&proof);
        record.seal(secret)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Takes bytes until the record has `whole`; returns how many it took.
    pub(crate) fn take(&mut self, whole: usize, data: &[u8]) -> usize {
        let taken = data.len().min(whole.saturating_sub(self.len));
        self.put(&data[..taken]);
        taken
    }

    pub(crate) fn word(&self, at: usize) -> u64 {
        u64::from_le_bytes(core::array::from_fn(|byte| self.bytes[HEAD + at * 8 + byte]))
    }

    pub(crate) fn wide(&self, at: usize) -> u128 {
        u128::from(self.word(at)) | u128::from(self.word(at + 1)) << 64
    }

    /// Whether the check at the end is the one that was made with this secret.
    pub(crate) fn is_sound(&self, secret: u128) -> bool {
        let (content, check) = self.bytes().split_at(self.len.saturating_sub(CHECK));
        check == digest(content, secret).to_le_bytes()
    }

    fn head(head: Head) -> Self {
        let mut record = Self::default();
        record.put(&head.to_bytes());
        record
    }

    fn put(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn seal(mut self, secret: u128) -> Self {
        let check = digest(self.bytes(), secret);
        self.put(&check.to_le_bytes());
        self
    }
}

/// The record of a page of memory.
pub(crate) fn memory_record(page: u64, bytes: &[u8; PAGE_LEN], secret: u128) -> Vec<u8> {
    let mut record = Vec::with_capacity(MEMORY_RECORD);
    record.extend(Head { kind: KIND_MEMORY, version: 0, number: page }.to_bytes());
    record.extend(bytes);
    record.extend(digest(&record, secret).to_le_bytes());
    record
}

/// What a complete record of a page of memory brings; `None` if its check is not the one made with this secret.
pub(crate) fn memory_of(record: &[u8], secret: u128) -> Option<&[u8]> {
    let (content, check) = record.split_at_checked(HEAD + PAGE_LEN)?;
    (check == digest(content, secret).to_le_bytes()).then_some(&content[HEAD..])
}

/// Bytes of a page's record.
pub(crate) const fn page_record(len: usize) -> u64 {
    (HEAD + len) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "both halves of the secret go in")]
fn digest(content: &[u8], secret: u128) -> u64 {
    let start = mix(secret as u64) ^ (secret >> 64) as u64;
    let words = content
        .chunks(8)
        .map(|bytes| u64::from_le_bytes(core::array::from_fn(|byte| bytes.get(byte).copied().unwrap_or(0))));
    words.fold(start, |digest, word| mix(digest ^ word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_small_record_shows() {
        let records = [
            (SmallRecord::header(5, 4096, 99, 0), HEADER),
            (SmallRecord::registers(&[1, 2, 3, 4, 5, 6, 7, 8], 99), REGISTER_RECORD),
            (SmallRecord::trailer(3, 4, [7; 16], 99), TRAILER),
        ];
        for (record, len) in records {
            assert_eq!(record.bytes().len(), len);
            assert!(record.is_sound(99));
            assert!(!record.is_sound(98));
            for bit in 0..record.len * 8 {
                let mut flipped = record.clone();
                flipped.bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(!flipped.is_sound(99), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_head_comes_back() {
        let head = Head { kind: 0x0102_0304, version: 0xfffe_fdfc, number: 0x1122_3344_5566_7788 };
        assert_eq!(Head::from_bytes(head.to_bytes()), head);
    }
}
