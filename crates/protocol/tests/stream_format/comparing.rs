//! Two streams that differ are told apart by object and frame.

use vfio_migration_protocol::inspect::{
    Content, Difference, Fingerprint, Inspector, Outline, Part, Payload, Visit, diff,
};
use vfio_migration_protocol::session::{Message, Mode, Object, ObjectKind};
use vfio_migration_protocol::stream::{Encoder, payload_crc};

use crate::sample::{self, GPU, NET, RAM, joined};

fn read(stream: &[u8]) -> (Outline, Fingerprint) {
    let (mut inspector, mut fingerprint) = (Inspector::default(), Fingerprint::default());
    inspector.feed(stream, &mut fingerprint);
    (inspector.finish(&mut fingerprint), fingerprint)
}

fn compare(first: &[u8], second: &[u8]) -> Vec<Difference> {
    let ((one, one_print), (other, other_print)) = (read(first), read(second));
    diff((&one, &one_print), (&other, &other_print))
}

/// A stream of the sample's objects with these data.
fn with(frames: &[(Object, u64, &[u8])]) -> Vec<u8> {
    let (mut encoder, mut stream) = Encoder::forward(&sample::offer(Mode::OneWay)).unwrap();
    for (object, offset, payload) in frames {
        let len = u32::try_from(payload.len()).unwrap();
        stream.extend(encoder.data(*object, *offset, len, false, None, payload_crc(payload)));
        stream.extend(*payload);
    }
    for object in [NET, GPU, RAM] {
        stream.extend(encoder.message(&Message::ObjectEnd(object)));
    }
    stream.extend(encoder.message(&Message::Event(format!("{{\"frames\":{}}}", frames.len()))));
    stream.extend(encoder.message(&Message::End { goes_on: true }));
    stream
}

#[test]
fn the_same_is_the_same_whatever_its_course_was() {
    let stream = joined(&sample::stream(Mode::OneWay));
    assert_eq!(compare(&stream, &stream), []);
    // Frames of other objects may lie between, and events differ.
    let one = with(&[(NET, 0, b"abc"), (GPU, 0, b"xyz"), (NET, 3, b"def")]);
    let other = with(&[(GPU, 0, b"xyz"), (NET, 0, b"abc"), (NET, 3, b"def")]);
    assert_ne!(one, other);
    assert_eq!(compare(&one, &other), []);
}

#[test]
fn other_bytes_in_one_frame() {
    let one = with(&[(GPU, 0, b"xyz"), (NET, 0, b"abc"), (NET, 3, b"def"), (RAM, 0, b"page")]);
    let other = with(&[(NET, 0, b"abc"), (GPU, 0, b"xyz"), (NET, 3, b"dEf"), (RAM, 0, b"Page")]);
    let [net, ram] = &compare(&one, &other)[..] else { panic!("{:?}", compare(&one, &other)) };
    assert_eq!((net.of.as_deref(), net.what.as_str(), net.frame), (Some("net0"), "other bytes", Some(1)));
    let (first, second) = (net.first.unwrap(), net.second.unwrap());
    assert_eq!((first.offset, first.len, second.offset, second.len), (3, 3, 3, 3));
    assert_eq!((first.checksum, second.checksum), (payload_crc(b"def"), payload_crc(b"dEf")));
    assert_eq!(&one[usize::try_from(first.at).unwrap() + 64..][..3], b"def");
    assert_eq!((ram.of.as_deref(), ram.frame), (Some("ram"), Some(0)));
}

#[test]
fn the_same_bytes_in_other_frames() {
    let one = with(&[(NET, 0, b"abc"), (NET, 3, b"def")]);
    let other = with(&[(NET, 0, b"abcd"), (NET, 4, b"ef")]);
    let [net] = &compare(&one, &other)[..] else { panic!() };
    assert_eq!((net.what.as_str(), net.frame), ("the same bytes, cut into other frames from here on", Some(0)));
    let more = with(&[(NET, 0, b"abc"), (NET, 3, b"def"), (NET, 6, b"ghi")]);
    let [net] = &compare(&one, &more)[..] else { panic!() };
    assert_eq!((net.what.as_str(), net.frame, net.first), ("the second file has more frames", Some(2), None));
}

#[test]
fn what_they_move_and_what_is_known_of_it() {
    let mut offer = sample::offer(Mode::OneWay);
    offer.objects.remove(1);
    if let ObjectKind::Device { passport, .. } = &mut offer.objects[0].kind {
        *passport = passport.clone().says("site", "b");
    }
    let (mut encoder, mut other) = Encoder::forward(&offer).unwrap();
    other.extend(encoder.message(&Message::Cancelled("no".into())));
    let whats: Vec<_> = compare(&with(&[]), &other)
        .into_iter()
        .map(|found| format!("{}: {}", found.of.as_deref().unwrap_or("file"), found.what))
        .collect();
    assert_eq!(
        whats,
        [
            "file: end: goes-on in the first file, cancelled in the second",
            "net0: complete: true in the first file, false in the second",
            "net0: passport, site: none in the first file, b in the second",
            "gpu: only the first file has it",
            "ram: complete: true in the first file, false in the second",
        ]
    );
}

#[test]
fn many_differences_are_told_to_some_extent() {
    let frames = |byte: u8| {
        let payload = vec![byte; 1];
        (0..100).map(|offset| (NET, offset, payload.clone())).collect::<Vec<_>>()
    };
    let stream = |byte| {
        let frames = frames(byte);
        with(&frames.iter().map(|(object, offset, payload)| (*object, *offset, &payload[..])).collect::<Vec<_>>())
    };
    let found = compare(&stream(1), &stream(2));
    assert_eq!((found.len(), found[8].what.as_str()), (9, "no more than 8 differences are told"));
}

#[test]
fn more_frames_than_are_compared_one_by_one() {
    let (outline, _) = read(&joined(&sample::stream(Mode::OneWay)));
    // The frame with this number has other bytes, unless it is none of them.
    let many = |count: u64, other: u64| {
        let mut print = Fingerprint::default();
        for number in 0..count {
            let checksum = u32::from(number == other);
            let content = Content::Data { number, offset: number, segment_end: false, initial_end: None };
            let payload = Some(Payload { at: number * 65 + 64, len: 1, checksum });
            print.part(Part { at: number * 65, len: 65, object: Some(0), payload, content });
        }
        print
    };
    let limit = 1 << 19;
    let whats = |one: &Fingerprint, other: &Fingerprint| {
        let found = diff((&outline, one), (&outline, other));
        found.into_iter().map(|one| one.what).collect::<Vec<_>>()
    };
    let (sound, late, both) = (many(limit + 10, u64::MAX), many(limit + 10, limit + 3), many(limit + 10, 7));
    assert_eq!(whats(&sound, &sound.clone()), Vec::<String>::new());
    let known = "only the first frames of a large file are compared one by one";
    assert_eq!(whats(&sound, &late), [format!("other frames after the first {limit}: {known}")]);
    let there_may_be = format!("there may be other frames after the first {limit}: {known}");
    assert_eq!(whats(&sound, &both), ["other bytes", &there_may_be]);
    // Where one of them ends is known, however many the other has.
    assert_eq!(whats(&many(5, u64::MAX), &sound), ["the second file has more frames"]);
}
