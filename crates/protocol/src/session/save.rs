use core::time::Duration;

use super::{Command, Ending, Failure, Input, NotNow, Output, Protocol, SaveOptions, TrackerIndex};
use crate::{Capabilities, IovaRange, Passport, Table};

/// What a [`Save`] moves.
#[derive(Clone, Debug)]
pub enum SaveObject {
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
        /// In bytes, a power of two.
        page_size: u64,
        /// Who reports writes to it; without any, all of it is sent after the devices have stopped.
        trackers: Vec<TrackerIndex>,
    },
}

/// The source's end of a migration.
#[derive(Debug)]
pub struct Save {}

impl Save {
    /// A session over these objects, with a random `session` id.
    pub fn new(options: SaveOptions, session: [u8; 16], objects: Vec<SaveObject>) -> Result<Self, Failure> {
        let _ = (options, session, objects);
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
