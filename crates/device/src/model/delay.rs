use core::time::Duration;
use std::sync::{Condvar, Mutex, PoisonError};

/// Delays that the fault plan asks for, until somebody releases them.
#[derive(Default)]
pub(super) struct Delays {
    released: Mutex<bool>,
    woken: Condvar,
}

impl Delays {
    pub(super) fn wait(&self, time: Duration) {
        if !time.is_zero() {
            let released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
            drop(self.woken.wait_timeout_while(released, time, |released| !*released));
        }
    }

    pub(super) fn release(&self) {
        *self.released.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.woken.notify_all();
    }
}
