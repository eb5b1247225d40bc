//! Waiting for a list of fds: no call on a node ever waits, so that nodes are always ready.

use core::ffi::c_int;
use core::slice;

use libc::{POLLIN, POLLNVAL, POLLOUT, nfds_t, pollfd, sigset_t, size_t, timespec};

use super::super::{process, real, voice};
use super::symbols;

/// Sets right what the kernel said: of an `O_PATH` fd it says at once that it cannot be waited for.
unsafe fn ready(fds: *mut pollfd, count: nfds_t, answer: c_int) -> c_int {
    let Ok(count) = usize::try_from(count) else { return answer };
    if answer <= 0 || fds.is_null() {
        return answer;
    }
    // SAFETY: the program says that there are so many, and libc has just written there.
    let fds = unsafe { slice::from_raw_parts_mut(fds, count) };
    if fds.iter().all(|entry| entry.revents & POLLNVAL == 0) {
        return answer;
    }
    let Some(process) = process::current() else { return answer };
    for entry in fds.iter_mut().filter(|entry| entry.revents & POLLNVAL != 0) {
        let fd = entry.fd;
        if process::inside(|| process.find(fd).or_else(|| process.identify(fd)?.ok())).is_some() {
            entry.revents = entry.events & (POLLIN | POLLOUT);
        }
    }
    c_int::try_from(fds.iter().filter(|entry| entry.revents != 0).count()).unwrap_or(c_int::MAX)
}

fn check(count: nfds_t, room: size_t) {
    if usize::try_from(count).is_ok_and(|count| count > room / size_of::<pollfd>()) {
        voice::give_up(format_args!("the program waits for {count} fds of a list of {room} bytes"));
    }
}

symbols! {
    poll | __poll (fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { ready(fds, count, real::POLL.get()(fds, count, timeout)) }
    }

    __poll_chk(fds: *mut pollfd, count: nfds_t, timeout: c_int, room: size_t) -> c_int {
        check(count, room);
        // SAFETY: the program's own arguments.
        unsafe { poll(fds, count, timeout) }
    }

    ppoll(fds: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int {
        // SAFETY: the program's own arguments.
        unsafe { ready(fds, count, real::PPOLL.get()(fds, count, timeout, mask)) }
    }

    __ppoll_chk(
        fds: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t, room: size_t,
    ) -> c_int {
        check(count, room);
        // SAFETY: the program's own arguments.
        unsafe { ppoll(fds, count, timeout, mask) }
    }
}
