use core::fmt;

use vfio_migration_protocol::{Bitmap, CallError, Errno, IovaRange, Tracker};

/// What a device's trackers report together: which addresses were written to.
///
/// It starts them, and stops them when it is stopped or dropped. Once a tracker could not be read the log is lost:
/// everything counts as written to, and reading goes on failing.
///
/// ```
/// use vfio_migration_device::{DirtyLog, open};
/// use vfio_migration_model::GuestMemory;
/// use vfio_migration_protocol::IovaRange;
/// let all = IovaRange { iova: 0, length: 1 << 20 };
/// let mut opened = open("model:size=1MiB,dirty-tracking", Some(GuestMemory::new(0, 1 << 20)?))?;
/// let mut log = DirtyLog::start(&mut opened.trackers, vec![all], 4096)?;
/// let model = opened.model.ok_or("a model has a handle")?;
/// model.guest().resume();
/// let mut written = Vec::new();
/// while written.is_empty() {
///     written = log.drain(None)?;
/// }
/// assert!(written.windows(2).all(|pair| pair[0].iova + pair[0].length < pair[1].iova));
/// opened.trackers = log.stop()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DirtyLog {
    /// Each with the size of its pages.
    trackers: Vec<(Box<dyn Tracker>, u64)>,
    ranges: Vec<IovaRange>,
    /// A tracker failed: what was read and cleared for that call is gone.
    lost: Option<CallError>,
}

impl DirtyLog {
    /// Takes all of `trackers` and starts them on `ranges`; `page_size` in bytes is a wish. If one of them does not start,
    /// none is left running, and all are where they were.
    ///
    /// # Errors
    /// `EOPNOTSUPP` if there are none; `EINVAL` for ranges that are empty, overlap, wrap or are not made of whole pages;
    /// whatever a tracker says.
    pub fn start(
        trackers: &mut Vec<Box<dyn Tracker>>,
        mut ranges: Vec<IovaRange>,
        page_size: u64,
    ) -> Result<Self, CallError> {
        if trackers.is_empty() {
            return Err(CallError::because(Errno::EOPNOTSUPP, "the device has no dirty tracking"));
        }
        ranges.sort_unstable_by_key(|range| range.iova);
        check(&ranges, page_size)?;
        let mut sizes = Vec::with_capacity(trackers.len());
        for at in 0..trackers.len() {
            match trackers[at].start(&ranges, page_size) {
                Ok(size) if size.is_power_of_two() => sizes.push(size),
                answer => {
                    // What is told is why it did not start.
                    trackers[..=at].iter_mut().for_each(|started| drop(started.stop()));
                    let wrong = CallError::because(Errno::EIO, "a tracker chose pages of a size that cannot be");
                    return Err(answer.err().unwrap_or(wrong));
                }
            }
        }
        Ok(Self { trackers: trackers.drain(..).zip(sizes).collect(), ranges, lost: None })
    }

    /// The size of the pages in which it reports, in bytes: the largest of all trackers.
    pub fn page_size(&self) -> u64 {
        self.trackers.iter().map(|(_, size)| *size).max().unwrap_or(0)
    }

    /// Reads and clears what was written since the last time, in ascending order and merged. `window` leaves the rest for
    /// later; a type1 container refuses one that cuts a mapping in two.
    ///
    /// # Errors
    /// `EINVAL` for a window that cuts a page of [`page_size`](Self::page_size) in two: nothing was read then. Whatever a
    /// tracker says, from then on.
    pub fn drain(&mut self, window: Option<IovaRange>) -> Result<Vec<IovaRange>, CallError> {
        if let Some(error) = &self.lost {
            return Err(error.clone());
        }
        let size = self.page_size();
        let mut parts = Vec::with_capacity(self.ranges.len());
        for range in &self.ranges {
            let Some(part) = window.map_or(Some(*range), |window| overlap(*range, window)) else { continue };
            let ends_within = part.iova + part.length < range.iova + range.length;
            // The other half of the page would be cleared without having been told.
            if !(part.iova - range.iova).is_multiple_of(size) || (ends_within && !part.length.is_multiple_of(size)) {
                let why = format!("the window cuts a page of {size} bytes of the range at {:#x}", range.iova);
                return Err(CallError::because(Errno::EINVAL, why));
            }
            parts.push(part);
        }
        let written = self.read(&parts);
        if let Err(error) = &written {
            self.lost = Some(error.clone());
        }
        written
    }

