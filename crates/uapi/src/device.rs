//! What a device is, its regions, and its reset.

use core::ops::ControlFlow;
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, Result};

use crate::call::{Exchange, Plain, size};
use crate::capability::Chained;
use crate::layout::{
    DeviceInfo, RegionInfo, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_RESET,
    VFIO_REGION_INFO_CAP_SPARSE_MMAP, VFIO_REGION_INFO_CAP_TYPE, VFIO_REGION_INFO_FLAG_CAPS,
};

/// Asks what the device is: `VFIO_DEVICE_FLAGS_*`, how many regions and interrupts it has.
pub fn info(device: BorrowedFd<'_>) -> Result<DeviceInfo> {
    let info = DeviceInfo { argsz: size::<DeviceInfo>(), ..DeviceInfo::default() };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<VFIO_DEVICE_GET_INFO, _>::new(info) }.on(device).map(|(_, info)| info)
}

/// Resets the device. EINVAL: it has no reset that works; EAGAIN: somebody else's is going on.
pub fn reset(device: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the request has no argument.
    unsafe { Plain::<VFIO_DEVICE_RESET>::new(0) }.on(device).map(drop)
}

/// A region of a device: a part of its fd that is read and written by offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// `VFIO_REGION_INFO_FLAG_*`
    pub flags: u32,
    /// Its size in bytes; 0: it is not there.
    pub size: u64,
    /// Where it begins in the device's fd, in bytes.
    pub offset: u64,
    /// What it is for, where it says so: type and subtype.
    pub kind: Option<(u32, u32)>,
    /// Which parts can be mapped, where not all of it: offset in the region and size, in bytes.
    pub mappable: Option<Vec<(u64, u64)>>,
}

/// Asks for a region. EINVAL: there is none of this index; EBADMSG: what the kernel says about it makes no sense.
///
/// ```no_run
/// use vfio_migration_uapi::{device, layout};
/// # fn f(fd: std::os::fd::BorrowedFd<'_>) -> Result<(), vfio_migration_uapi::Errno> {
/// for index in 0..device::info(fd)?.num_regions {
///     if device::region(fd, index)?.kind == Some((layout::VFIO_REGION_TYPE_MIGRATION_DEPRECATED, 1)) {
///         println!("region {index} is for migration");
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub fn region(device: BorrowedFd<'_>, index: u32) -> Result<Region> {
    // SAFETY: vfio_region_info begins with its size, within which the kernel stays.
    let answer = unsafe {
        Chained::ask::<VFIO_DEVICE_GET_REGION_INFO>(device, size_of::<RegionInfo>(), |size| [size, 0, index, 0])
    }?;
    Region::parse(&answer).ok_or(Errno::BADMSG)?
}

impl Region {
    fn parse(answer: &Chained) -> Option<Result<Self>> {
        let flags = answer.u32(4)?;
        let mut region = Self { flags, size: answer.u64(16)?, offset: answer.u64(24)?, kind: None, mappable: None };
        let first = if flags & VFIO_REGION_INFO_FLAG_CAPS == 0 { 0 } else { answer.u32(12)? };
        let walked = answer.walk(first, |head, place| {
            let known = match head.id {
                VFIO_REGION_INFO_CAP_TYPE => {
                    region.kind = answer.u32(place + 8).zip(answer.u32(place + 12));
                    region.kind.is_some()
                }
                VFIO_REGION_INFO_CAP_SPARSE_MMAP => {
                    region.mappable = areas(answer, place);
                    region.mappable.is_some()
                }
                _ => true,
            };
            if known { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        Some(match walked {
            Ok(None) => Ok(region),
            Ok(Some(())) => Err(Errno::BADMSG),
            Err(error) => Err(error),
        })
    }
}

/// The areas of a sparse region; `None` if there are fewer than it says.
fn areas(answer: &Chained, place: usize) -> Option<Vec<(u64, u64)>> {
    let count = answer.u32(place + 8)? as usize;
    (0..count).map(|i| Some((answer.u64(place + 16 + i * 16)?, answer.u64(place + 24 + i * 16)?))).collect()
}
