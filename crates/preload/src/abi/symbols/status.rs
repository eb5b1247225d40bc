//! What is at a path, and what an fd is: the nodes of `/dev` are character devices with the numbers that the folder names.

use core::ffi::{c_char, c_int, c_uint};
use core::mem::zeroed;

use libc::{
    AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, S_IFCHR, X_OK, stat64 as Status, statx as Extended,
};
use vfio_migration_protocol::Errno;

use super::super::process::{self, Served};
use super::super::serve::give;
use super::super::{descriptor, real};
use super::open::{Meant, served_at};
use super::symbols;
use crate::Node;

/// What stat says of a node.
fn status(node: Node) -> Status {
    // SAFETY: it is all numbers.
    let mut status: Status = unsafe { zeroed() };
    let (major, minor) = node.number();
    status.st_mode = S_IFCHR | 0o666;
    status.st_nlink = 1;
    status.st_rdev = libc::makedev(major, minor);
    status.st_ino = status.st_rdev;
    status.st_blksize = 4096;
    status
}

/// The same for statx.
fn extended(node: Node) -> Extended {
    // SAFETY: it is all numbers.
    let mut status: Extended = unsafe { zeroed() };
    let (major, minor) = node.number();
    status.stx_mask = libc::STATX_BASIC_STATS;
    status.stx_mode = u16::try_from(S_IFCHR | 0o666).expect("a mode has 16 bits");
    status.stx_nlink = 1;
    (status.stx_rdev_major, status.stx_rdev_minor) = (major, minor);
    status.stx_ino = libc::makedev(major, minor);
    status.stx_blksize = 4096;
    status
}

/// The node that an fd was opened at; none for what has no path.
fn opened_at(served: &Served) -> Option<Node> {
    served.process.node_at(&descriptor::record(served.fd)?.path?)
}

unsafe fn stat_at(directory: c_int, path: *const c_char, into: *mut Status, flags: c_int) -> c_int {
    // SAFETY: libc demands a C string too.
    if let Some((_, node)) = unsafe { served_at(path) } {
        // SAFETY: the program says that there is room for it.
        unsafe { into.write(status(node)) };
        return 0;
    }
    // SAFETY: the program's own arguments.
    let libc = || unsafe { real::FSTATAT.get()(directory, Meant::by(path).path(), into, flags) };
    // SAFETY: as above.
    if flags & AT_EMPTY_PATH != 0 && (path.is_null() || unsafe { path.read() } == 0) {
        // SAFETY: as above.
        return unsafe { stat_of(directory, into, libc) };
    }
    libc()
}

/// What an fd is. The kernel answers for our fds too, so that libc is asked only of others.
unsafe fn stat_of(fd: c_int, into: *mut Status, libc: impl FnOnce() -> c_int) -> c_int {
    let answer = libc();
    if answer == 0
        && let Some(node) = node_of(fd)
    {
        // SAFETY: the program says that there is room for it, and libc has just written there.
        unsafe { into.write(status(node)) };
    }
    answer
}

/// The node behind an fd, known or not.
fn node_of(fd: c_int) -> Option<Node> {
    let process = process::current()?;
    process::inside(|| {
        let served = process.find(fd).or_else(|| process.identify(fd)?.ok())?;
        opened_at(&served)
    })
}

/// Everybody may read and write a node, nobody run it.
unsafe fn access_at(directory: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
    // SAFETY: libc demands a C string too.
    match unsafe { served_at(path) } {
        Some(_) => give(if mode & X_OK == 0 { Ok(0) } else { Err(Errno::EACCES) }),
        // SAFETY: the program's own arguments.
        None => unsafe { real::FACCESSAT.get()(directory, Meant::by(path).path(), mode, flags) },
    }
}

symbols! {
    stat | stat64 (path: *const c_char, into: *mut Status) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { stat_at(AT_FDCWD, path, into, 0) }
    }

    lstat | lstat64 (path: *const c_char, into: *mut Status) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { stat_at(AT_FDCWD, path, into, AT_SYMLINK_NOFOLLOW) }
    }

    fstatat | fstatat64 (directory: c_int, path: *const c_char, into: *mut Status, flags: c_int) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { stat_at(directory, path, into, flags) }
    }

    fstat | fstat64 (fd: c_int, into: *mut Status) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { stat_of(fd, into, || real::FSTAT.get()(fd, into)) }
    }

    __xstat | __xstat64 (_version: c_int, path: *const c_char, into: *mut Status) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { stat_at(AT_FDCWD, path, into, 0) }
    }

    __lxstat | __lxstat64 (_version: c_int, path: *const c_char, into: *mut Status) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { stat_at(AT_FDCWD, path, into, AT_SYMLINK_NOFOLLOW) }
    }

    __fxstatat | __fxstatat64 (
        _version: c_int, directory: c_int, path: *const c_char, into: *mut Status, flags: c_int,
    ) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { stat_at(directory, path, into, flags) }
    }

    __fxstat | __fxstat64 (_version: c_int, fd: c_int, into: *mut Status) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { stat_of(fd, into, || real::FSTAT.get()(fd, into)) }
    }

    statx(directory: c_int, path: *const c_char, flags: c_int, mask: c_uint, into: *mut Extended) -> c_int {
        // SAFETY: libc demands a C string too.
        if let Some((_, node)) = unsafe { served_at(path) } {
            // SAFETY: the program says that there is room for it.
            unsafe { into.write(extended(node)) };
            return 0;
        }
        // SAFETY: the program's own arguments.
        let answer = unsafe { real::STATX.get()(directory, Meant::by(path).path(), flags, mask, into) };
        // SAFETY: as above.
        let empty = flags & AT_EMPTY_PATH != 0 && (path.is_null() || unsafe { path.read() } == 0);
        if answer == 0 && empty && let Some(node) = node_of(directory) {
            // SAFETY: the program says that there is room for it, and libc has just written there.
            unsafe { into.write(extended(node)) };
        }
        answer
    }

    access(path: *const c_char, mode: c_int) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { access_at(AT_FDCWD, path, mode, 0) }
    }

    eaccess | euidaccess (path: *const c_char, mode: c_int) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { access_at(AT_FDCWD, path, mode, AT_EACCESS) }
    }

    faccessat(directory: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { access_at(directory, path, mode, flags) }
    }
}
