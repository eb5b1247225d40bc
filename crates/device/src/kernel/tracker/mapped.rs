//! A log that the kernel keeps by mapping: of a container or of a page table.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io;
use vfio_migration_protocol::{Bitmap, CallError, Errno, IovaRange, Tracker};
use vfio_migration_uapi::interruption::Interruption;

use super::mappings::{Mappings, Part};
use super::pages::Pages;
use super::{Whose, again, failed, interrupter};

/// A kernel that keeps such a log. [`Container`](super::Container) and [`PageTable`](super::PageTable) are the two.
pub trait Kernel: Send {
    /// What it is, for messages.
    const NAME: &'static str;

    /// Finds out whether there is a log: the size of its pages in bytes, a power of two, as near to `wish` as can be,
    /// and how many bytes of bitmap one call may fill.
    fn supports(&self, wish: u64) -> Result<(u64, u64), CallError>;

    /// Starts the log, with nothing in it.
    fn start(&self) -> io::Result<()>;

    /// Stops it.
    fn stop(&self) -> io::Result<()>;

    /// Reads and clears the log of whole mappings into words that are zero.
    fn read(&self, mapped: IovaRange, page_size: u64, words: &mut [u64]) -> io::Result<()>;

    /// Takes whole mappings away from devices, with the log of them if a page size and words, which are zero, are given.
    /// Answers with how many bytes that were.
    fn unmap(&self, mapped: IovaRange, log: Option<(u64, &mut [u64])>) -> io::Result<u64>;
}

/// A [`Tracker`] over a log that is kept by mapping.
///
/// It has to know the mappings: kernels answer for whole ones only. [`maps`](Self::maps) gives a handle to tell it, and
/// to unmap with. Where it was told of none, the ranges of `start` are taken to be one mapping each.
///
/// What a report reads beyond the range that it was asked for is kept for the report that asks for it. Where nothing is
/// mapped every page is reported, since kernels say nothing about holes.
#[derive(Debug)]
pub struct MappedLog<K: Kernel> {
    shared: Arc<Mutex<State<K>>>,
    /// Of whichever call is under way, an unmap included: a report waits for that.
    interruption: Arc<Interruption>,
}

/// A handle to the mappings of a [`MappedLog`], for whoever maps and unmaps while it is used.
#[derive(Debug)]
pub struct Maps<K: Kernel> {
    shared: Arc<Mutex<State<K>>>,
}

#[derive(Debug)]
struct State<K: Kernel> {
    kernel: K,
    whose: Whose,
    mappings: Mappings,
    /// While it logs.
    log: Option<Log>,
    /// A report failed: what it read is gone.
    lost: bool,
    interruption: Arc<Interruption>,
}

#[derive(Debug)]
struct Log {
    page_size: u64,
    /// Bytes of memory whose bits one call may fill.
    most: u64,
    /// What was read and nobody has asked for yet.
    left: Pages,
    /// The mappings are the ranges of `start`.
    guessed: bool,
}

impl<K: Kernel> MappedLog<K> {
    /// A tracker over a kernel's log, which knows of no mapping yet.
    pub fn new(kernel: K, whose: Whose) -> Self {
        let interruption = Arc::<Interruption>::default();
        let mappings = Mappings::default();
        let state = State { kernel, whose, mappings, log: None, lost: false, interruption: Arc::clone(&interruption) };
        Self { shared: Arc::new(Mutex::new(state)), interruption }
    }

