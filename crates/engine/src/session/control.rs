use std::fmt;
use std::ops::Deref;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::JoinHandle;

use vfio_migration_protocol::event::Phase;
use vfio_migration_protocol::session::Command;
use vfio_migration_protocol::{Device, Memory, Outcome, Report, State, Tracker};

use super::Events;
use super::core::Core;
use crate::Error;

/// A session that runs on threads of its own. Its [`Control`] is had by dereferencing, or as a clone for other threads.
///
/// Dropping it cancels the session without waiting for it: the threads bring everything back, close the devices and
/// end. While in doubt nothing is closed and nothing ends until a [`Control`] decides.
#[derive(Debug)]
pub struct Session {
    control: Control,
    /// `None` once somebody waits.
    driver: Option<JoinHandle<Option<Finished>>>,
}

impl Session {
    pub(super) fn new(core: Arc<Core>, driver: JoinHandle<Option<Finished>>) -> Self {
        Self { control: Control { core }, driver: Some(driver) }
    }

    /// The hand on the session, for this thread or another.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Waits until the session is over, every call has returned and every thread has ended, and gives back what it was
    /// made with. It never gives up on a call that will not end; it says so with an event.
    pub fn wait(mut self) -> Finished {
        let driver = self.driver.take().expect("only wait takes it, and wait takes the session");
        match driver.join() {
            Ok(finished) => finished.expect("the session's thread got its crew before the session was made"),
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.driver.is_some() {
            // If it is too late, or in doubt, the session goes on until it is settled.
            let _ = self.control.cancel("the session was dropped");
        }
    }
}

impl Deref for Session {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}

/// The hand on a session: cheap to clone, usable from any thread, harmless once the session is over.
#[derive(Clone)]
pub struct Control {
    core: Arc<Core>,
}

impl Control {
    /// The session's events from its start on. Each event goes to one reader only; the iterator ends with the session.
    pub fn events(&self) -> Events {
        self.core.events.clone()
    }

    /// Ends the session and brings everything back. The reason goes to the other end and into the report.
    ///
    /// # Errors
    /// `ERR_VFIO_TOO_LATE` once the guest was given up; `ERR_VFIO_USAGE` if the session is ending already, or over.
    pub fn cancel(&self, why: impl Into<String>) -> Result<(), Error> {
        self.core.command(Command::Cancel(why.into()))
    }

    /// Save: ends pre-copy now.
    ///
    /// # Errors
    /// `ERR_VFIO_USAGE` on a restore, or if the session is ending already; `ERR_VFIO_TOO_LATE` afterwards.
    pub fn switchover(&self) -> Result<(), Error> {
        self.core.command(Command::Switchover)
    }

    /// Save, in doubt: asks the destination to withdraw, and takes the guest back when it agrees. With `force` the guest
    /// is taken back without an answer, because the caller knows that the destination does not run.
    ///
    /// # Errors
    /// `ERR_VFIO_USAGE` on a restore, or if the session is not in doubt.
    pub fn take_back(&self, force: bool) -> Result<(), Error> {
        self.core.command(Command::TakeBack { force })
    }

    /// In doubt: the other end has the guest, and what is kept here is given up for good.
    ///
    /// # Errors
    /// `ERR_VFIO_USAGE` if the session is not in doubt.
    pub fn discard(&self) -> Result<(), Error> {
        self.core.command(Command::Discard)
    }

    /// Restore, in doubt: the caller knows that the source does not run, so the guest is taken over here.
    ///
    /// # Errors
    /// `ERR_VFIO_USAGE` on a save, or if the session is not in doubt.
    pub fn claim(&self) -> Result<(), Error> {
        self.core.command(Command::Claim)
    }

    /// What the session is doing; `None` before it has done anything.
    pub fn phase(&self) -> Option<Phase> {
        self.core.phase()
    }

    /// Whether it cannot be known who owns the guest, so that the caller must decide.
    pub fn is_in_doubt(&self) -> bool {
        self.phase() == Some(Phase::InDoubt) && !self.is_finished()
    }

    /// Whether the session is over, but for threads that still see their calls return.
    pub fn is_finished(&self) -> bool {
        self.core.is_over()
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("phase", &self.phase()).finish()
    }
}

/// What a session leaves behind.
pub struct Finished {
    /// The whole course; serialisable.
    pub report: Report,
    /// What went wrong first, if anything did. Without it, everything has moved.
    pub failure: Option<Error>,
    /// The devices, in the order in which they were added.
    pub devices: Vec<FinishedDevice>,
    /// The pieces of guest memory with their ids, in the order in which they were added.
    pub memories: Vec<(String, Box<dyn Memory>)>,
    /// The trackers, stopped, in the order in which they were added.
    pub trackers: Vec<Box<dyn Tracker>>,
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { report, failure, devices, .. } = self;
        f.debug_struct("Finished")
            .field("report", report)
            .field("failure", failure)
            .field("devices", devices)
            .finish_non_exhaustive()
    }
}

/// A device after a session.
pub struct FinishedDevice {
    /// Its id.
    pub id: String,
    /// The device itself, open as it was.
    pub device: Box<dyn Device>,
    /// How the session ended for it.
    pub outcome: Outcome,
    /// What it said last; `None` if it could not be asked.
    pub state: Option<State>,
}

impl fmt::Debug for FinishedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, outcome, state, .. } = self;
        f.debug_struct("FinishedDevice").field("id", id).field("outcome", outcome).field("state", state).finish()
    }
}
