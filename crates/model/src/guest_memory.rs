//! Memory of a guest, which devices and a session read and write at the same time.

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use vfio_migration_protocol::{CallError, Errno, IovaRange, Memory};

use crate::pages::{PAGE_LEN, PAGE_SIZE, PageKey, mix};

const WORDS_PER_PAGE: usize = PAGE_LEN / 8;

/// A piece of guest memory. A clone is the same memory.
///
/// It is made of atomic words: whoever reads a page while another writes to it gets a mixture of old and new words, as
/// with real memory, and a DMA log says that the page must be read again.
///
/// ```
/// use vfio_migration_model::GuestMemory;
/// use vfio_migration_protocol::Memory;
/// let mut memory = GuestMemory::new(0x10_0000, 64 << 10)?;
/// let other = GuestMemory::new(0x10_0000, 64 << 10)?;
/// memory.write(0x1fff, &[1, 2])?;
/// assert_eq!(memory.differing_pages(&other), [1, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct GuestMemory {
    backing: Backing,
    /// Where this piece starts in the backing, in words.
    first: usize,
    range: IovaRange,
}

/// Memory that is not the model's: another program's, or whatever it gave its devices.
pub trait ForeignMemory: fmt::Debug + Send + Sync {
    /// Reads all of `into` from `offset` on. EFAULT: there is no memory.
    fn load(&self, offset: u64, into: &mut [u8]) -> Result<(), CallError>;

    /// Writes all of `from` at `offset`. EFAULT: there is no memory, or none that may be written to.
    fn store(&self, offset: u64, from: &[u8]) -> Result<(), CallError>;
}

#[derive(Clone)]
enum Backing {
    Own(Arc<Vec<AtomicU64>>),
    Foreign(Arc<dyn ForeignMemory>),
}

/// Why there is no such guest memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestMemoryError {
    /// Address or length are not multiples of [`PAGE_SIZE`], or the length is 0.
    Unaligned(IovaRange),
    /// The range ends beyond the last address, or beyond the memory that it is a part of.
    OutOfRange(IovaRange),
    /// This machine does not give so much memory.
    TooLarge(IovaRange),
}

impl fmt::Display for GuestMemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (IovaRange { iova, length }, why) = match self {
            Self::Unaligned(range) => (range, "must start and end at multiples of 4096 and not be empty"),
            Self::OutOfRange(range) => (range, "ends beyond the last address"),
            Self::TooLarge(range) => (range, "is more than this machine can give"),
        };
        write!(f, "guest memory of {length:#x} bytes at {iova:#x} {why}")
    }
}

impl core::error::Error for GuestMemoryError {}

impl fmt::Debug for GuestMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestMemory").field("range", &self.range).finish_non_exhaustive()
    }
}

impl GuestMemory {
    /// Zeroed memory of `length` bytes that devices see at `iova`, both multiples of [`PAGE_SIZE`].
    pub fn new(iova: u64, length: u64) -> Result<Self, GuestMemoryError> {
        let range = aligned(IovaRange { iova, length })?;
        let count = usize::try_from(length / 8).map_err(|_| GuestMemoryError::TooLarge(range))?;
        let mut words = Vec::new();
        words.try_reserve_exact(count).map_err(|_| GuestMemoryError::TooLarge(range))?;
        words.resize_with(count, AtomicU64::default);
        Ok(Self { backing: Backing::Own(Arc::new(words)), first: 0, range })
    }

    /// Memory of somebody else's, `length` bytes that devices see at `iova`, both multiples of [`PAGE_SIZE`]. There may be
    /// holes in it: what is not there cannot be written to, and reads as nothing.
    pub fn foreign(iova: u64, length: u64, memory: Arc<dyn ForeignMemory>) -> Result<Self, GuestMemoryError> {
        let range = aligned(IovaRange { iova, length })?;
        Ok(Self { backing: Backing::Foreign(memory), first: 0, range })
    }

    /// A part of the same memory, for instance to move it as an object of its own.
    pub fn part(&self, offset: u64, length: u64) -> Result<Self, GuestMemoryError> {
        let iova = self.range.iova.saturating_add(offset);
        let range = aligned(IovaRange { iova, length })?;
        match offset.checked_add(length) {
            Some(end) if end <= self.range.length => {}
            _ => return Err(GuestMemoryError::OutOfRange(range)),
        }
        let first = self.first + usize::try_from(offset / 8).expect("an offset into memory has an index");
        Ok(Self { backing: self.backing.clone(), first, range })
    }

