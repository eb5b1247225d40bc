use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use vfio_migration_model::{Model, Register};

/// The thread does not wake up more often than that.
const SHORTEST_STEP: Duration = Duration::from_micros(500);
/// Time that the thread missed beyond this does not pass at all, as for a guest whose host had no time for it.
const LONGEST_LAG: Duration = Duration::from_millis(50);

/// A model, its guest, and the thread that lets their time pass. Dropping it ends the thread and waits for it.
pub(super) struct World {
    shared: Arc<Shared>,
    /// Of nobody who waits, `None`.
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    model: Mutex<Model>,
    /// Ticks that passed and that the model has not worked off. The thread never waits for the model: whoever has it
    /// works off what is due, so that calls are not held up by a change of hands in every tick.
    due: AtomicU64,
    /// How often the guest rang since then.
    rings: AtomicU64,
    pace: Mutex<Pace>,
    woken: Condvar,
}

#[derive(Default)]
struct Pace {
    guest_runs: bool,
    /// The thread is in a step of the guest's.
    in_step: bool,
    ends: bool,
}

impl World {
    pub(super) fn start(model: Model) -> io::Result<Self> {
        let tick = model.settings().tick;
        let shared = Arc::new(Shared {
            model: Mutex::new(model),
            due: AtomicU64::new(0),
            rings: AtomicU64::new(0),
            pace: Mutex::default(),
            woken: Condvar::new(),
        });
        let ours = Arc::clone(&shared);
        let thread = thread::Builder::new().name("model".into()).spawn(move || ours.run(tick))?;
        // In WASM JavaScript's thread may drop this, and a thread that ends needs its event loop: nobody waits there.
        let thread = cfg!(not(target_family = "wasm")).then_some(thread);
        Ok(Self { shared, thread })
    }

    /// Does something with the model: what was due before comes first.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Model) -> T) -> T {
        let mut model = self.shared.model.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.work_off(&mut model, u64::MAX);
        let answer = work(&mut model);
        self.shared.work_off(&mut model, u64::MAX);
        answer
    }

    pub(super) fn pause_guest(&self) {
        let mut pace = self.shared.pace();
        pace.guest_runs = false;
        let settled = self.shared.woken.wait_while(pace, |pace| pace.in_step);
        drop(settled.unwrap_or_else(PoisonError::into_inner));
        // It may have rung without the model having heard it.
        self.with(|_| ());
    }

    pub(super) fn resume_guest(&self) {
        self.with(|model| {
            if model.register(Register::Control) == 0 {
                model.start();
            }
        });
        self.shared.pace().guest_runs = true;
    }

    pub(super) fn guest_runs(&self) -> bool {
        self.shared.pace().guest_runs
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.shared.pace().ends = true;
        self.shared.woken.notify_all();
        if let Some(thread) = self.thread.take() {
            // It ended by a panic of the model, which was reported where it happened.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, tick: Duration) {
        let step = tick.max(SHORTEST_STEP);
        let most = ticks_in(LONGEST_LAG, tick).max(1);
        let mut last = Instant::now();
        while let Some(guest_runs) = self.wait(step.saturating_sub(last.elapsed())) {
            let passed = ticks_in(last.elapsed(), tick);
            last += tick.saturating_mul(u32::try_from(passed).unwrap_or(u32::MAX));
            self.due.fetch_add(passed.min(most), Ordering::Relaxed);
            if guest_runs {
                self.rings.fetch_add(1, Ordering::Relaxed);
            }
            self.try_work_off();
            if guest_runs {
                self.pace().in_step = false;
                self.woken.notify_all();
            }
        }
    }

    /// Waits, and says whether the guest runs, unless all is over. With the guest running its step has begun.
    fn wait(&self, time: Duration) -> Option<bool> {
        let woken = self.woken.wait_timeout_while(self.pace(), time, |pace| !pace.ends);
        let (mut pace, _) = woken.unwrap_or_else(PoisonError::into_inner);
        pace.in_step = pace.guest_runs;
        (!pace.ends).then_some(pace.guest_runs)
    }

    /// Works off what is due, tick by tick, for as long as nobody else has the model.
    fn try_work_off(&self) {
        while self.due.load(Ordering::Relaxed) + self.rings.load(Ordering::Relaxed) > 0 {
            match self.model.try_lock() {
                Ok(mut model) => self.work_off(&mut model, 1),
                Err(TryLockError::Poisoned(poisoned)) => self.work_off(&mut poisoned.into_inner(), 1),
                Err(TryLockError::WouldBlock) => return,
            }
        }
    }

    /// Works off what is due, at most so many ticks.
    fn work_off(&self, model: &mut Model, most: u64) {
        for _ in 0..self.rings.swap(0, Ordering::Relaxed) {
            // A guest that rings while it must not is counted by the model.
            let _ = model.write_register(Register::Doorbell, 0);
        }
        let due = self.due.swap(0, Ordering::Relaxed);
        let now = due.min(most);
        if due > now {
            self.due.fetch_add(due - now, Ordering::Relaxed);
        }
        model.advance(now);
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ticks_in(time: Duration, tick: Duration) -> u64 {
    u64::try_from(time.as_nanos() / tick.as_nanos().max(1)).unwrap_or(u64::MAX)
}