    fn read(&mut self, parts: &[IovaRange]) -> Result<Vec<IovaRange>, CallError> {
        let mut written = Vec::new();
        for part in parts {
            for (tracker, size) in &mut self.trackers {
                let mut pages = Bitmap::new(part.length.div_ceil(*size));
                tracker.report(*part, &mut pages)?;
                let mut at = 0;
                while let Some((first, count)) = pages.take_run(at, u64::MAX) {
                    at = first + count;
                    let begin = first * *size;
                    let length = (count * *size).min(part.length - begin);
                    written.push(IovaRange { iova: part.iova + begin, length });
                }
            }
        }
        Ok(merged(written))
    }

    /// Stops all trackers and gives them back.
    ///
    /// # Errors
    /// What the first tracker says that does not stop; all of them were told to.
    pub fn stop(mut self) -> Result<Vec<Box<dyn Tracker>>, CallError> {
        let mut trackers: Vec<_> = std::mem::take(&mut self.trackers).into_iter().map(|(tracker, _)| tracker).collect();
        let answers: Vec<_> = trackers.iter_mut().map(|tracker| tracker.stop()).collect();
        answers.into_iter().collect::<Result<(), _>>().map(|()| trackers)
    }
}

impl Drop for DirtyLog {
    fn drop(&mut self) {
        // Nobody is left to be told.
        self.trackers.iter_mut().for_each(|(tracker, _)| drop(tracker.stop()));
    }
}

impl fmt::Debug for DirtyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trackers = self.trackers.len();
        f.debug_struct("DirtyLog")
            .field("trackers", &trackers)
            .field("ranges", &self.ranges)
            .field("lost", &self.lost)
            .finish()
    }
}

fn check(ranges: &[IovaRange], page_size: u64) -> Result<(), CallError> {
    let wrong = |why: String| Err(CallError::because(Errno::EINVAL, why));
    if !page_size.is_power_of_two() {
        return wrong(format!("{page_size} is no size of pages"));
    }
    if ranges.is_empty() {
        return wrong("there are no ranges to track".into());
    }
    for IovaRange { iova, length } in ranges {
        if *length == 0 || (iova | length) % page_size != 0 || iova.checked_add(*length).is_none() {
            return wrong(format!("{length} bytes at {iova:#x} are no whole pages of {page_size} bytes"));
        }
    }
    match ranges.windows(2).find(|pair| pair[0].iova + pair[0].length > pair[1].iova) {
        Some(pair) => wrong(format!("the ranges at {:#x} and {:#x} overlap", pair[0].iova, pair[1].iova)),
        None => Ok(()),
    }
}

fn overlap(one: IovaRange, other: IovaRange) -> Option<IovaRange> {
    let iova = one.iova.max(other.iova);
    let end = (one.iova + one.length).min(other.iova.saturating_add(other.length));
    (iova < end).then(|| IovaRange { iova, length: end - iova })
}

