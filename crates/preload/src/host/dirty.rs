//! Dirty bitmaps of the program's.

use vfio_migration_model::ModelTracker;
use vfio_migration_protocol::{Bitmap, CallError, Errno, IovaRange, Tracker};

use super::memory;
use super::space::View;

/// What a report is about, and what becomes of the pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) range: IovaRange,
    /// The program's page size, in bytes: not 0.
    pub(super) page_size: u64,
    /// The pages stay dirty.
    pub(super) keep: bool,
}

/// The dirty pages of a range, a bit for each of the program's pages, from a tracker whose pages have `log_page` bytes.
/// Nobody sees beyond the reach of devices, so nothing is dirty there.
pub(super) fn ask(tracker: &mut ModelTracker, log_page: u64, question: Question) -> Result<Bitmap, CallError> {
    let Question { range, page_size, keep } = question;
    let end = View::REACH.iova + View::REACH.length;
    let near = IovaRange { length: range.length.min(end.saturating_sub(range.iova)), ..range };
    let mut bits = Bitmap::new(near.length.div_ceil(log_page));
    if keep {
        tracker.peek(near, &mut bits)?;
    } else {
        tracker.report(near, &mut bits)?;
    }
    if log_page == page_size {
        return Ok(bits);
    }
    let mut scaled = Bitmap::new(near.length.div_ceil(page_size));
    for (first, count) in bits.runs() {
        let (start, end) = (first * log_page, ((first + count) * log_page).min(near.length));
        let first = start / page_size;
        scaled.set_run(first, end.div_ceil(page_size) - first);
    }
    Ok(scaled)
}

/// Sets the bits in the program's bitmap at `address`, and leaves those that are set there.
pub(super) fn merge(address: u64, bits: &Bitmap) -> Result<(), Errno> {
    let words = bits.to_words();
    let Some(first) = words.iter().position(|word| *word != 0) else { return Ok(()) };
    let last = words.iter().rposition(|word| *word != 0).unwrap_or(first);
    change(address, first, last, |at, word| word | words[at])
}

/// Makes the bits of some pages in the program's bitmap at `address` what they are in `bits`, and leaves the others.
pub(super) fn overwrite(address: u64, bits: &Bitmap, pages: &[(u64, u64)]) -> Result<(), Errno> {
    let words = bits.to_words();
    for &(first, count) in pages.iter().filter(|(_, count)| *count > 0) {
        let end = first.checked_add(count).ok_or(Errno::EOVERFLOW)?;
        let index = |page: u64| usize::try_from(page / 64).map_err(|_| Errno::EOVERFLOW);
        let (from, to) = (index(first)?, index(end - 1)?);
        change(address, from, to, |at, word| {
            let low = if at == from { u64::MAX << (first % 64) } else { u64::MAX };
            let high = if at == to { u64::MAX >> (63 - (end - 1) % 64) } else { u64::MAX };
            word & !(low & high) | words.get(at).copied().unwrap_or(0) & low & high
        })?;
    }
    Ok(())
}

/// Changes the program's words from one to another.
fn change(address: u64, first: usize, last: usize, new: impl Fn(usize, u64) -> u64) -> Result<(), Errno> {
    /// Words that are copied at once.
    const MOST: usize = 8192;
    let mut at = first;
    while at <= last {
        let end = last.min(at + MOST - 1);
        let place = address.checked_add(at as u64 * 8).ok_or(Errno::EFAULT)?;
        let mut bytes = vec![0; (end - at + 1) * 8];
        memory::load(place, &mut bytes)?;
        for (index, word) in (at..).zip(bytes.as_chunks_mut::<8>().0) {
            *word = new(index, u64::from_ne_bytes(*word)).to_ne_bytes();
        }
        memory::store(place, &bytes)?;
        at = end + 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_added_or_replaced() {
        let mut theirs = [0b1000_u64, 0, u64::MAX, 1 << 63];
        let address = theirs.as_mut_ptr().expose_provenance() as u64;
        let mut bits = Bitmap::new(200);
        bits.set(0);
        bits.set(130);
        merge(address, &bits).expect("it is there");
        assert_eq!(std::hint::black_box(theirs), [0b1001, 0, u64::MAX, 1 << 63]);
        overwrite(address, &bits, &[(1, 70), (128, 6)]).expect("it is there");
        assert_eq!(std::hint::black_box(theirs), [1, 0, !0b11_1111 | 0b100, 1 << 63]);
        assert_eq!(merge(8, &bits), Err(Errno::EFAULT));
    }
}
