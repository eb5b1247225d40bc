//! Whatever happens to a stream on its way is found out, before anything after it is believed.

use std::thread;

use vfio_migration_protocol::session::{Fault, Mode};
use vfio_migration_protocol::stream::{Decoder, Encoder, HEADER_LEN, Part, Preamble, StreamError};

use crate::sample::{self, Random, joined, open, read, read_back};

const BITS: usize = HEADER_LEN * 8;

/// The one-way sample, cut into its head and its frames.
fn frames() -> (Vec<u8>, Vec<Vec<u8>>) {
    let stream = joined(&sample::stream(Mode::OneWay));
    let (_, mut rest) = open(&stream).unwrap();
    let head = stream[..stream.len() - rest.len()].to_vec();
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let len = HEADER_LEN + u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        frames.push(rest[..len].to_vec());
        rest = &rest[len..];
    }
    (head, frames)
}

fn assemble<'a>(head: &[u8], frames: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    frames.into_iter().fold(head.to_vec(), |mut stream, frame| {
        stream.extend(frame);
        stream
    })
}

/// A stream that differs from the sound one is refused, and nothing is believed that is not in both.
fn assert_refused(sound: &[u8], damaged: &[u8], what: impl std::fmt::Debug) {
    let same = sound.iter().zip(damaged).take_while(|(a, b)| a == b).count();
    let read = read(damaged);
    assert!(read.result.is_err(), "{what:?} was not noticed");
    assert!(read.believed <= same, "{what:?} at byte {same} was noticed after byte {}", read.believed);
}

fn flip(bytes: &mut [u8], bit: usize) {
    bytes[bit / 8] ^= 1 << (bit % 8);
}

/// A decoder before the fourth data frame, and that frame's header.
fn before_a_header() -> (Decoder, Vec<u8>, usize) {
    let stream = joined(&sample::stream(Mode::OneWay));
    let (opened, rest) = open(&stream).unwrap();
    let (mut decoder, mut at) = (opened.decoder, stream.len() - rest.len());
    for _ in 0..4 {
        let header = decoder.header(stream[at..at + HEADER_LEN].try_into().unwrap()).unwrap();
        let end = at + HEADER_LEN + header.len();
        decoder.payload(header, &stream[at + HEADER_LEN..end]).unwrap();
        at = end;
    }
    (decoder, stream, at)
}

#[test]
fn one_or_two_flipped_bits_in_a_header() {
    let (_, stream, at) = before_a_header();
    let mut damaged = stream.clone();
    for first in 0..BITS {
        flip(&mut damaged[at..], first);
        assert_refused(&stream, &damaged, first);
        for second in first + 1..BITS {
            flip(&mut damaged[at..], second);
            assert_refused(&stream, &damaged, (first, second));
            flip(&mut damaged[at..], second);
        }
        flip(&mut damaged[at..], first);
    }
    assert_eq!(damaged, stream);
}

#[test]
fn three_flipped_bits_in_a_header() {
    let (decoder, stream, at) = before_a_header();
    let sound: [u8; HEADER_LEN] = stream[at..at + HEADER_LEN].try_into().unwrap();
    assert!(decoder.clone().header(&sound).is_ok());
    let count = |from: usize, step: usize| {
        let mut tried = 0_u32;
        for first in (from..BITS).step_by(step) {
            for second in first + 1..BITS {
                let mut damaged = sound;
                flip(&mut damaged, first);
                flip(&mut damaged, second);
                for third in second + 1..BITS {
                    flip(&mut damaged, third);
                    // A fresh one each time: it would refuse everything after the first.
                    let refused = decoder.clone().header(&damaged).is_err();
                    assert!(refused, "flipped bits {first}, {second}, {third} were not noticed");
                    flip(&mut damaged, third);
                    tried += 1;
                }
            }
        }
        tried
    };
    let tried: u32 = thread::scope(|scope| {
        let halves = [0, 1].map(|half| scope.spawn(move || count(half, 2)));
        halves.into_iter().map(|half| half.join().unwrap()).sum()
    });
    assert_eq!(tried, 512 * 511 * 510 / 6);
}

