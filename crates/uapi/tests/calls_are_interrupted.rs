//! A call that blocks in the kernel ends when another thread asks for it, and nothing else does.
#![cfg(target_os = "linux")]

use std::io::pipe;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use rustix::io::{Errno, read, write};
use vfio_migration_uapi::interruption::Interruption;

/// Long enough for a thread to do whatever it does at once.
const A_WHILE: Duration = Duration::from_millis(50);

/// Reads from an empty pipe that nobody writes to. Returns once the call is made, or about to be.
fn blocked(
    interruption: &Arc<Interruption>,
    prepare: impl FnOnce() + Send + 'static,
) -> JoinHandle<Result<usize, Errno>> {
    let interruption = Arc::clone(interruption);
    let (inside, entered) = channel();
    let thread = spawn(move || {
        let (reader, _writer) = pipe().unwrap();
        prepare();
        interruption.begin();
        interruption.during(|| {
            // From here on only a signal can end it.
            inside.send(()).unwrap();
            read(&reader, &mut [0; 8])
        })
    });
    entered.recv().unwrap();
    thread
}

/// Asks until the call has returned.
fn end<T>(interruption: &Interruption, call: &JoinHandle<T>) {
    let begun = Instant::now();
    while !call.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(30), "no signal ends the call");
        interruption.ask();
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_read_that_blocks_ends() {
    let interruption = Arc::new(Interruption::default());
    for _ in 0..100 {
        let call = blocked(&interruption, || ());
        end(&interruption, &call);
        assert_eq!(call.join().unwrap(), Err(Errno::INTR));
    }
}

#[test]
fn also_on_a_thread_that_blocks_all_signals() {
    let interruption = Arc::new(Interruption::default());
    let call = blocked(&interruption, || {
        // SAFETY: the set is filled before it is read, and nothing is written back.
        unsafe {
            let mut all = core::mem::zeroed();
            libc::sigfillset(&raw mut all);
            assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, core::ptr::null_mut()), 0);
        }
    });
    end(&interruption, &call);
    assert_eq!(call.join().unwrap(), Err(Errno::INTR));
}

#[test]
fn other_threads_and_other_requests_go_on() {
    let (one, other) = (Arc::new(Interruption::default()), Arc::new(Interruption::default()));
    let (reader, writer) = pipe().unwrap();
    let waiting = {
        let other = Arc::clone(&other);
        spawn(move || other.during(|| read(&reader, &mut [0; 8])))
    };
    let call = blocked(&one, || ());
    end(&one, &call);
    sleep(A_WHILE);
    assert!(!waiting.is_finished(), "it is somebody else's call");
    write(&writer, b"news").unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(4));
    // Nobody is in a call: the wish is kept until the next request begins.
    one.ask();
    assert!(one.is_asked());
    assert_eq!(one.during(|| Ok(())), Err(Errno::INTR), "the same request makes no more calls");
    one.begin();
    assert_eq!(one.during(|| Ok(())), Ok(()));
}
