//! What is sound but not for this reader, and what no writer may write, by the error that says so.

use vfio_migration_protocol::session::{Fault, Mode};
use vfio_migration_protocol::stream::{Encoder, HEADER_LEN, Part, StreamError, payload_crc};

use crate::sample::{self, CHUNK, joined, read, reseal, reseal_head, seed};

fn head(mode: Mode) -> Vec<u8> {
    Encoder::forward(&sample::offer(mode)).unwrap().1
}

/// What a reader says to a head with these changes and right checksums.
fn changed_head(change: impl FnOnce(&mut Vec<u8>)) -> StreamError {
    let mut head = head(Mode::OneWay);
    change(&mut head);
    reseal_head(&mut head);
    read(&head).result.unwrap_err()
}

/// A frame with this payload and a change to its header, without the header's checksum.
fn frame(kind: u16, payload: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut header = [0; HEADER_LEN];
    header[0..2].copy_from_slice(&kind.to_le_bytes());
    header[4..8].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    header[24..28].fill(0xff);
    header[44..48].copy_from_slice(&payload_crc(payload).to_le_bytes());
    change(&mut header);
    [&header[..], payload].concat()
}

/// What a reader says to a stream that begins with this frame, its checksum made right.
fn first_frame(mode: Mode, frame: Vec<u8>) -> StreamError {
    let mut stream = head(mode);
    let seed = seed(&stream);
    let mut frame = frame;
    reseal(&mut frame, seed);
    stream.extend(frame);
    let read = read(&stream);
    assert_eq!(read.messages, []);
    read.result.unwrap_err()
}

#[test]
fn another_version_suite_or_byte_order() {
    let version = changed_head(|head| head[8] = 2);
    assert_eq!(version, StreamError::Version { found: 2 });
    assert_eq!(version.to_string(), "the stream has version 2 of the format, and version 1 is read here");
    let suite = changed_head(|head| head[13] = 1);
    assert_eq!(suite, StreamError::Suite { found: 1 });
    let mut big = head(Mode::OneWay);
    big[8..12].copy_from_slice(&[0, 1, 0xfe, 0xff]);
    let sum = crc32c::crc32c(&big[..60]);
    big[60..64].copy_from_slice(&sum.to_be_bytes());
    let order = read(&big).result.unwrap_err();
    assert_eq!(order, StreamError::ByteOrder);
    for error in [version, suite, order] {
        assert!(error.is_incompatible());
        assert_eq!(error.fault(), Fault::Incompatible);
    }
    // The same bytes without the right checksum are damage.
    let mut damaged = head(Mode::OneWay);
    damaged[8] = 2;
    assert!(matches!(read(&damaged).result, Err(StreamError::Checksum { part: Part::Preamble, .. })));
}

#[test]
fn reserved_parts_of_the_preamble() {
    for (at, field) in (14..16)
        .map(|at| (at, "the flags of the preamble"))
        .chain((20..24).map(|at| (at, "the epoch")))
        .chain((44..60).map(|at| (at, "the reserved part of the preamble")))
    {
        let error = changed_head(|head| head[at] = 0x80);
        assert!(error.is_incompatible(), "{error}");
        assert!(matches!(error, StreamError::Unknown { field: named, found: 0x80, .. } if named == field), "{error}");
    }
    for mode in [0, 3, 255] {
        assert!(matches!(changed_head(|head| head[12] = mode), StreamError::Unknown { field: "the mode", .. }));
    }
}

