//! What is written is what is read.

use vfio_migration_protocol::session::{Message, Mode, Object, ObjectDescription, ObjectKind, Offer, Protocol};
use vfio_migration_protocol::stream::{Decoder, Encoder, HeadError, MAX_DOCUMENT, MAX_REASON};
use vfio_migration_protocol::{Capabilities, Estimate, Passport};

use crate::sample::{self, CHUNK, NET, joined, messages, open, read, read_back, say};

#[test]
fn a_stream_is_read_as_it_was_written() {
    for mode in [Mode::OneWay, Mode::Connected] {
        let pieces = sample::stream(mode);
        let read = read(&joined(&pieces));
        assert_eq!(read.result, Ok(()));
        assert_eq!(read.offer, Some(sample::offer(mode)));
        assert_eq!(read.messages, messages(&pieces));
    }
}

#[test]
fn messages_come_back() {
    let pieces = sample::back();
    let read = read_back(&joined(&pieces));
    assert_eq!(read.result, Ok(()));
    assert_eq!(read.messages, messages(&pieces));
}

#[test]
fn both_ends_have_the_same_key_for_the_way_back() {
    let (encoder, head) = Encoder::forward(&sample::offer(Mode::Connected)).unwrap();
    assert_eq!(open(&head).unwrap().0.back, encoder.back_key());
    assert_eq!(Encoder::back(sample::back_key()).back_key(), None);
    let (encoder, head) = Encoder::forward(&sample::offer(Mode::OneWay)).unwrap();
    assert_eq!(open(&head).unwrap().0.back, None);
    assert_eq!(encoder.back_key(), None);
}

#[test]
fn the_encoder_knows_how_much_it_wrote() {
    let (mut encoder, head) = Encoder::forward(&sample::offer(Mode::OneWay)).unwrap();
    assert_eq!(encoder.written(), head.len() as u64);
    let mut written = head;
    written.extend(sample::data(&mut encoder, NET, 0, b"abc").bytes);
    written.extend(say(&mut encoder, "report", Message::Report("x".repeat(9000))).bytes);
    assert_eq!(encoder.written(), written.len() as u64);
}

#[test]
fn long_texts_take_several_frames() {
    let chunk = CHUNK as usize;
    for length in [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, MAX_REASON] {
        // Characters of three bytes, so that frames end within one.
        let text = "\u{20ac}".repeat(length / 3) + &"x".repeat(length % 3);
        let mut encoder = Encoder::back(sample::back_key());
        let piece = say(&mut encoder, "refused", Message::Refused(text));
        let frames = length.div_ceil(chunk).max(1);
        assert_eq!(piece.bytes.len(), length + frames * 64);
        let read = read_back(&piece.bytes);
        assert_eq!((read.result, read.messages), (Ok(()), vec![piece.message.unwrap()]));
    }
}

#[test]
fn a_reason_that_is_too_long_is_cut_between_characters() {
    let text = "\u{20ac}".repeat(MAX_REASON);
    let mut encoder = Encoder::back(sample::back_key());
    let frames = encoder.message(&Message::Failed(text.clone()));
    let read = read_back(&frames);
    assert_eq!(read.result, Ok(()));
    assert_eq!(read.messages, [Message::Failed(text[..MAX_REASON - 1].into())]);
    let mut encoder = Encoder::back(sample::back_key());
    let read = read_back(&encoder.message(&Message::Failed("x".repeat(MAX_REASON + 1))));
    assert_eq!(read.messages, [Message::Failed("x".repeat(MAX_REASON))]);
}

#[test]
fn a_document_that_is_too_long_is_left_out() {
    let (mut encoder, mut stream) = Encoder::forward(&sample::offer(Mode::Connected)).unwrap();
    assert!(encoder.message(&Message::Report("x".repeat(MAX_DOCUMENT + 1))).is_empty());
    let longest = Message::Report("x".repeat(MAX_DOCUMENT));
    stream.extend(encoder.message(&longest));
    let read = read(&stream);
    assert_eq!(read.result, Ok(()));
    assert_eq!(read.messages, [longest]);
}

#[test]
fn the_largest_head_fits() {
    let passport = (0..12).fold(Passport::new(), |passport, i| passport.needs(format!("key {i}"), "v".repeat(57)));
    let object = |i| ObjectDescription {
        id: format!("{i:05}"),
        kind: ObjectKind::Device {
            protocol: Protocol::Region,
            capabilities: Capabilities::from_bits(u64::MAX),
            passport: passport.clone(),
        },
        size: Estimate::Known(u64::MAX),
    };
    let offer =
        Offer { session: [0xff; 16], mode: Mode::Connected, chunk: 64 << 20, objects: (0..1024).map(object).collect() };
    let (_, head) = Encoder::forward(&offer).unwrap();
    let (opened, rest) = open(&head).unwrap();
    assert!(opened.offer == offer && rest.is_empty());
}