#[test]
fn one_flipped_bit_anywhere() {
    let stream = joined(&sample::stream(Mode::OneWay));
    let mut damaged = stream.clone();
    for bit in 0..stream.len() * 8 {
        flip(&mut damaged, bit);
        assert_refused(&stream, &damaged, bit);
        assert!(!read(&damaged).result.unwrap_err().is_incompatible(), "bit {bit} is damage");
        flip(&mut damaged, bit);
    }
    let back = joined(&sample::back());
    for bit in 0..back.len() * 8 {
        let mut damaged = back.clone();
        flip(&mut damaged, bit);
        let read = read_back(&damaged);
        assert!(read.result.is_err() && read.believed <= bit / 8);
    }
}

#[test]
fn frames_that_are_lost_repeated_moved_or_swapped() {
    let (head, frames) = frames();
    let sound = assemble(&head, &frames);
    assert_eq!(read(&sound).result, Ok(()));
    for i in 0..frames.len() {
        for j in i + 1..=frames.len() {
            let lost = assemble(&head, frames[..i].iter().chain(&frames[j..]));
            assert_refused(&sound, &lost, ("lost", i, j));
            let twice = assemble(&head, frames[..j].iter().chain(&frames[i..]));
            assert_refused(&sound, &twice, ("twice", i, j));
        }
        for j in 0..frames.len() {
            let mut again = frames.clone();
            again.insert(j, frames[i].clone());
            assert_refused(&sound, &assemble(&head, &again), ("again", i, j));
            if i == j {
                continue;
            }
            let mut moved = frames.clone();
            let frame = moved.remove(i);
            moved.insert(j, frame);
            assert_refused(&sound, &assemble(&head, &moved), ("moved", i, j));
            let mut swapped = frames.clone();
            swapped.swap(i, j);
            assert_refused(&sound, &assemble(&head, &swapped), ("swapped", i, j));
        }
    }
}

#[test]
fn payloads_that_are_swapped() {
    let (head, frames) = frames();
    let sound = assemble(&head, &frames);
    for i in 0..frames.len() {
        for j in 0..frames.len() {
            let (a, b) = (&frames[i], &frames[j]);
            if a.len() != b.len() || a[HEADER_LEN..] == b[HEADER_LEN..] {
                continue;
            }
            let mut swapped = frames.clone();
            swapped[i] = [&a[..HEADER_LEN], &b[HEADER_LEN..]].concat();
            swapped[j] = [&b[..HEADER_LEN], &a[HEADER_LEN..]].concat();
            assert_refused(&sound, &assemble(&head, &swapped), (i, j));
        }
    }
}

#[test]
fn a_back_frame_that_is_lost_or_repeated() {
    let pieces = sample::back();
    for i in 0..pieces.len() - 1 {
        let lost = joined(&[&pieces[..i], &pieces[i + 1..]].concat());
        assert!(matches!(read_back(&lost).result, Err(StreamError::Sequence { .. })));
        let twice = joined(&[&pieces[..=i], &pieces[i..]].concat());
        assert!(matches!(read_back(&twice).result, Err(StreamError::Sequence { .. })));
    }
}

#[test]
fn a_one_way_stream_that_is_cut_at_any_byte() {
    let stream = joined(&sample::stream(Mode::OneWay));
    for end in 0..stream.len() {
        let read = read(&stream[..end]);
        let error = read.result.unwrap_err();
        assert!(matches!(error, StreamError::Truncated { at, .. } if at == end as u64), "{end}: {error}");
        assert_eq!(error.fault(), Fault::Truncated);
        assert!(read.believed <= end);
    }
}

