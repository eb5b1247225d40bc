use core::time::Duration;

use super::{Command, Ending, Failure, Input, NotNow, Output, Protocol, RestoreOptions};
use crate::{Capabilities, IovaRange, Passport, Table};

/// What a [`Restore`] can take.
#[derive(Clone, Debug)]
pub enum RestoreObject {
    /// A device.
    Device {
        /// Its name in the stream.
        id: String,
        /// Which protocol it speaks.
        protocol: Protocol,
        /// [`Device::capabilities`](crate::Device::capabilities)
        capabilities: Capabilities,
        /// [`Device::table`](crate::Device::table)
        table: Table,
        /// [`Device::passport`](crate::Device::passport)
        passport: Passport,
    },
    /// A piece of guest memory.
    Memory {
        /// Its name in the stream.
        id: String,
        /// [`Memory::range`](crate::Memory::range)
        range: IovaRange,
    },
}

/// The destination's end of a migration. In its calls, objects are numbered by the list that the session was made with;
/// in messages, by the stream's table.
#[derive(Debug)]
pub struct Restore {}

impl Restore {
    /// A session that takes exactly these objects.
    pub fn new(options: RestoreOptions, objects: Vec<RestoreObject>) -> Result<Self, Failure> {
        let _ = (options, objects);
        Ok(Self {})
    }

    /// Takes note of what happened at `now`.
    pub fn handle_input(&mut self, now: Duration, input: Input) {
        let _ = (now, input);
    }

    /// Follows a wish of the caller, or says why not.
    pub fn command(&mut self, now: Duration, command: Command) -> Result<(), NotNow> {
        let _ = (now, command);
        Ok(())
    }

    /// What to do next.
    pub fn poll_output(&mut self, now: Duration) -> Output {
        let _ = now;
        Output::Finished
    }

    /// How it ended, once [`Output::Finished`] was said.
    pub fn ending(&self) -> Option<&Ending> {
        None
    }
}