    /// Where it lies in the devices' address space, and its length in bytes.
    pub const fn range(&self) -> IovaRange {
        self.range
    }

    /// How many pages it has.
    pub const fn pages(&self) -> u64 {
        self.range.length / PAGE_SIZE
    }

    /// Reads all of `into` from `offset` bytes into this memory. EFAULT if that is not all inside.
    pub fn load(&self, offset: u64, into: &mut [u8]) -> Result<(), CallError> {
        if let Backing::Foreign(memory) = &self.backing {
            return memory.load(self.place(offset, into.len())?, into);
        }
        let (mut words, head) = self.words_at(offset, into.len())?;
        let (start, into) = into.split_at_mut(into.len().min((8 - head) % 8));
        let mut next = || words.next().map_or([0; 8], |word| word.load(Ordering::Relaxed).to_le_bytes());
        if !start.is_empty() {
            start.copy_from_slice(&next()[head..head + start.len()]);
        }
        let (whole, end) = into.as_chunks_mut::<8>();
        for bytes in whole {
            *bytes = next();
        }
        if !end.is_empty() {
            end.copy_from_slice(&next()[..end.len()]);
        }
        Ok(())
    }

    /// Writes all of `from` at `offset` bytes into this memory. EFAULT if that is not all inside.
    pub fn store(&self, offset: u64, from: &[u8]) -> Result<(), CallError> {
        if let Backing::Foreign(memory) = &self.backing {
            return memory.store(self.place(offset, from.len())?, from);
        }
        let (mut words, head) = self.words_at(offset, from.len())?;
        let (start, from) = from.split_at(from.len().min((8 - head) % 8));
        if !start.is_empty() {
            words.by_ref().take(1).for_each(|word| store_part(word, head, start));
        }
        let (whole, end) = from.as_chunks::<8>();
        for (bytes, word) in whole.iter().zip(words.by_ref()) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        if !end.is_empty() {
            words.take(1).for_each(|word| store_part(word, 0, end));
        }
        Ok(())
    }

    /// A digest of every page, in order: cheap to send and to compare. Nobody may write meanwhile.
    pub fn page_digests(&self) -> Vec<u64> {
        (0..self.pages()).map(|page| self.page_digest(page)).collect()
    }

    /// The pages whose digest is not the one in `digests`, and those that only one of the two has.
    pub fn pages_unlike(&self, digests: &[u64]) -> Vec<u64> {
        let pages = self.pages().max(digests.len() as u64);
        let theirs = digests.iter().map(|digest| Some(*digest)).chain(core::iter::repeat(None));
        (0..pages)
            .zip(theirs)
            .filter(|(page, other)| self.known_digest(*page) != *other)
            .map(|(page, _)| page)
            .collect()
    }

    /// The pages that differ between two memories, and those that only one of the two has.
    pub fn differing_pages(&self, other: &Self) -> Vec<u64> {
        let pages = self.pages().max(other.pages());
        let differs = |page| match (self.page(page), other.page(page)) {
            (Some(mine), Some(theirs)) => {
                !mine.iter().zip(theirs).all(|(a, b)| a.load(Ordering::Relaxed) == b.load(Ordering::Relaxed))
            }
            _ => match (self.copy_page(page), other.copy_page(page)) {
                (Some(mine), Some(theirs)) => mine != theirs,
                _ => true,
            },
        };
        (0..pages).filter(|page| differs(*page)).collect()
    }

    /// The digest of one page.
    pub(crate) fn page_digest(&self, page: u64) -> u64 {
        self.known_digest(page).unwrap_or(0)
    }

    /// Writes a whole page, whose first word may be a certain one, and returns its digest; `None` if there is no such page.
    pub(crate) fn store_page(&self, page: u64, key: PageKey, first: Option<u64>) -> Option<u64> {
        if let Backing::Foreign(_) = self.backing {
            let mut bytes = [0; PAGE_LEN];
            key.fill(0, &mut bytes);
            if let Some(first) = first {
                bytes[..8].copy_from_slice(&first.to_le_bytes());
            }
            self.store(page.checked_mul(PAGE_SIZE)?, &bytes).ok()?;
            return Some(digest_of(&bytes));
        }
        let mut digest = Digest::default();
        for (index, four) in (0u64..).step_by(4).zip(self.page(page)?.as_chunks::<4>().0) {
            let mut values = [key.word(index), key.word(index + 1), key.word(index + 2), key.word(index + 3)];
            if let (0, Some(first)) = (index, first) {
                values[0] = first;
            }
            for (word, value) in four.iter().zip(values) {
                word.store(value, Ordering::Relaxed);
            }
            digest.update(values);
        }
        Some(digest.finish())
    }

