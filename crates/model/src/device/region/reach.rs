//! The model as what reaches its own region: without a thread, a kernel or a mapping of its own.

use vfio_migration_protocol::region::Region;
use vfio_migration_protocol::{CallError, Device, Errno};

use crate::device::Model;
use crate::guest_memory::GuestMemory;

/// Every access is made at once, and takes no time. A device without a region has one of 0 bytes.
///
/// ```
/// use vfio_migration_model::{Model, Settings};
/// use vfio_migration_protocol::region::{RegionDevice, RegionOptions};
/// use vfio_migration_protocol::{Capabilities, Device, Passport, State};
/// let model = Model::new(&Settings::parse("size=64KiB,protocol=region")?, 1)?;
/// let mut device = RegionDevice::new(model, Passport::new(), Capabilities::STOP_COPY, RegionOptions::default())?;
/// device.set_state(State::StopCopy)?;
/// assert!(device.read(&mut [0; 4096])?.len > 0);
/// assert_eq!(device.region().current_state(), State::StopCopy);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Region for Model {
    fn size(&self) -> u64 {
        self.region().map_or(0, |layout| layout.size)
    }

    fn has_ndma(&self) -> bool {
        self.region().is_some_and(|layout| layout.ndma)
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, CallError> {
        self.region_read(offset, into)
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<usize, CallError> {
        self.region_write(offset, from)
    }

    fn mapped(&self) -> Vec<(u64, u64)> {
        self.region().map(crate::Layout::mapped).unwrap_or_default()
    }

    fn load(&mut self, offset: u64, into: &mut [u8]) -> Result<(), CallError> {
        let (window, at) = self.mapped_at(offset)?;
        window.load(at, into)
    }

    fn store(&mut self, offset: u64, from: &[u8]) -> Result<(), CallError> {
        let (window, at) = self.mapped_at(offset)?;
        window.store(at, from)
    }

    fn reset(&mut self) -> Result<(), CallError> {
        Device::reset(self)
    }

    fn resets(&self) -> Option<u64> {
        Device::resets(self)
    }
}

impl Model {
    /// The window, and where in it something lies that is mapped; the registers are not in it.
    fn mapped_at(&self, offset: u64) -> Result<(&GuestMemory, u64), CallError> {
        let outside = || CallError::because(Errno::EFAULT, format!("no window is mapped at {offset:#x}"));
        let at = self.region().and_then(|layout| offset.checked_sub(layout.data)).ok_or_else(outside)?;
        Ok((self.window().ok_or_else(outside)?, at))
    }
}
