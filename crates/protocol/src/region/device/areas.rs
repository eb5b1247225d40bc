//! The mapped parts of a region, and how a run of bytes divides into what is mapped and what is not.

use super::BadAreas;

/// The mapped parts of a region, in order: each lies in it, and none overlaps another.
///
/// ```
/// use vfio_migration_protocol::region::{Areas, BadAreas};
/// assert!(Areas::new(vec![(0x3000, 0x1000), (0x1000, 0x1000)], 0x4000).is_ok());
/// assert_eq!(Areas::new(vec![(0, 2), (1, 2)], 9).err(), Some(BadAreas::Overlap { one: 0, other: 1 }));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Areas(Vec<(u64, u64)>);

impl Areas {
    /// From offset and bytes of each part of a region of `size` bytes, in any order. Empty ones are none.
    ///
    /// # Errors
    /// If one ends behind the region, or two overlap.
    pub fn new(parts: Vec<(u64, u64)>, size: u64) -> Result<Self, BadAreas> {
        let mut parts = parts;
        parts.retain(|(_, len)| *len > 0);
        parts.sort_unstable();
        for &(offset, len) in &parts {
            if offset.checked_add(len).is_none_or(|end| end > size) {
                return Err(BadAreas::Outside { offset, len, size });
            }
        }
        let overlap = parts.windows(2).find(|pair| pair[0].0 + pair[0].1 > pair[1].0);
        match overlap {
            Some(pair) => Err(BadAreas::Overlap { one: pair[0].0, other: pair[1].0 }),
            None => Ok(Self(parts)),
        }
    }

    /// How many of the `len` bytes from `offset` on, one at least, are mapped together or not mapped together, and which.
    pub(super) fn run(&self, offset: u64, len: usize) -> (usize, bool) {
        let next = self.0.partition_point(|(start, area)| start + area <= offset);
        let (end, mapped) = match self.0.get(next) {
            Some((start, area)) if *start <= offset => (start + area, true),
            Some((start, _)) => (*start, false),
            None => return (len, false),
        };
        (usize::try_from(end - offset).map_or(len, |run| run.min(len)), mapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_mapped_or_not_as_the_parts_say() {
        let parts = vec![(30, 10), (5, 7), (12, 3), (50, 0), (60, 4)];
        let is_mapped = |byte: u64| parts.iter().any(|(offset, len)| (*offset..offset + len).contains(&byte));
        let areas = Areas::new(parts.clone(), 64).unwrap();
        for offset in 0..64 {
            for len in 1..=64 - offset {
                let (run, mapped) = areas.run(offset, usize::try_from(len).unwrap());
                assert!(run > 0);
                assert!((offset..offset + run as u64).all(|byte| is_mapped(byte) == mapped), "{offset}+{len}");
            }
        }
        assert_eq!(areas.run(35, 100), (5, true));
        assert_eq!(Areas::default().run(35, 100), (100, false));
    }

    #[test]
    fn parts_that_cannot_be_are_refused() {
        let outside = |offset, len| Some(BadAreas::Outside { offset, len, size: 64 });
        let overlap = |one, other| Some(BadAreas::Overlap { one, other });
        let cases = [
            (vec![(60, 5)], outside(60, 5)),
            (vec![(u64::MAX, 2)], outside(u64::MAX, 2)),
            (vec![(0, u64::MAX)], outside(0, u64::MAX)),
            (vec![(10, 10), (0, 11)], overlap(0, 10)),
            (vec![(10, 10), (10, 10)], overlap(10, 10)),
            (vec![(0, 64), (10, 1)], overlap(0, 10)),
            (vec![(10, 10), (0, 10), (20, 44)], None),
        ];
        for (parts, wrong) in cases {
            assert_eq!(Areas::new(parts.clone(), 64).err(), wrong, "{parts:?}");
        }
    }
}
