//! A stream that is not what was saved never reaches a running device, and says what is wrong with it.

use std::io::Cursor;
use std::sync::OnceLock;

use vfio_migration::device::open;
use vfio_migration::{Code, Finished, Outcome, RestoreOptions, SaveOptions, Sink, Source, State};
use vfio_migration_model::CallKind;

use crate::scene::{DEVICE, Draw, Target, origin, target, within};

/// A small device, so that many streams of it can be read.
const SMALL: &str = "size=64KiB,dirty-tracking,dma-rate=0";

/// A stream of a small device and its memory, as it was saved.
fn stream() -> &'static [u8] {
    static STREAM: OnceLock<Vec<u8>> = OnceLock::new();
    STREAM.get_or_init(|| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut origin = origin(SMALL, SaveOptions { chunk: 16 << 10, no_events: true, ..SaveOptions::default() });
        let saving = origin.save.start(Sink::writer(Sent(sender), || ())).unwrap();
        assert_eq!(within("the save", move || saving.wait()).failure, None);
        receiver.into_iter().flatten().collect()
    })
}

/// A writer that passes on what it takes.
struct Sent(std::sync::mpsc::Sender<Vec<u8>>);

impl std::io::Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn restore(bytes: Vec<u8>) -> (Target, Finished) {
    let mut target = target(SMALL, RestoreOptions::default());
    let restoring = target.restore.start(Source::reader(Cursor::new(bytes), || ())).unwrap();
    let finished = within("the restore", move || restoring.wait());
    (target, finished)
}

fn assert_refused(target: &Target, finished: &Finished, codes: &[Code]) {
    let failure = finished.failure.as_ref().expect("the stream is refused");
    assert!(codes.contains(&failure.code), "{failure:?} has one of the codes {codes:?}");
    assert_ne!(finished.report.outcome, Outcome::Completed);
    target.assert_never_ran();
    assert!(matches!(finished.devices[0].state, Some(State::Running | State::Stop)), "{finished:?}");
}

#[test]
fn the_stream_itself_is_taken() {
    let (_, finished) = restore(stream().to_vec());
    assert_eq!((finished.failure, finished.report.outcome), (None, Outcome::Completed));
}

#[test]
fn truncated_anywhere() {
    let whole = stream();
    let mut draw = Draw(1);
    let ends = [0, 1, 63, 64, whole.len() - 1];
    let drawn = (0..60).map(|_| usize::try_from(draw.below(whole.len() as u64)).unwrap());
    for end in ends.into_iter().chain(drawn) {
        let (target, finished) = restore(whole[..end].to_vec());
        assert_refused(&target, &finished, &[Code::StreamTruncated]);
    }
}

#[test]
fn with_a_bit_flipped_anywhere() {
    let whole = stream();
    let mut draw = Draw(2);
    for _ in 0..80 {
        let at = usize::try_from(draw.below(whole.len() as u64)).unwrap();
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << draw.below(8);
        let (target, finished) = restore(bytes);
        assert_refused(&target, &finished, &[Code::StreamCorrupt]);
    }
}

#[test]
fn and_nothing_after_the_damage_reaches_the_device() {
    // The device's data is the first object's: a flip in its first chunk leaves it without a byte.
    let whole = stream();
    let (target, finished) = restore(whole.to_vec());
    assert_eq!(finished.failure, None);
    let all = target.model.count(CallKind::Write);
    let mut bytes = whole.to_vec();
    let first = whole.len() - usize::try_from(crate::scene::MEMORY).unwrap() / 2;
    bytes[first] ^= 1;
    let (target, finished) = restore(bytes);
    assert_refused(&target, &finished, &[Code::StreamCorrupt]);
    assert!(target.model.count(CallKind::Write) <= all);
}

#[test]
fn of_something_else() {
    for bytes in [vec![0; 4096], b"\x7fELF\x02\x01\x01".repeat(100), b"hello, world\n".repeat(10)] {
        let (target, finished) = restore(bytes);
        assert_refused(&target, &finished, &[Code::StreamCorrupt]);
    }
}

#[test]
fn of_another_device() {
    let mut target = target("size=128KiB", RestoreOptions::default());
    let restoring = target.restore.start(Source::reader(Cursor::new(stream().to_vec()), || ())).unwrap();
    let finished = within("the restore", move || restoring.wait());
    assert_refused(&target, &finished, &[Code::Incompatible]);
    assert_eq!(target.model.count(CallKind::SetState), 0, "passports are compared before anything changes");
}

#[test]
fn of_fewer_or_more_objects() {
    let mut more = target(SMALL, RestoreOptions { no_p2p_traffic: true, ..RestoreOptions::default() });
    more.restore.device("gpu1", open(&format!("model:{DEVICE}"), None).unwrap().device);
    let restoring = more.restore.start(Source::reader(Cursor::new(stream().to_vec()), || ())).unwrap();
    let finished = within("the restore", move || restoring.wait());
    assert_refused(&more, &finished, &[Code::Incompatible]);

    let opened = open(&format!("model:{SMALL}"), None).unwrap();
    let mut fewer = vfio_migration::RestoreBuilder::new(RestoreOptions::default());
    fewer.device("gpu0", opened.device);
    let restoring = fewer.start(Source::reader(Cursor::new(stream().to_vec()), || ())).unwrap();
    let finished = within("the restore", move || restoring.wait());
    assert_eq!(finished.failure.unwrap().code, Code::Incompatible);
    assert_eq!(opened.model.unwrap().count(CallKind::SetState), 0);
}

#[test]
fn that_waits_for_answers_where_none_can_go_back() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut origin =
        origin(SMALL, SaveOptions { deadline: std::time::Duration::from_millis(300), ..SaveOptions::default() });
    let (quiet, other) = std::io::pipe().unwrap();
    let interrupt = std::sync::Mutex::new(Some(other));
    let duplex = vfio_migration::Duplex::new(quiet, Sent(sender), move || drop(interrupt.lock().unwrap().take()));
    let saving = origin.save.start(Sink::duplex(duplex)).unwrap();
    assert_eq!(within("the save", move || saving.wait()).failure.unwrap().code, Code::Deadline);
    let (target, finished) = restore(receiver.into_iter().flatten().collect());
    assert_refused(&target, &finished, &[Code::Incompatible]);
}