/// In ascending order, with those joined that touch or overlap.
fn merged(mut ranges: Vec<IovaRange>) -> Vec<IovaRange> {
    ranges.sort_unstable_by_key(|range| range.iova);
    let mut merged: Vec<IovaRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.iova <= last.iova + last.length => {
                last.length = last.length.max(range.iova + range.length - last.iova);
            }
            _ => merged.push(range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Default)]
    struct Log {
        calls: Vec<&'static str>,
    }

    /// Reports these pages, of its own size, each time, and fails without any; refuses to start without a size.
    struct Fixed(Option<u64>, Vec<u64>, Arc<Mutex<Log>>);

    impl Tracker for Fixed {
        fn start(&mut self, _: &[IovaRange], _: u64) -> Result<u64, CallError> {
            self.2.lock().unwrap().calls.push("start");
            self.0.ok_or(CallError::new(Errno::EIO))
        }

        fn report(&mut self, _: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
            self.1.iter().for_each(|page| into.set(*page));
            if self.1.is_empty() { Err(CallError::new(Errno::ENODEV)) } else { Ok(()) }
        }

        fn stop(&mut self) -> Result<(), CallError> {
            self.2.lock().unwrap().calls.push("stop");
            Ok(())
        }
    }

    fn range(iova: u64, length: u64) -> IovaRange {
        IovaRange { iova, length }
    }

    fn trackers(log: &Arc<Mutex<Log>>, sizes: [Option<u64>; 2]) -> Vec<Box<dyn Tracker>> {
        let one = Fixed(sizes[0], vec![0, 1, 5], Arc::clone(log));
        vec![Box::new(one), Box::new(Fixed(sizes[1], vec![1], Arc::clone(log)))]
    }

    #[test]
    fn what_all_trackers_say_is_one_ascending_list() {
        let log = Arc::default();
        let mut both = trackers(&log, [Some(0x1000), Some(0x2000)]);
        let all = vec![range(0x20_0000, 0x8000), range(0, 0x8000)];
        let mut dirty = DirtyLog::start(&mut both, all, 0x1000).unwrap();
        assert_eq!((both.len(), dirty.page_size()), (0, 0x2000));
        // Pages 0, 1 and 5 of one; page 1 of the other, twice as large, joins them.
        let each = |iova| [range(iova, 0x4000), range(iova + 0x5000, 0x1000)];
        assert_eq!(dirty.drain(None).unwrap(), [each(0), each(0x20_0000)].concat());
        // A window cuts off what lies beyond it, but no page of any tracker.
        assert_eq!(dirty.drain(Some(range(0x20_0000, 0x2000))).unwrap(), [range(0x20_0000, 0x2000)]);
        assert_eq!(dirty.drain(Some(range(0x20_0000, 0x10_0000))).unwrap(), each(0x20_0000));
        for cuts in [range(0x1000, 0x1000), range(0x20_0000, 0x3000)] {
            assert_eq!(dirty.drain(Some(cuts)).unwrap_err().errno, Errno::EINVAL, "{cuts:?}");
        }
        assert_eq!(dirty.drain(Some(range(0x10_0000, 0x1000))).unwrap(), []);
        assert_eq!(dirty.stop().unwrap().len(), 2);
        assert_eq!(log.lock().unwrap().calls, ["start", "start", "stop", "stop"]);
    }

    #[test]
    fn one_that_does_not_start_leaves_none_running() {
        let log = Arc::default();
        let mut both = trackers(&log, [Some(0x1000), None]);
        let error = DirtyLog::start(&mut both, vec![range(0, 0x8000)], 0x1000).unwrap_err();
        assert_eq!((error.errno, both.len()), (Errno::EIO, 2));
        assert_eq!(log.lock().unwrap().calls, ["start", "start", "stop", "stop"]);
        // Dropping stops as well.
        let mut one = trackers(&log, [Some(0x1000), Some(0x1000)]);
        drop(DirtyLog::start(&mut one, vec![range(0, 0x8000)], 0x1000).unwrap());
        assert_eq!(log.lock().unwrap().calls[4..], ["start", "start", "stop", "stop"]);
    }

    #[test]
    fn a_tracker_that_fails_loses_the_log_for_good() {
        let log = Arc::default();
        let mut both = trackers(&log, [Some(0x1000), Some(0x1000)]);
        both.push(Box::new(Fixed(Some(0x1000), Vec::new(), Arc::clone(&log))));
        let mut dirty = DirtyLog::start(&mut both, vec![range(0, 0x8000)], 0x1000).unwrap();
        // A window that cannot be loses nothing: no tracker was asked.
        assert_eq!(dirty.drain(Some(range(0x800, 0x1000))).unwrap_err().errno, Errno::EINVAL);
        assert_eq!(dirty.drain(None).unwrap_err().errno, Errno::ENODEV);
        assert_eq!(dirty.drain(Some(range(0x10_0000, 0x1000))).unwrap_err().errno, Errno::ENODEV);
        assert_eq!(dirty.stop().unwrap().len(), 3);
    }

    #[test]
    fn ranges_that_cannot_be_are_refused_before_anything_starts() {
        let log = Arc::default();
        let mut both = trackers(&log, [Some(0x1000), Some(0x1000)]);
        let bad = [
            vec![],
            vec![range(0, 0)],
            vec![range(0x800, 0x1000)],
            vec![range(0, 0x1800)],
            vec![range(u64::MAX - 0xfff, 0x1000)],
            vec![range(0x1000, 0x1000), range(0, 0x2000)],
        ];
        for ranges in bad {
            let error = DirtyLog::start(&mut both, ranges.clone(), 0x1000).unwrap_err();
            assert_eq!(error.errno, Errno::EINVAL, "{ranges:?}");
        }
        for size in [0, 3000] {
            assert!(DirtyLog::start(&mut both, vec![range(0, 0x8000)], size).is_err());
        }
        assert!(log.lock().unwrap().calls.is_empty());
        let none = DirtyLog::start(&mut Vec::new(), vec![range(0, 0x8000)], 0x1000).unwrap_err();
        assert_eq!(none.errno, Errno::EOPNOTSUPP);
    }
}