    fn known_digest(&self, page: u64) -> Option<u64> {
        if let Backing::Foreign(_) = self.backing {
            return self.copy_page(page).map(|bytes| digest_of(&bytes));
        }
        let mut digest = Digest::default();
        for four in self.page(page)?.as_chunks::<4>().0 {
            digest.update(four.each_ref().map(|word| word.load(Ordering::Relaxed)));
        }
        Some(digest.finish())
    }

    fn page(&self, page: u64) -> Option<&[AtomicU64]> {
        let start = usize::try_from(page).ok().filter(|_| page < self.pages())? * WORDS_PER_PAGE + self.first;
        let Backing::Own(words) = &self.backing else { return None };
        words.get(start..start + WORDS_PER_PAGE)
    }

    fn copy_page(&self, page: u64) -> Option<[u8; PAGE_LEN]> {
        let mut bytes = [0; PAGE_LEN];
        let offset = page.checked_mul(PAGE_SIZE).filter(|_| page < self.pages())?;
        self.load(offset, &mut bytes).ok().map(|()| bytes)
    }

    /// Where in a foreign backing an access begins.
    fn place(&self, offset: u64, len: usize) -> Result<u64, CallError> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.range.length);
        end.map(|_| self.first as u64 * 8 + offset).ok_or_else(outside)
    }

    /// The words from the one that `offset` lies in, and how many bytes into it.
    fn words_at(&self, offset: u64, len: usize) -> Result<(core::slice::Iter<'_, AtomicU64>, usize), CallError> {
        let end = offset.checked_add(len as u64).filter(|end| *end <= self.range.length);
        let offset = usize::try_from(end.map(|_| offset).ok_or_else(outside)?).map_err(|_| outside())?;
        let Backing::Own(words) = &self.backing else { return Err(outside()) };
        let words = words.get(self.first + offset / 8..).ok_or_else(outside)?;
        Ok((words.iter(), offset % 8))
    }
}

impl Memory for GuestMemory {
    fn range(&self) -> IovaRange {
        self.range
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), CallError> {
        self.load(offset, into)
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), CallError> {
        self.store(offset, from)
    }
}

/// A digest over words, four at a time so that a processor can work on them side by side.
#[derive(Default)]
struct Digest([u64; 4]);

impl Digest {
    fn update(&mut self, words: [u64; 4]) {
        for (lane, word) in self.0.iter_mut().zip(words) {
            *lane = (*lane ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25).rotate_left(29);
        }
    }

    fn finish(self) -> u64 {
        self.0.into_iter().fold(0, |digest, lane| mix(digest ^ lane))
    }
}

fn digest_of(page: &[u8; PAGE_LEN]) -> u64 {
    let mut digest = Digest::default();
    for four in page.as_chunks::<32>().0 {
        digest.update(core::array::from_fn(|word| {
            u64::from_le_bytes(core::array::from_fn(|byte| four[word * 8 + byte]))
        }));
    }
    digest.finish()
}

fn outside() -> CallError {
    CallError::because(Errno::EFAULT, "the address lies outside of the guest memory")
}

fn aligned(range: IovaRange) -> Result<IovaRange, GuestMemoryError> {
    let IovaRange { iova, length } = range;
    if length == 0 || iova % PAGE_SIZE != 0 || length % PAGE_SIZE != 0 {
        return Err(GuestMemoryError::Unaligned(range));
    }
    iova.checked_add(length).map(|_| range).ok_or(GuestMemoryError::OutOfRange(range))
}

/// Writes some bytes of a word and leaves the others, which somebody else may write, as they are.
fn store_part(word: &AtomicU64, at: usize, from: &[u8]) {
    let put = |old: u64| {
        let mut bytes = old.to_le_bytes();
        bytes[at..at + from.len()].copy_from_slice(from);
        Some(u64::from_le_bytes(bytes))
    };
    // The closure never declines.
    let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, put);
}