#[test]
fn lengths_of_the_preamble() {
    for chunk in [0_u32, 4095, (64 << 20) + 1, u32::MAX] {
        let error = changed_head(|head| head[16..20].copy_from_slice(&chunk.to_le_bytes()));
        assert!(matches!(error, StreamError::Field { field: "the largest frame", .. }), "{error}");
        assert_eq!(error.fault(), Fault::Peer);
    }
    for len in [(1_u32 << 20) + 1, u32::MAX] {
        let error = changed_head(|head| head[40..44].copy_from_slice(&len.to_le_bytes()));
        assert!(matches!(error, StreamError::TooLong { limit: 0x0010_0000, .. }), "{error}");
    }
    for len in [0, 27] {
        let error = changed_head(|head| head[40..44].copy_from_slice(&u32::to_le_bytes(len)));
        assert!(matches!(error, StreamError::Field { .. }), "{error}");
    }
    // Longer than what is there: the table is cut short. Shorter: it has another checksum.
    let longer = changed_head(|head| head[40..44].copy_from_slice(&1000_u32.to_le_bytes()));
    assert!(matches!(longer, StreamError::Truncated { part: Part::Table, .. }), "{longer}");
    let shorter = changed_head(|head| head[40..44].copy_from_slice(&100_u32.to_le_bytes()));
    assert!(matches!(shorter, StreamError::Checksum { part: Part::Table, .. }), "{shorter}");
}

#[test]
fn the_table_of_objects() {
    let with = |at: usize, bytes: &[u8]| changed_head(|head| head[64 + at..][..bytes.len()].copy_from_slice(bytes));
    // The first object: kind at 4, id length at 5, id, size known at 10, size, protocol at 19, capabilities, the number
    // of entries at 28, the first entry at 30.
    assert!(matches!(with(0, &[0, 0, 0, 0]), StreamError::Field { field: "the number of objects", found: 0, .. }));
    assert!(matches!(with(0, &[1, 4, 0, 0]), StreamError::Field { field: "the number of objects", found: 1025, .. }));
    assert!(matches!(with(0, &[0xff; 4]), StreamError::Field { field: "the number of objects", .. }));
    assert!(matches!(with(0, &[4]), StreamError::Order { rule: "it holds all of its objects", .. }));
    assert!(matches!(with(0, &[2]), StreamError::Field { field: "what follows the last object", .. }));
    assert!(matches!(with(4, &[3]), StreamError::Unknown { field: "the kind of an object", found: 3, .. }));
    assert!(matches!(with(5, &[0]), StreamError::Field { field: "the id of an object", .. }));
    assert!(matches!(with(6, &[0xff]), StreamError::NotUtf8 { field: "the id of an object", .. }));
    assert!(matches!(with(10, &[2]), StreamError::Field { field: "whether the size is known", .. }));
    assert!(matches!(with(11, &[1]), StreamError::Field { field: "a size that is unknown", .. }));
    assert!(matches!(with(19, &[3]), StreamError::Unknown { field: "the protocol of a device", found: 3, .. }));
    assert!(matches!(with(28, &[1, 1]), StreamError::TooLong { limit: 256, found: 257, .. }));
    assert!(matches!(with(30, &[2]), StreamError::Field { field: "whether a passport's entry is needed", .. }));
    assert!(matches!(with(31, &[0]), StreamError::Field { field: "the key of a passport's entry", .. }));
    assert!(matches!(with(38, &[1, 16]), StreamError::TooLong { limit: 4096, found: 4097, .. }));
    // Each error names the byte of the field, in the stream.
    for (at, bytes) in [(0, &[0; 4][..]), (4, &[3]), (10, &[2]), (19, &[3]), (28, &[1, 1]), (30, &[2]), (38, &[1, 16])]
    {
        assert_eq!(with(at, bytes).at(), 64 + at as u64);
    }
    let memory = head(Mode::OneWay).len() - 64 - 4 - 17;
    let overflow = with(memory + 1, &[0xff; 8]);
    assert!(matches!(overflow, StreamError::Field { expected: "within the address space", .. }), "{overflow}");
    let unknown = with(memory, &[0; 9]);
    assert!(matches!(unknown, StreamError::Field { expected: "known", .. }), "{unknown}");
}

