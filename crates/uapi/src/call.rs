//! How an ioctl is made: with a structure, with a buffer, or with a number.

use core::ffi::c_void;
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, Result};
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, opcode};

/// A request whose argument is a structure, which the kernel reads and writes back. Answers what the call returned and
/// the structure.
pub(crate) struct Exchange<const NUMBER: u32, T>(T);

impl<const NUMBER: u32, T: Copy> Exchange<NUMBER, T> {
    /// # Safety
    ///
    /// The kernel reads and writes at most `size_of::<T>()` bytes of the argument, by its `argsz` or by definition;
    /// every pattern of bits is a valid `T`; and whatever `T` points to may be read and written as the request does,
    /// until the call ends.
    pub(crate) const unsafe fn new(argument: T) -> Self {
        Self(argument)
    }

    /// Makes the call.
    pub(crate) fn on(self, fd: BorrowedFd<'_>) -> Result<(IoctlOutput, T)> {
        // SAFETY: `new` has the caller's word that number and argument belong together.
        unsafe { rustix::ioctl::ioctl(fd, self) }
    }
}

// SAFETY: by the word that `new` was given, the kernel stays within the structure and leaves a valid one.
unsafe impl<const NUMBER: u32, T: Copy> Ioctl for Exchange<NUMBER, T> {
    type Output = (IoctlOutput, T);

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        number(NUMBER)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, argument: *mut c_void) -> Result<Self::Output> {
        // SAFETY: the pointer is that of `as_ptr`, and the structure still lives in `ioctl`.
        Ok((out, unsafe { argument.cast::<T>().read() }))
    }
}

/// A request whose argument is a buffer that begins with its own size.
pub(crate) struct Fill<'a, const NUMBER: u32>(&'a mut [u64]);

impl<'a, const NUMBER: u32> Fill<'a, NUMBER> {
    /// # Safety
    ///
    /// The kernel reads and writes at most the buffer, by the size in its first four bytes.
    pub(crate) const unsafe fn new(buffer: &'a mut [u64]) -> Self {
        Self(buffer)
    }

    /// Makes the call.
    pub(crate) fn on(self, fd: BorrowedFd<'_>) -> Result<IoctlOutput> {
        // SAFETY: `new` has the caller's word that number and buffer belong together.
        unsafe { rustix::ioctl::ioctl(fd, self) }
    }
}

// SAFETY: by the word that `new` was given, the kernel stays within the buffer; any bits are valid words.
unsafe impl<const NUMBER: u32> Ioctl for Fill<'_, NUMBER> {
    type Output = IoctlOutput;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        number(NUMBER)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        self.0.as_mut_ptr().cast()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> Result<Self::Output> {
        Ok(out)
    }
}

/// A request whose argument is a number, or nothing.
pub(crate) struct Plain<const NUMBER: u32>(usize);

impl<const NUMBER: u32> Plain<NUMBER> {
    /// # Safety
    ///
    /// The kernel takes the argument for a number, and touches no memory of ours.
    pub(crate) const unsafe fn new(argument: usize) -> Self {
        Self(argument)
    }

    /// Makes the call, and says what it returned.
    pub(crate) fn on(self, fd: BorrowedFd<'_>) -> Result<IoctlOutput> {
        // SAFETY: `new` has the caller's word that the argument is a number.
        unsafe { rustix::ioctl::ioctl(fd, self) }
    }
}

// SAFETY: by the word that `new` was given, no memory is touched.
unsafe impl<const NUMBER: u32> Ioctl for Plain<NUMBER> {
    type Output = IoctlOutput;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        number(NUMBER)
    }

    fn as_ptr(&mut self) -> *mut c_void {
        core::ptr::without_provenance_mut(self.0)
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> Result<Self::Output> {
        Ok(out)
    }
}

/// All numbers are `_IO(';', n)`: they encode neither a size nor a direction.
const fn number(whole: u32) -> Opcode {
    let [low, group, 0, 0] = whole.to_le_bytes() else { panic!("a number of VFIO or iommufd has 16 bits") };
    opcode::none(group, low)
}

/// The size of a structure, as the structure itself says it.
#[expect(clippy::cast_possible_truncation, reason = "asserted")]
pub(crate) const fn size<T>() -> u32 {
    assert!(size_of::<T>() <= u32::MAX as usize, "the kernel's structures are small");
    size_of::<T>() as u32
}

/// The address of a buffer, as a structure carries it.
pub(crate) fn address<T>(buffer: &[T]) -> u64 {
    buffer.as_ptr().expose_provenance() as u64
}

/// The address of a buffer that the kernel writes to.
pub(crate) fn address_mut<T>(buffer: &mut [T]) -> u64 {
    buffer.as_mut_ptr().expose_provenance() as u64
}

/// Refuses a bitmap that has no room for the pages of a range: the kernel knows its address only, or believes its size.
pub(crate) fn room(bitmap: &[u64], length: u64, page_size: u64) -> Result<()> {
    if page_size == 0 {
        return Err(Errno::INVAL);
    }
    let words = length.div_ceil(page_size).div_ceil(64);
    if words <= bitmap.len() as u64 { Ok(()) } else { Err(Errno::INVAL) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitmap_needs_a_bit_for_every_page_that_is_touched() {
        let cases = [(64 << 12, 1, true), ((64 << 12) + 1, 1, false), (0, 0, true), (1, 0, false), (1, 1, true)];
        for (length, words, fits) in cases {
            assert_eq!(room(&vec![0; words], length, 4096).is_ok(), fits, "{length} bytes, {words} words");
        }
        assert_eq!(room(&[0], 4096, 0), Err(Errno::INVAL));
        assert_eq!(room(&[0], u64::MAX, 1), Err(Errno::INVAL));
    }
}
