//! Where links lead, and what a path really is.

use core::ffi::{c_char, c_int};

use libc::{AT_FDCWD, size_t, ssize_t};

use super::super::{real, voice};
use super::open::Meant;
use super::symbols;

fn check(size: size_t, room: size_t) {
    if size > room {
        voice::give_up(format_args!("the program reads {size} bytes of a link into a buffer of {room}"));
    }
}

symbols! {
    readlinkat(directory: c_int, path: *const c_char, buffer: *mut c_char, size: size_t) -> ssize_t {
        // SAFETY: the program's own arguments; libc demands a C string too.
        unsafe { real::READLINKAT.get()(directory, Meant::by(path).path(), buffer, size) }
    }

    readlink(path: *const c_char, buffer: *mut c_char, size: size_t) -> ssize_t {
        // SAFETY: the program's own arguments.
        unsafe { readlinkat(AT_FDCWD, path, buffer, size) }
    }

    __readlink_chk(path: *const c_char, buffer: *mut c_char, size: size_t, room: size_t) -> ssize_t {
        check(size, room);
        // SAFETY: the program's own arguments.
        unsafe { readlinkat(AT_FDCWD, path, buffer, size) }
    }

    __readlinkat_chk(
        directory: c_int, path: *const c_char, buffer: *mut c_char, size: size_t, room: size_t,
    ) -> ssize_t {
        check(size, room);
        // SAFETY: the program's own arguments.
        unsafe { readlinkat(directory, path, buffer, size) }
    }

    realpath(path: *const c_char, buffer: *mut c_char) -> *mut c_char {
        // SAFETY: the program's own arguments; libc demands a C string too.
        unsafe { real::REALPATH.get()(Meant::by(path).path(), buffer) }
    }

    __realpath_chk(path: *const c_char, buffer: *mut c_char, room: size_t) -> *mut c_char {
        // What libc demands: room for the longest path.
        check(if buffer.is_null() { 0 } else { PATH_MAX }, room);
        // SAFETY: the program's own arguments.
        unsafe { realpath(path, buffer) }
    }

    canonicalize_file_name(path: *const c_char) -> *mut c_char {
        // SAFETY: the program's own argument.
        unsafe { realpath(path, core::ptr::null_mut()) }
    }
}

const PATH_MAX: size_t = libc::PATH_MAX.cast_unsigned() as size_t;
