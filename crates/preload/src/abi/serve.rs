//! How a call is answered: by the node that its fd is, else by libc.

use core::ffi::c_int;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use vfio_migration_protocol::Errno;

use super::process::{self, Process, Served};
use super::{descriptor, table, voice};
use crate::host::{Handle, Program};

/// What a call answers with where it fails, besides `errno`.
pub(super) trait Answer: Copy {
    const FAILED: Self;

    fn failed(self) -> bool;
}

impl Answer for c_int {
    const FAILED: Self = -1;

    fn failed(self) -> bool {
        self == Self::FAILED
    }
}

impl Answer for isize {
    const FAILED: Self = -1;

    fn failed(self) -> bool {
        self == Self::FAILED
    }
}

impl Answer for i64 {
    const FAILED: Self = -1;

    fn failed(self) -> bool {
        self == Self::FAILED
    }
}

impl Answer for *mut core::ffi::c_void {
    const FAILED: Self = libc::MAP_FAILED;

    fn failed(self) -> bool {
        self == Self::FAILED
    }
}

/// Answers a call on an fd: ours if it is a node, else libc's. The kernel refuses fds that are nodes and that we do not know
/// yet with EBADF: only then are they looked at, so that all other calls cost a look at one flag.
pub(super) fn serve<A: Answer>(fd: RawFd, ours: impl Fn(&Served) -> Result<A, Errno>, libc: impl FnOnce() -> A) -> A {
    let known = if table::flagged(fd) { process::current() } else { None };
    match known.and_then(|process| process::inside(|| process.find(fd).map(|served| ours(&served)))) {
        Some(answer) => give(answer),
        None => retry(fd, libc(), ours),
    }
}

/// The same for a call that libc has answered.
fn retry<A: Answer>(fd: RawFd, answer: A, ours: impl Fn(&Served) -> Result<A, Errno>) -> A {
    if !answer.failed() || errno() != libc::EBADF {
        return answer;
    }
    let Some(process) = process::current() else { return answer };
    let identified = process::inside(|| Some(process.identify(fd)?.and_then(|served| ours(&served))));
    identified.map_or_else(
        || {
            set_errno(libc::EBADF);
            answer
        },
        give,
    )
}

/// Answers with what came of our work.
pub(super) fn give<A: Answer>(answer: Result<A, Errno>) -> A {
    answer.unwrap_or_else(|error| {
        set_errno(error.to_linux());
        A::FAILED
    })
}

/// Why this thread's last call failed.
pub(super) fn errno() -> c_int {
    // SAFETY: libc answers with a place of this thread's.
    unsafe { *libc::__errno_location() }
}

pub(super) fn set_errno(number: c_int) {
    // SAFETY: libc answers with a place of this thread's.
    unsafe { *libc::__errno_location() = number }
}

/// The fds of this process, as its devices see them.
pub(super) struct Fds(pub(super) &'static Process);

impl Program for Fds {
    fn handle(&self, fd: RawFd) -> Option<Handle> {
        let served = self.0.find(fd).or_else(|| self.0.identify(fd)?.ok());
        served.map(|served| served.held.handle)
    }

    fn give(&self, handle: Handle) -> Result<RawFd, Errno> {
        self.0.hand_out(handle, None, libc::O_RDWR | libc::O_CLOEXEC)
    }

    fn duplicate(&self, fd: RawFd) -> Result<OwnedFd, Errno> {
        if fd < 0 {
            return Err(Errno::EBADF);
        }
        // SAFETY: it is borrowed for one call, which answers EBADF where it is not open.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        rustix::io::fcntl_dupfd_cloexec(borrowed, 0).map_err(descriptor::errno)
    }

    fn complain(&self, what: &str) {
        voice::say(format_args!("{what}"));
    }
}
