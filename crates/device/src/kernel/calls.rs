//! The calls that a device of the kernel answers, apart from what is made of the answers.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use vfio_migration_protocol::Companions;

/// The answer to `VFIO_MIG_GET_PRECOPY_INFO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) initial: u64,
    pub(super) dirty: u64,
    /// Whatever stands in the field: it means something only after [`Calls::want_reinit`].
    pub(super) reinit: bool,
}

/// One call each, once, as the kernel answers it.
pub(super) trait Calls: Send {
    /// `GET` of `VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE`
    fn state(&self) -> Result<u32, Errno>;

    /// `SET` of the same, with the data fd that it opened, if it did.
    fn set_state(&self, to: u32) -> Result<Option<OwnedFd>, Errno>;

    /// `VFIO_DEVICE_RESET`
    fn reset(&self) -> Result<(), Errno>;

    /// `VFIO_DEVICE_FEATURE_MIG_DATA_SIZE`
    fn data_size(&self) -> Result<u64, Errno>;

    /// `VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2`
    fn want_reinit(&self) -> Result<(), Errno>;

    /// `VFIO_MIG_GET_PRECOPY_INFO`
    fn left(&self, data: BorrowedFd<'_>) -> Result<Left, Errno>;

    /// Reads from a data fd.
    fn read(&self, data: BorrowedFd<'_>, into: &mut [u8]) -> Result<usize, Errno>;

    /// Writes to a data fd.
    fn write(&self, data: BorrowedFd<'_>, from: &[u8]) -> Result<usize, Errno>;

    /// Those of the device's IOMMU group that are open, if its group is known. No call.
    fn companions(&self) -> Option<Companions> {
        None
    }

    /// Another descriptor of the device, to keep its number.
    fn duplicate(&self) -> Result<OwnedFd, Errno>;
}
