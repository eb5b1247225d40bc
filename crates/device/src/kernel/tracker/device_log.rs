//! The DMA log that a device keeps of itself.

use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::io;
use vfio_migration_protocol::{Bitmap, CallError, Errno, IovaRange, Tracker};
use vfio_migration_uapi::feature;
use vfio_migration_uapi::interruption::Interruption;
use vfio_migration_uapi::layout::DmaLoggingRange;

use super::ranges::merged;
use super::{SMALLEST_PAGE, Whose, again, failed, interrupter};

/// A device's own DMA log (features 6 to 8 of `VFIO_DEVICE_FEATURE`) as a [`Tracker`].
///
/// Ranges are merged where a kernel or device takes no more of them, so it may log what lies between. It knows what this
/// device wrote, and of no other.
#[derive(Debug)]
pub struct DeviceLog<F: AsFd + Send> {
    log: Log<Ioctls<F>>,
}

impl<F: AsFd + Send> DeviceLog<F> {
    /// The log of a device.
    pub fn new(device: F, whose: Whose) -> Self {
        Self { log: Log { calls: Ioctls(device), whose, on: None, lost: false, interruption: Arc::default() } }
    }
}

impl<F: AsFd + Send> Tracker for DeviceLog<F> {
    fn start(&mut self, ranges: &[IovaRange], page_size: u64) -> Result<u64, CallError> {
        self.log.start(ranges, page_size)
    }

    fn report(&mut self, range: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
        self.log.report(range, into)
    }

    fn stop(&mut self) -> Result<(), CallError> {
        self.log.stop()
    }

    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        Some(interrupter(&self.log.interruption))
    }
}

/// What is asked of the device.
trait Calls {
    fn start(&self, ranges: &[IovaRange], page_size: u64) -> io::Result<u64>;
    fn report(&self, range: IovaRange, page_size: u64, words: &mut [u64]) -> io::Result<()>;
    fn stop(&self) -> io::Result<()>;
}

#[derive(Debug)]
struct Ioctls<F>(F);

impl<F: AsFd> Calls for Ioctls<F> {
    fn start(&self, ranges: &[IovaRange], page_size: u64) -> io::Result<u64> {
        let ranges: Vec<_> = ranges.iter().copied().map(kernels).collect();
        feature::start_dma_logging(self.0.as_fd(), &ranges, page_size)
    }

    fn report(&self, range: IovaRange, page_size: u64, words: &mut [u64]) -> io::Result<()> {
        feature::report_dma_logging(self.0.as_fd(), kernels(range), page_size, words)
    }

    fn stop(&self) -> io::Result<()> {
        feature::stop_dma_logging(self.0.as_fd())
    }
}

const fn kernels(range: IovaRange) -> DmaLoggingRange {
    DmaLoggingRange { iova: range.iova, length: range.length }
}

#[derive(Debug)]
struct Log<C: Calls> {
    calls: C,
    whose: Whose,
    /// While it logs: what.
    on: Option<On>,
    lost: bool,
    interruption: Arc<Interruption>,
}

#[derive(Debug)]
struct On {
    page_size: u64,
    /// In order, and apart from each other.
    ranges: Vec<IovaRange>,
}

impl<C: Calls> Log<C> {
    fn start(&mut self, ranges: &[IovaRange], wish: u64) -> Result<u64, CallError> {
        self.interruption.begin();
        if self.on.is_some() {
            return Err(CallError::because(Errno::EINVAL, "the log is on already: stop it first"));
        }
        let on = match self.whose {
            Whose::Borrowed { page_size } => {
                let ranges = merged(ranges, valid(page_size)?, usize::MAX)?;
                On { page_size, ranges }
            }
            Whose::Ours => self.begin(ranges, wish)?,
        };
        let page_size = on.page_size;
        (self.on, self.lost) = (Some(on), false);
        Ok(page_size)
    }

