use core::time::Duration;

use crate::report::{Report, Sample};

/// Shortest time between two samples at first: a run of a few milliseconds has its curve too.
const FINEST: Duration = Duration::from_micros(250);
/// How many samples are left of those that were too many.
const LEFT: u32 = 128;
const _: () = assert!(LEFT as usize * 2 == Report::MOST_SAMPLES);

/// How many bytes had moved by when. Memory is bounded: the longer it lasts, the coarser it is, evenly; the first and the
/// last moment are exact.
#[derive(Debug)]
pub(super) struct Flowed {
    samples: Vec<Sample>,
    /// Shortest time between two samples, the last one aside.
    interval: Duration,
}

impl Flowed {
    pub(super) const fn new() -> Self {
        Self { samples: Vec::new(), interval: FINEST }
    }

    /// When the first byte moved, or will have.
    pub(super) fn starts(&mut self, now: Duration) {
        if self.samples.is_empty() {
            self.samples.push(Sample { at: now, bytes: 0 });
        }
    }

    /// So many bytes have moved in all.
    pub(super) fn count(&mut self, now: Duration, bytes: u64) {
        self.starts(now);
        let sample = Sample { at: now, bytes };
        // The last one may be taken back, since it is nobody's neighbour yet.
        match self.samples.as_mut_slice() {
            [.., before, last] if last.at < before.at + self.interval => *last = sample,
            _ => self.samples.push(sample),
        }
        if self.samples.len() > Report::MOST_SAMPLES {
            // As fine from here on as what is left of the past.
            let past = now.saturating_sub(self.samples[0].at);
            self.interval = FINEST.max(past / LEFT);
            let last = self.samples.len() - 1;
            let mut place = 0..;
            self.samples.retain(|_| place.next().is_some_and(|place| place % 2 == 0 || place == last));
        }
    }

    /// First and last time that data moved.
    pub(super) fn extent(&self) -> Option<(Duration, Duration)> {
        Some((self.samples.first()?.at, self.samples.last()?.at))
    }

    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn a_short_flow_is_kept_whole() {
        let mut flow = Flowed::new();
        flow.starts(at(100));
        for turn in 1..=10 {
            flow.count(at(100 + turn * 250), turn * 7);
        }
        assert_eq!(flow.samples().len(), 11);
        assert_eq!(flow.samples()[3], Sample { at: at(850), bytes: 21 });
        assert_eq!(flow.extent(), Some((at(100), at(2600))));
    }

    #[test]
    fn a_long_one_is_bounded_even_and_exact_at_both_ends() {
        for every in [1, 100, 10_000] {
            let mut flow = Flowed::new();
            let last = 100_000;
            for turn in 1..=last {
                flow.count(at(turn * every), turn);
                assert!(flow.samples().len() <= Report::MOST_SAMPLES);
            }
            let samples = flow.samples();
            assert!(samples.len() > Report::MOST_SAMPLES / 4, "{}", samples.len());
            assert_eq!(samples[0], Sample { at: at(every), bytes: 0 });
            assert_eq!(samples[samples.len() - 1], Sample { at: at(last * every), bytes: last });
            // Each sample is a moment as it was.
            assert!(samples[1..].iter().all(|sample| sample.at == at(sample.bytes * every)));
            let gaps = samples.windows(2).map(|pair| pair[1].at.saturating_sub(pair[0].at));
            let widest = gaps.clone().max().unwrap();
            assert!(widest * 64 <= samples[samples.len() - 1].at, "{widest:?}");
        }
    }
}