#[test]
fn a_connected_stream_that_is_cut_within_a_frame() {
    let pieces = sample::stream(Mode::Connected);
    let stream = joined(&pieces);
    let (_, frames) = open(&stream).unwrap();
    let start = stream.len() - frames.len();
    let whole = (start..=stream.len()).filter(|end| read(&stream[..*end]).result.is_ok()).count();
    // After the head, and after each piece: no piece may end within a text of several frames.
    assert_eq!(whole, 1 + pieces.len() - 2);
}

#[test]
fn a_million_random_changes() {
    let stream = joined(&sample::stream(Mode::OneWay));
    let try_half = |seed: u64| {
        let mut random = Random(seed);
        let (mut tried, mut damaged) = (0, Vec::new());
        while tried < 500_000 {
            damaged.clear();
            damaged.extend_from_slice(&stream);
            for _ in 0..=random.below(3) {
                mutate(&mut random, &mut damaged);
            }
            if damaged != stream {
                assert_refused(&stream, &damaged, (seed, tried));
                tried += 1;
            }
        }
        tried
    };
    let tried: u32 = thread::scope(|scope| {
        let halves = [1, 2].map(|seed| scope.spawn(move || try_half(seed)));
        halves.into_iter().map(|half| half.join().unwrap()).sum()
    });
    assert_eq!(tried, 1_000_000);
}

fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    let at = random.below(bytes.len());
    let len = random.below(bytes.len() - at).min(random.below(200));
    let end = at + len;
    match random.below(8) {
        0 if !bytes.is_empty() => flip(bytes, at * 8 + random.below(8)),
        1 if !bytes.is_empty() => bytes[at] = random.next().to_le_bytes()[0],
        2 => bytes[at..end].fill_with(|| random.next().to_le_bytes()[0]),
        3 => bytes[at..end].fill(0),
        4 => drop(bytes.drain(at..end)),
        5 => {
            let to = random.below(bytes.len());
            let copy = bytes[at..end].to_vec();
            bytes.splice(to..to, copy);
        }
        6 => {
            let to = random.below(bytes.len() - len);
            bytes.copy_within(at..end, to);
        }
        7 => bytes.truncate(at),
        _ => bytes.push(0),
    }
}

#[test]
fn input_that_is_no_stream() {
    assert!(matches!(read(&[]).result, Err(StreamError::Truncated { at: 0, part: Part::Preamble })));
    let mut random = Random(3);
    for _ in 0..10_000 {
        let len = random.below(500);
        let noise: Vec<u8> = (0..len).map(|_| random.next().to_le_bytes()[0]).collect();
        assert!(read(&noise).result.is_err());
        assert!(read_back(&noise).result.is_err() || noise.is_empty());
        // The same after a sound head.
        let (mut stream, _) = frames();
        stream.extend(noise);
        assert!(read(&stream).result.is_err());
    }
}

#[test]
fn a_transport_in_text_mode() {
    let stream = joined(&sample::stream(Mode::OneWay));
    let rewrite = |from: &[u8], to: &[u8]| {
        let mut out = Vec::new();
        let mut rest = &stream[..];
        while let Some(first) = rest.first() {
            if let Some(after) = rest.strip_prefix(from) {
                out.extend(to);
                rest = after;
            } else {
                out.push(*first);
                rest = &rest[1..];
            }
        }
        read(&out).result.unwrap_err()
    };
    for error in [rewrite(b"\r\n", b"\n"), rewrite(b"\n", b"\r\n"), rewrite(&[0x89], &[0x09])] {
        assert_eq!(error, StreamError::TextMode);
    }
}