#[test]
fn names_in_the_table_that_come_twice() {
    let at = |head: &[u8], text: &[u8]| head.windows(text.len()).position(|window| window == text).unwrap();
    let same_id = changed_head(|head| {
        let gpu = at(head, b"\x03gpu");
        head[gpu..gpu + 4].copy_from_slice(b"\x03ram");
    });
    assert!(matches!(same_id, StreamError::Order { rule: "ids are unique", .. }), "{same_id}");
    let mut offer = sample::offer(Mode::OneWay);
    offer.objects.truncate(1);
    let passport = vfio_migration_protocol::Passport::new().says("ka", "").says("kb", "");
    let vfio_migration_protocol::session::ObjectKind::Device { passport: old, .. } = &mut offer.objects[0].kind else {
        panic!("the first is a device")
    };
    *old = passport;
    let (_, mut head) = Encoder::forward(&offer).unwrap();
    let kb = at(&head, b"kb");
    head[kb + 1] = b'a';
    reseal_head(&mut head);
    assert!(matches!(read(&head).result, Err(StreamError::Order { rule: "keys are unique", .. })));
}

#[test]
fn unknown_frames() {
    let error = first_frame(Mode::OneWay, frame(0x8fff, b"?", |_| ()));
    assert!(matches!(error, StreamError::UnknownFrame { kind: 0x8fff, .. }), "{error}");
    assert!(error.is_incompatible());

    // One that need not be known is skipped, whatever its fields say; the frames after it count on.
    let pieces = sample::stream(Mode::OneWay);
    let sound = joined(&pieces);
    let start = head(Mode::OneWay).len();
    let mut stream = sound[..start].to_vec();
    let seed = seed(&stream);
    let mut optional = frame(0x0777, b"unheard of", |header| header[16..36].fill(0x5a));
    reseal(&mut optional, seed);
    stream.extend(&optional);
    let mut rest = sound[start..].to_vec();
    let mut at = 0;
    while at < rest.len() {
        let len = HEADER_LEN + u32::from_le_bytes(rest[at + 4..at + 8].try_into().unwrap()) as usize;
        rest[at + 8] += 1;
        reseal(&mut rest[at..at + len], seed);
        at += len;
    }
    stream.extend(rest);
    let read = read(&stream);
    assert_eq!(read.result, Ok(()));
    assert_eq!(read.messages, sample::messages(&pieces));

    // But its payload is checked, and its length bounded.
    let damaged = frame(0x0777, b"unheard of", |header| header[44] ^= 1);
    assert!(matches!(first_frame(Mode::OneWay, damaged), StreamError::Checksum { part: Part::Payload, .. }));
    let long = frame(0x0777, b"", |header| header[4..8].fill(0xff));
    assert!(matches!(first_frame(Mode::OneWay, long), StreamError::TooLong { found: 0xffff_ffff, .. }));
}

#[test]
fn lengths_that_overflow() {
    for len in [CHUNK + 1, u32::MAX] {
        let error = first_frame(
            Mode::OneWay,
            frame(0x8001, b"", |header| {
                header[4..8].copy_from_slice(&len.to_le_bytes());
                header[24..28].fill(0);
            }),
        );
        assert!(matches!(error, StreamError::TooLong { limit: 4096, .. }), "{error}");
    }
    // Beyond the memory, by one byte and by wrapping around.
    for offset in [8192 - 3, 8192, u64::MAX, u64::MAX - 3] {
        let error = first_frame(
            Mode::OneWay,
            frame(0x8001, b"four", |header| {
                header[16..24].copy_from_slice(&offset.to_le_bytes());
                header[24..28].copy_from_slice(&[2, 0, 0, 0]);
            }),
        );
        assert!(matches!(error, StreamError::OutOfRange { length: 8192, len: 4, .. }), "{error}");
    }
    for offset in [1, u64::MAX] {
        let error = first_frame(
            Mode::OneWay,
            frame(0x8001, b"four", |header| {
                header[16..24].copy_from_slice(&offset.to_le_bytes());
                header[24..28].fill(0);
            }),
        );
        assert!(matches!(error, StreamError::Position { expected: 0, .. }), "{error}");
    }
    // Fixed lengths are what they are.
    for (kind, payload) in [(0x8002, &b""[..]), (0x8002, &[0; 25]), (0x8006, &[0; 23]), (0x8006, &[])] {
        let frame = frame(kind, payload, |header| {
            if kind == 0x8002 {
                header[24..28].fill(0);
            }
        });
        assert!(matches!(first_frame(Mode::OneWay, frame), StreamError::Field { .. }));
    }
    let error = first_frame(Mode::Connected, frame(0x8010, b"x", |_| ()));
    assert!(matches!(error, StreamError::Field { field: "the length of a frame's payload", .. }), "{error}");
}

