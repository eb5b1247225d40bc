//! The inspector sees in a stream what a restore sees, wherever its bytes are cut, and stops where a restore stops.

use std::collections::BTreeMap;

use vfio_migration_protocol::inspect::{Content, Damage, Ending, Format, Inspector, Outline, Part, Visit};
use vfio_migration_protocol::session::Mode;
use vfio_migration_protocol::stream::payload_crc;

use crate::sample::{self, Random, joined, read};

#[derive(Debug, Default, PartialEq)]
struct Seen {
    parts: Vec<Part>,
    data: BTreeMap<usize, Vec<u8>>,
}

impl Visit for Seen {
    fn part(&mut self, part: Part) {
        self.parts.push(part);
    }

    fn data(&mut self, object: usize, bytes: &[u8]) {
        self.data.entry(object).or_default().extend_from_slice(bytes);
    }
}

fn inspect<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Seen, Outline) {
    let (mut inspector, mut seen) = (Inspector::default(), Seen::default());
    for piece in pieces {
        inspector.feed(piece, &mut seen);
    }
    let outline = inspector.finish(&mut seen);
    // Whatever it is: parts lie side by side and are the file.
    let mut end = 0;
    for part in &seen.parts {
        assert_eq!(part.at, end, "{part:?} does not begin where the one before ended");
        end += part.len;
    }
    assert_eq!((end, seen.parts.len() as u64), (outline.size, outline.parts));
    (seen, outline)
}

fn whole(stream: &[u8]) -> (Seen, Outline) {
    inspect([stream])
}

#[test]
fn every_part_of_a_stream_has_its_place_and_its_name() {
    for mode in [Mode::OneWay, Mode::Connected] {
        let pieces = sample::stream(mode);
        let (seen, outline) = whole(&joined(&pieces));
        assert_eq!(outline.damage, None);
        assert_eq!(outline.format, Format::Stream);
        let mut parts = seen.parts.iter();
        for piece in &pieces {
            let mut part = parts.next().unwrap();
            let mut len = part.len;
            // The report takes two frames.
            while matches!(part.content, Content::TextPart { .. }) {
                part = parts.next().unwrap();
                len += part.len;
            }
            assert_eq!(len, piece.bytes.len() as u64, "{}", piece.name);
            let name = match &part.content {
                Content::Preamble => "preamble",
                Content::Table => "table of objects",
                Content::Data { .. } => "data",
                Content::ObjectEnd { .. } => "object-end",
                Content::End { .. } => "end",
                Content::Message { name, .. } | Content::Text { name, .. } => name,
                other => panic!("{other:?} in place of {}", piece.name),
            };
            assert_eq!(name, piece.name);
        }
        assert_eq!(parts.next(), None);
    }
}

#[test]
fn the_outline_says_what_the_stream_moves() {
    let (seen, outline) = whole(&joined(&sample::stream(Mode::OneWay)));
    assert_eq!(outline.session.as_deref(), Some("612072616e646f6d2073657373696f6e"));
    assert_eq!((outline.mode, outline.largest_frame), (Some("one-way"), Some(4096)));
    assert_eq!((outline.ending, outline.notes.as_slice()), (Some(Ending::GoesOn), &[][..]));
    let [net, gpu, ram] = &outline.objects[..] else { panic!("{outline:?}") };
    assert_eq!((net.id.as_str(), net.kind, net.protocol, net.size), ("net0", "device", Some("fsm"), None));
    assert_eq!(net.capabilities.as_deref(), Some("stop-copy+pre-copy+dirty-tracking"));
    assert_eq!((net.passport[2].key.as_str(), net.passport[2].value.as_str()), ("host", "größe"));
    assert_eq!((net.passport[0].needed, net.passport[2].needed), (true, false));
    assert_eq!((net.frames, net.bytes, net.initial_ends, net.complete), (4, 20, 2, true));
    assert_eq!((gpu.protocol, gpu.segments, gpu.bytes, gpu.initial_ends), (Some("region"), 2, 49, 1));
    assert_eq!((ram.kind, ram.iova, ram.size, ram.frames, ram.bytes), ("memory", Some(1 << 32), Some(8192), 3, 192));
    assert_eq!(seen.data[&0], b"initial datathe rest");
    assert_eq!(net.checksum, Some(payload_crc(b"initial datathe rest")));
    assert_eq!(seen.data[&1].len(), 49);
    assert_eq!((seen.data.get(&2), ram.checksum), (None, None), "pages come again and have no order");
    let (_, connected) = whole(&joined(&sample::stream(Mode::Connected)));
    assert_eq!((connected.mode, connected.ending), (Some("connected"), Some(Ending::Cancelled)));
}

