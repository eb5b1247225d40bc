//! What a worker is doing right now, so that a call which does not return can be interrupted.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::caught::caught;

/// How long it takes from the first interruption of a call to the second; doubled each time, since a call that did not end
/// by now will hardly do so because of another one.
const FIRST_AGAIN: Duration = Duration::from_millis(10);
const LAST_AGAIN: Duration = Duration::from_secs(60);

/// The call that a worker makes, if it makes one.
pub(super) struct UnderWay {
    /// While this is locked the call's end is not seen, and no other begins: an interruption hits this one or none.
    call: Mutex<Option<Call>>,
    interrupter: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// For how long somebody wants what a call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Always,
    OnTheWayForward,
}

struct Call {
    wanted: Wanted,
    begun: Instant,
    /// When it is interrupted next, and after which pause again.
    again: Option<(Instant, Duration)>,
}

impl UnderWay {
    pub(super) fn new(interrupter: Option<Arc<dyn Fn() + Send + Sync>>) -> Self {
        Self { call: Mutex::new(None), interrupter }
    }

    /// Makes a call, which must not panic.
    pub(super) fn during<T>(&self, wanted: Wanted, call: impl FnOnce() -> T) -> T {
        if self.interrupter.is_none() {
            return call();
        }
        *self.lock() = Some(Call { wanted, begun: Instant::now(), again: None });
        let answer = call();
        *self.lock() = None;
        answer
    }

    /// Interrupts the call if it has taken longer than `deadline`, or `data` if it is one of those that are wanted on the
    /// way forward only. Answers when to look at it again.
    pub(super) fn interrupt_late(&self, now: Instant, deadline: Duration, data: Duration) -> Option<Instant> {
        let interrupter = self.interrupter.as_ref()?;
        let mut call = self.lock();
        let call = call.as_mut()?;
        let patience = match call.wanted {
            Wanted::Always => deadline,
            Wanted::OnTheWayForward => data,
        };
        let (due, pause) = call.again.unwrap_or((call.begun.checked_add(patience)?, FIRST_AGAIN));
        if now < due {
            return Some(due);
        }
        // One that panics has done what it could.
        let _ = caught(|| interrupter());
        let next = now + pause;
        call.again = Some((next, (pause * 2).min(LAST_AGAIN)));
        Some(next)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Call>> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for UnderWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnderWay").field("busy", &self.lock().is_some()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_a_call_that_is_late_is_interrupted_ever_more_seldom() {
        let count = Arc::new(AtomicU32::new(0));
        let counting = Arc::clone(&count);
        let interrupter = Arc::new(move || {
            counting.fetch_add(1, Ordering::Relaxed);
        });
        let under_way = UnderWay::new(Some(interrupter));
        let look = |now| under_way.interrupt_late(now, 10 * SECOND, SECOND);
        let counted = || count.load(Ordering::Relaxed);
        assert_eq!(look(Instant::now() + 100 * SECOND), None, "nothing is under way");
        for (wanted, patience) in [(Wanted::Always, 10 * SECOND), (Wanted::OnTheWayForward, SECOND)] {
            let before = counted();
            under_way.during(wanted, || {
                let begun = Instant::now();
                let due = look(begun).expect("it is looked at again");
                assert!(due <= begun + patience && due + SECOND > begun + patience);
                assert_eq!(counted(), before, "it is not late yet");
                let mut now = due;
                for _ in 0..30 {
                    now = look(now).expect("it is looked at again");
                }
                assert_eq!(counted(), before + 30);
                assert!(now - due > 10 * LAST_AGAIN, "few in ten minutes");
                assert_eq!(look(now).map(|next| next - now), Some(LAST_AGAIN));
            });
            assert_eq!(look(Instant::now() + 100 * SECOND), None, "it has returned");
        }
    }

    #[test]
    fn what_cannot_be_interrupted_is_not_watched() {
        let under_way = UnderWay::new(None);
        under_way.during(Wanted::Always, || {
            assert_eq!(under_way.interrupt_late(Instant::now() + 100 * SECOND, SECOND, SECOND), None);
        });
    }
}