    /// A handle to its mappings.
    pub fn maps(&self) -> Maps<K> {
        Maps { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Kernel> Maps<K> {
    /// Says that a range was mapped. Other memory that takes the place of memory which was reported on is the caller's
    /// to move: this is about what devices wrote. EEXIST: it overlaps a mapping; EOVERFLOW: it is empty or wraps.
    pub fn mapped(&self, range: IovaRange) -> Result<(), CallError> {
        if range.length == 0 || range.iova.checked_add(range.length).is_none() {
            return Err(CallError::because(Errno::EOVERFLOW, "the mapping is empty or ends beyond the address space"));
        }
        if lock(&self.shared).mappings.add(range) {
            Ok(())
        } else {
            Err(CallError::because(Errno::EEXIST, "the mapping overlaps one that is known"))
        }
    }

    /// Takes whole mappings away from devices. What they wrote there stands in the next report. EINVAL: the range cuts
    /// a mapping, or there is none. After another error, what was written there is not known: reports fail.
    pub fn unmap(&self, range: IovaRange) -> Result<(), CallError> {
        lock(&self.shared).unmap(range)
    }
}

impl<K: Kernel> State<K> {
    fn unmap(&mut self, range: IovaRange) -> Result<(), CallError> {
        self.interruption.begin();
        let parts = self.mappings.cover(range, self.log.as_ref().map_or(u64::MAX, |log| log.most));
        if !self.mappings.remove(range) {
            return Err(CallError::because(Errno::EINVAL, "the range cuts a mapping, or nothing is mapped there"));
        }
        for part in parts {
            let Part::Mapped(mapped) = part else { continue };
            let unmapped = match &mut self.log {
                Some(log) if mapped.length <= log.most => {
                    let mut words = words(mapped, log.page_size);
                    let unmapped =
                        again(&self.interruption, || self.kernel.unmap(mapped, Some((log.page_size, &mut words))));
                    log.keep(mapped, &words, mapped);
                    unmapped
                }
                Some(log) => {
                    log.left.add(mapped.iova / log.page_size, mapped.length.div_ceil(log.page_size));
                    self.kernel.unmap(mapped, None)
                }
                None => self.kernel.unmap(mapped, None),
            };
            match unmapped {
                Ok(bytes) if bytes == mapped.length => {}
                Ok(_) => {
                    self.lost = true;
                    return Err(CallError::because(Errno::EINVAL, "less was unmapped than was mapped"));
                }
                Err(errno) => {
                    self.lost = true;
                    return Err(failed("unmapping with the log", errno));
                }
            }
        }
        Ok(())
    }

    fn start(&mut self, ranges: &[IovaRange], wish: u64) -> Result<u64, CallError> {
        self.interruption.begin();
        if self.log.is_some() {
            return Err(CallError::because(Errno::EINVAL, "the log is on already: stop it first"));
        }
        let (page_size, bytes) = self.kernel.supports(wish)?;
        let page_size = match self.whose {
            Whose::Ours => page_size,
            Whose::Borrowed { page_size } => page_size,
        };
        if !page_size.is_power_of_two() {
            return Err(CallError::because(Errno::EINVAL, "the log has pages of a size that is no power of two"));
        }
        let guessed = self.mappings.is_empty();
        if guessed && !ranges.iter().all(|range| self.mappings.add(*range)) {
            self.mappings = Mappings::default();
            return Err(CallError::because(Errno::EINVAL, "ranges to watch are empty or overlap"));
        }
        let most = bytes.saturating_mul(8).saturating_mul(page_size);
        let log = Log { page_size, most, left: Pages::default(), guessed };
        let started = match self.whose {
            Whose::Ours => log.begin(&self.kernel, &self.mappings, &self.interruption),
            Whose::Borrowed { .. } => Ok(()),
        };
        match started {
            Ok(()) => (self.lost, self.log) = (false, Some(log)),
            Err(_) if guessed => self.mappings = Mappings::default(),
            Err(_) => {}
        }
        started.map(|()| page_size)
    }

    fn report(&mut self, range: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
        self.interruption.begin();
        let Some(log) = self.log.as_mut() else {
            return Err(CallError::because(Errno::EINVAL, "the log is not on"));
        };
        if self.lost {
            return Err(CallError::because(Errno::EIO, "a part of the log was lost"));
        }
        let page_size = log.page_size;
        if !range.iova.is_multiple_of(page_size) || !range.length.is_multiple_of(page_size) {
            return Err(CallError::because(Errno::EINVAL, "the range is no multiple of the log's page size"));
        }
        if range.length == 0 {
            return Ok(());
        }
        for part in self.mappings.cover(range, log.most) {
            match part {
                Part::Hole(hole) => into.set_run((hole.iova - range.iova) / page_size, hole.length.div_ceil(page_size)),
                Part::Mapped(mapped) => {
                    let words = match log.read(&self.kernel, mapped, &self.interruption) {
                        Ok(words) => words,
                        Err(errno) => {
                            self.lost = true;
                            into.fill();
                            return Err(failed("reading the log", errno));
                        }
                    };
                    let (start, end) = (mapped.iova.max(range.iova), end_of(mapped).min(end_of(range)));
                    let (at, from) = ((start - range.iova) / page_size, (start - mapped.iova) / page_size);
                    into.merge_at(at, &words, from, (end - start).div_ceil(page_size));
                    log.keep(IovaRange { iova: mapped.iova, length: start - mapped.iova }, &words, mapped);
                    log.keep(IovaRange { iova: end, length: end_of(mapped) - end }, &words, mapped);
                }
            }
        }
        let first = range.iova / page_size;
        for (page, count) in log.left.take(first, range.length / page_size) {
            into.set_run(page - first, count);
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), CallError> {
        self.interruption.begin();
        let Some(log) = &self.log else { return Ok(()) };
        if self.whose == Whose::Ours {
            again(&self.interruption, || self.kernel.stop()).map_err(|errno| failed("stopping the log", errno))?;
        }
        if log.guessed {
            self.mappings = Mappings::default();
        }
        self.log = None;
        Ok(())
    }
}

impl Log {
    /// Starts the log and reads it once: a log that cannot be read, or mappings that are others than we were told, show
    /// now. What was written until now does not matter: memory is read after this.
    fn begin<K: Kernel>(&self, kernel: &K, mappings: &Mappings, interruption: &Interruption) -> Result<(), CallError> {
        again(interruption, || kernel.start()).map_err(|errno| failed(K::NAME, errno))?;
        let read = mappings.all().try_for_each(|mapped| self.read(kernel, mapped, interruption).map(drop));
        read.map_err(|errno| {
            // If that was interrupted, this is another request.
            interruption.begin();
            let _ = again(interruption, || kernel.stop());
            failed("the log was started and cannot be read", errno)
        })
    }

    /// Reads and clears the log of whole mappings.
    fn read<K: Kernel>(&self, kernel: &K, mapped: IovaRange, interruption: &Interruption) -> io::Result<Vec<u64>> {
        if mapped.length > self.most {
            return Err(io::Errno::TOOBIG);
        }
        let mut words = words(mapped, self.page_size);
        again(interruption, || kernel.read(mapped, self.page_size, &mut words))?;
        Ok(words)
    }

    /// Keeps what the words of `mapped` say about a part of it, for the report that asks for it.
    fn keep(&mut self, part: IovaRange, words: &[u64], mapped: IovaRange) {
        let mut bits = Bitmap::new(part.length.div_ceil(self.page_size));
        bits.merge_at(0, words, (part.iova - mapped.iova) / self.page_size, bits.pages());
        let first = part.iova / self.page_size;
        bits.runs().for_each(|(page, count)| self.left.add(first + page, count));
    }
}

impl<K: Kernel> Tracker for MappedLog<K> {
    fn start(&mut self, ranges: &[IovaRange], page_size: u64) -> Result<u64, CallError> {
        lock(&self.shared).start(ranges, page_size)
    }

    fn report(&mut self, range: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
        lock(&self.shared).report(range, into)
    }

    fn stop(&mut self) -> Result<(), CallError> {
        lock(&self.shared).stop()
    }

    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        Some(interrupter(&self.interruption))
    }
}

impl<K: Kernel> Drop for MappedLog<K> {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = lock(&self.shared).stop();
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

const fn end_of(range: IovaRange) -> u64 {
    range.iova.saturating_add(range.length)
}

/// Zeroed words for the pages of a mapping.
fn words(mapped: IovaRange, page_size: u64) -> Vec<u64> {
    let words = mapped.length.div_ceil(page_size).div_ceil(64);
    vec![0; usize::try_from(words).expect("a bitmap of memory that this machine maps fits into it")]
}

#[cfg(test)]
mod tests;
