//! One object's side of the flow: what of it is read next, in flight, and left.

use core::time::Duration;
use std::collections::VecDeque;

use super::device::DeviceData;
use super::memory::MemoryPages;
use crate::session::{Chunk, Object};
use crate::{CallError, Errno, Estimate, Filled, Then};

/// One object's side of the flow.
#[derive(Debug)]
pub(in crate::session::save) struct Source {
    pub(in crate::session::save) id: String,
    pub(super) object: Object,
    pub(super) stage: Stage,
    pub(super) what: What,
    /// Reads that were asked for and not answered, in order: where they lie (memory) and how long they are.
    pub(super) asked: VecDeque<(u64, u32)>,
    pub(super) asked_since: Duration,
    pub(super) overdue: bool,
    /// Read, and not yet out of our hands: their buffers are still needed.
    pub(super) unsent: VecDeque<Chunk>,
    /// Read and not yet known to have arrived: how long, and where the bytes end.
    pub(super) in_flight: VecDeque<(u32, u64)>,
    pub(in crate::session::save) bytes: u64,
    pub(super) told: Duration,
}

#[derive(Debug)]
pub(super) enum What {
    Device(DeviceData),
    Memory(MemoryPages),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing may be read yet.
    Idle,
    /// The guest runs.
    PreCopy,
    /// The rest: all devices have stopped.
    Rest,
    /// Its `object-end` was sent.
    Ended,
}

/// How many chunks of one object may be asked for or wait to be sent: its thread need not wait for us, and the few buffers
/// that it fills in turn stay in the processor's caches.
const READ_AHEAD: usize = 2;

impl Source {
    /// Nothing of it flows yet.
    pub(super) const fn new(id: String, object: Object, what: What) -> Self {
        Self {
            id,
            object,
            stage: Stage::Idle,
            what,
            asked: VecDeque::new(),
            asked_since: Duration::ZERO,
            overdue: false,
            unsent: VecDeque::new(),
            in_flight: VecDeque::new(),
            bytes: 0,
            told: Duration::ZERO,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        let ahead = self.asked.len() + self.unsent.len();
        matches!(self.stage, Stage::PreCopy | Stage::Rest)
            && ahead < READ_AHEAD
            && match &self.what {
                What::Device(data) => data.is_ready(),
                What::Memory(pages) => !pages.is_clean(),
            }
    }

    pub(in crate::session::save) const fn object(&self) -> Object {
        self.object
    }

    /// Where the next read lies and how long it is.
    pub(super) fn next_read(&mut self, most: u32) -> (u64, u32) {
        match &mut self.what {
            // A hint only: how long the reads before it were is not known yet.
            What::Device(data) => (data.offset, most),
            What::Memory(pages) => pages.next_read(most),
        }
    }

    /// Takes note of what a read brought: where the bytes lie, how many, and what follows.
    pub(super) fn read(
        &mut self,
        now: Duration,
        (asked, most): (u64, u32),
        filled: Filled,
        poll: Duration,
    ) -> Result<(u64, u32, Then), CallError> {
        let all = u32::try_from(filled.len).ok().filter(|len| *len <= most);
        let len = all.ok_or_else(|| CallError::because(Errno::EOVERFLOW, "it read more than was asked for"))?;
        match &mut self.what {
            What::Device(data) => {
                let (offset, then) = data.read(now, self.stage, filled, poll)?;
                Ok((offset, len, then))
            }
            What::Memory(_) if len < most => Err(CallError::because(Errno::EIO, "it read less than was asked for")),
            What::Memory(_) => Ok((asked, len, filled.then)),
        }
    }

    /// What is left of it for now.
    pub(super) fn left(&self) -> Estimate {
        match &self.what {
            What::Device(data) => data.left(self.stage),
            What::Memory(pages) => pages.left(self.stage),
        }
    }

    pub(super) fn is_initial_loaded(&self) -> bool {
        match &self.what {
            What::Device(data) => self.stage != Stage::PreCopy || data.is_initial_loaded(),
            What::Memory(_) => true,
        }
    }
}
