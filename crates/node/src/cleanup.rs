//! What must end before a JavaScript environment does: the main thread's, or a worker's.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use napi::Env;

use crate::thread::Thread;

/// How long an ending environment waits for a call that a device does not end. After it the thread is left alone: it
/// touches nothing of JavaScript's.
const PATIENCE: Duration = Duration::from_secs(2);

/// Something with a thread of its own.
pub(crate) trait Live: Send + Sync {
    /// Makes the thread end soon.
    fn signal(&self);
    /// The thread, to be joined.
    fn thread(&self) -> Option<Thread>;
    /// Whether the thread has not ended yet.
    fn lives(&self) -> bool;
}

thread_local! {
    /// One environment lives on one thread.
    static LIVING: RefCell<Option<Vec<Weak<dyn Live>>>> = const { RefCell::new(None) };
}

/// Has `living` signalled and joined when the environment ends, if it still lives then.
pub(crate) fn end_with_environment(env: Env, living: &Arc<dyn Live>) -> napi::Result<()> {
    let first = LIVING.with_borrow_mut(|all| {
        let first = all.is_none();
        let all = all.get_or_insert_default();
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(living));
        first
    });
    if first {
        env.add_env_cleanup_hook((), |()| end_all())?;
    }
    Ok(())
}

/// How many devices and sessions of this environment have a thread.
pub(crate) fn living() -> u32 {
    let lives = |one: &Weak<dyn Live>| one.upgrade().is_some_and(|one| one.lives());
    let count = LIVING.with_borrow(|all| all.iter().flatten().filter(|one| lives(one)).count());
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn end_all() {
    let all: Vec<_> = LIVING.take().into_iter().flatten().filter_map(|one| one.upgrade()).collect();
    for one in &all {
        one.signal();
    }
    // In WASM they need the event loop to end, and it does not go on while this waits.
    let until = Instant::now() + if cfg!(target_family = "wasm") { Duration::ZERO } else { PATIENCE };
    for thread in all.iter().filter_map(|one| one.thread()) {
        while !thread.is_finished() && Instant::now() < until {
            sleep(Duration::from_millis(1));
        }
        if thread.is_finished() {
            thread.join();
        }
    }
}
