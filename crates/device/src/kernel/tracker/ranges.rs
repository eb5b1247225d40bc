//! Ranges that a device's log takes: aligned, apart from each other, and few.

use vfio_migration_protocol::{Errno, IovaRange};

/// Ranges in order that contain all of `ranges`: multiples of the page size, none touching another, and at most `most`:
/// those with the smallest gaps between them become one.
///
/// A range without length has no pages. One that ends beyond 2^64 - 1, or does when it is aligned, is EOVERFLOW, as the
/// kernel says too.
pub(super) fn merged(ranges: &[IovaRange], page_size: u64, most: usize) -> Result<Vec<IovaRange>, Errno> {
    let mut spans = Vec::with_capacity(ranges.len());
    for range in ranges.iter().filter(|range| range.length > 0) {
        let start = range.iova - range.iova % page_size;
        let end = range.iova.checked_add(range.length).and_then(|end| end.checked_next_multiple_of(page_size));
        spans.push((start, end.ok_or(Errno::EOVERFLOW)?));
    }
    spans.sort_unstable();
    let mut apart: Vec<(u64, u64)> = Vec::with_capacity(spans.len());
    for (start, end) in spans {
        match apart.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => apart.push((start, end)),
        }
    }
    Ok(few(&apart, most.max(1))
        .into_iter()
        .map(|(start, end)| IovaRange { iova: start, length: end - start })
        .collect())
}

/// Closes the smallest gaps until at most `most` spans are left; of gaps of one size the lower.
fn few(spans: &[(u64, u64)], most: usize) -> Vec<(u64, u64)> {
    let mut gaps: Vec<usize> = (1..spans.len()).collect();
    gaps.sort_by_key(|right| spans[*right].0 - spans[*right - 1].1);
    let mut closed = vec![false; spans.len()];
    for right in gaps.into_iter().take(spans.len().saturating_sub(most)) {
        closed[right] = true;
    }
    let mut few: Vec<(u64, u64)> = Vec::with_capacity(most.min(spans.len()));
    for (span, closed) in spans.iter().zip(closed) {
        match few.last_mut() {
            Some(last) if closed => last.1 = span.1,
            _ => few.push(*span),
        }
    }
    few
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: u64 = 4096;

    fn pages(ranges: &[(u64, u64)]) -> Vec<IovaRange> {
        ranges.iter().map(|(first, count)| IovaRange { iova: first * PAGE, length: count * PAGE }).collect()
    }

    #[test]
    fn ranges_come_in_order_and_apart() {
        let merge = |ranges: &[(u64, u64)]| merged(&pages(ranges), PAGE, 256).unwrap();
        assert_eq!(merge(&[(10, 1), (0, 2), (5, 1)]), pages(&[(0, 2), (5, 1), (10, 1)]));
        assert_eq!(merge(&[(0, 2), (2, 2)]), pages(&[(0, 4)]), "touching");
        assert_eq!(merge(&[(0, 8), (2, 2), (7, 3)]), pages(&[(0, 10)]), "overlapping and within");
        assert_eq!(merge(&[(3, 0)]), [], "empty");
    }

    #[test]
    fn the_smallest_gaps_are_closed_first() {
        let spread = pages(&[(0, 1), (10, 1), (12, 1), (20, 1), (100, 1)]);
        let most = |most| merged(&spread, PAGE, most).unwrap();
        assert_eq!(most(5), spread);
        assert_eq!(most(4), pages(&[(0, 1), (10, 3), (20, 1), (100, 1)]));
        assert_eq!(most(3), pages(&[(0, 1), (10, 11), (100, 1)]));
        assert_eq!(most(2), pages(&[(0, 21), (100, 1)]));
        assert_eq!(most(1), pages(&[(0, 101)]));
        assert_eq!(most(0), most(1), "none would be nothing");
    }

    #[test]
    fn ranges_grow_to_whole_pages() {
        let ranges = [IovaRange { iova: 100, length: 1 }, IovaRange { iova: 3 * PAGE - 1, length: 2 }];
        assert_eq!(merged(&ranges, PAGE, 9).unwrap(), pages(&[(0, 1), (2, 2)]));
        assert_eq!(merged(&ranges, 16 * PAGE, 9).unwrap(), pages(&[(0, 16)]));
    }

    #[test]
    fn the_end_of_the_address_space_is_refused() {
        let last = u64::MAX - PAGE + 1;
        for (iova, length, fits) in
            [(last, PAGE, false), (u64::MAX, 2, false), (last - PAGE, 1, true), (last, 1, false)]
        {
            let answer = merged(&[IovaRange { iova, length }], PAGE, 9);
            assert_eq!(answer.is_ok(), fits, "{length} bytes at {iova:x}");
        }
    }
}
