//! File descriptors of the caller, which are numbers in JavaScript. The only place where a number becomes an owner.

use std::os::fd::{BorrowedFd, OwnedFd};

use vfio_migration::{Code, Error};

/// A copy of the caller's file descriptor: what the caller does with its own afterwards does not matter.
pub(crate) fn copy(fd: i32) -> Result<OwnedFd, Error> {
    if fd < 0 {
        return Err(Error::new(Code::Usage, format!("{fd} is no file descriptor")));
    }
    if cfg!(not(target_os = "linux")) {
        return Err(Error::new(Code::Platform, "file descriptors are used on Linux only"));
    }
    // SAFETY: `fd` is not -1, and the borrow ends within this statement, in which only `fcntl(F_DUPFD_CLOEXEC)` uses
    // it; if the caller has no such file, that call says EBADF and nothing else happens.
    let copied = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned();
    copied.map_err(|error| Error::new(Code::Usage, format!("file descriptor {fd} cannot be used: {error}")))
}