#[test]
fn a_frame_of_another_session() {
    let (head, frames) = frames();
    let mut offer = sample::offer(Mode::OneWay);
    offer.session[15] ^= 1;
    let (_, other) = Encoder::forward(&offer).unwrap();
    assert_ne!(sample::seed(&head), sample::seed(&other));
    for i in 0..frames.len() {
        // The same frame at the same place, but for the session that its checksum is of.
        let mut spliced = frames.clone();
        sample::reseal(&mut spliced[i], sample::seed(&other));
        let read = read(&assemble(&head, &spliced));
        let error = read.result.unwrap_err();
        assert!(matches!(error, StreamError::Checksum { part: Part::Header, .. }), "{error}");
    }
    let mut swapped = head.clone();
    swapped[64..].copy_from_slice(&other[64..]);
    assert!(matches!(read(&swapped).result, Err(StreamError::Checksum { part: Part::Table, .. })));
}

#[test]
fn a_frame_of_the_other_direction() {
    let (_, head) = Encoder::forward(&sample::offer(Mode::Connected)).unwrap();
    let back = sample::back();
    let read = read(&[&head[..], &back[0].bytes].concat());
    assert!(matches!(read.result, Err(StreamError::Checksum { part: Part::Header, .. })));
    let forward = &sample::stream(Mode::Connected)[2];
    assert!(matches!(read_back(&forward.bytes).result, Err(StreamError::Checksum { part: Part::Header, .. })));
}

#[test]
fn what_was_refused_stays_refused() {
    let (mut decoder, stream, at) = before_a_header();
    let sound: [u8; HEADER_LEN] = stream[at..at + HEADER_LEN].try_into().unwrap();
    let header = decoder.clone().header(&sound).unwrap();
    let mut damaged = sound;
    damaged[20] ^= 4;
    let error = decoder.header(&damaged).unwrap_err();
    assert_eq!(decoder.header(&sound), Err(error.clone()));
    assert_eq!(decoder.payload(header, &stream[at + HEADER_LEN..][..header.len()]), Err(error.clone()));
    assert_eq!(decoder.finish(), Err(error));
}

#[test]
fn the_place_of_the_damage() {
    let (decoder, stream, at) = before_a_header();
    let start = at as u64;
    let sound: [u8; HEADER_LEN] = stream[at..at + HEADER_LEN].try_into().unwrap();
    let header = decoder.clone().header(&sound).unwrap();
    assert!(!header.is_empty() && header.len() == 64 && header.data() == Some(sample::RAM));
    let payload = |bytes: &[u8]| decoder.clone().payload(header, bytes).unwrap_err();
    let damaged = payload(&[0; 64]);
    assert!(matches!(damaged, StreamError::Checksum { at, part: Part::Payload, .. } if at == start + 64), "{damaged}");
    assert_eq!(payload(&[0; 3]), StreamError::Truncated { at: start + 67, part: Part::Payload });
    assert_eq!(decoder.cut_short(63), StreamError::Truncated { at: start + 63, part: Part::Header });
    assert_eq!(decoder.cut_short(64), StreamError::Truncated { at: start + 64, part: Part::Payload });
    assert_eq!(Preamble::cut_short(63), StreamError::Truncated { at: 63, part: Part::Preamble });
    assert_eq!(Preamble::cut_short(64), StreamError::Truncated { at: 64, part: Part::Table });
    let preamble = Preamble::parse(stream[..64].try_into().unwrap()).unwrap();
    let error = preamble.open(&stream[64..70]).unwrap_err();
    assert_eq!(error, StreamError::Truncated { at: 70, part: Part::Table });
    // A frame that is not next is refused before its payload is read.
    let mut next = decoder.clone();
    next.payload(header, &stream[at + HEADER_LEN..][..64]).unwrap();
    assert!(matches!(next.header(&sound), Err(StreamError::Sequence { expected: 5, found: 4, .. })));
}

#[test]
fn a_header_counts_once() {
    let (mut decoder, stream, at) = before_a_header();
    let header = decoder.header(stream[at..at + HEADER_LEN].try_into().unwrap()).unwrap();
    let payload = &stream[at + HEADER_LEN..][..header.len()];
    decoder.payload(header, payload).unwrap();
    assert!(matches!(decoder.payload(header, payload), Err(StreamError::Sequence { expected: 5, found: 4, .. })));
}
