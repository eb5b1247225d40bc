//! Memory that devices may be given: mapped by itself, so that Rust never takes it for its own.

use core::ffi::c_void;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicBool, Ordering};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::fcntl_add_seals;
use rustix::fs::{MemfdFlags, SealFlags, ftruncate, memfd_create};
use rustix::io::{Errno, Result};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};

/// Memory of whole pages which others write to as well: devices, and whoever shares the file behind it.
///
/// Bytes are only ever copied in and out. A device that was given a [`Piece`] may go on writing to it after this is
/// dropped, and an emulated one does so by *address*, as long as its container or address space maps it: so the
/// addresses of memory that was given away stay reserved for good, while the memory itself is returned.
///
/// ```
/// use vfio_migration_uapi::mapping::{Mapping, page_size};
/// let mut memory = Mapping::anonymous(4 * page_size())?;
/// memory.write(page_size() - 2, b"across pages")?;
/// let mut bytes = [0; 12];
/// memory.read(page_size() - 2, &mut bytes)?;
/// assert_eq!(&bytes, b"across pages");
/// assert!(memory.read(memory.len() - 3, &mut bytes).is_err());
/// # Ok::<(), vfio_migration_uapi::Errno>(())
/// ```
#[derive(Debug)]
pub struct Mapping {
    address: NonNull<u8>,
    length: usize,
    /// Whether a device may have got it.
    exposed: AtomicBool,
}

// SAFETY: the memory belongs to this value; writing to it takes `&mut`.
unsafe impl Send for Mapping {}
// SAFETY: by `&` it is only read, with volatile accesses.
unsafe impl Sync for Mapping {}

/// The size of a page, in bytes.
pub fn page_size() -> usize {
    rustix::param::page_size()
}

impl Mapping {
    /// Maps `length` bytes of zeroes, a multiple of the page size (EINVAL).
    pub fn anonymous(length: usize) -> Result<Self> {
        whole_pages(length)?;
        // SAFETY: the kernel chooses an address where there is nothing yet.
        let address =
            unsafe { mmap_anonymous(null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }?;
        Self::of(address, length)
    }

    /// Makes a memfd of `length` zero bytes, a multiple of the page size (EINVAL), which nobody can shrink, and maps it.
    pub fn memfd(name: &str, length: usize) -> Result<(Self, OwnedFd)> {
        whole_pages(length)?;
        let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        ftruncate(&file, length as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK)?;
        let mapping = Self::shared(file.as_fd(), 0, length)?;
        Ok((mapping, file))
    }

    /// Maps `length` bytes of a file from `offset` on, both a multiple of the page size (EINVAL), and shares them with
    /// everybody who maps it. Whoever shrinks the file makes the next access a SIGBUS: seal it.
    pub fn shared(file: BorrowedFd<'_>, offset: u64, length: usize) -> Result<Self> {
        whole_pages(length)?;
        // SAFETY: the kernel chooses an address where there is nothing yet.
        let address =
            unsafe { mmap(null_mut(), length, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, offset) }?;
        Self::of(address, length)
    }

    fn of(address: *mut c_void, length: usize) -> Result<Self> {
        let address = NonNull::new(address.cast()).ok_or(Errno::NOMEM)?;
        Ok(Self { address, length, exposed: AtomicBool::new(false) })
    }

    /// Where it lies in this process: for messages and tests.
    pub fn address(&self) -> usize {
        self.address.as_ptr().addr()
    }

    /// How many bytes it has.
    #[expect(clippy::len_without_is_empty, reason = "a mapping has at least one page")]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// A piece of it to give to devices: `length` bytes from `start` on. EINVAL if it ends beyond the mapping.
    pub fn piece(&self, start: usize, length: usize) -> Result<Piece<'_>> {
        self.place(start, length).map(|_| Piece { mapping: self, start, length })
    }

