//! Which addresses are mapped, in the pieces in which they were mapped: a kernel answers for whole mappings only, and
//! says nothing about holes.

use std::collections::BTreeMap;

use vfio_migration_protocol::IovaRange;

/// Mappings by their first address; none overlaps another.
#[derive(Debug, Default)]
pub(super) struct Mappings {
    lengths: BTreeMap<u64, u64>,
}

/// A part of a range that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Whole mappings next to each other, which may begin before the range or end behind it.
    Mapped(IovaRange),
    /// Nothing is mapped there.
    Hole(IovaRange),
}

impl Mappings {
    pub(super) fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Notes a mapping. `false`: it is empty, ends beyond 2^64 - 1, or overlaps one that is there.
    pub(super) fn add(&mut self, range: IovaRange) -> bool {
        let Some(end) = range.iova.checked_add(range.length).filter(|_| range.length > 0) else { return false };
        let before = self.lengths.range(..end).next_back();
        if before.is_some_and(|(iova, length)| iova + length > range.iova) {
            return false;
        }
        self.lengths.insert(range.iova, range.length);
        true
    }

    /// Forgets all mappings within a range, if it cuts none of them and there are any. `false`: it does, or there are
    /// none.
    pub(super) fn remove(&mut self, range: IovaRange) -> bool {
        let Some(end) = range.iova.checked_add(range.length) else { return false };
        let within: Vec<(u64, u64)> = self.touched(range).collect();
        let cuts = within.iter().any(|(iova, length)| *iova < range.iova || iova + length > end);
        if cuts || within.is_empty() {
            return false;
        }
        for (iova, _) in &within {
            self.lengths.remove(iova);
        }
        true
    }

    /// The parts of a range, in order. Mappings next to each other are one part while they have at most `most` bytes
    /// together; one mapping alone is never cut.
    pub(super) fn cover(&self, range: IovaRange, most: u64) -> Vec<Part> {
        let mut parts = Vec::new();
        let end = range.iova.saturating_add(range.length);
        let mut at = range.iova;
        for (iova, length) in self.touched(range) {
            if at < iova {
                parts.push(Part::Hole(IovaRange { iova: at, length: iova - at }));
            }
            match parts.last_mut() {
                Some(Part::Mapped(last)) if last.iova + last.length == iova && last.length + length <= most => {
                    last.length += length;
                }
                _ => parts.push(Part::Mapped(IovaRange { iova, length })),
            }
            at = iova + length;
        }
        if at < end {
            parts.push(Part::Hole(IovaRange { iova: at, length: end - at }));
        }
        parts
    }

    /// All mappings.
    pub(super) fn all(&self) -> impl Iterator<Item = IovaRange> + '_ {
        self.lengths.iter().map(|(iova, length)| IovaRange { iova: *iova, length: *length })
    }

    fn touched(&self, range: IovaRange) -> impl Iterator<Item = (u64, u64)> + '_ {
        let end = range.iova.saturating_add(range.length);
        let first = self.lengths.range(..=range.iova).next_back();
        let from = first.filter(|(iova, length)| *iova + *length > range.iova).map_or(range.iova, |(iova, _)| *iova);
        self.lengths.range(from..end.max(from)).map(|(iova, length)| (*iova, *length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(iova: u64, length: u64) -> IovaRange {
        IovaRange { iova, length }
    }

    fn mappings(ranges: &[(u64, u64)]) -> Mappings {
        let mut mappings = Mappings::default();
        for (iova, length) in ranges {
            assert!(mappings.add(range(*iova, *length)));
        }
        mappings
    }

    fn cover(mappings: &Mappings, iova: u64, length: u64, most: u64) -> Vec<(char, u64, u64)> {
        let show = |part| match part {
            Part::Mapped(range) => ('m', range.iova, range.length),
            Part::Hole(range) => ('h', range.iova, range.length),
        };
        mappings.cover(range(iova, length), most).into_iter().map(show).collect()
    }

    #[test]
    fn a_range_is_split_at_mappings_and_holes() {
        let mappings = mappings(&[(100, 10), (110, 10), (150, 20)]);
        assert_eq!(cover(&mappings, 100, 20, 100), [('m', 100, 20)]);
        assert_eq!(cover(&mappings, 100, 20, 19), [('m', 100, 10), ('m', 110, 10)], "no more than the most at once");
        assert_eq!(cover(&mappings, 105, 2, 1), [('m', 100, 10)], "a mapping is never cut, however large");
        assert_eq!(
            cover(&mappings, 90, 100, 100),
            [('h', 90, 10), ('m', 100, 20), ('h', 120, 30), ('m', 150, 20), ('h', 170, 20)]
        );
        assert_eq!(cover(&mappings, 120, 30, 9), [('h', 120, 30)]);
        assert_eq!(cover(&mappings, 119, 32, 9), [('m', 110, 10), ('h', 120, 30), ('m', 150, 20)]);
        assert_eq!(cover(&Mappings::default(), 7, 3, 9), [('h', 7, 3)]);
        assert_eq!(cover(&mappings, 100, 0, 9), []);
    }

    #[test]
    fn mappings_that_overlap_or_wrap_are_refused() {
        let mut mappings = mappings(&[(100, 10)]);
        for (iova, length) in [(100, 10), (109, 1), (95, 6), (90, 30), (50, 0), (u64::MAX, 2)] {
            assert!(!mappings.add(range(iova, length)), "{iova} {length}");
        }
        assert!(mappings.add(range(110, 1)) && mappings.add(range(99, 1)));
    }

    #[test]
    fn whole_mappings_are_removed_and_nothing_else() {
        let mut mappings = mappings(&[(100, 10), (110, 10), (150, 20)]);
        for (iova, length) in [(100, 5), (105, 15), (120, 30), (100, 15), (u64::MAX, 2)] {
            assert!(!mappings.remove(range(iova, length)), "{iova} {length}");
        }
        assert_eq!(mappings.all().count(), 3);
        assert!(mappings.remove(range(95, 30)));
        assert_eq!(mappings.all().collect::<Vec<_>>(), [range(150, 20)]);
    }
}
