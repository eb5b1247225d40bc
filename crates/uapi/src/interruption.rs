//! Ending a call that blocks: a signal to the thread that is in it.
//!
//! The kernel gives up a call early only because of a signal, and only where a driver waits in a way that signals end: the
//! call then answers EINTR. Other waits end when they end.
//!
//! **To programs that embed this.** The signal is `SIGRTMAX - 5`, sent to a thread of this process and only while that is
//! inside a call to a device. Before the first time one is sent, and never otherwise, a handler that does nothing is
//! installed for it, without `SA_RESTART`; for the length of a call the thread does not block the signal. Where the signal
//! has a handler already, or is ignored, nothing is installed or sent, and calls that block are not ended. [`choose`] takes
//! another signal, or none.

use core::ffi::c_int;
use core::mem::zeroed;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::io::{Errno, Result};
use rustix::process::{Pid, getpid};
use rustix::thread::gettid;

/// The signal is counted from the last one, since C libraries keep the first ones for themselves.
const BELOW_THE_LAST: c_int = 5;

/// What [`choose`] has chosen: a signal, or one of these.
static CHOSEN: AtomicI32 = AtomicI32::new(DEFAULT);
const DEFAULT: c_int = -1;
const NONE: c_int = 0;

/// Chooses the signal that ends calls, `None` for none. Call it before the first device is opened: calls that are under way
/// may miss the change.
///
/// A signal with a handler of the program's own is taken as it is: its handler is called then, and must bear that.
///
/// # Errors
/// EINVAL for a number that is no signal or cannot be handled, for a signal that is ignored, and for one whose handler has
/// `SA_RESTART`, which would make the kernel go on with the call.
///
/// ```
/// use vfio_migration_uapi::{Errno, interruption};
/// assert_eq!(interruption::choose(Some(9)), Err(Errno::INVAL));
/// interruption::choose(None)?;
/// # Ok::<(), Errno>(())
/// ```
pub fn choose(signal: Option<i32>) -> Result<()> {
    if let Some(signal) = signal {
        let catchable = (1..=libc::SIGRTMAX()).contains(&signal) && ![libc::SIGKILL, libc::SIGSTOP].contains(&signal);
        if !catchable || matches!(action(signal)?, Action::Ignored | Action::Restarting) {
            return Err(Errno::INVAL);
        }
    }
    CHOSEN.store(signal.unwrap_or(NONE), Ordering::Relaxed);
    Ok(())
}

/// A way for other threads to end the calls of one device: one request, of one call or several, at a time.
///
/// The thread that makes the calls says [`begin`](Self::begin) at the start of a request and makes each call
/// [`during`](Self::during). Any thread may [`ask`](Self::ask) for the request's end.
///
/// ```
/// use vfio_migration_uapi::{Errno, interruption::Interruption};
/// let interruption = Interruption::default();
/// assert_eq!(interruption.during(|| Ok(7)), Ok(7));
/// interruption.ask();
/// assert_eq!(interruption.during(|| Ok(7)), Err(Errno::INTR));
/// interruption.begin();
/// assert_eq!(interruption.during(|| Ok(7)), Ok(7));
/// ```
#[derive(Debug, Default)]
pub struct Interruption {
    asked: AtomicBool,
    /// The thread that is in a call. While this is locked it stays in [`during`](Self::during), so that no signal goes to a
    /// thread that has ended, or to another that got its number.
    inside: Mutex<Option<Pid>>,
}

impl Interruption {
    /// A new request begins: what was asked before was meant for another.
    pub fn begin(&self) {
        self.asked.store(false, Ordering::SeqCst);
    }

    /// Whether the request is to end.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Makes a call that may block. EINTR, without making it, once the request is to end.
    pub fn during<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        let _inside = Inside::enter(self);
        if self.is_asked() { Err(Errno::INTR) } else { call() }
    }

    /// Asks for the end of the request. A call that is just about to block may miss it: ask again until it has returned.
    pub fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        let inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(thread), Some(signal)) = (*inside, ready_signal()) {
            let (process, thread) = (getpid().as_raw_nonzero().get(), thread.as_raw_nonzero().get());
            // It fails where too many signals wait for the thread already: one of them will do.
            // SAFETY: the call takes three numbers and touches no memory of ours.
            let _ = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) };
        }
    }
}

