//! The caller's own streams carry a session: bytes with our container, or messages without it.

use std::io::{self, Write, pipe};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use vfio_migration::protocol::session::{Message, Offer};
use vfio_migration::{Code, Duplex, FrameSink, FrameSource, Outcome, RestoreOptions, SaveOptions, Sink, Source};

use crate::scene::{DEVICE, assert_identical, assert_moved, origin, target, within};

#[test]
fn a_duplex_pair() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    let [sink, source] = [near, far].map(|stream| {
        let (reader, other) = (stream.try_clone().unwrap(), stream.try_clone().unwrap());
        // Dropping the writer must close its direction.
        Duplex::new(reader, HalfClosing(stream), move || {
            let _ = other.shutdown(Shutdown::Both);
        })
    });
    let (mut origin, mut target) = (origin(DEVICE, SaveOptions::default()), target(DEVICE, RestoreOptions::default()));
    let restoring = target.restore.start(Source::duplex(source)).unwrap();
    let saving = origin.save.start(Sink::duplex(sink)).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    assert_moved(&origin, &saved, &target, &restored);
}

struct HalfClosing(TcpStream);

impl Write for HalfClosing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for HalfClosing {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }
}

#[test]
fn a_writer_and_a_reader() {
    let (reader, writer) = pipe().unwrap();
    let (mut origin, mut target) = (origin(DEVICE, SaveOptions::default()), target(DEVICE, RestoreOptions::default()));
    let restoring = target.restore.start(Source::reader(reader, || ())).unwrap();
    let saving = origin.save.start(Sink::writer(io::BufWriter::new(writer), || ())).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    assert_eq!((saved.failure, restored.failure), (None, None));
    assert_identical(&origin, &target);
}

/// What a stream of a caller's says of itself; its words are the C library's.
fn broken() -> io::Error {
    io::Error::from_raw_os_error(5)
}

/// A writer that fails after so many bytes.
struct Failing(usize);

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(broken());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_writer_that_fails_anywhere() {
    for after in [0, 1, 64, 1000, 100_000, 3_000_000] {
        let mut origin = origin(DEVICE, SaveOptions::default());
        let saving = origin.save.start(Sink::writer(Failing(after), || ())).unwrap();
        let saved = within("the save", move || saving.wait());
        let failure = saved.failure.unwrap();
        assert_eq!(failure.code, Code::Transport);
        assert!(failure.what.contains(&broken().to_string()), "{failure}");
        assert_eq!(saved.report.outcome, Outcome::Returned);
        origin.assert_works();
    }
}

/// A stream that panics, as a caller's code may.
struct Panicking;

impl Write for Panicking {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        panic!("no such stream")
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Read for Panicking {
    fn read(&mut self, _into: &mut [u8]) -> io::Result<usize> {
        panic!("no such stream")
    }
}

#[test]
fn a_stream_that_panics_has_failed() {
    let (mut origin, mut target) = (origin(DEVICE, SaveOptions::default()), target(DEVICE, RestoreOptions::default()));
    let restoring = target.restore.start(Source::reader(Panicking, || panic!("nothing to interrupt"))).unwrap();
    let saving = origin.save.start(Sink::writer(Panicking, || panic!("nothing to interrupt"))).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    for failure in [saved.failure.unwrap(), restored.failure.unwrap()] {
        assert_eq!(failure.code, Code::Transport);
        assert!(failure.what.contains("no such stream"), "{failure}");
    }
    origin.assert_works();
    target.assert_never_ran();
}

#[test]
fn a_stream_that_buffers_is_flushed_when_nothing_else_is_to_be_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    let [sink, source] = [near, far].map(|stream| {
        let (reader, other) = (stream.try_clone().unwrap(), stream.try_clone().unwrap());
        // Chunks are smaller than this.
        Duplex::new(reader, io::BufWriter::with_capacity(1 << 20, HalfClosing(stream)), move || {
            let _ = other.shutdown(Shutdown::Both);
        })
    });
    let options = SaveOptions { chunk: 64 << 10, no_events: true, ..SaveOptions::default() };
    let (mut origin, mut target) = (origin(DEVICE, options), target(DEVICE, RestoreOptions::default()));
    let restoring = target.restore.start(Source::duplex(source)).unwrap();
    let saving = origin.save.start(Sink::duplex(sink)).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    assert_moved(&origin, &saved, &target, &restored);
}