#[test]
fn reserved_parts_of_a_header() {
    for at in (2..4).chain(36..44).chain(48..60) {
        for kind in [0x8010, 0x0777] {
            let error = first_frame(Mode::Connected, frame(kind, b"", |header| header[at] = 1));
            assert!(matches!(error, StreamError::Unknown { .. }), "{at}: {error}");
        }
    }
    let error = first_frame(Mode::Connected, frame(0x8010, b"", |header| header[28] = 8));
    assert!(matches!(error, StreamError::Unknown { field: "a frame's flags", .. }), "{error}");
}

#[test]
fn fields_that_a_type_has_no_use_for() {
    for (at, field) in [(16, "the offset"), (28, "a flag"), (32, "the generation")] {
        let error = first_frame(Mode::Connected, frame(0x8010, b"", |header| header[at] = 1));
        assert!(matches!(error, StreamError::Field { field: named, .. } if named == field), "{error}");
    }
    let error = first_frame(Mode::Connected, frame(0x8010, b"", |header| header[24..28].fill(0)));
    assert!(matches!(error, StreamError::Field { field: "the object", .. }), "{error}");
    let error = first_frame(Mode::OneWay, frame(0x8001, b"x", |header| header[32] = 1));
    assert!(matches!(error, StreamError::Field { field: "the generation", .. }), "{error}");
    let error = first_frame(Mode::OneWay, frame(0x8001, b"", |header| header[24..28].fill(0)));
    assert!(matches!(error, StreamError::Field { field: "the length of data", .. }), "{error}");
    let error = first_frame(
        Mode::OneWay,
        frame(0x8001, b"", |header| header[24..32].copy_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0])),
    );
    assert!(matches!(error, StreamError::Field { field: "the length of data", .. }), "{error}");
}

#[test]
fn texts() {
    let error = first_frame(Mode::OneWay, frame(0x8005, b"\xff", |_| ()));
    assert!(matches!(error, StreamError::NotUtf8 { field: "cancelled", .. }), "{error}");
    let error = first_frame(Mode::OneWay, frame(0x8005, b"too short for more", |header| header[28] = 4));
    assert!(matches!(error, StreamError::Field { field: "the length of a part of a text", .. }), "{error}");
}

#[test]
fn errors_are_one_sentence_and_name_the_place() {
    let at = head(Mode::OneWay).len();
    let error = read(&joined(&sample::stream(Mode::OneWay))[..at + 70]).result.unwrap_err();
    let due = format!("the stream ends at byte {}, where the payload of a frame is due", at + 70);
    assert_eq!((error.to_string(), error.at()), (due, at as u64 + 70));
    let error = first_frame(Mode::OneWay, frame(0x8fff, b"", |_| ()));
    assert_eq!(error.to_string(), format!("the stream needs a newer reader: the frame at byte {at} is of type 0x8fff"));
    assert_eq!(
        read(b"GIF89a..".repeat(8).as_slice()).result.unwrap_err().to_string(),
        "this is not a migration stream: it begins with \"GIF89a..\""
    );
}

#[test]
fn a_frame_of_a_later_time() {
    let mut stream = head(Mode::Connected);
    let seed = seed(&stream);
    let mut alive = frame(0x8010, b"", |header| header[8..16].fill(0xff));
    reseal(&mut alive, seed);
    stream.extend(alive);
    assert!(matches!(read(&stream).result, Err(StreamError::Sequence { expected: 0, found: u64::MAX, .. })));
}