/// A thread that is in a call, and takes the signal.
struct Inside<'a> {
    interruption: &'a Interruption,
    /// To be blocked again.
    blocked: Option<c_int>,
}

impl<'a> Inside<'a> {
    fn enter(interruption: &'a Interruption) -> Self {
        *interruption.inside.lock().unwrap_or_else(PoisonError::into_inner) = Some(gettid());
        Self { interruption, blocked: signal().filter(|signal| mask(libc::SIG_UNBLOCK, *signal)) }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        *self.interruption.inside.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(signal) = self.blocked {
            mask(libc::SIG_BLOCK, signal);
        }
    }
}

fn signal() -> Option<c_int> {
    match CHOSEN.load(Ordering::Relaxed) {
        NONE => None,
        DEFAULT => Some(libc::SIGRTMAX() - BELOW_THE_LAST),
        signal => Some(signal),
    }
}

/// The signal, if sending it does nothing but end a call. Asked each time: the program may have changed what it does.
fn ready_signal() -> Option<c_int> {
    let signal = signal()?;
    let chosen = CHOSEN.load(Ordering::Relaxed) != DEFAULT;
    match action(signal).ok()? {
        Action::Ours => Some(signal),
        Action::Theirs if chosen => Some(signal),
        Action::Default => install(signal).ok().map(|()| signal),
        Action::Theirs | Action::Ignored | Action::Restarting => None,
    }
}

/// What happens when a signal comes.
enum Action {
    Default,
    Ignored,
    Ours,
    Theirs,
    /// Theirs, and the kernel goes on with the call afterwards.
    Restarting,
}

/// The handler: that there is one makes the call answer EINTR.
extern "C" fn nothing(_signal: c_int) {}

fn nothing_as_number() -> libc::sighandler_t {
    (nothing as extern "C" fn(c_int) as *const ()).expose_provenance()
}

fn action(signal: c_int) -> Result<Action> {
    // SAFETY: numbers, a set of signals, and an optional function: zero is valid for each.
    let mut now: libc::sigaction = unsafe { zeroed() };
    // SAFETY: nothing is changed, and `now` may be written to.
    if unsafe { libc::sigaction(signal, null(), &raw mut now) } != 0 {
        return Err(Errno::INVAL);
    }
    Ok(match now.sa_sigaction {
        libc::SIG_DFL => Action::Default,
        libc::SIG_IGN => Action::Ignored,
        ours if ours == nothing_as_number() => Action::Ours,
        _ if now.sa_flags & libc::SA_RESTART != 0 => Action::Restarting,
        _ => Action::Theirs,
    })
}

fn install(signal: c_int) -> Result<()> {
    // SAFETY: as in `action`.
    let mut new: libc::sigaction = unsafe { zeroed() };
    new.sa_sigaction = nothing_as_number();
    // Programs in Go insist on it.
    new.sa_flags = libc::SA_ONSTACK;
    // SAFETY: the handler is a function of the right type that does nothing, which is allowed at any moment; with an empty
    // mask and these flags it needs nothing else.
    if unsafe { libc::sigaction(signal, &raw const new, null_mut()) } != 0 { Err(Errno::INVAL) } else { Ok(()) }
}

/// Blocks or unblocks a signal for this thread. Whether it was blocked.
fn mask(how: c_int, signal: c_int) -> bool {
    // SAFETY: a set of signals is numbers; zero is the empty set.
    let (mut set, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { zeroed() };
    // SAFETY: both sets are initialised and may be written to, and the number is that of a signal.
    unsafe {
        libc::sigaddset(&raw mut set, signal);
        libc::pthread_sigmask(how, &raw const set, &raw mut before) == 0
            && libc::sigismember(&raw const before, signal) == 1
    }
}
