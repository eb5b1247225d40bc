use std::collections::BTreeMap;

use vfio_migration_protocol::inspect::{Content, Inspector, Outline, Part, Visit};
use vfio_migration_protocol::stream::payload_crc;

/// What the inspector said.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    pub(crate) parts: Vec<Part>,
    pub(crate) data: BTreeMap<usize, Vec<u8>>,
}

impl Visit for Seen {
    fn part(&mut self, part: Part) {
        self.parts.push(part);
    }

    fn data(&mut self, object: usize, bytes: &[u8]) {
        self.data.entry(object).or_default().extend_from_slice(bytes);
    }
}

/// Has a file inspected in pieces of this length. Whatever it is, its parts lie side by side and are the file.
pub(crate) fn in_pieces(file: &[u8], len: usize) -> (Seen, Outline) {
    let (mut inspector, mut seen) = (Inspector::default(), Seen::default());
    for piece in file.chunks(len) {
        inspector.feed(piece, &mut seen);
    }
    let outline = inspector.finish(&mut seen);
    let mut end = 0;
    for part in &seen.parts {
        assert_eq!(part.at, end, "{part:?} does not begin where the one before ended");
        end += part.len;
        if let Some(payload) = part.payload {
            assert!(part.at <= payload.at && payload.at + payload.len <= end, "{part:?}");
            let (at, len) = (usize::try_from(payload.at).unwrap(), usize::try_from(payload.len).unwrap());
            assert_eq!(payload_crc(&file[at..at + len]), payload.checksum, "{part:?}");
        }
    }
    assert_eq!((end, seen.parts.len() as u64), (outline.size, outline.parts));
    let damaged = matches!(seen.parts.last().map(|part| &part.content), Some(Content::Damage { .. }));
    assert_eq!(damaged, outline.damage.is_some());
    (seen, outline)
}

/// Has a file inspected, whole and in pieces: it is the same.
pub(crate) fn inspect(file: &[u8]) -> (Seen, Outline) {
    let whole = in_pieces(file, file.len().max(1));
    for len in [1, 13, 1000] {
        assert_eq!(in_pieces(file, len), whole, "in pieces of {len}");
    }
    whole
}
