//! Closing and duplicating.

use core::ffi::{c_int, c_uint};
use std::os::fd::RawFd;

use super::super::{process, real, table};
use super::symbols;

/// Notes that a fd became a duplicate, if it did; answers with what the call answered.
pub(super) fn duplicated(of: RawFd, fd: RawFd) -> c_int {
    if fd >= 0
        && (table::flagged(of) || table::flagged(fd))
        && let Some(process) = process::current()
    {
        process::inside(|| process.duplicated(of, fd));
    }
    fd
}

/// Forgets what is about to be closed.
fn closing(first: RawFd, last: RawFd) {
    if (first != last || table::flagged(first))
        && let Some(process) = process::current()
    {
        process::inside(|| process.closing(first, last));
    }
}

symbols! {
    close | __close (fd: c_int) -> c_int {
        closing(fd, fd);
        // SAFETY: the program's own argument.
        unsafe { real::CLOSE.get()(fd) }
    }

    close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
        if flags.cast_unsigned() & libc::CLOSE_RANGE_CLOEXEC == 0 && first <= last {
            let number = |fd| c_int::try_from(fd).unwrap_or(c_int::MAX);
            closing(number(first), number(last));
        }
        // SAFETY: the program's own arguments.
        unsafe { real::CLOSE_RANGE.get()(first, last, flags) }
    }

    closefrom(first: c_int) {
        closing(first.max(0), c_int::MAX);
        // SAFETY: the program's own argument.
        unsafe { real::CLOSEFROM.get()(first) }
    }

    dup(fd: c_int) -> c_int {
        // SAFETY: the program's own argument.
        duplicated(fd, unsafe { real::DUP.get()(fd) })
    }

    dup2 | __dup2 (fd: c_int, to: c_int) -> c_int {
        // SAFETY: the program's own arguments.
        duplicated(fd, unsafe { real::DUP2.get()(fd, to) })
    }

    dup3(fd: c_int, to: c_int, flags: c_int) -> c_int {
        // SAFETY: the program's own arguments.
        duplicated(fd, unsafe { real::DUP3.get()(fd, to, flags) })
    }
}
