//! Opening by path.

use core::ffi::{CStr, c_char, c_int};
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use libc::{AT_FDCWD, DIR, O_CREAT, O_TRUNC, O_WRONLY, mode_t};

use super::super::process::{self, Process};
use super::super::real;
use super::super::serve::give;
use super::symbols;
use crate::Node;

/// What is served at a path that a program names; none where libc is to look.
///
/// # Safety
///
/// The path is null or a C string.
pub(super) unsafe fn served_at(path: *const c_char) -> Option<(&'static Process, Node)> {
    if path.is_null() {
        return None;
    }
    // SAFETY: by the caller's word.
    let path = unsafe { CStr::from_ptr(path) };
    // Before anything that costs more: most paths are elsewhere.
    if !path.to_bytes().starts_with(b"/dev/") {
        return None;
    }
    let process = process::current()?;
    process::inside(|| process.node_at(Path::new(OsStr::from_bytes(path.to_bytes())))).map(|node| (process, node))
}

/// The path that libc is to take for the one that a program names: the folder's, for what sysfs would say of the devices.
pub(super) struct Meant {
    named: *const c_char,
    moved: Option<CString>,
}

impl Meant {
    /// # Safety
    ///
    /// The path is null or a C string.
    pub(super) unsafe fn by(named: *const c_char) -> Self {
        // SAFETY: by the caller's word.
        let path = (!named.is_null()).then(|| unsafe { CStr::from_ptr(named) }.to_bytes());
        let path = path.filter(|path| path.starts_with(b"/sys/")).zip(process::current());
        let moved = path.and_then(|(path, process)| {
            process::inside(|| {
                CString::new(process.moved(Path::new(OsStr::from_bytes(path)))?.into_os_string().into_vec()).ok()
            })
        });
        Self { named, moved }
    }

    /// As a C string, which lives as long as this and as what the program named.
    pub(super) fn path(&self) -> *const c_char {
        self.moved.as_ref().map_or(self.named, |path| path.as_ptr())
    }
}

unsafe fn open_at(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: libc demands a C string too.
    if let Some((process, node)) = unsafe { served_at(path) } {
        return give(process::inside(|| process.open(node, flags)));
    }
    // SAFETY: the program's own arguments; libc demands a C string too.
    unsafe { real::OPENAT.get()(directory, Meant::by(path).path(), flags, mode) }
}

symbols! {
    opendir(path: *const c_char) -> *mut DIR {
        // SAFETY: the program's own argument; libc demands a C string too.
        unsafe { real::OPENDIR.get()(Meant::by(path).path()) }
    }

    open | open64 | __open | __open64 (path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { open_at(AT_FDCWD, path, flags, mode) }
    }

    openat | openat64 (directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { open_at(directory, path, flags, mode) }
    }

    __open_2 | __open64_2 (path: *const c_char, flags: c_int) -> c_int {
        // SAFETY: the program's own arguments; without a mode, nothing can be made.
        unsafe { open_at(AT_FDCWD, path, flags & !O_CREAT, 0) }
    }

    __openat_2 | __openat64_2 (directory: c_int, path: *const c_char, flags: c_int) -> c_int {
        // SAFETY: the program's own arguments; without a mode, nothing can be made.
        unsafe { open_at(directory, path, flags & !O_CREAT, 0) }
    }

    creat | creat64 (path: *const c_char, mode: mode_t) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { open_at(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode) }
    }
}
