//! Requests to a device: what of their calls is made again, how they are ended early, and what it means that one failed.

use core::time::Duration;
use std::sync::Arc;
use std::thread::sleep;

use rustix::io::Errno;
use vfio_migration_protocol::{CallError, Errno as Number};
use vfio_migration_uapi::interruption::Interruption;

/// How often a call, or a change of state, that a signal interrupted is made again.
pub(super) const INTERRUPTIONS: u32 = 100;
/// How often a reset that finds the device's lock taken is tried again, and how long it waits in between.
const RESETS: u32 = 50;
const RESET_PAUSE: Duration = Duration::from_millis(20);

/// The requests to one device, one at a time. Each method of `Device` that makes calls is one.
#[derive(Default)]
pub(super) struct Requests(Arc<Interruption>);

impl Requests {
    /// A request begins.
    pub(super) fn begin(&self) {
        self.0.begin();
    }

    /// Whether somebody wants it to end.
    pub(super) fn is_to_end(&self) -> bool {
        self.0.is_asked()
    }

    /// Makes a call once.
    pub(super) fn once<T>(&self, call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
        self.0.during(call)
    }

    /// Makes a call again that a signal interrupted, within a bound, unless the interruption was meant for it.
    pub(super) fn made<T>(&self, mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
        let mut left = INTERRUPTIONS;
        loop {
            left -= 1;
            match self.once(&mut call) {
                Err(Errno::INTR) if left > 0 && !self.is_to_end() => {}
                answer => return answer,
            }
        }
    }

    /// Makes the call that resets the device.
    pub(super) fn reset(&self, mut call: impl FnMut() -> Result<(), Errno>) -> Result<(), CallError> {
        let mut left = RESETS;
        loop {
            match self.made(&mut call) {
                // Somebody else has the device's lock for a moment.
                Err(Errno::AGAIN) if left > 0 => {
                    left -= 1;
                    sleep(RESET_PAUSE);
                }
                Ok(()) => return Ok(()),
                Err(errno @ (Errno::INVAL | Errno::NOTTY)) => {
                    let why = "the device has no reset that works: close it, or unbind its driver";
                    return Err(CallError::because(Number::from_linux(errno.raw_os_error()), why));
                }
                Err(errno) => return Err(self.failed("the reset", errno)),
            }
        }
    }

    /// What it means that something failed.
    pub(super) fn failed(&self, what: &str, errno: Errno) -> CallError {
        let number = Number::from_linux(errno.raw_os_error());
        match self.why(errno) {
            Some(why) => CallError::because(number, format!("{what} failed: {why}")),
            None => CallError::because(number, format!("{what} failed")),
        }
    }

    /// What the kernel's numbers mean where they mean something of their own here.
    pub(super) fn why(&self, errno: Errno) -> Option<&'static str> {
        Some(match errno {
            Errno::NODEV => "the device is gone, or its driver has given it up",
            Errno::NOTCONN => "the physical function that it belongs to is gone or disabled",
            Errno::TIMEDOUT => "the device did not answer in time",
            Errno::INTR if self.is_to_end() => "the call did not return, and was interrupted",
            Errno::INTR => "signals interrupted every attempt",
            Errno::AGAIN => "the device was busy at every attempt",
            _ => return None,
        })
    }

    /// A way for other threads to end the request that is under way.
    pub(super) fn interrupter(&self) -> Arc<dyn Fn() + Send + Sync> {
        let interruption = Arc::clone(&self.0);
        Arc::new(move || interruption.ask())
    }
}
