//! Chains of capabilities: structures behind a structure, each of which says where the next one begins.

use core::ops::ControlFlow;

use rustix::io::{Errno, Result};

use crate::call::Fill;
use crate::layout::CapabilityHeader;

/// The most that a structure with its chain may take. The kernel's have some hundred bytes; a claim beyond this is not
/// believed.
const MOST: usize = 1 << 20;

/// A structure with room for its chain, as the kernel fills it.
#[derive(Debug)]
pub(crate) struct Chained {
    words: Vec<u64>,
}

impl Chained {
    /// Asks with a buffer of `least` bytes that begins with `prefix`, and again with more while the kernel says in the
    /// first four bytes that it has more to tell.
    ///
    /// # Safety
    ///
    /// The request's argument is a structure that begins with its size in four bytes, within which the kernel stays.
    pub(crate) unsafe fn ask<const NUMBER: u32>(
        fd: std::os::fd::BorrowedFd<'_>,
        least: usize,
        prefix: impl Fn(u32) -> [u32; 4],
    ) -> Result<Self> {
        let mut size = least;
        loop {
            let mut words = vec![0_u64; size.div_ceil(8)];
            let claim = u32::try_from(size).map_err(|_| Errno::OVERFLOW)?;
            let [a, b, c, d] = prefix(claim).map(u32::to_ne_bytes);
            words[0] = u64::from_ne_bytes([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]]);
            words[1] = u64::from_ne_bytes([c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3]]);
            // SAFETY: the buffer has at least the size that its first four bytes say; the rest is the caller's word.
            unsafe { Fill::<NUMBER>::new(&mut words) }.on(fd)?;
            let filled = Self { words };
            match filled.u32(0).map(|needed| needed as usize) {
                Some(needed) if needed > MOST => return Err(Errno::OVERFLOW),
                Some(needed) if needed > size => size = needed,
                _ => return Ok(filled),
            }
        }
    }

    /// What the kernel would have filled in so.
    #[cfg(test)]
    pub(crate) const fn of(words: Vec<u64>) -> Self {
        Self { words }
    }

    pub(crate) fn u32(&self, offset: usize) -> Option<u32> {
        let word = self.words.get(offset / 8)?.to_ne_bytes();
        let bytes = word.get(offset % 8..offset % 8 + 4)?;
        Some(u32::from_ne_bytes(bytes.try_into().ok()?))
    }

    pub(crate) fn u64(&self, offset: usize) -> Option<u64> {
        offset.is_multiple_of(8).then(|| self.words.get(offset / 8).copied())?
    }

    /// Shows every capability of the chain that begins at `first`: its head and where it lies. A chain that leads
    /// nowhere or into itself is EBADMSG.
    pub(crate) fn walk<B>(
        &self,
        first: u32,
        mut see: impl FnMut(CapabilityHeader, usize) -> ControlFlow<B>,
    ) -> Result<Option<B>> {
        // A chain cannot have more links than there are places for one.
        let mut left = self.words.len();
        let mut place = first as usize;
        while place != 0 {
            let (Some(head), Some(next)) = (self.u32(place), self.u32(place + 4)) else { return Err(Errno::BADMSG) };
            left = left.checked_sub(1).ok_or(Errno::BADMSG)?;
            let [a, b, c, d] = head.to_ne_bytes();
            let head = CapabilityHeader { id: u16::from_ne_bytes([a, b]), version: u16::from_ne_bytes([c, d]), next };
            if let ControlFlow::Break(found) = see(head, place) {
                return Ok(Some(found));
            }
            place = next as usize;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(words: &[(u16, u16, u32)]) -> Chained {
        let word =
            |(id, version, next): &(u16, u16, u32)| u64::from(*id) | u64::from(*version) << 16 | u64::from(*next) << 32;
        Chained::of(words.iter().map(word).collect())
    }

    fn ids(chain: &Chained, first: u32) -> Result<Vec<u16>> {
        let mut ids = Vec::new();
        chain.walk(first, |head, _| -> ControlFlow<()> {
            ids.push(head.id);
            ControlFlow::Continue(())
        })?;
        Ok(ids)
    }

    #[test]
    fn a_chain_is_walked_in_its_own_order() {
        let chain = chain(&[(0, 0, 0), (2, 1, 24), (9, 9, 9), (1, 1, 0)]);
        assert_eq!(ids(&chain, 8), Ok(vec![2, 1]));
        assert_eq!(ids(&chain, 0), Ok(vec![]));
    }

    #[test]
    fn a_chain_that_leads_nowhere_or_into_itself_ends() {
        for (words, first) in
            [(vec![(0, 0, 0), (1, 1, 8)], 8), (vec![(0, 0, 0), (1, 1, 400)], 8), (vec![(0, 0, 0)], 12), (vec![], 3)]
        {
            assert_eq!(ids(&chain(&words), first), Err(Errno::BADMSG), "{words:?}");
        }
    }
}
