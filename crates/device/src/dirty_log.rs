use core::fmt;

use vfio_migration_protocol::{Bitmap, CallError, Errno, IovaRange, Tracker};

use crate::DirtyPages;

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
/// while log.drain(None)?.count() == 0 {}
/// let (trackers, stopped) = log.stop();
/// opened.trackers = trackers;
/// stopped?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DirtyLog {
    /// Each with the size of its pages.
    trackers: Vec<(Box<dyn Tracker>, u64)>,
    watched: Vec<Watched>,
    /// A tracker failed: what was read and cleared for that call is gone.
    lost: Option<CallError>,
}

/// A range that is watched.
struct Watched {
    range: IovaRange,
    /// Pages that were read and given back.
    returned: Option<Bitmap>,
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
        let watched = ranges.into_iter().map(|range| Watched { range, returned: None });
        Ok(Self { trackers: trackers.drain(..).zip(sizes).collect(), watched: watched.collect(), lost: None })
    }

    /// The size of the pages in which it is read, in bytes: the largest of all trackers. What it reports may be in smaller
    /// ones ([`DirtyPages::page_size`]).
    pub fn page_size(&self) -> u64 {
        self.trackers.iter().map(|(_, size)| *size).max().unwrap_or(0)
    }

    /// Why it is lost, once it is.
    pub const fn lost(&self) -> Option<&CallError> {
        self.lost.as_ref()
    }

    /// Reads and clears what was written since the last time. `window` leaves the rest for later; a type1 container
    /// refuses one that cuts a mapping in two.
    ///
    /// # Errors
    /// `EINVAL` for a window that cuts a page of [`page_size`](Self::page_size) in two: nothing was read then. Whatever a
    /// tracker says, from then on.
    pub fn drain(&mut self, window: Option<IovaRange>) -> Result<DirtyPages, CallError> {
        if let Some(error) = &self.lost {
            return Err(error.clone());
        }
        let parts = self.parts(window)?;
        let read = self.read(&parts);
        if let Err(error) = &read {
            self.lost = Some(error.clone());
        }
        read
    }

    /// As [`drain`](Self::drain), of a window that has one bitmap: all of it is watched, as one range.
    ///
    /// # Errors
    /// As [`drain`](Self::drain), and `EINVAL` for a window that is not within one range.
    pub fn snapshot(&mut self, window: IovaRange) -> Result<DirtyPages, CallError> {
        if self.lost.is_none() && self.parts(Some(window))?.first() != Some(&window) {
            let why = format!("{} bytes at {:#x} are not within one range of the log", window.length, window.iova);
            return Err(CallError::because(Errno::EINVAL, why));
        }
        self.drain(Some(window))
    }

    /// Gives back what was read from the address `from` on, for the next time: whoever read it has no use for it after all.
    pub fn give_back(&mut self, pages: &DirtyPages, from: u64) {
        let size = self.smallest_page();
        for range in pages.ranges_from(from) {
            for Watched { range: watched, returned } in &mut self.watched {
                let Some(part) = overlap(*watched, range) else { continue };
                let returned = returned.get_or_insert_with(|| Bitmap::new(watched.length.div_ceil(size)));
                returned.set_run((part.iova - watched.iova) / size, part.length.div_ceil(size));
            }
        }
    }

    /// The parts of the watched ranges that lie in a window.
    fn parts(&self, window: Option<IovaRange>) -> Result<Vec<IovaRange>, CallError> {
        let size = self.page_size();
        let mut parts = Vec::with_capacity(self.watched.len());
        for Watched { range, .. } in &self.watched {
            let Some(part) = window.map_or(Some(*range), |window| overlap(*range, window)) else { continue };
            let ends_within = part.iova + part.length < range.iova + range.length;
            // The other half of the page would be cleared without having been told.
            if !(part.iova - range.iova).is_multiple_of(size) || (ends_within && !part.length.is_multiple_of(size)) {
                let why = format!("the window cuts a page of {size} bytes of the range at {:#x}", range.iova);
                return Err(CallError::because(Errno::EINVAL, why));
            }
            parts.push(part);
        }
        Ok(parts)
    }

    fn read(&mut self, parts: &[IovaRange]) -> Result<DirtyPages, CallError> {
        let size = self.smallest_page();
        let mut read = Vec::with_capacity(parts.len());
        for part in parts {
            let mut pages = Bitmap::new(part.length.div_ceil(size));
            for (tracker, own) in &mut self.trackers {
                if *own == size {
                    // Trackers only ever set bits.
                    tracker.report(*part, &mut pages)?;
                    continue;
                }
                let mut larger = Bitmap::new(part.length.div_ceil(*own));
                tracker.report(*part, &mut larger)?;
                let times = *own / size;
                larger.runs().for_each(|(first, count)| pages.set_run(first * times, count * times));
            }
            self.take_returned(*part, &mut pages);
            read.push((*part, pages));
        }
        Ok(DirtyPages::new(size, read))
    }

    /// Moves what was given back of a part to the bits of its pages.
    fn take_returned(&mut self, part: IovaRange, pages: &mut Bitmap) {
        let size = self.smallest_page();
        for Watched { range, returned } in &mut self.watched {
            let (Some(bits), Some(part)) = (returned.as_mut(), overlap(*range, part)) else { continue };
            let (first, count) = ((part.iova - range.iova) / size, part.length.div_ceil(size));
            pages.merge_at(0, bits.words(), first, count);
            bits.clear_run(first, count);
            if bits.is_empty() {
                *returned = None;
            }
        }
    }

    fn smallest_page(&self) -> u64 {
        self.trackers.iter().map(|(_, size)| *size).min().unwrap_or(1)
    }

    /// Stops all trackers and gives them back.
    ///
    /// # Errors
    /// What the first tracker says that does not stop; all of them were told to.
    pub fn stop(mut self) -> (Vec<Box<dyn Tracker>>, Result<(), CallError>) {
        let mut trackers: Vec<_> = std::mem::take(&mut self.trackers).into_iter().map(|(tracker, _)| tracker).collect();
        let answers: Vec<_> = trackers.iter_mut().map(|tracker| tracker.stop()).collect();
        (trackers, answers.into_iter().collect())
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
        let ranges: Vec<_> = self.watched.iter().map(|watched| watched.range).collect();
        f.debug_struct("DirtyLog")
            .field("trackers", &trackers)
            .field("ranges", &ranges)
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

#[cfg(test)]
mod tests;
