//! Devices with a migration region (v1), whatever the region is reached by: of the kernel, of a software device, of
//! whoever implements [`Region`].
//!
//! **Experimental.** No driver in Linux ever had such a region, what deployed devices make of the text differs, and the
//! only client that was ever widespread (QEMU until 7.2) called it experimental itself. So a region device is opened only
//! for who asks for it ([`OpenOptions::region`](crate::OpenOptions::region)), and says which [`Dialect`] it speaks.
//!
//! ```
//! use vfio_migration_device::{Address, OpenOptions, RegionOptions};
//! use vfio_migration_protocol::{Protocol, State};
//! let address: Address = "model:size=1MiB,protocol=region".parse()?;
//! let error = address.open(OpenOptions::default()).unwrap_err();
//! assert!(error.to_string().contains("experimental"));
//!
//! let options = OpenOptions { region: Some(RegionOptions::default()), ..OpenOptions::default() };
//! let mut opened = address.open(options)?;
//! assert_eq!(opened.device.protocol(), Protocol::Region);
//! opened.device.set_state(State::StopCopy)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod areas;
mod device;
mod unfit;

pub use device::RegionDevice;
pub use unfit::{BadAreas, UnfitRegion};

#[cfg(target_os = "linux")]
pub(crate) use areas::Areas;

use std::sync::Arc;

use vfio_migration_protocol::region::{Limits, Oversized};
use vfio_migration_protocol::state::Dialect;
use vfio_migration_protocol::{CallError, Errno};

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

    /// A way for other threads to end the request that is under way, as [`Device::interrupter`](vfio_migration_protocol::Device::interrupter).
    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        None
    }

    /// How often the device was reset, where it counts that itself.
    fn resets(&self) -> Option<u64> {
        None
    }
}

/// How a region device is driven. Asking for one is asking for something experimental: see the [module](self).
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
