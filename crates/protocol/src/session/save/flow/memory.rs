//! Guest memory on its way out: which of its pages are dirty, and who says so.

use core::time::Duration;

use super::super::super::TrackerIndex;
use super::Stage;
use crate::{Bitmap, Estimate, IovaRange};

#[derive(Debug)]
pub(super) struct MemoryPages {
    pub(super) range: IovaRange,
    page_size: u64,
    pub(super) trackers: Vec<TrackerIndex>,
    /// All of its trackers log.
    tracked: bool,
    dirty: Bitmap,
    cursor: u64,
    /// Pages that the last round of reports brought; all of them before the first.
    last_round: u64,
    /// Reports that are due.
    reports: usize,
    ask_at: Duration,
}

impl MemoryPages {
    pub(super) fn new(range: IovaRange, page_size: u64, trackers: Vec<TrackerIndex>) -> Self {
        let mut dirty = Bitmap::new(range.length / page_size);
        dirty.fill();
        let last_round = dirty.count();
        let (tracked, ask_at) = (false, Duration::ZERO);
        Self { range, page_size, trackers, tracked, dirty, cursor: 0, last_round, reports: 0, ask_at }
    }

    /// Its trackers log from now on.
    pub(super) const fn is_tracked(&mut self, now: Duration) {
        self.tracked = true;
        self.ask_at = now;
    }

    /// A tracker lost its log: every page counts as dirty.
    pub(super) fn is_lost(&mut self) {
        self.tracked = false;
        self.dirty.fill();
        self.last_round = self.dirty.count();
    }

    pub(super) fn is_clean(&self) -> bool {
        self.dirty.is_empty()
    }

    /// Takes the next run of dirty pages, of at most so many bytes: where it lies and how long it is.
    pub(super) fn next_read(&mut self, most: u32) -> (u64, u32) {
        let run = u64::from(most) / self.page_size;
        let taken = self.dirty.take_run(self.cursor, run).or_else(|| self.dirty.take_run(0, run));
        let (first, count) = taken.expect("only memory with dirty pages is ready");
        self.cursor = first + count;
        let len = u32::try_from(count * self.page_size).expect("a run is no longer than a chunk");
        (first * self.page_size, len)
    }

    /// When to ask for reports while the guest runs: once all that was dirty is being read.
    pub(super) fn ask_at(&self) -> Option<Duration> {
        (self.tracked && self.reports == 0 && self.is_clean()).then_some(self.ask_at)
    }

    /// Whether its trackers can be asked.
    pub(super) const fn can_ask(&self) -> bool {
        self.tracked && self.reports == 0
    }

    /// All its trackers are being asked.
    pub(super) const fn asks(&mut self) {
        self.reports = self.trackers.len();
    }

    /// A tracker reported, in its own page size; `None` if it could not.
    pub(super) fn reported(&mut self, now: Duration, bits: Option<(&Bitmap, u64)>, poll_interval: Duration) {
        self.reports = self.reports.saturating_sub(1);
        self.ask_at = now + poll_interval;
        let Some((bits, bits_size)) = bits else { return };
        if bits_size == self.page_size {
            self.dirty.merge(bits);
        } else {
            bits.runs().for_each(|(first, count)| {
                let from = first.saturating_mul(bits_size) / self.page_size;
                let to = (first + count).saturating_mul(bits_size).div_ceil(self.page_size);
                self.dirty.set_run(from, to - from);
            });
        }
        if self.reports == 0 {
            self.last_round = self.dirty.count();
        }
    }

    /// What is left of it for now.
    pub(super) fn left(&self, stage: Stage) -> Estimate {
        let pages = match stage {
            // What the next round will bring is what the last one brought.
            Stage::PreCopy => self.dirty.count().max(self.last_round),
            _ => self.dirty.count(),
        };
        Estimate::Known(pages * self.page_size)
    }
}
