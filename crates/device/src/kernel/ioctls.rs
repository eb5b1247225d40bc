use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use vfio_migration_protocol::Companions;
use vfio_migration_uapi::{device, feature, layout, precopy};

use super::calls::{Calls, Left};
use super::holding::Kept;

/// The calls of a device that is open.
#[derive(Debug)]
pub(super) struct Ioctls(pub(super) Arc<Kept>);

impl Calls for Ioctls {
    fn state(&self) -> Result<u32, Errno> {
        feature::state(self.0.device.as_fd())
    }

    fn set_state(&self, to: u32) -> Result<Option<OwnedFd>, Errno> {
        feature::set_state(self.0.device.as_fd(), to)
    }

    fn reset(&self) -> Result<(), Errno> {
        device::reset(self.0.device.as_fd())
    }

    fn data_size(&self) -> Result<u64, Errno> {
        feature::data_size(self.0.device.as_fd())
    }

    fn want_reinit(&self) -> Result<(), Errno> {
        feature::opt_into_precopy_info_v2(self.0.device.as_fd())
    }

    fn left(&self, data: BorrowedFd<'_>) -> Result<Left, Errno> {
        let info = precopy::info(data)?;
        let reinit = info.flags & layout::VFIO_PRECOPY_INFO_REINIT != 0;
        Ok(Left { initial: info.initial_bytes, dirty: info.dirty_bytes, reinit })
    }

    fn read(&self, data: BorrowedFd<'_>, into: &mut [u8]) -> Result<usize, Errno> {
        rustix::io::read(data, into)
    }

    fn write(&self, data: BorrowedFd<'_>, from: &[u8]) -> Result<usize, Errno> {
        rustix::io::write(data, from)
    }

    fn companions(&self) -> Option<Companions> {
        self.0.companions()
    }

    fn duplicate(&self) -> Result<OwnedFd, Errno> {
        rustix::io::fcntl_dupfd_cloexec(&self.0.device, 0)
    }
}
