//! Opening by path.

use core::ffi::{CStr, c_char, c_int};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use libc::{AT_FDCWD, O_CREAT, O_TRUNC, O_WRONLY, mode_t};

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

unsafe fn open_at(directory: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: libc demands a C string too.
    if let Some((process, node)) = unsafe { served_at(path) } {
        return give(process::inside(|| process.open(node, flags)));
    }
    // SAFETY: the program's own arguments.
    unsafe { real::OPENAT.get()(directory, path, flags, mode) }
}

symbols! {
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