    fn begin(&self, ranges: &[IovaRange], wish: u64) -> Result<On, CallError> {
        let wish = wish.max(SMALLEST_PAGE).checked_next_power_of_two().ok_or(Errno::EINVAL)?;
        // Ranges are handed over in one page.
        let mut most = rustix::param::page_size() / size_of::<DmaLoggingRange>();
        loop {
            let ranges = merged(ranges, wish, most)?;
            if ranges.is_empty() {
                return Err(CallError::because(Errno::EINVAL, "there is nothing to watch"));
            }
            match again(&self.interruption, || self.calls.start(&ranges, wish)) {
                Ok(page_size) => return self.tried(On { page_size, ranges }),
                Err(io::Errno::TOOBIG | io::Errno::OPNOTSUPP) if ranges.len() > 1 => most = ranges.len() / 2,
                Err(errno) => return Err(failed("starting the device's DMA log", errno)),
            }
        }
    }

    /// Asks a log once that was started, and stops it if it does not answer.
    fn tried(&self, on: On) -> Result<On, CallError> {
        let asked = valid(on.page_size).and_then(|page_size| {
            // What was written until now does not matter: memory is read after this.
            let page = IovaRange { iova: on.ranges[0].iova, length: page_size.min(on.ranges[0].length) };
            let answer = again(&self.interruption, || self.calls.report(page, page_size, &mut [0]));
            answer.map_err(|errno| failed("the device's DMA log was started and cannot be read", errno))
        });
        match asked {
            Ok(()) => Ok(on),
            Err(error) => {
                // If that was interrupted, this is another request.
                self.interruption.begin();
                let _ = again(&self.interruption, || self.calls.stop());
                Err(error)
            }
        }
    }

    fn report(&mut self, range: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
        self.interruption.begin();
        let Some(on) = &self.on else { return Err(CallError::because(Errno::EINVAL, "the log is not on")) };
        if self.lost {
            return Err(CallError::because(Errno::EIO, "a part of the log was lost"));
        }
        let page_size = on.page_size;
        if !range.length.is_multiple_of(page_size) || range.iova.checked_add(range.length).is_none() {
            return Err(CallError::because(Errno::EINVAL, "the range is no multiple of the log's page size"));
        }
        let end = range.iova + range.length;
        let mut at = range.iova;
        for watched in &on.ranges {
            let (from, to) = (watched.iova.max(at), (watched.iova + watched.length).min(end));
            if from >= to {
                continue;
            }
            // What is not watched cannot be called clean.
            into.set_run((at - range.iova) / page_size, (from - at).div_ceil(page_size));
            let part = IovaRange { iova: from, length: to - from };
            if let Err(errno) = self.read(part, page_size, (from - range.iova) / page_size, into) {
                self.lost = true;
                into.fill();
                return Err(failed("reading the device's DMA log", errno));
            }
            at = to;
        }
        into.set_run((at - range.iova) / page_size, (end - at).div_ceil(page_size));
        Ok(())
    }

    /// Reads a part of a range, whose first page is page `at` of `into`.
    fn read(&self, part: IovaRange, page_size: u64, at: u64, into: &mut Bitmap) -> io::Result<()> {
        let pages = part.length.div_ceil(page_size);
        if at == 0 && pages == into.pages() {
            return again(&self.interruption, || self.calls.report(part, page_size, into.words_mut()));
        }
        // Drivers want to be asked from the first bit of a word on.
        let mut words = vec![0; usize::try_from(pages.div_ceil(64)).map_err(|_| io::Errno::TOOBIG)?];
        again(&self.interruption, || self.calls.report(part, page_size, &mut words))?;
        into.merge_at(at, &words, 0, pages);
        Ok(())
    }

    fn stop(&mut self) -> Result<(), CallError> {
        self.interruption.begin();
        if self.on.is_some() && self.whose == Whose::Ours {
            again(&self.interruption, || self.calls.stop())
                .map_err(|errno| failed("stopping the device's DMA log", errno))?;
        }
        self.on = None;
        Ok(())
    }
}

impl<C: Calls> Drop for Log<C> {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = self.stop();
    }
}

/// A page size that a device chose or the caller said, if it makes sense.
fn valid(page_size: u64) -> Result<u64, CallError> {
    if page_size.is_power_of_two() && page_size >= SMALLEST_PAGE {
        Ok(page_size)
    } else {
        Err(CallError::because(Errno::EINVAL, format!("the log has pages of {page_size} bytes, which no log has")))
    }
}

#[cfg(test)]
mod tests;
