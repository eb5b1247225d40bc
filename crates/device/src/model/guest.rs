use std::sync::Arc;

use super::world::World;

/// The guest of a software device: while it runs, it rings the device's doorbell in every step of the device's thread.
///
/// It is paused at first: the guest of a destination must not run before the restore says so.
#[derive(Clone)]
pub struct Guest {
    world: Arc<World>,
}

impl Guest {
    pub(super) const fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    /// Stops the guest. When this returns, it does not touch the device any more. The device itself goes on while its
    /// state is a running one.
    pub fn pause(&self) {
        self.world.pause_guest();
    }

    /// Lets the guest run. At a device that nobody has started yet its driver does so first.
    pub fn resume(&self) {
        self.world.resume_guest();
    }

    /// Whether the guest runs.
    pub fn runs(&self) -> bool {
        self.world.guest_runs()
    }
}
