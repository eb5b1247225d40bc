//! Several trackers of the same writes, of which one is enough.

use core::fmt;
use std::sync::Arc;

use vfio_migration_protocol::{Bitmap, CallError, Errno, IovaRange, Tracker};

/// The first of several trackers that starts. Each start tries them anew, in the order in which they were added.
///
/// ```
/// use vfio_migration_device::kernel::tracker::FirstThatWorks;
/// use vfio_migration_model::{GuestMemory, Model, Settings};
/// use vfio_migration_protocol::Tracker;
/// let memory = GuestMemory::new(0x4000_0000, 1 << 20)?;
/// let without = Model::with_memory(&Settings::parse("size=1MiB")?, 1, memory.clone())?;
/// let with = Model::with_memory(&Settings::parse("size=1MiB,dirty-tracking")?, 1, memory.clone())?;
/// assert!(without.tracker().is_none());
/// let mut tracker = FirstThatWorks::new().or("the DMA log", with.tracker().ok_or("no log")?);
/// assert_eq!(tracker.start(&[memory.range()], 4096)?, 4096);
/// assert_eq!(tracker.chosen(), Some("the DMA log"));
/// tracker.stop()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct FirstThatWorks {
    candidates: Vec<(String, Box<dyn Tracker>)>,
    chosen: Option<usize>,
}

impl FirstThatWorks {
    /// None yet: to start it is EOPNOTSUPP.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a tracker to try after those before it, by a name for messages.
    #[must_use]
    pub fn or(mut self, name: impl Into<String>, tracker: impl Tracker + 'static) -> Self {
        self.candidates.push((name.into(), Box::new(tracker)));
        self
    }

    /// Whether there is none yet.
    pub const fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// Which one logs, by its name.
    pub fn chosen(&self) -> Option<&str> {
        self.chosen.map(|chosen| self.candidates[chosen].0.as_str())
    }

    fn logging(&mut self) -> Option<&mut dyn Tracker> {
        self.chosen.map(|chosen| &mut *self.candidates[chosen].1 as &mut dyn Tracker)
    }
}

impl fmt::Debug for FirstThatWorks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.candidates.iter().map(|(name, _)| name).collect();
        f.debug_struct("FirstThatWorks").field("candidates", &names).field("chosen", &self.chosen()).finish()
    }
}

impl Tracker for FirstThatWorks {
    fn start(&mut self, ranges: &[IovaRange], page_size: u64) -> Result<u64, CallError> {
        if let Some(chosen) = self.chosen() {
            return Err(CallError::because(Errno::EINVAL, format!("{chosen} logs already: stop it first")));
        }
        let (mut errno, mut why) = (Errno::EOPNOTSUPP, Vec::new());
        for (place, (name, tracker)) in self.candidates.iter_mut().enumerate() {
            match tracker.start(ranges, page_size) {
                Ok(page_size) => {
                    self.chosen = Some(place);
                    return Ok(page_size);
                }
                // Whoever does not want to wait for this one does not want to wait for the next.
                Err(error) if error.errno == Errno::EINTR => return Err(error),
                Err(error) => {
                    errno = error.errno;
                    why.push(format!("{name}: {error}"));
                }
            }
        }
        if why.is_empty() {
            why.push("there is none".into());
        }
        Err(CallError::because(errno, format!("no tracker of dirty pages works ({})", why.join("; "))))
    }

    fn report(&mut self, range: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
        match self.logging() {
            Some(tracker) => tracker.report(range, into),
            None => Err(CallError::because(Errno::EINVAL, "no tracker was started")),
        }
    }

    fn stop(&mut self) -> Result<(), CallError> {
        match self.logging() {
            Some(tracker) => tracker.stop()?,
            None => return Ok(()),
        }
        self.chosen = None;
        Ok(())
    }

    /// Of whichever is asked: to find the one that starts, each may be.
    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        let all: Vec<_> = self.candidates.iter().filter_map(|(_, tracker)| tracker.interrupter()).collect();
        (!all.is_empty()).then(|| Arc::new(move || all.iter().for_each(|one| one())) as Arc<dyn Fn() + Send + Sync>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts, or says why not.
    struct Fake(Result<u64, Errno>, &'static str);

    impl Tracker for Fake {
        fn start(&mut self, _: &[IovaRange], _: u64) -> Result<u64, CallError> {
            self.0.map_err(|errno| CallError::because(errno, self.1))
        }

        fn report(&mut self, _: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
            into.set(self.0.unwrap_or(0));
            Ok(())
        }

        fn stop(&mut self) -> Result<(), CallError> {
            self.0.map(drop).map_err(CallError::new)
        }
    }

    const RANGE: IovaRange = IovaRange { iova: 0, length: 64 };

    #[test]
    fn the_first_that_starts_is_asked_and_stopped() {
        let fakes = [Fake(Err(Errno::EOPNOTSUPP), "no"), Fake(Ok(2), ""), Fake(Ok(3), "")];
        let [first, second, third] = fakes;
        let mut tracker = FirstThatWorks::new().or("first", first).or("second", second).or("third", third);
        assert_eq!(tracker.start(&[RANGE], 1), Ok(2));
        assert_eq!(tracker.chosen(), Some("second"));
        assert!(tracker.start(&[RANGE], 1).is_err(), "twice");
        let mut bits = Bitmap::new(8);
        tracker.report(RANGE, &mut bits).unwrap();
        assert_eq!(bits.runs().collect::<Vec<_>>(), [(2, 1)]);
        assert_eq!(tracker.stop(), Ok(()), "the first would have failed");
        assert_eq!(tracker.chosen(), None);
        assert_eq!(tracker.stop(), Ok(()), "again");
        assert!(tracker.report(RANGE, &mut bits).is_err());
    }

    #[test]
    fn one_that_is_interrupted_is_not_followed_by_the_next() {
        let (first, second) = (Fake(Err(Errno::EINTR), "interrupted"), Fake(Ok(2), ""));
        let mut tracker = FirstThatWorks::new().or("a", first).or("b", second);
        assert_eq!(tracker.start(&[RANGE], 1).map_err(|error| error.errno), Err(Errno::EINTR));
        assert_eq!(tracker.chosen(), None);
    }

    #[test]
    fn if_none_starts_each_says_why() {
        let (first, second) = (Fake(Err(Errno::ENOTTY), "old"), Fake(Err(Errno::EOPNOTSUPP), "blind"));
        let error = FirstThatWorks::new().or("a", first).or("b", second).start(&[RANGE], 1).unwrap_err();
        let words = "EOPNOTSUPP: no tracker of dirty pages works (a: ENOTTY: old; b: EOPNOTSUPP: blind)";
        assert_eq!(error.to_string(), words);
        let error = FirstThatWorks::new().start(&[RANGE], 1).unwrap_err();
        assert_eq!(error.to_string(), "EOPNOTSUPP: no tracker of dirty pages works (there is none)");
    }
}
