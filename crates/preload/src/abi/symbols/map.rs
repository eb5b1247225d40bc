//! Mapping.

use core::ffi::{c_int, c_void};
use std::os::fd::AsRawFd;

use libc::{off64_t, size_t};
use vfio_migration_protocol::Errno;

use super::super::real;
use super::super::serve::{errno, serve};
use super::symbols;

symbols! {
    mmap | mmap64 (
        address: *mut c_void, length: size_t, protection: c_int, flags: c_int, fd: c_int, offset: off64_t,
    ) -> *mut c_void {
        serve(fd, |served| {
            let offset = u64::try_from(offset).map_err(|_| Errno::EINVAL)?;
            let (memory, at) = served.held.handle.mmap(offset, length as u64)?;
            let at = off64_t::try_from(at).map_err(|_| Errno::EINVAL)?;
            // SAFETY: the program's own arguments, but for the file, which is what the node has mapped there.
            let mapped = unsafe { real::MMAP.get()(address, length, protection, flags, memory.as_raw_fd(), at) };
            if mapped == libc::MAP_FAILED { Err(Errno::from_linux(errno())) } else { Ok(mapped) }
        }, || {
            // SAFETY: the program's own arguments.
            unsafe { real::MMAP.get()(address, length, protection, flags, fd, offset) }
        })
    }
}
