//! The DMA log: which pages of guest memory the device wrote to (features 6 to 8 of `VFIO_DEVICE_FEATURE`).

use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vfio_migration_protocol::{Bitmap, CallError, Errno, IovaRange, Tracker};

use crate::calls::{CallKind, Recorder};
use crate::fault::Effect;
use crate::pages::PAGE_SIZE;

/// More ranges than fit into one page are refused (`LOG_MAX_RANGES` in `vfio_main.c`).
const MOST_RANGES: usize = 256;

/// The model's DMA log as a [`Tracker`], for any thread: it shares its state with the device, not the device's lock.
///
/// The rules are the kernel's: no range is EINVAL, more than 256 are E2BIG, a range that is not a multiple of the page
/// size is EINVAL, one that ends beyond 2^64 - 1 EOVERFLOW, ranges that overlap EINVAL, a second start EINVAL, a report
/// before start EINVAL. Stopping twice is no error. A reset of the device does not stop the log.
///
/// There are two logs: the device's own ([`Model::tracker`](crate::Model::tracker)), and that of the IOMMU in front of it
/// ([`Model::iommu_tracker`](crate::Model::iommu_tracker)), which whoever plays a kernel needs.
#[derive(Debug)]
pub struct ModelTracker {
    log: SharedLog,
    recorder: Recorder,
    delay: Duration,
}

impl ModelTracker {
    pub(crate) const fn new(log: SharedLog, recorder: Recorder) -> Self {
        Self { log, recorder, delay: Duration::ZERO }
    }

    /// How long the last calls should have taken, by the fault plan; clears it.
    pub fn take_delay(&mut self) -> Duration {
        core::mem::take(&mut self.delay)
    }

    /// As a report, but the pages stay dirty (`IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR`).
    pub fn peek(&mut self, range: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
        self.call(CallKind::TrackerReport, |log, lose| log.report(range, into, lose, true))
    }

    fn call<T>(
        &mut self,
        kind: CallKind,
        work: impl FnOnce(&mut Log, bool) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let (mut before, mut after, mut lose) = (None, None, false);
        for effect in self.recorder.begin(kind, false) {
            match effect {
                Effect::Fails { errno, after: 0 } => before = Some(errno),
                Effect::Fails { errno, .. } => after = Some(errno),
                Effect::Delay(time) => self.delay = self.delay.saturating_add(time),
                Effect::LostPage => lose = true,
                _ => {}
            }
        }
        let done = match before {
            Some(errno) => Err(planned(errno)),
            None => work(&mut self.log.lock(), lose),
        };
        let answer = after.map_or(done, |errno| Err(planned(errno)));
        self.recorder.end(kind, None, &answer);
        answer
    }
}

impl Tracker for ModelTracker {
    fn start(&mut self, ranges: &[IovaRange], page_size: u64) -> Result<u64, CallError> {
        self.call(CallKind::TrackerStart, |log, _| log.start(ranges, page_size))
    }

    fn report(&mut self, range: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
        self.call(CallKind::TrackerReport, |log, lose| log.report(range, into, lose, false))
    }

    fn stop(&mut self) -> Result<(), CallError> {
        self.call(CallKind::TrackerStop, |log, _| {
            log.stop();
            Ok(())
        })
    }
}

/// The error that the fault plan asked for.
pub(crate) fn planned(errno: Errno) -> CallError {
    CallError::because(errno, "the fault plan says so")
}

/// The log, as the device and its trackers share it.
#[derive(Clone, Debug)]
pub(crate) struct SharedLog(Arc<Mutex<Log>>);