    /// All of it, to give to devices.
    pub const fn whole(&self) -> Piece<'_> {
        Piece { mapping: self, start: 0, length: self.length }
    }

    /// Copies bytes out, from `offset` on. EINVAL if they end beyond the mapping. What a device writes meanwhile is
    /// seen in parts.
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<()> {
        let from = self.place(offset, into.len())?;
        let (head, words, _) = split(from, into.len());
        let middle = head + words * 8;
        for (i, byte) in into[..head].iter_mut().enumerate() {
            // SAFETY: `place` says that the bytes lie in the mapping, which is readable while it lives.
            *byte = unsafe { from.add(i).read_volatile() };
        }
        for (i, word) in into[head..middle].chunks_exact_mut(8).enumerate() {
            // SAFETY: as above, and `split` says that the words are aligned.
            let read = unsafe { word_at(from, head + i * 8).read_volatile() };
            word.copy_from_slice(&read.to_ne_bytes());
        }
        for (i, byte) in into[middle..].iter_mut().enumerate() {
            // SAFETY: as above.
            *byte = unsafe { from.add(middle + i).read_volatile() };
        }
        Ok(())
    }

    /// Copies bytes in, from `offset` on. EINVAL if they end beyond the mapping.
    pub fn write(&mut self, offset: usize, from: &[u8]) -> Result<()> {
        let into = self.place(offset, from.len())?;
        let (head, words, _) = split(into, from.len());
        let middle = head + words * 8;
        for (i, byte) in from[..head].iter().enumerate() {
            // SAFETY: `place` says that the bytes lie in the mapping, which is writable while it lives.
            unsafe { into.add(i).write_volatile(*byte) };
        }
        for (i, word) in from[head..middle].chunks_exact(8).enumerate() {
            let word = u64::from_ne_bytes(word.try_into().expect("chunks have eight bytes"));
            // SAFETY: as above, and `split` says that the words are aligned.
            unsafe { word_at(into, head + i * 8).write_volatile(word) };
        }
        for (i, byte) in from[middle..].iter().enumerate() {
            // SAFETY: as above.
            unsafe { into.add(middle + i).write_volatile(*byte) };
        }
        Ok(())
    }

    /// Where `length` bytes from `offset` on lie, if they do.
    fn place(&self, offset: usize, length: usize) -> Result<*mut u8> {
        match offset.checked_add(length) {
            // SAFETY: the offset lies in the mapping or right behind it.
            Some(end) if end <= self.length => Ok(unsafe { self.address.as_ptr().add(offset) }),
            _ => Err(Errno::INVAL),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let address = self.address.as_ptr().cast();
        if self.exposed.load(Ordering::Relaxed) {
            let flags = MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE;
            // SAFETY: the addresses are ours, and nothing borrows them any more. If this fails the memory stays, which
            // is safe too.
            let _ = unsafe { mmap_anonymous(address, self.length, ProtFlags::empty(), flags) };
        } else {
            // SAFETY: the addresses are ours, and nobody has them but this value.
            let _ = unsafe { munmap(address, self.length) };
        }
    }
}

/// Whole pages of a [`Mapping`], to be given to devices by [`container::map`](crate::container::map) or
/// [`iommufd::map`](crate::iommufd::map).
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    mapping: &'a Mapping,
    start: usize,
    length: usize,
}

impl Piece<'_> {
    /// Notes that devices may have it from now on; answers with its address and its length in bytes.
    pub(crate) fn expose(self) -> (u64, u64) {
        self.mapping.exposed.store(true, Ordering::Relaxed);
        let address = self.mapping.address.as_ptr().expose_provenance() + self.start;
        (address as u64, self.length as u64)
    }
}

/// What devices may do with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Read and write it.
    ReadWrite,
}

/// How many single bytes, then whole aligned words, then single bytes make up `length` bytes from `address` on.
fn split(address: *const u8, length: usize) -> (usize, usize, usize) {
    let head = address.align_offset(8).min(length);
    let words = (length - head) / 8;
    (head, words, length - head - words * 8)
}

const fn word_at(address: *mut u8, offset: usize) -> *mut u64 {
    address.wrapping_add(offset).cast()
}

fn whole_pages(length: usize) -> Result<()> {
    if length > 0 && length.is_multiple_of(page_size()) { Ok(()) } else { Err(Errno::INVAL) }
}
