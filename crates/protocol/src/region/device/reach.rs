//! What reaches a region, whatever it is, and how a device behind one is driven.

use std::sync::Arc;

use crate::region::{Limits, Oversized};
use crate::state::Dialect;
use crate::{CallError, Companions, Errno};

/// A migration region, by offset: what reaches it, and nothing about what the bytes mean.
///
/// Each call is one access, once. An implementation tries again what a signal interrupted, but for a write of a register:
/// the device may have carried it out.
pub trait Region: Send {
    /// A request begins, to which the accesses until the next one belong.
    fn begin(&mut self) {}

    /// How many bytes it has.
    fn size(&self) -> u64;

    /// Whether it announces NDMA.
    fn has_ndma(&self) -> bool {
        false
    }

    /// Reads from `offset` on, and returns how many bytes were read.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, CallError>;

    /// Writes from `offset` on, and returns how many bytes were written.
    fn write(&mut self, offset: u64, from: &[u8]) -> Result<usize, CallError>;

    /// Which parts are mapped: offset and bytes, in any order. They do not change.
    fn mapped(&self) -> Vec<(u64, u64)> {
        Vec::new()
    }

    /// Copies bytes out of a mapped part, in which all of them lie.
    fn load(&mut self, offset: u64, into: &mut [u8]) -> Result<(), CallError> {
        let _ = into;
        Err(not_mapped(offset))
    }

    /// Copies bytes into a mapped part, in which all of them lie.
    fn store(&mut self, offset: u64, from: &[u8]) -> Result<(), CallError> {
        let _ = from;
        Err(not_mapped(offset))
    }

    /// Resets the device that the region belongs to.
    fn reset(&mut self) -> Result<(), CallError>;

    /// Those of the device's IOMMU group that are open, as [`Device::companions`](crate::Device::companions).
    fn companions(&self) -> Option<Companions> {
        None
    }

    /// A way for other threads to end the request that is under way, as
    /// [`Device::interrupter`](crate::Device::interrupter).
    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        None
    }

    /// How often the device was reset, where it counts that itself.
    fn resets(&self) -> Option<u64> {
        None
    }
}

/// How a region device is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionOptions {
    /// Whose reading of the text the device follows. A software device says so itself.
    pub dialect: Dialect,
    /// How much of the device's behaviour is put up with while it is saved.
    pub limits: Limits,
    /// What becomes of a segment that is larger than the device's window.
    pub oversized: Oversized,
}

impl Default for RegionOptions {
    fn default() -> Self {
        Self { dialect: Dialect::Thread, limits: Limits::default(), oversized: Oversized::Refuse }
    }
}

fn not_mapped(offset: u64) -> CallError {
    CallError::because(Errno::EFAULT, format!("nothing is mapped at {offset:#x}"))
}
