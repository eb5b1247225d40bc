//! Groups: the devices that an IOMMU cannot tell apart.

use core::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::{Errno, Result};

use crate::call::{Exchange, Plain, size};
use crate::layout::{
    GroupStatus, VFIO_GROUP_GET_DEVICE_FD, VFIO_GROUP_GET_STATUS, VFIO_GROUP_SET_CONTAINER, VFIO_GROUP_UNSET_CONTAINER,
};

/// The longest name that the kernel reads, in bytes: one page.
const LONGEST: usize = 4096;

/// `VFIO_GROUP_FLAGS_*`: whether all its devices are in VFIO's hands, and whether it has a container.
pub fn status(group: BorrowedFd<'_>) -> Result<u32> {
    let status = GroupStatus { argsz: size::<GroupStatus>(), flags: 0 };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<VFIO_GROUP_GET_STATUS, _>::new(status) }.on(group).map(|(_, status)| status.flags)
}

/// Puts the group into a container, or into an iommufd that plays one. EBADFD: it is neither; EPERM, EBUSY: the group
/// is in use.
pub fn set_container(group: BorrowedFd<'_>, container: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the argument is one int.
    unsafe { Exchange::<VFIO_GROUP_SET_CONTAINER, _>::new(container.as_raw_fd()) }.on(group).map(drop)
}

/// Takes the group out of its container.
pub fn unset_container(group: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the request has no argument.
    unsafe { Plain::<VFIO_GROUP_UNSET_CONTAINER>::new(0) }.on(group).map(drop)
}

/// Opens a device of the group by its name (`0000:65:00.1`, an mdev's UUID, `0000:65:00.1 vf_token=UUID`). vfio-pci
/// resets a device that nobody holds.
pub fn device_fd(group: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let bytes = name.to_bytes_with_nul();
    let mut argument = [0_u8; LONGEST];
    argument.get_mut(..bytes.len()).ok_or(Errno::NAMETOOLONG)?.copy_from_slice(bytes);
    // SAFETY: the argument is a string that ends with a zero.
    let (fd, _) = unsafe { Exchange::<VFIO_GROUP_GET_DEVICE_FD, _>::new(argument) }.on(group)?;
    // SAFETY: after success this request returns a new fd, which is nobody's yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