#[test]
fn payloads_are_where_it_says() {
    let stream = joined(&sample::stream(Mode::OneWay));
    let mut found = 0;
    for part in whole(&stream).0.parts {
        let Some(payload) = part.payload else { continue };
        let (at, len) = (usize::try_from(payload.at).unwrap(), usize::try_from(payload.len).unwrap());
        assert_eq!(payload_crc(&stream[at..at + len]), payload.checksum, "{part:?}");
        assert_eq!(payload.at + payload.len, part.at + part.len, "{part:?}");
        found += 1;
    }
    assert!(found > 10);
}

#[test]
fn bytes_come_in_any_pieces() {
    let mut random = Random(5);
    for mode in [Mode::OneWay, Mode::Connected] {
        let stream = joined(&sample::stream(mode));
        let expected = whole(&stream);
        assert_eq!(inspect(stream.chunks(1)), expected);
        for at in 0..stream.len() {
            let (head, tail) = stream.split_at(at);
            assert_eq!(inspect([head, tail]), expected, "cut at {at}");
        }
        for _ in 0..200 {
            let (mut rest, mut pieces) = (&stream[..], Vec::new());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(random.below(300).min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            assert_eq!(inspect(pieces), expected);
        }
    }
}

/// Stops where a restore stops, with the same reason.
fn assert_like_a_restore(stream: &[u8], what: &str) {
    let verdict = read(stream).result.err().map(Damage::from);
    let (seen, outline) = whole(stream);
    assert_eq!(outline.damage, verdict, "{what}");
    let last = seen.parts.last();
    assert_eq!(verdict.is_some(), matches!(last.map(|part| &part.content), Some(Content::Damage { .. })), "{what}");
    assert_eq!(inspect(stream.chunks(7)), (seen, outline), "{what}, in small pieces");
}

#[test]
fn cut_anywhere() {
    for mode in [Mode::OneWay, Mode::Connected] {
        let stream = joined(&sample::stream(mode));
        // Before the magic a restore says how much is missing, the inspector that it is no file that it knows.
        for at in 4..stream.len() {
            assert_like_a_restore(&stream[..at], &format!("cut at {at}"));
        }
        for at in 0..4 {
            let damage = whole(&stream[..at]).1.damage.expect("too short for anything");
            assert_eq!(damage.at, 0);
        }
    }
}

#[test]
fn every_byte_damaged_and_anything_after_the_end() {
    for mode in [Mode::OneWay, Mode::Connected] {
        let stream = joined(&sample::stream(mode));
        for at in 4..stream.len() {
            let mut damaged = stream.clone();
            damaged[at] ^= 1 << (at % 8);
            assert_like_a_restore(&damaged, &format!("a bit flipped at {at}"));
            let damage = whole(&damaged).1.damage.expect("a checksum covers every byte");
            assert!(damage.at <= at as u64, "{damage} for a bit flipped at {at}");
        }
    }
    let mut longer = joined(&sample::stream(Mode::OneWay));
    longer.extend([0; 100]);
    assert_like_a_restore(&longer, "something after the end");
}

#[test]
fn files_that_are_something_else() {
    for (file, found) in [
        (&b""[..], "an empty file"),
        (b"#!/bin/sh\necho a text file\n", "\"#!/bin/sh\\necho a\""),
        (&[0; 100], "\"\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\""),
    ] {
        let (seen, outline) = whole(file);
        let damage = outline.damage.expect("it is no migration");
        assert_eq!((damage.at, damage.found.as_str(), outline.format), (0, found, Format::Unknown));
        assert_eq!(seen.parts.len(), 1);
    }
    let mut rewritten = joined(&sample::stream(Mode::OneWay));
    rewritten.remove(4);
    let damage = whole(&rewritten).1.damage.unwrap();
    assert_eq!(
        damage.to_string(),
        "damaged at byte 0: expected a stream as it was written, found one whose line ends were rewritten"
    );
}