impl SharedLog {
    pub(crate) fn new(log: Log) -> Self {
        Self(Arc::new(Mutex::new(log)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first page that is set, from one on and before another. It looks no further: the memory may be large.
fn first_in(pages: &Bitmap, from: u64, end: u64) -> Option<u64> {
    let word = |page: u64| usize::try_from(page).ok().map(|word| word.min(pages.words().len()));
    let words = pages.words().get(word(from / 64)?..word(end.div_ceil(64))?)?;
    if words.iter().all(|word| *word == 0) {
        return None;
    }
    pages.next(from).filter(|page| *page < end)
}

#[derive(Debug)]
pub(crate) struct Log {
    memory: IovaRange,
    lane: (u64, u64),
    page_size: u64,
    /// While logging: the ranges, in order.
    ranges: Option<Vec<IovaRange>>,
    /// Pages of the memory, of [`PAGE_SIZE`] whatever the log's page size.
    dirty: Bitmap,
    /// A page that is never reported, by the fault plan.
    lost: Option<u64>,
}

impl Log {
    pub(crate) fn new(memory: Option<IovaRange>, lane: (u64, u64), page_size: u64) -> Self {
        let memory = memory.unwrap_or(IovaRange { iova: 0, length: 0 });
        let dirty = Bitmap::new(memory.length / PAGE_SIZE);
        Self { memory, lane, page_size, ranges: None, dirty, lost: None }
    }

    /// The device wrote to a page of the memory. Called after the write: a report in between must not hide it.
    pub(crate) fn mark(&mut self, page: u64) {
        let iova = self.memory.iova + page * PAGE_SIZE;
        if self.lost != Some(page) && self.is_logged(iova) {
            self.dirty.set(page);
        }
    }

    /// The page that was lost, by the fault plan.
    pub(crate) const fn lost(&self) -> Option<u64> {
        self.lost
    }

    fn is_logged(&self, iova: u64) -> bool {
        let Some(ranges) = &self.ranges else { return false };
        let after = ranges.partition_point(|range| range.iova <= iova);
        ranges[..after].last().is_some_and(|range| iova - range.iova < range.length)
    }

    fn start(&mut self, ranges: &[IovaRange], page_size: u64) -> Result<u64, CallError> {
        let invalid = |detail: &str| Err(CallError::because(Errno::EINVAL, detail));
        if ranges.is_empty() {
            return invalid("there is no range to log");
        }
        if ranges.len() > MOST_RANGES {
            return Err(CallError::because(Errno::E2BIG, "there are more than 256 ranges to log"));
        }
        if !page_size.is_power_of_two() {
            return invalid("the page size is no power of two");
        }
        if ranges.iter().any(|range| range.iova % page_size != 0 || range.length % page_size != 0) {
            return invalid("a range is not a multiple of the page size");
        }
        if ranges.iter().any(|range| range.iova.checked_add(range.length).is_none()) {
            return Err(CallError::because(Errno::EOVERFLOW, "a range ends beyond the last address"));
        }
        let mut sorted = ranges.to_vec();
        sorted.sort_by_key(|range| range.iova);
        if sorted.windows(2).any(|pair| pair[1].iova - pair[0].iova < pair[0].length) {
            return invalid("two ranges overlap");
        }
        if self.ranges.is_some() {
            return invalid("the log was started already");
        }
        self.ranges = Some(sorted);
        Ok(self.page_size)
    }

    fn report(&mut self, range: IovaRange, into: &mut Bitmap, lose: bool, keep: bool) -> Result<(), CallError> {
        let end = range.iova.checked_add(range.length);
        let end = end.ok_or_else(|| CallError::because(Errno::EOVERFLOW, "the range ends beyond the last address"))?;
        if self.ranges.is_none() {
            return Err(CallError::because(Errno::EINVAL, "the log was not started"));
        }
        let mut at = range.iova.saturating_sub(self.memory.iova) / PAGE_SIZE;
        if lose {
            self.lose(at);
        }
        let beyond = end.saturating_sub(self.memory.iova).div_ceil(PAGE_SIZE);
        while let Some(page) = first_in(&self.dirty, at, beyond) {
            let iova = self.memory.iova + page * PAGE_SIZE;
            // A page that lies only partly in the range belongs to the range's first page.
            into.set(iova.saturating_sub(range.iova) / self.page_size);
            if !keep {
                self.dirty.clear(page);
            }
            at = page + 1;
        }
        Ok(())
    }

    /// Loses a page for good: one that would have been reported, else the first that the device may write to.
    fn lose(&mut self, from: u64) {
        let (k, n) = self.lane;
        let pages = self.memory.length / PAGE_SIZE;
        let page = self.dirty.next(from).or_else(|| (from..pages).find(|page| page % n == k));
        if let Some(page) = page {
            self.dirty.clear(page);
            self.lost = Some(page);
        }
    }

    fn stop(&mut self) {
        self.ranges = None;
        self.dirty = Bitmap::new(self.dirty.pages());
    }
}
