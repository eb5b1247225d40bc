//! Where `given-up` is lost with the connection, both ends keep everything and wait for their callers' word.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use vfio_migration::protocol::session::{Message, Offer};
use vfio_migration::{
    Code, EventKind, Finished, FrameSink, FrameSource, Outcome, RestoreOptions, SaveOptions, Session, Sink, Source,
    State,
};

use crate::own_streams_carry_a_session::{Channel, Passed};
use crate::scene::{DEVICE, Origin, Target, assert_identical, assert_works, origin, target, within};

/// A connection that breaks when the guest is to be given up.
struct Breaking<S> {
    sink: Option<S>,
}

impl<S: FrameSink> Breaking<S> {
    fn sink(&mut self) -> io::Result<&mut S> {
        self.sink.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl<S: FrameSink> FrameSink for Breaking<S> {
    fn open(&mut self, offer: &Offer) -> io::Result<()> {
        self.sink()?.open(offer)
    }

    fn send(&mut self, message: &Message, payload: &[u8]) -> io::Result<()> {
        if *message == Message::GivenUp {
            self.sink = None;
        }
        self.sink()?.send(message, payload)
    }
}

/// Answers that can be interrupted.
struct Answers {
    receiver: Receiver<Passed>,
    interrupted: Arc<AtomicBool>,
}

impl FrameSource for Answers {
    fn open(&mut self) -> io::Result<Offer> {
        unreachable!("answers have no offer")
    }

    fn receive(&mut self, _into: &mut [u8]) -> io::Result<Option<Message>> {
        loop {
            match self.receiver.recv_timeout(Duration::from_millis(5)) {
                Ok(Passed::Message(message, _)) => return Ok(Some(message)),
                Err(RecvTimeoutError::Timeout) if !self.interrupted.load(Ordering::SeqCst) => {}
                _ => return Ok(None),
            }
        }
    }
}

fn in_doubt(settle: impl FnOnce(&Session, &Session) + Send + 'static) -> (Origin, Finished, Target, Finished) {
    let ((forward, far), (back, near)) = (channel(), channel());
    let (mut origin, mut target) = (origin(DEVICE, SaveOptions::default()), target(DEVICE, RestoreOptions::default()));
    let source = Source::frames_connected(Channel(far), Channel(back), || ());
    let restoring = target.restore.start(source).unwrap();
    let sink = Breaking { sink: Some(Channel(forward)) };
    let interrupted = Arc::new(AtomicBool::new(false));
    let answers = Answers { receiver: near, interrupted: Arc::clone(&interrupted) };
    let interrupt = move || interrupted.store(true, Ordering::SeqCst);
    let saving = origin.save.start(Sink::frames_connected(sink, answers, interrupt)).unwrap();
    let (saved, restored) = within("the migration", move || {
        for session in [&restoring, &saving] {
            assert!(session.events().any(|event| matches!(event.kind, EventKind::InDoubt { .. })));
            assert!(session.is_in_doubt() && !session.is_finished());
            assert_eq!(session.cancel("enough").unwrap_err().code, Code::TooLate);
        }
        settle(&saving, &restoring);
        (saving.wait(), restoring.wait())
    });
    (origin, saved, target, restored)
}

#[test]
fn for_the_destination() {
    let (origin, saved, target, restored) = in_doubt(|saving, restoring| {
        assert_eq!(restoring.take_back(true).unwrap_err().code, Code::Usage, "that is for the other end");
        saving.discard().unwrap();
        restoring.claim().unwrap();
    });
    assert_eq!(restored.report.outcome, Outcome::Completed);
    assert_eq!(saved.devices[0].state, Some(State::Stop));
    assert!(!origin.model.guest().runs());
    assert_identical(&origin, &target);
    assert_works(&target.model);
}

#[test]
fn for_the_source() {
    let (origin, saved, target, restored) = in_doubt(|saving, restoring| {
        assert_eq!(saving.claim().unwrap_err().code, Code::Usage, "that is for the other end");
        restoring.discard().unwrap();
        // There is nobody left to ask.
        saving.take_back(false).unwrap();
        assert!(saving.is_in_doubt());
        saving.take_back(true).unwrap();
    });
    assert_eq!(saved.report.outcome, Outcome::Returned);
    assert_ne!(restored.report.outcome, Outcome::Completed);
    assert_eq!(origin.heard(), ["pause", "unpause returned"]);
    origin.assert_works();
    target.assert_never_ran();
}
