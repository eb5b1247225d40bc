//! Groups: one for each device.

use core::mem::offset_of;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vfio_migration_protocol::Errno;
use vfio_migration_uapi::layout::{
    GroupStatus, VFIO_GROUP_FLAGS_CONTAINER_SET, VFIO_GROUP_FLAGS_VIABLE, VFIO_GROUP_GET_DEVICE_FD,
    VFIO_GROUP_GET_STATUS, VFIO_GROUP_SET_CONTAINER, VFIO_GROUP_UNSET_CONTAINER,
};

use super::container::Container;
use super::device::{By, Device};
use super::handle::{Handle, Unknown};
use super::memory;
use super::program::Program;
use super::structure::Structure;

/// `EBADFD`: the descriptor is of another kind.
const WRONG_KIND: Errno = Errno::from_linux(77);

/// An open group. A group is open once at most.
#[derive(Debug)]
pub(super) struct GroupFile {
    pub(super) device: Arc<Device>,
    container: Mutex<Option<Arc<Container>>>,
}

impl GroupFile {
    /// Opens the group. EBUSY: it is open, or its device is bound to an iommufd.
    pub(super) fn open(device: &Arc<Device>) -> Result<Self, Errno> {
        device.take(By::Group)?;
        Ok(Self { device: Arc::clone(device), container: Mutex::new(None) })
    }

    /// Answers a request.
    pub(super) fn ioctl(self: &Arc<Self>, request: u32, argument: u64, program: &dyn Program) -> Result<i32, Unknown> {
        Ok(match request {
            VFIO_GROUP_GET_STATUS => self.status(argument)?,
            VFIO_GROUP_SET_CONTAINER => self.set_container(argument, program)?,
            VFIO_GROUP_UNSET_CONTAINER => self.unset_container()?,
            VFIO_GROUP_GET_DEVICE_FD => self.device_fd(argument, program)?,
            _ => return Err(Unknown::Request),
        })
    }

    fn status(&self, argument: u64) -> Result<i32, Errno> {
        const SIZE: usize = size_of::<GroupStatus>();
        let mut status = Structure::sized(argument, SIZE, SIZE)?;
        let set = if self.container().is_some() { VFIO_GROUP_FLAGS_CONTAINER_SET } else { 0 };
        status.set_u32(offset_of!(GroupStatus, flags), VFIO_GROUP_FLAGS_VIABLE | set);
        status.store().map(|()| 0)
    }

    fn set_container(&self, argument: u64, program: &dyn Program) -> Result<i32, Errno> {
        let fd = Structure::load(argument, 4)?.i32(0);
        let handle = program.handle(fd).ok_or(Errno::EBADF)?;
        let wanted = handle.as_container().ok_or(WRONG_KIND)?;
        let mut container = self.container();
        if container.is_some() {
            return Err(Errno::EINVAL);
        }
        wanted.join(&self.device).map_err(|error| error.errno)?;
        *container = Some(Arc::clone(wanted));
        Ok(0)
    }

    fn unset_container(&self) -> Result<i32, Errno> {
        let mut container = self.container();
        if self.device.is_open() {
            return Err(Errno::EBUSY);
        }
        container.take().ok_or(Errno::EINVAL)?.leave(&self.device);
        Ok(0)
    }

    fn device_fd(self: &Arc<Self>, argument: u64, program: &dyn Program) -> Result<i32, Errno> {
        let name = text(argument)?;
        let has_iommu = self.container().as_ref().is_some_and(|container| container.has_iommu());
        if !has_iommu {
            return Err(Errno::EINVAL);
        }
        // A token may follow the name; the device needs none.
        if name.split(' ').next() != Some(&self.device.place.address()) {
            return Err(Errno::ENODEV);
        }
        program.give(Handle::device_of_group(Arc::clone(self)))
    }

    fn container(&self) -> MutexGuard<'_, Option<Arc<Container>>> {
        self.container.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for GroupFile {
    fn drop(&mut self) {
        if let Some(container) = self.container().take() {
            container.leave(&self.device);
        }
        self.device.give_back();
    }
}

/// A text that ends with a zero, as C has it: up to 128 bytes.
fn text(address: u64) -> Result<String, Errno> {
    let mut text = Vec::new();
    for at in 0..128 {
        let mut byte = [0];
        memory::load(address.checked_add(at).ok_or(Errno::EFAULT)?, &mut byte)?;
        if byte == [0] {
            return String::from_utf8(text).map_err(|_| Errno::ENODEV);
        }
        text.extend(byte);
    }
    Err(Errno::EINVAL)
}
