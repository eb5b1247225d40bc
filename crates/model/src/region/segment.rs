//! Segments: in a region the data comes in pieces whose boundaries and order are kept. So that the device can tell, each
//! begins with a head like a record's: kind 6, version how many segments came before, number the segment's bytes.

use vfio_migration_protocol::{CallError, Errno};

use crate::data::{HEAD, Head, KIND_SEGMENT, SmallRecord};

/// Bytes of a segment's head.
pub(crate) const SEGMENT_HEAD: usize = HEAD;

/// The head of the segment that comes after so many others and has so many bytes, the head included.
pub(crate) fn sealed(before: u32, len: usize) -> [u8; SEGMENT_HEAD] {
    Head { kind: KIND_SEGMENT, version: before, number: len as u64 }.to_bytes()
}

/// The destination's side: judges the boundaries of segments and takes their heads off.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    before: u32,
    head: SmallRecord,
    /// Bytes that the current segment still has to have, once its head has come.
    left: Option<u64>,
}

impl Joiner {
    /// Takes what one write of `data_size` hands over, which has to be a segment, or, with `parts`, lies in one. Answers
    /// with the data in it.
    pub(crate) fn take<'a>(&mut self, data: &'a [u8], parts: bool) -> Result<&'a [u8], CallError> {
        let mut rest = data;
        let left = if let Some(left) = self.left {
            left
        } else {
            rest = &rest[self.head.take(SEGMENT_HEAD, rest)..];
            if self.head.bytes().len() < SEGMENT_HEAD {
                return if parts { Ok(rest) } else { Err(wrong("a segment ends in its own head")) };
            }
            let left = self.begin()?;
            if !parts && left != rest.len() as u64 {
                return Err(wrong(format!(
                    "{} bytes are handed over, of a segment that has {} at the source",
                    data.len(),
                    left.saturating_add(SEGMENT_HEAD as u64)
                )));
            }
            left
        };
        match left.checked_sub(rest.len() as u64) {
            None => Err(wrong("more is handed over than the segment has at the source")),
            Some(0) => {
                *self = Self { before: self.before.wrapping_add(1), ..Self::default() };
                Ok(rest)
            }
            left => {
                self.left = left;
                Ok(rest)
            }
        }
    }

    /// The head of a segment came: how many bytes follow it.
    fn begin(&self) -> Result<u64, CallError> {
        let head = Head::from_bytes(core::array::from_fn(|at| self.head.bytes()[at]));
        if head.kind != KIND_SEGMENT {
            return Err(wrong("what is handed over does not begin as a segment does at the source"));
        }
        if head.version != self.before {
            return Err(wrong(format!("segment {} comes after {} others", head.version, self.before)));
        }
        head.number.checked_sub(SEGMENT_HEAD as u64).ok_or_else(|| wrong("a segment is shorter than its head"))
    }
}

fn wrong(detail: impl Into<Box<str>>) -> CallError {
    CallError::because(Errno::EINVAL, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(before: u32, payload: &[u8]) -> Vec<u8> {
        [&sealed(before, SEGMENT_HEAD + payload.len()), payload].concat()
    }

    #[test]
    fn whole_segments_in_their_order_are_taken() {
        let mut joiner = Joiner::default();
        assert_eq!(joiner.take(&segment(0, b"one"), false).unwrap(), b"one");
        assert_eq!(joiner.take(&segment(1, b""), false).unwrap(), b"");
        assert!(joiner.take(&segment(3, b"four"), false).is_err());
    }

    #[test]
    fn other_boundaries_are_refused() {
        let (one, two) = (segment(0, b"one"), segment(1, b"two"));
        for bad in [&one[..one.len() - 1], &one[..3], &one[1..], &[one.as_slice(), &two].concat(), b""] {
            assert!(Joiner::default().take(bad, false).is_err(), "{bad:?}");
        }
        for bad in [&one[1..], &two, &[one.as_slice(), &two].concat()] {
            assert!(Joiner::default().take(bad, true).is_err(), "{bad:?}");
        }
        // Its length is less than that of its head.
        assert!(Joiner::default().take(&sealed(0, 3), true).is_err());
    }

    #[test]
    fn parts_of_any_size_are_put_together() {
        let data = [segment(0, b"some bytes"), segment(1, b"and more")];
        for size in 1..40 {
            let mut joiner = Joiner::default();
            let mut all = Vec::new();
            for segment in &data {
                for part in segment.chunks(size) {
                    all.extend_from_slice(joiner.take(part, true).unwrap());
                }
            }
            assert_eq!(all, b"some bytesand more");
        }
    }
}
