//! `VFIO_MIG_GET_PRECOPY_INFO`: how much pre-copy has left.

use std::os::fd::BorrowedFd;

use rustix::io::Result;

use crate::call::{Exchange, size};
use crate::layout::{PrecopyInfo, VFIO_MIG_GET_PRECOPY_INFO};

/// Asks the data fd of a save, in pre-copy, how much it has left. Asking can make new data (mlx5, virtio).
///
/// `flags` mean nothing unless the device [opted in](crate::feature::opt_into_precopy_info_v2). Outside pre-copy this is
/// EINVAL, without pre-copy ENOTTY, after the session's end ENODEV.
///
/// ```no_run
/// # fn f(data_fd: std::os::fd::BorrowedFd<'_>) -> Result<(), vfio_migration_uapi::Errno> {
/// let info = vfio_migration_uapi::precopy::info(data_fd)?;
/// println!("{} bytes of initial data, {} that changed", info.initial_bytes, info.dirty_bytes);
/// # Ok(())
/// # }
/// ```
pub fn info(data_fd: BorrowedFd<'_>) -> Result<PrecopyInfo> {
    // Kernels give back the flags that they were given.
    let info = PrecopyInfo { argsz: size::<PrecopyInfo>(), ..PrecopyInfo::default() };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<VFIO_MIG_GET_PRECOPY_INFO, _>::new(info) }.on(data_fd).map(|(_, info)| info)
}
