//! The thread of the session itself: it keeps the machine's time, and at the end it sees everybody off.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vfio_migration_protocol::event::Phase;
use vfio_migration_protocol::session::{Ending, Input};
use vfio_migration_protocol::{Outcome, Tracker};

use super::caught::caught;
use super::control::{Finished, FinishedDevice};
use super::core::{Core, Wake};
use super::parts::Hooks;
use super::under_way::UnderWay;
use super::workers::Moved;
use crate::Error;

/// How long a read or a write of data that nobody wants any more may still take.
const DATA_PATIENCE: Duration = Duration::from_millis(100);

/// Every thread of a session.
pub(super) struct Crew {
    pub(super) objects: Vec<Hand>,
    pub(super) trackers: Vec<JoinHandle<Option<Box<dyn Tracker>>>>,
    pub(super) hooks: JoinHandle<Option<Hooks>>,
    /// What the workers of devices and trackers are doing, where that can be interrupted.
    pub(super) under_way: Vec<Arc<UnderWay>>,
    /// How long a call may take before it is.
    pub(super) deadline: Duration,
    pub(super) sending: JoinHandle<()>,
    pub(super) receiving: Option<JoinHandle<()>>,
    /// Closes when both threads of the transport have ended.
    pub(super) ended: Receiver<()>,
    /// How long they may take for that.
    pub(super) linger: Duration,
}

/// A worker with the id of its object.
pub(super) struct Hand {
    pub(super) id: String,
    pub(super) thread: JoinHandle<Option<Moved>>,
}

impl Crew {
    /// Runs until the session is over and every thread has ended.
    pub(super) fn run(self, core: &Core) -> Finished {
        let mut look_again = None;
        while let Wake::Tick = core.sleep(look_again) {
            // A call that is overdue is told before it is interrupted.
            core.input(Input::Tick);
            look_again = self.interrupt(core.phase());
        }
        let Self { objects, trackers, hooks, sending, receiving, ended, linger, .. } = self;
        // The last message must not be lost with the socket: it is sent, that direction is closed, and the other end's
        // close is awaited.
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(linger) {
            core.interrupt();
        }
        join(sending);
        receiving.map(join);
        core.forget_transport();
        let objects: Vec<_> = objects.into_iter().map(|Hand { id, thread }| (id, join(thread))).collect();
        let trackers = trackers.into_iter().filter_map(join).collect();
        join(hooks);
        core.events.end();
        match core.ending() {
            Ok(ending) => finished(ending, objects, trackers),
            Err(panic) => resume_unwind(panic),
        }
    }

    /// Interrupts calls that have taken too long. Answers when to look again.
    fn interrupt(&self, phase: Option<Phase>) -> Option<Instant> {
        // On the way back nobody wants what is still being read or written.
        let data = if phase == Some(Phase::Returning) { DATA_PATIENCE.min(self.deadline) } else { self.deadline };
        let now = Instant::now();
        self.under_way.iter().filter_map(|call| call.interrupt_late(now, self.deadline, data)).min()
    }
}

fn finished(
    Ending { failure, report }: Ending,
    objects: Vec<(String, Option<Moved>)>,
    trackers: Vec<Box<dyn Tracker>>,
) -> Finished {
    let (mut devices, mut memories) = (Vec::new(), Vec::new());
    for (id, moved) in objects {
        match moved {
            Some(Moved::Device(mut device)) => {
                let line = report.objects.iter().find(|object| object.id == id);
                // A session that ended before it touched the device has not asked.
                let state = line.and_then(|line| line.state).or_else(|| caught(|| device.state()).ok()?.ok());
                let outcome = line.and_then(|line| line.outcome).unwrap_or(Outcome::Returned);
                devices.push(FinishedDevice { id, device, outcome, state });
            }
            Some(Moved::Memory(memory)) => memories.push((id, memory)),
            None => {}
        }
    }
    let failure = failure.map(|failure| {
        let error = Error::from(failure);
        let state =
            devices.iter().find(|device| Some(&device.id) == error.object.as_ref()).and_then(|device| device.state);
        Error { state, ..error }
    });
    Finished { report, failure, devices, memories, trackers }
}

/// A thread of ours that panicked has a bug; whoever waits for the session is told.
fn join<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
