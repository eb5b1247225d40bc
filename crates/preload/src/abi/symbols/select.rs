//! Waiting by sets of fds. Kernels answer of an `O_PATH` fd in a set that it is ready for everything, or (before 5.19) never:
//! so the kernel sees the sets without the nodes, which are ready for reading and writing at once.

use core::ffi::{c_int, c_ulong};
use core::slice;
use std::os::fd::RawFd;

use libc::{fd_set, sigset_t, timespec, timeval};

use super::super::{process, real};
use super::symbols;

/// The fds of one word of a set.
const WORD: usize = c_ulong::BITS as usize;

/// The words of a set that the call looks at; none without a set.
///
/// # Safety
///
/// The program says that there are bits for so many fds.
unsafe fn words<'a>(set: *mut fd_set, count: c_int) -> &'a mut [c_ulong] {
    let Ok(count) = usize::try_from(count) else { return &mut [] };
    if set.is_null() {
        return &mut [];
    }
    // SAFETY: by the caller's word. A set is made of words, also one that is longer than `FD_SETSIZE`.
    unsafe { slice::from_raw_parts_mut(set.cast(), count.div_ceil(WORD)) }
}

/// The bits of a set.
fn bits(words: &[c_ulong]) -> impl Iterator<Item = usize> {
    words
        .iter()
        .enumerate()
        .flat_map(|(at, word)| (0..WORD).filter(move |bit| word >> bit & 1 != 0).map(move |bit| at * WORD + bit))
}

/// The nodes of the sets for reading, for writing and for what is exceptional, which are taken out of them.
unsafe fn taken_out(sets: [*mut fd_set; 3], count: c_int) -> [Vec<usize>; 3] {
    let Some(process) = process::current() else { return Default::default() };
    let is_node = |fd: usize| {
        let fd = RawFd::try_from(fd).unwrap_or(-1);
        process::inside(|| process.find(fd).or_else(|| process.identify(fd)?.ok())).is_some()
    };
    sets.map(|set| {
        // SAFETY: by the program's word, as in `select`.
        let words = unsafe { words(set, count) };
        let nodes: Vec<_> = bits(words).filter(|fd| is_node(*fd)).collect();
        for fd in &nodes {
            words[fd / WORD] &= !(1 << (fd % WORD));
        }
        nodes
    })
}

/// Answers a call: `wait` is libc's, without waiting if it is asked to.
unsafe fn select_of(sets: [*mut fd_set; 3], count: c_int, wait: impl FnOnce(bool) -> c_int) -> c_int {
    // SAFETY: by the program's word.
    let nodes = unsafe { taken_out(sets, count) };
    let [reading, writing, _] = &nodes;
    let ready = reading.len() + writing.len();
    let answer = wait(ready > 0);
    if answer < 0 {
        // The sets are as the program left them.
        for (set, fds) in sets.into_iter().zip(&nodes) {
            // SAFETY: as above.
            put(unsafe { words(set, count) }, fds);
        }
        return answer;
    }
    for (set, fds) in sets.into_iter().zip([reading, writing]) {
        // SAFETY: as above.
        put(unsafe { words(set, count) }, fds);
    }
    answer.saturating_add(c_int::try_from(ready).unwrap_or(c_int::MAX))
}

fn put(words: &mut [c_ulong], fds: &[usize]) {
    for fd in fds {
        words[fd / WORD] |= 1 << (fd % WORD);
    }
}

symbols! {
    select | __select (
        count: c_int, reading: *mut fd_set, writing: *mut fd_set, exceptional: *mut fd_set, timeout: *mut timeval,
    ) -> c_int {
        let mut at_once = timeval { tv_sec: 0, tv_usec: 0 };
        let wait = |now: bool| {
            let timeout = if now { &raw mut at_once } else { timeout };
            // SAFETY: the program's own arguments, but for the time.
            unsafe { real::SELECT.get()(count, reading, writing, exceptional, timeout) }
        };
        // SAFETY: the program's own arguments.
        unsafe { select_of([reading, writing, exceptional], count, wait) }
    }

    pselect(
        count: c_int, reading: *mut fd_set, writing: *mut fd_set, exceptional: *mut fd_set, timeout: *const timespec,
        mask: *const sigset_t,
    ) -> c_int {
        let at_once = timespec { tv_sec: 0, tv_nsec: 0 };
        let wait = |now: bool| {
            let timeout = if now { &raw const at_once } else { timeout };
            // SAFETY: the program's own arguments, but for the time.
            unsafe { real::PSELECT.get()(count, reading, writing, exceptional, timeout, mask) }
        };
        // SAFETY: the program's own arguments.
        unsafe { select_of([reading, writing, exceptional], count, wait) }
    }
}