#[test]
fn the_smallest_and_the_longest_table() {
    let mut offer = sample::offer(Mode::OneWay);
    offer.objects.drain(..2);
    offer.objects[0].id = "a".into();
    let (_, head) = Encoder::forward(&offer).unwrap();
    assert_eq!((head.len(), &open(&head).unwrap().0.offer), (64 + 28, &offer));
    offer.objects[0].id = "a".repeat(255);
    let (_, head) = Encoder::forward(&offer).unwrap();
    assert_eq!(open(&head).unwrap().0.offer, offer);

    let with = |last: usize| {
        let entries = (0..255).map(|i| (format!("{i:03}"), "x".repeat(4096))).chain([("255".into(), "x".repeat(last))]);
        let passport = entries.fold(Passport::new(), |passport, (key, value)| passport.says(key, value));
        let (protocol, capabilities) = (Protocol::Fsm, Capabilities::STOP_COPY);
        let kind = ObjectKind::Device { protocol, capabilities, passport };
        let device = ObjectDescription { id: "d".into(), kind, size: Estimate::Unknown };
        let objects = vec![device];
        Offer { session: [0; 16], mode: Mode::OneWay, chunk: CHUNK, objects }
    };
    let (_, shorter) = Encoder::forward(&with(0)).unwrap();
    let room = 64 + (1 << 20) - shorter.len();
    let longest = with(room);
    let (_, head) = Encoder::forward(&longest).unwrap();
    assert_eq!(head.len(), 64 + (1 << 20));
    assert!(open(&head).unwrap().0.offer == longest);
    assert_eq!(Encoder::forward(&with(room + 1)).map(|_| ()), Err(HeadError::Table((1 << 20) + 1)));
}

#[test]
fn an_offer_that_has_no_head_is_refused() {
    let sound = sample::offer(Mode::OneWay);
    let refuse = |change: &dyn Fn(&mut Offer)| {
        let mut offer = sound.clone();
        change(&mut offer);
        Encoder::forward(&offer).map(|_| ()).unwrap_err()
    };
    let with = |passport: Passport| {
        refuse(&move |offer| {
            let (protocol, capabilities) = (Protocol::Fsm, Capabilities::STOP_COPY);
            offer.objects[0].kind = ObjectKind::Device { protocol, capabilities, passport: passport.clone() };
        })
    };
    let memory = |iova, size| {
        refuse(&move |offer| {
            offer.objects[2] = ObjectDescription { id: "ram".into(), kind: ObjectKind::Memory { iova }, size };
        })
    };
    let entry = |key: &str| HeadError::PassportEntry { id: "net0".into(), key: key.into() };
    assert_eq!(refuse(&|offer| offer.chunk = 4095), HeadError::Chunk(4095));
    assert_eq!(refuse(&|offer| offer.chunk = (64 << 20) + 1), HeadError::Chunk((64 << 20) + 1));
    assert_eq!(refuse(&|offer| offer.objects.clear()), HeadError::Objects(0));
    assert_eq!(refuse(&|offer| offer.objects = vec![offer.objects[2].clone(); 1025]), HeadError::Objects(1025));
    assert_eq!(refuse(&|offer| offer.objects[1].id.clear()), HeadError::Id(String::new()));
    assert_eq!(refuse(&|offer| offer.objects[1].id = "x".repeat(256)), HeadError::Id("x".repeat(256)));
    assert_eq!(refuse(&|offer| offer.objects[1].id = "ram".into()), HeadError::SameId("ram".into()));
    assert_eq!(memory(0, Estimate::Unknown), HeadError::Memory("ram".into()));
    assert_eq!(memory(2, Estimate::Known(u64::MAX)), HeadError::Memory("ram".into()));
    assert_eq!(with(Passport::new().needs("", "x")), entry(""));
    assert_eq!(with(Passport::new().says("a", "x").says("a", "x")), entry("a"));
    assert_eq!(with(Passport::new().says("a", "x".repeat(4097))), entry("a"));
    let many = (0..257).fold(Passport::new(), |passport, i| passport.says(i.to_string(), ""));
    assert_eq!(with(many), HeadError::PassportEntries("net0".into()));
    let large = (0..256).fold(Passport::new(), |passport, i| passport.says(i.to_string(), "x".repeat(4096)));
    assert!(matches!(with(large), HeadError::Table(len) if len > 1 << 20));
}

#[test]
fn memory_may_fill_its_address_space() {
    let mut offer = sample::offer(Mode::OneWay);
    offer.objects[2].size = Estimate::Known(u64::MAX);
    offer.objects[2].kind = ObjectKind::Memory { iova: 1 };
    let (mut encoder, mut stream) = Encoder::forward(&offer).unwrap();
    stream.extend(sample::data(&mut encoder, Object(2), u64::MAX - 3, b"end").bytes);
    assert_eq!(read(&stream).messages.len(), 1);
}

#[test]
fn the_end_is_known() {
    let pieces = sample::stream(Mode::OneWay);
    let stream = joined(&pieces);
    let (opened, mut rest) = open(&stream).unwrap();
    let mut decoder = opened.decoder;
    while let Some((head, after)) = rest.split_first_chunk() {
        assert!(!decoder.is_ended());
        let header = decoder.header(head).unwrap();
        decoder.payload(header, &after[..header.len()]).unwrap();
        rest = &after[header.len()..];
    }
    assert!(decoder.is_ended());
    assert_eq!(decoder.at(), stream.len() as u64);
}

#[test]
fn a_connected_stream_may_end_between_messages() {
    assert_eq!(Decoder::back(sample::back_key()).finish(), Ok(()));
}
