//! Frames that are sound, each by itself, and stand where they may not. A writer of ours panics before it writes them.

use vfio_migration_protocol::session::{Message, Mode, Object};
use vfio_migration_protocol::stream::{BackKey, Decoder, Encoder, HEADER_LEN, StreamError, payload_crc};

use crate::sample::{self, GPU, NET, RAM, reseal, seed};

/// Writes frames without any rule, as a broken writer would.
struct Forger {
    seed: u32,
    sequence: u64,
    frames: Vec<u8>,
}

impl Forger {
    fn frame(&mut self, kind: u16, object: u32, offset: u64, flags: u32, payload: &[u8]) -> &mut Self {
        let mut header = [0; HEADER_LEN];
        header[0..2].copy_from_slice(&kind.to_le_bytes());
        header[4..8].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        header[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        header[16..24].copy_from_slice(&offset.to_le_bytes());
        header[24..28].copy_from_slice(&object.to_le_bytes());
        header[28..32].copy_from_slice(&flags.to_le_bytes());
        header[44..48].copy_from_slice(&payload_crc(payload).to_le_bytes());
        reseal(&mut header, self.seed);
        self.sequence += 1;
        self.frames.extend(header);
        self.frames.extend(payload);
        self
    }

    fn data(&mut self, object: Object, offset: u64, payload: &[u8]) -> &mut Self {
        self.frame(0x8001, object.0, offset, 0, payload)
    }

    fn bare(&mut self, kind: u16) -> &mut Self {
        self.frame(kind, u32::MAX, 0, 0, &[])
    }

    /// `object-end` of an object without data, or `end` of a stream without.
    fn end(&mut self, kind: u16, object: u32) -> &mut Self {
        let mut totals = [0; 24];
        if kind == 0x8006 {
            let checksum = payload_crc(&[0; 12]);
            totals[16..20].copy_from_slice(&checksum.to_le_bytes());
        }
        self.frame(kind, object, 0, 0, &totals)
    }

    fn all_ended(&mut self) -> &mut Self {
        [NET, GPU, RAM].iter().fold(self, |forger, object| forger.end(0x8002, object.0))
    }
}

/// What a reader says, after how many messages, to what a broken writer sends forward.
fn forward(mode: Mode, forge: impl FnOnce(&mut Forger) -> &mut Forger) -> (usize, Result<(), StreamError>) {
    let (_, mut stream) = Encoder::forward(&sample::offer(mode)).unwrap();
    let mut forger = Forger { seed: seed(&stream), sequence: 0, frames: Vec::new() };
    forge(&mut forger);
    stream.extend(forger.frames);
    let read = sample::read(&stream);
    (read.messages.len(), read.result)
}

#[track_caller]
fn assert_order(read: (usize, Result<(), StreamError>), after: usize, broken: &str) {
    match read {
        (messages, Err(StreamError::Order { rule, .. })) => assert_eq!((messages, rule), (after, broken)),
        other => panic!("{other:?}"),
    }
}

const BEGIN: u16 = 0x8007;
const GIVEN_UP: u16 = 0x8003;
const WITHDRAW: u16 = 0x8004;
const NONE: u32 = u32::MAX;

#[test]
fn the_forger_can_be_right() {
    let end = forward(Mode::OneWay, |f| f.data(NET, 0, b"a").data(RAM, 8, b"b").bare(0x0042));
    assert!(matches!(end, (2, Err(StreamError::Truncated { .. }))), "{end:?}");
    assert_eq!(forward(Mode::OneWay, |f| f.all_ended().end(0x8006, NONE)), (4, Ok(())));
    assert_eq!(forward(Mode::Connected, |f| f.bare(BEGIN).all_ended().bare(GIVEN_UP).bare(WITHDRAW)), (6, Ok(())));
}

#[test]
fn begin_comes_once_and_first() {
    assert_order(forward(Mode::Connected, |f| f.data(NET, 0, b"a")), 0, "\"begin\" comes before it");
    assert_order(forward(Mode::Connected, |f| f.end(0x8002, 0)), 0, "\"begin\" comes before it");
    let twice = forward(Mode::Connected, |f| f.bare(BEGIN).bare(BEGIN));
    assert_order(twice, 1, "it comes once, before all data");
}

#[test]
fn a_devices_bytes_follow_each_other() {
    for (offset, found) in [(0, 0), (2, 2), (4, 4), (u64::MAX, u64::MAX)] {
        let read = forward(Mode::OneWay, |f| f.data(NET, 0, b"abc").data(GPU, 0, b"d").data(NET, offset, b"e"));
        let Err(StreamError::Position { object: NET, expected: 3, found: is, .. }) = read.1 else { panic!("{read:?}") };
        assert_eq!((read.0, is), (2, found));
    }
}

#[test]
fn nothing_of_an_object_after_its_end() {
    let rule = "nothing of an object comes after its \"object-end\"";
    assert_order(forward(Mode::OneWay, |f| f.end(0x8002, 2).data(RAM, 0, b"a")), 1, rule);
    assert_order(forward(Mode::OneWay, |f| f.end(0x8002, 2).end(0x8002, 2)), 1, rule);
}

#[test]
fn the_end_is_the_end_of_all() {
    let rule = "every object has its \"object-end\" before it";
    assert_order(forward(Mode::OneWay, |f| f.end(0x8002, 0).end(0x8002, 2).end(0x8006, NONE)), 2, rule);
    assert_order(forward(Mode::Connected, |f| f.bare(BEGIN).bare(GIVEN_UP)), 1, rule);
    let after = "nothing comes after \"end\"";
    assert_order(forward(Mode::OneWay, |f| f.all_ended().end(0x8006, NONE).end(0x8006, NONE)), 4, after);
    assert_order(forward(Mode::OneWay, |f| f.all_ended().end(0x8006, NONE).bare(0x0042)), 4, after);
    assert_order(forward(Mode::OneWay, |f| f.all_ended().end(0x8006, NONE).frame(2, NONE, 0, 0, b"{}")), 4, after);
}

#[test]
fn nothing_is_moved_after_given_up_or_cancelled() {
    let rule = "nothing is moved after \"cancelled\" or \"given-up\"";
    let given_up = forward(Mode::Connected, |f| f.bare(BEGIN).all_ended().bare(GIVEN_UP).bare(GIVEN_UP));
    assert_order(given_up, 5, rule);
    let data = forward(Mode::Connected, |f| f.bare(BEGIN).all_ended().bare(GIVEN_UP).data(RAM, 0, b"a"));
    assert_order(data, 5, rule);
    let cancelled = |f: &mut Forger| f.frame(0x8005, NONE, 0, 0, b"why").sequence;
    let data = forward(Mode::OneWay, |f| {
        cancelled(f);
        f.data(RAM, 0, b"a")
    });
    assert_order(data, 1, rule);
    // Whoever was cancelled may still be told what came of it, and whoever is in doubt may always be asked.
    let end = forward(Mode::OneWay, |f| {
        f.all_ended();
        cancelled(f);
        f.end(0x8006, NONE)
    });
    assert_order(end, 4, rule);
    let report = forward(Mode::OneWay, |f| {
        cancelled(f);
        f.frame(0x0002, NONE, 0, 0, b"{}")
    });
    assert_eq!(report, (2, Ok(())));
}

#[test]
fn messages_keep_to_their_direction_and_mode() {
    for kind in [0x8020, 0x8023, 0x8024] {
        assert_order(forward(Mode::Connected, |f| f.bare(kind)), 0, "it goes the other way");
    }
    assert_order(forward(Mode::Connected, |f| f.frame(0x8022, 0, 4, 0, b"")), 0, "it goes the other way");
    assert_order(forward(Mode::Connected, |f| f.frame(0x8025, NONE, 0, 0, b"no")), 0, "it goes the other way");
    for kind in [BEGIN, GIVEN_UP, WITHDRAW] {
        assert_order(forward(Mode::OneWay, |f| f.bare(kind)), 0, "it needs a connection, and this is one-way");
    }
    let alive = forward(Mode::OneWay, |f| f.bare(0x8010).all_ended().end(0x8006, NONE));
    assert_eq!(alive, (5, Ok(())));
    let end = forward(Mode::Connected, |f| f.bare(BEGIN).all_ended().end(0x8006, NONE));
    assert_order(end, 4, "it ends a one-way stream, and this is connected");

    let seed = seed(&Encoder::forward(&sample::offer(Mode::Connected)).unwrap().1) ^ 0x4b43_4142;
    for kind in [BEGIN, GIVEN_UP, WITHDRAW, 0x8001, 0x8002, 0x8005, 0x0001, 0x0002] {
        let mut forger = Forger { seed, sequence: 0, frames: Vec::new() };
        let read = sample::read_back(&forger.bare(kind).frames);
        assert_order((read.messages.len(), read.result), 0, "it goes the other way");
    }
}

#[test]
fn objects_that_the_table_does_not_have() {
    for object in [3, u32::MAX - 1, u32::MAX] {
        let read = forward(Mode::OneWay, |f| f.data(Object(object), 0, b"a"));
        assert!(matches!(read.1, Err(StreamError::NoSuchObject { found, objects: 3, .. }) if found == object));
        let seed = seed(&Encoder::forward(&sample::offer(Mode::Connected)).unwrap().1) ^ 0x4b43_4142;
        let mut forger = Forger { seed, sequence: 0, frames: Vec::new() };
        let read = sample::read_back(&forger.frame(0x8022, object, 0, 0, b"").frames);
        assert!(matches!(read.result, Err(StreamError::NoSuchObject { found, objects: 3, .. }) if found == object));
    }
}

#[test]
fn a_memory_has_no_flags() {
    for flags in [1, 2] {
        let read = forward(Mode::OneWay, |f| f.frame(0x8001, RAM.0, 0, flags, b"a"));
        assert_order(read, 0, "only a device's data has flags");
    }
}

#[test]
fn the_parts_of_a_text_follow_each_other() {
    let part = [b'x'; 4096];
    let parts = |forge: &dyn Fn(&mut Forger)| {
        let read = forward(Mode::OneWay, |f| {
            f.frame(0x0002, NONE, 0, 4, &part);
            forge(f);
            f
        });
        assert_eq!(read.0, 0);
        read.1.unwrap_err()
    };
    let rule = "the parts of a text follow each other";
    for kind in [0x0001, 0x0042, 0x8005] {
        assert!(matches!(parts(&|f| _ = f.bare(kind)), StreamError::Order { rule: is, .. } if is == rule));
    }
    assert!(matches!(parts(&|f| _ = f.data(NET, 0, b"a")), StreamError::Order { rule: is, .. } if is == rule));
    assert!(matches!(parts(&|f| _ = f.bare(0x0002)), StreamError::Field { found: 0, .. }));
    assert!(matches!(parts(&|_| ()), StreamError::Truncated { .. }));
    // 16 reasons of 4 KiB are the most.
    let read = forward(Mode::OneWay, |f| (0..16).fold(f, |f, _| f.frame(0x8005, NONE, 0, 4, &part)).bare(0x8005));
    assert!(matches!(read.1, Err(StreamError::Field { found: 0, .. })), "{read:?}");
    let read = forward(Mode::OneWay, |f| (0..17).fold(f, |f, _| f.frame(0x8005, NONE, 0, 4, &part)));
    assert!(matches!(read.1, Err(StreamError::TooLong { limit: 0x0001_0000, .. })), "{read:?}");
}

#[test]
fn totals_that_are_not_what_arrived() {
    for at in [0, 8, 16] {
        let mut totals = [0; 24];
        totals[at] = 1;
        let read = forward(Mode::OneWay, |f| f.frame(0x8002, NET.0, 0, 0, &totals));
        assert!(matches!(read, (0, Err(StreamError::Totals { object: Some(NET), .. }))), "{read:?}");
        let read = forward(Mode::OneWay, |f| f.all_ended().frame(0x8006, NONE, 0, 0, &totals));
        assert!(matches!(read, (3, Err(StreamError::Totals { object: None, .. }))), "{read:?}");
    }
    let mut last = [0; 24];
    last[20] = 2;
    let read = forward(Mode::OneWay, |f| f.frame(0x8002, NET.0, 0, 0, &last));
    assert!(matches!(read, (0, Err(StreamError::Unknown { .. }))), "{read:?}");
    last[16..20].copy_from_slice(&payload_crc(&[0; 12]).to_le_bytes());
    let read = forward(Mode::OneWay, |f| f.all_ended().frame(0x8006, NONE, 0, 0, &last));
    assert!(matches!(read, (3, Err(StreamError::Unknown { found: 2, .. }))), "{read:?}");
}

#[test]
fn a_header_is_not_taken_by_another_decoder() {
    let key: BackKey = sample::back_key();
    let (mut one, mut other) = (Decoder::back(key), Decoder::back(key));
    let pieces = sample::back();
    let heads: Vec<[u8; HEADER_LEN]> = pieces.iter().map(|piece| *piece.bytes.first_chunk().unwrap()).collect();
    let first = one.header(&heads[0]).unwrap();
    one.payload(first, &[]).unwrap();
    let second = one.header(&heads[1]).unwrap();
    assert!(matches!(other.payload(second, &[]), Err(StreamError::Sequence { expected: 0, found: 1, .. })));
    assert!(matches!(one.payload(second, b"longer"), Err(StreamError::Truncated { .. })));
}

fn broken_back(message: Message) {
    let mut encoder = Encoder::back(sample::back_key());
    assert!(std::panic::catch_unwind(move || encoder.message(&message)).is_err());
}

fn broken(mode: Mode, session: impl FnOnce(&mut Encoder) + std::panic::UnwindSafe) {
    let (mut encoder, _) = Encoder::forward(&sample::offer(mode)).unwrap();
    let panic = std::panic::catch_unwind(move || session(&mut encoder)).unwrap_err();
    let words = panic.downcast_ref::<String>().unwrap();
    assert!(words.starts_with("a session keeps to the format: "), "{words}");
}

#[test]
fn an_encoder_writes_nothing_that_would_be_refused() {
    broken(Mode::Connected, |e| drop(e.message(&Message::Accepted)));
    broken(Mode::Connected, |e| drop(e.message(&Message::End { goes_on: false })));
    broken(Mode::Connected, |e| drop(e.message(&Message::ObjectEnd(NET))));
    broken(Mode::OneWay, |e| drop(e.message(&Message::GivenUp)));
    broken(Mode::OneWay, |e| drop(e.message(&Message::End { goes_on: false })));
    broken(Mode::OneWay, |e| drop(e.message(&Message::ObjectEnd(Object(3)))));
    broken(Mode::OneWay, |e| _ = e.data(NET, 1, 1, false, None, 0));
    broken(Mode::OneWay, |e| _ = e.data(NET, 0, 0, false, None, 0));
    broken(Mode::OneWay, |e| _ = e.data(GPU, 0, 0, true, None, 0));
    broken(Mode::OneWay, |e| _ = e.data(RAM, 8192, 1, false, None, 0));
    broken(Mode::OneWay, |e| _ = e.data(RAM, 0, 4097, false, None, 0));
    let end_all = |e: &mut Encoder| {
        e.message(&Message::Begin);
        for object in [NET, GPU, RAM] {
            e.message(&Message::ObjectEnd(object));
        }
    };
    broken(Mode::Connected, |e| {
        e.message(&Message::Begin);
        e.message(&Message::Begin);
    });
    broken(Mode::Connected, |e| {
        e.message(&Message::Begin);
        e.message(&Message::GivenUp);
    });
    broken(Mode::Connected, move |e| {
        end_all(e);
        e.message(&Message::GivenUp);
        e.message(&Message::GivenUp);
    });
    broken(Mode::OneWay, |e| {
        e.message(&Message::Cancelled("why".into()));
        e.data(NET, 0, 1, false, None, 0);
    });
    broken_back(Message::Ack(Object(3), 0));
    broken_back(Message::InitialLoaded(Object(3), 0));
    broken_back(Message::GivenUp);
    broken(Mode::OneWay, |e| {
        for object in [NET, GPU, RAM] {
            e.message(&Message::ObjectEnd(object));
        }
        e.message(&Message::End { goes_on: true });
        e.message(&Message::Report("{}".into()));
    });
}
