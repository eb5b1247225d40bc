use std::collections::BTreeSet;

use vfio_migration_model::GuestMemory;
use vfio_migration_protocol::{Bitmap, CallError, Errno, IovaRange};

use crate::dice::Dice;

/// Bytes in a page of guest memory.
pub(crate) const PAGE: u64 = 4096;

/// The guest of one host: while it runs, its vCPUs write to memory, and the host logs where.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) running: bool,
    /// Whether it ran before anything began: a paused guest is not started by an `unpause`.
    pub(crate) ran: bool,
    memory: Option<GuestMemory>,
    /// Pages written to since the last report, while somebody asked to know.
    log: Option<BTreeSet<u64>>,
    dice: Dice,
    /// How often it wrote.
    pub(crate) writes: u64,
}

impl Guest {
    pub(crate) const fn new(running: bool, memory: Option<GuestMemory>, dice: Dice) -> Self {
        Self { running, ran: running, memory, log: None, dice, writes: 0 }
    }

    /// Writes to so many pages, if it runs.
    pub(crate) fn work(&mut self, writes: u32) {
        let Some(memory) = self.memory.as_ref().filter(|_| self.running) else { return };
        for _ in 0..writes {
            let page = self.dice.roll(memory.pages());
            let place = page * PAGE + self.dice.roll(PAGE / 8) * 8;
            self.writes += 1;
            let written = memory.store(place, &(self.writes | 1 << 63).to_le_bytes());
            debug_assert_eq!(written, Ok(()), "the guest writes to its own memory");
            if let Some(log) = &mut self.log {
                log.insert(page);
            }
        }
    }

    /// The host's log of what vCPUs write, as a tracker.
    pub(crate) fn start_log(&mut self) -> Result<u64, CallError> {
        if self.log.is_some() {
            return Err(CallError::new(Errno::EINVAL));
        }
        self.log = Some(BTreeSet::new());
        Ok(PAGE)
    }

    pub(crate) fn report_log(&mut self, range: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
        let base = self.memory.as_ref().map_or(0, |memory| memory.range().iova);
        let log = self.log.as_mut().ok_or_else(|| CallError::new(Errno::EINVAL))?;
        let first = range.iova.saturating_sub(base) / PAGE;
        let inside: Vec<u64> = log.range(first..first + range.length / PAGE).copied().collect();
        for page in inside {
            log.remove(&page);
            into.set(page - first);
        }
        Ok(())
    }

    pub(crate) fn stop_log(&mut self) {
        self.log = None;
    }
}
