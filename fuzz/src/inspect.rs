use vfio_migration_protocol::inspect::{Content, Fingerprint, Inspector, Outline, Part, Visit, diff};

/// Any file: its parts lie side by side and are the file, they are the same however the bytes come, and it does not differ
/// from itself.
pub fn inspect(bytes: &[u8]) {
    let len = bytes.iter().fold(1, |sum, byte| (sum * 31 + usize::from(*byte)) % 509) + 1;
    let whole = in_pieces(bytes, bytes.len().max(1));
    let other = in_pieces(bytes, len);
    assert!(whole == other, "in pieces of {len} it is something else");
    let found = diff((&whole.1, &fingerprint(&whole.0)), (&other.1, &fingerprint(&other.0)));
    assert!(found.is_empty(), "it differs from itself: {found:?}");
    let (Parts(parts, _), outline) = whole;
    let mut end = 0;
    for part in &parts {
        assert_eq!(part.at, end, "a part begins where the one before ended");
        end += part.len;
    }
    assert_eq!((end, outline.size), (bytes.len() as u64, bytes.len() as u64));
    let damaged = matches!(parts.last(), Some(Part { content: Content::Damage { .. }, .. }));
    assert_eq!(damaged, outline.damage.is_some());
}

#[derive(Default, PartialEq)]
struct Parts(Vec<Part>, u64);

impl Visit for Parts {
    fn part(&mut self, part: Part) {
        self.0.push(part);
    }

    fn data(&mut self, _object: usize, bytes: &[u8]) {
        self.1 += bytes.len() as u64;
    }
}

fn fingerprint(parts: &Parts) -> Fingerprint {
    let mut print = Fingerprint::default();
    for part in &parts.0 {
        print.part(part.clone());
    }
    print
}

fn in_pieces(bytes: &[u8], len: usize) -> (Parts, Outline) {
    let (mut inspector, mut parts) = (Inspector::default(), Parts::default());
    for piece in bytes.chunks(len) {
        inspector.feed(piece, &mut parts);
    }
    let outline = inspector.finish(&mut parts);
    (parts, outline)
}