/// What passes between two ends without our container.
pub(crate) enum Passed {
    Open(Offer),
    Message(Message, Vec<u8>),
}

impl FrameSink for Channel<Sender<Passed>> {
    fn open(&mut self, offer: &Offer) -> io::Result<()> {
        self.0.send(Passed::Open(offer.clone())).map_err(io::Error::other)
    }

    fn send(&mut self, message: &Message, payload: &[u8]) -> io::Result<()> {
        self.0.send(Passed::Message(message.clone(), payload.to_vec())).map_err(io::Error::other)
    }
}

impl FrameSource for Channel<Receiver<Passed>> {
    fn open(&mut self) -> io::Result<Offer> {
        match self.0.recv() {
            Ok(Passed::Open(offer)) => Ok(offer),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn receive(&mut self, into: &mut [u8]) -> io::Result<Option<Message>> {
        match self.0.recv() {
            Ok(Passed::Message(message, payload)) => {
                into[..payload.len()].copy_from_slice(&payload);
                Ok(Some(message))
            }
            _ => Ok(None),
        }
    }
}

pub(crate) struct Channel<T>(pub(crate) T);

#[test]
fn messages_one_way() {
    let (sender, receiver) = channel();
    let (mut origin, mut target) = (origin(DEVICE, SaveOptions::default()), target(DEVICE, RestoreOptions::default()));
    let restoring = target.restore.start(Source::frames(Channel(receiver), || ())).unwrap();
    let saving = origin.save.start(Sink::frames(Channel(sender), || ())).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    assert_eq!((saved.failure, restored.failure), (None, None));
    assert_identical(&origin, &target);
}

#[test]
fn messages_both_ways() {
    let ((forward, far), (back, near)) = (channel(), channel());
    let (mut origin, mut target) = (origin(DEVICE, SaveOptions::default()), target(DEVICE, RestoreOptions::default()));
    let source = Source::frames_connected(Channel(far), Channel(back), || ());
    let restoring = target.restore.start(source).unwrap();
    let saving = origin.save.start(Sink::frames_connected(Channel(forward), Channel(near), || ())).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    assert_moved(&origin, &saved, &target, &restored);
}

#[test]
fn messages_that_break_the_rules() {
    let offers = |origin_offer: &Offer| {
        let data = |object, offset, len| Message::Data {
            object: vfio_migration::protocol::session::Object(object),
            offset,
            len,
            segment_end: false,
            initial_end: None,
        };
        vec![
            vec![Passed::Message(data(7, 0, 10), vec![0; 10])],
            vec![Passed::Message(data(0, 77, 10), vec![0; 10])],
            vec![Passed::Message(data(0, 0, origin_offer.chunk + 1), Vec::new())],
            vec![Passed::Message(data(1, u64::MAX, 10), vec![0; 10])],
            vec![Passed::Message(Message::Running, Vec::new())],
            vec![Passed::Message(Message::ObjectEnd(vfio_migration::protocol::session::Object(9)), Vec::new())],
            vec![Passed::Message(Message::End { goes_on: false }, Vec::new())],
            Vec::new(),
        ]
    };
    // What a real save offers, and then something that it would never send.
    let (sender, receiver) = channel();
    let mut origin = origin("size=64KiB", SaveOptions::default());
    let saving = origin.save.start(Sink::frames(Channel(sender), || ())).unwrap();
    within("the save", move || saving.wait());
    let Ok(Passed::Open(offer)) = receiver.recv() else { panic!("a stream begins with its offer") };
    for messages in offers(&offer) {
        let (sender, receiver) = channel();
        sender.send(Passed::Open(offer.clone())).unwrap();
        for message in messages {
            sender.send(message).unwrap();
        }
        drop(sender);
        let mut target = target("size=64KiB", RestoreOptions::default());
        let restoring = target.restore.start(Source::frames(Channel(receiver), || ())).unwrap();
        let restored = within("the restore", move || restoring.wait());
        assert!(restored.failure.is_some(), "{restored:?}");
        target.assert_never_ran();
    }
}
