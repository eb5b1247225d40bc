//! System calls by number, through libc's `syscall`: those that have a function of ours go there, so that programs which call
//! some of them so (libuv does) see the same devices by either way.

use core::ffi::{c_int, c_long, c_uint, c_ulong, c_void};
use core::ptr::with_exposed_provenance_mut;

use super::super::real;
use super::{close, control, links, map, open, status, symbols, transfer};

/// An argument that is a number of C's `int`: the kernel looks at its low 32 bits only.
fn int(word: usize) -> c_int {
    uint(word).cast_signed()
}

fn uint(word: usize) -> c_uint {
    c_uint::try_from(word & 0xffff_ffff).expect("these are 32 bits")
}

fn place<T>(word: usize) -> *mut T {
    with_exposed_provenance_mut(word)
}

/// The answer of a function of ours; none for a call that has none.
unsafe fn ours(number: c_long, words: [usize; 6]) -> Option<c_long> {
    let offset = |word: usize| word.cast_signed() as i64;
    // SAFETY: the program's own arguments, as the call of this number takes them.
    let answer = unsafe {
        match number {
            libc::SYS_openat => open::openat(int(words[0]), place(words[1]), int(words[2]), uint(words[3])).into(),
            libc::SYS_close => close::close(int(words[0])).into(),
            libc::SYS_close_range => close::close_range(uint(words[0]), uint(words[1]), int(words[2])).into(),
            libc::SYS_dup => close::dup(int(words[0])).into(),
            libc::SYS_dup3 => close::dup3(int(words[0]), int(words[1]), int(words[2])).into(),
            libc::SYS_fcntl => control::fcntl(int(words[0]), int(words[1]), place(words[2])).into(),
            libc::SYS_ioctl => control::ioctl(int(words[0]), words[1] as c_ulong, place(words[2])).into(),
            libc::SYS_read => transfer::read(int(words[0]), place(words[1]), words[2]) as c_long,
            libc::SYS_readv => transfer::readv(int(words[0]), place(words[1]), int(words[2])) as c_long,
            libc::SYS_pread64 => {
                transfer::pread64(int(words[0]), place(words[1]), words[2], offset(words[3])) as c_long
            }
            libc::SYS_write => transfer::write(int(words[0]), place::<c_void>(words[1]), words[2]) as c_long,
            libc::SYS_writev => transfer::writev(int(words[0]), place(words[1]), int(words[2])) as c_long,
            libc::SYS_pwrite64 => {
                transfer::pwrite64(int(words[0]), place::<c_void>(words[1]), words[2], offset(words[3])) as c_long
            }
            libc::SYS_mmap => {
                map::mmap64(place(words[0]), words[1], int(words[2]), int(words[3]), int(words[4]), offset(words[5]))
                    .expose_provenance()
                    .cast_signed() as c_long
            }
            libc::SYS_fstat => status::fstat64(int(words[0]), place(words[1])).into(),
            libc::SYS_newfstatat => {
                status::fstatat64(int(words[0]), place(words[1]), place(words[2]), int(words[3])).into()
            }
            libc::SYS_statx => {
                status::statx(int(words[0]), place(words[1]), int(words[2]), uint(words[3]), place(words[4])).into()
            }
            libc::SYS_readlinkat => {
                links::readlinkat(int(words[0]), place(words[1]), place(words[2]), words[3]) as c_long
            }
            libc::SYS_faccessat => status::faccessat(int(words[0]), place(words[1]), int(words[2]), 0).into(),
            libc::SYS_faccessat2 => {
                status::faccessat(int(words[0]), place(words[1]), int(words[2]), int(words[3])).into()
            }
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => open::open64(place(words[0]), int(words[1]), uint(words[2])).into(),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_dup2 => close::dup2(int(words[0]), int(words[1])).into(),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_stat => status::stat64(place(words[0]), place(words[1])).into(),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_lstat => status::lstat64(place(words[0]), place(words[1])).into(),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_access => status::access(place(words[0]), int(words[1])).into(),
            _ => return None,
        }
    };
    Some(answer)
}

symbols! {
    syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
        // SAFETY: the program's own arguments; of those that it did not give, no call of that number makes use.
        unsafe { ours(number, [a, b, c, d, e, f]) }.unwrap_or_else(|| {
            // SAFETY: as above.
            unsafe { real::SYSCALL.get()(number, a, b, c, d, e, f) }
        })
    }
}
