//! libc's own functions, which ours stand in front of.

use core::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_void};
use core::marker::PhantomData;
use core::mem::transmute_copy;
use core::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use libc::{DIR, fd_set, iovec, nfds_t, off64_t, pollfd, sigset_t, size_t, ssize_t, stat64, statx, timespec, timeval};

/// A function of libc's, found when it is first called.
pub(super) struct Real<F> {
    name: &'static CStr,
    found: AtomicPtr<c_void>,
    signature: PhantomData<F>,
}

impl<F: Copy> Real<F> {
    /// # Safety
    ///
    /// `F` is the type of a pointer to the function of that name in libc.
    const unsafe fn new(name: &'static CStr) -> Self {
        assert!(size_of::<F>() == size_of::<*mut c_void>(), "a pointer to a function");
        Self { name, found: AtomicPtr::new(null_mut()), signature: PhantomData }
    }

    /// The function itself.
    pub(super) fn get(&self) -> F {
        let mut found = self.found.load(Ordering::Relaxed);
        if found.is_null() {
            // SAFETY: the name is a C string. `RTLD_NEXT` looks behind the library that asks.
            found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
            if found.is_null() {
                super::voice::give_up(format_args!("libc has no function {}", self.name.to_string_lossy()));
            }
            self.found.store(found, Ordering::Relaxed);
        }
        // SAFETY: `new` has the word that the function of this name has the type `F`, which has a pointer's size.
        unsafe { transmute_copy::<*mut c_void, F>(&found) }
    }
}

/// Declares functions of libc's by their signatures.
macro_rules! real {
    ($($constant:ident = $name:literal: ($($argument:ty),* $(; $variadic:tt)?) -> $answer:ty;)*) => {
        $(
            pub(super) static $constant: Real<unsafe extern "C" fn($($argument),* $(, $variadic)?) -> $answer> = {
                // SAFETY: the signature is that of libc's header.
                unsafe { Real::new($name) }
            };
        )*
    };
}

real! {
    OPENAT = c"openat64": (c_int, *const c_char, c_int; ...) -> c_int;
    OPENDIR = c"opendir": (*const c_char) -> *mut DIR;
    READLINKAT = c"readlinkat": (c_int, *const c_char, *mut c_char, size_t) -> ssize_t;
    REALPATH = c"realpath": (*const c_char, *mut c_char) -> *mut c_char;
    READ = c"read": (c_int, *mut c_void, size_t) -> ssize_t;
    PREAD = c"pread64": (c_int, *mut c_void, size_t, off64_t) -> ssize_t;
    READV = c"readv": (c_int, *const iovec, c_int) -> ssize_t;
    PREADV = c"preadv64": (c_int, *const iovec, c_int, off64_t) -> ssize_t;
    PREADV2 = c"preadv64v2": (c_int, *const iovec, c_int, off64_t, c_int) -> ssize_t;
    WRITE = c"write": (c_int, *const c_void, size_t) -> ssize_t;
    PWRITE = c"pwrite64": (c_int, *const c_void, size_t, off64_t) -> ssize_t;
    WRITEV = c"writev": (c_int, *const iovec, c_int) -> ssize_t;
    PWRITEV = c"pwritev64": (c_int, *const iovec, c_int, off64_t) -> ssize_t;
    PWRITEV2 = c"pwritev64v2": (c_int, *const iovec, c_int, off64_t, c_int) -> ssize_t;
    SYSCALL = c"syscall": (c_long; ...) -> c_long;
    LSEEK = c"lseek64": (c_int, off64_t, c_int) -> off64_t;
    IOCTL = c"ioctl": (c_int, c_ulong; ...) -> c_int;
    FCNTL = c"fcntl64": (c_int, c_int; ...) -> c_int;
    MMAP = c"mmap64": (*mut c_void, size_t, c_int, c_int, c_int, off64_t) -> *mut c_void;
    CLOSE = c"close": (c_int) -> c_int;
    CLOSE_RANGE = c"close_range": (c_uint, c_uint, c_int) -> c_int;
    CLOSEFROM = c"closefrom": (c_int) -> ();
    DUP = c"dup": (c_int) -> c_int;
    DUP2 = c"dup2": (c_int, c_int) -> c_int;
    DUP3 = c"dup3": (c_int, c_int, c_int) -> c_int;
    FSTATAT = c"fstatat64": (c_int, *const c_char, *mut stat64, c_int) -> c_int;
    FSTAT = c"fstat64": (c_int, *mut stat64) -> c_int;
    STATX = c"statx": (c_int, *const c_char, c_int, c_uint, *mut statx) -> c_int;
    FACCESSAT = c"faccessat": (c_int, *const c_char, c_int, c_int) -> c_int;
    POLL = c"poll": (*mut pollfd, nfds_t, c_int) -> c_int;
    SELECT = c"select": (c_int, *mut fd_set, *mut fd_set, *mut fd_set, *mut timeval) -> c_int;
    PSELECT = c"pselect": (c_int, *mut fd_set, *mut fd_set, *mut fd_set, *const timespec, *const sigset_t) -> c_int;
    PPOLL = c"ppoll": (*mut pollfd, nfds_t, *const timespec, *const sigset_t) -> c_int;
}
