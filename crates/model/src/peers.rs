//! DMA from device to device: who received it, and who was not ready for it.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::Arc;

use vfio_migration_protocol::State;

/// What the peers of a device write to. A clone is the same port.
///
/// A running device writes to every peer it is connected to, in each tick of a state that is not quiet. The P2P states
/// are the barrier that keeps such a write from reaching a device that has stopped (`VFIO_MIGRATION_P2P`); a port counts
/// those that came all the same.
///
/// ```
/// use vfio_migration_model::{Model, Settings};
/// use vfio_migration_protocol::{Device, State};
/// let settings = Settings::parse("size=64KiB,p2p")?;
/// let (mut one, mut other) = (Model::new(&settings, 1)?, Model::new(&settings, 2)?);
/// one.connect(&other.port());
/// one.start();
/// one.advance(3);
/// other.set_state(State::Stop)?;
/// one.advance(2);
/// one.set_state(State::RunningP2p)?;
/// one.advance(1);
/// assert_eq!((other.port().received(), other.port().too_late()), (3, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Port(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    state: AtomicU32,
    received: AtomicU64,
    too_late: AtomicU64,
}

impl Port {
    pub(crate) fn new(state: State) -> Self {
        let state = AtomicU32::new(state.to_fsm());
        Self(Arc::new(Counters { state, received: AtomicU64::new(0), too_late: AtomicU64::new(0) }))
    }

    /// How many writes of peers came while the device could take them: in the running, P2P and pre-copy states.
    pub fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// How many came while it could not: somebody left out the barrier.
    pub fn too_late(&self) -> u64 {
        self.0.too_late.load(Ordering::Relaxed)
    }

    pub(crate) fn enter(&self, state: State) {
        self.0.state.store(state.to_fsm(), Ordering::Release);
    }

    pub(crate) fn write(&self) {
        let ready = State::from_fsm(self.0.state.load(Ordering::Acquire)).is_running();
        let counter = if ready { &self.0.received } else { &self.0.too_late };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
