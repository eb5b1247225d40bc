//! What a program does with its signals is its own affair. One test: a process has one set of handlers.
#![cfg(target_os = "linux")]

use core::ffi::c_int;
use core::sync::atomic::{AtomicU32, Ordering};
use std::io::pipe;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use rustix::io::{Errno, read, write};
use vfio_migration_uapi::interruption::{Interruption, choose};

static CALLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn theirs(_signal: c_int) {
    CALLED.fetch_add(1, Ordering::SeqCst);
}

fn handle(signal: c_int, handler: libc::sighandler_t, flags: c_int) {
    // SAFETY: the handler is a function that only counts, or one of the kernel's constants.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        (action.sa_sigaction, action.sa_flags) = (handler, flags);
        assert_eq!(libc::sigaction(signal, &raw const action, core::ptr::null_mut()), 0);
    }
}

fn handler_of(signal: c_int) -> libc::sighandler_t {
    // SAFETY: nothing is changed.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        assert_eq!(libc::sigaction(signal, core::ptr::null(), &raw mut action), 0);
        action.sa_sigaction
    }
}

/// Whether asking for a second ends a read that blocks. It ends in any case.
fn is_ended() -> bool {
    let interruption = Arc::new(Interruption::default());
    let (reader, writer) = pipe().unwrap();
    let (inside, entered) = channel();
    let call: JoinHandle<Result<usize, Errno>> = {
        let interruption = Arc::clone(&interruption);
        spawn(move || {
            interruption.during(|| {
                inside.send(()).unwrap();
                read(&reader, &mut [0; 1])
            })
        })
    };
    entered.recv().unwrap();
    let begun = Instant::now();
    while !call.is_finished() && begun.elapsed() < Duration::from_millis(300) {
        interruption.ask();
        sleep(Duration::from_millis(5));
    }
    // The reader may be gone.
    let _ = write(&writer, b"x");
    call.join().unwrap() == Err(Errno::INTR)
}

#[test]
fn a_signal_in_use_is_not_taken_and_another_can_be_chosen() {
    let usual = libc::SIGRTMAX() - 5;
    let own = theirs as extern "C" fn(c_int) as *const () as libc::sighandler_t;

    assert_eq!(handler_of(usual), libc::SIG_DFL, "nothing is installed before it is needed");
    for taken in [own, libc::SIG_IGN] {
        handle(usual, taken, 0);
        assert!(!is_ended());
        assert_eq!((handler_of(usual), CALLED.load(Ordering::SeqCst)), (taken, 0), "neither replaced nor called");
    }
    handle(usual, libc::SIG_DFL, 0);
    assert!(is_ended());
    assert!(![own, libc::SIG_DFL, libc::SIG_IGN].contains(&handler_of(usual)), "now it is ours");
    // A program that thinks better of it gets its way, and is not killed by a signal that it no longer expects.
    handle(usual, libc::SIG_DFL, 0);
    assert!(is_ended());

    let other = libc::SIGRTMAX() - 6;
    choose(Some(other)).unwrap();
    assert!(is_ended());
    assert!(![own, libc::SIG_DFL].contains(&handler_of(other)));
    let third = libc::SIGRTMAX() - 7;
    handle(third, own, libc::SA_RESTART);
    assert_eq!(choose(Some(third)), Err(Errno::INVAL), "it would end nothing");
    handle(third, own, 0);
    choose(Some(third)).unwrap();
    assert!(is_ended());
    assert_eq!(handler_of(third), own);
    assert!(CALLED.load(Ordering::SeqCst) > 0, "whoever chooses a signal of his own has his handler called");
    for wrong in [0, -1, 65, libc::SIGKILL, libc::SIGSTOP, 32] {
        assert_eq!(choose(Some(wrong)), Err(Errno::INVAL), "{wrong}");
    }
    choose(None).unwrap();
    assert!(!is_ended());
}
