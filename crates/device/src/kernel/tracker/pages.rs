//! A set of pages of the whole address space, kept as runs: what was read and nobody has asked for yet.

use std::collections::BTreeMap;

/// Pages by number.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// First page of a run and the page behind its last. No two runs touch.
    runs: BTreeMap<u64, u64>,
}

impl Pages {
    /// Adds a run of pages.
    pub(super) fn add(&mut self, first: u64, count: u64) {
        let (mut start, mut end) = (first, first.saturating_add(count));
        if start == end {
            return;
        }
        while let Some((at, behind)) = self.runs.range(..=end).next_back().map(|(at, behind)| (*at, *behind)) {
            if behind < start {
                break;
            }
            self.runs.remove(&at);
            (start, end) = (start.min(at), end.max(behind));
        }
        self.runs.insert(start, end);
    }

    /// Takes the pages of the set from `first` on that lie within `count`, as runs.
    pub(super) fn take(&mut self, first: u64, count: u64) -> Vec<(u64, u64)> {
        let limit = first.saturating_add(count);
        let mut taken = Vec::new();
        while let Some((at, behind)) = self.runs.range(..limit).next_back().map(|(at, behind)| (*at, *behind)) {
            if behind <= first || count == 0 {
                break;
            }
            self.runs.remove(&at);
            if behind > limit {
                self.runs.insert(limit, behind);
            }
            let (start, end) = (at.max(first), behind.min(limit));
            taken.push((start, end - start));
            if at < first {
                self.runs.insert(at, first);
            }
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn it_does_what_a_set_of_numbers_does() {
        let mut seed = 1_u64;
        let mut roll = |sides: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % sides
        };
        let (mut pages, mut plain) = (Pages::default(), BTreeSet::new());
        for step in 0..20_000 {
            let (first, count) = (roll(300), roll(40));
            if roll(2) == 0 {
                pages.add(first, count);
                plain.extend(first..first + count);
            } else {
                let mut taken: Vec<u64> =
                    pages.take(first, count).into_iter().flat_map(|(first, count)| first..first + count).collect();
                taken.sort_unstable();
                let expected: Vec<u64> = plain.range(first..first + count).copied().collect();
                assert_eq!(taken, expected, "step {step}: {count} from {first}");
                plain.retain(|page| !(first..first + count).contains(page));
            }
            let runs: Vec<_> = pages.runs.iter().collect();
            assert!(runs.windows(2).all(|pair| pair[0].1 < pair[1].0), "step {step}: runs touch: {runs:?}");
        }
    }
}
