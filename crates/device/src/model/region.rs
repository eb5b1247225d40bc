//! The migration region of a software device.

use std::sync::{Arc, Mutex, PoisonError};

use vfio_migration_model::{GuestMemory, Layout, Model, Register};
use vfio_migration_protocol::{CallError, Device, Errno, State};

use super::Stopped;
use super::delay::Delays;
use super::world::World;
use crate::region::Region;

/// The region of a model in this process, mapped as its settings allow.
pub(super) struct ModelRegion {
    pub(super) world: Arc<World>,
    pub(super) delays: Arc<Delays>,
    pub(super) stopped: Arc<Mutex<Option<Stopped>>>,
    pub(super) layout: Layout,
    pub(super) window: GuestMemory,
}

impl ModelRegion {
    /// Does one call, and then waits as long as the fault plan says, without the model.
    fn call<T>(&self, work: impl FnOnce(&mut Model) -> T) -> T {
        let (answer, delay) = self.world.with(|model| (work(model), model.take_delay()));
        self.delays.wait(delay);
        answer
    }

    /// Where in the window something lies that is mapped; the registers are not in it.
    fn in_window(&self, offset: u64) -> Result<u64, CallError> {
        let outside = || CallError::because(Errno::EFAULT, format!("no window is mapped at {offset:#x}"));
        offset.checked_sub(self.layout.data).ok_or_else(outside)
    }
}

impl Region for ModelRegion {
    fn size(&self) -> u64 {
        self.layout.size
    }

    fn has_ndma(&self) -> bool {
        self.layout.ndma
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, CallError> {
        self.call(|model| model.region_read(offset, into))
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<usize, CallError> {
        self.call(|model| {
            let before = model.current_state();
            let written = model.region_write(offset, from)?;
            // What it holds now changes at once if it runs: some dialects leave resuming for running only.
            let now = model.current_state();
            if now != before && (now == State::Stop || before == State::Resuming) {
                let seen = Stopped { proof: model.proof(), counter: model.register(Register::Counter) };
                *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
            }
            Ok(written)
        })
    }

    fn mapped(&self) -> Vec<(u64, u64)> {
        self.layout.mapped()
    }

    fn load(&mut self, offset: u64, into: &mut [u8]) -> Result<(), CallError> {
        self.window.load(self.in_window(offset)?, into)
    }

    fn store(&mut self, offset: u64, from: &[u8]) -> Result<(), CallError> {
        self.window.store(self.in_window(offset)?, from)
    }

    fn reset(&mut self) -> Result<(), CallError> {
        self.call(Device::reset)
    }

    fn resets(&self) -> Option<u64> {
        self.world.with(|model| Device::resets(model))
    }
}
