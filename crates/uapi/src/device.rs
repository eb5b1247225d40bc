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
    /// The ids of all its capabilities, those that are read here and others.
    pub capabilities: Vec<u16>,
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
        let (size, offset) = (answer.u64(16)?, answer.u64(24)?);
        let mut region = Self { flags, size, offset, kind: None, mappable: None, capabilities: Vec::new() };
        let first = if flags & VFIO_REGION_INFO_FLAG_CAPS == 0 { 0 } else { answer.u32(12)? };
        let walked = answer.walk(first, |head, place| {
            region.capabilities.push(head.id);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(low: u32, high: u32) -> u64 {
        u64::from_ne_bytes([low.to_ne_bytes(), high.to_ne_bytes()].concat().try_into().unwrap())
    }

    /// A region of 8 KiB with these capabilities, each with its id first and behind the one before it.
    fn answer(capabilities: &[&[u64]]) -> Chained {
        let flags = if capabilities.is_empty() { 3 } else { 3 | VFIO_REGION_INFO_FLAG_CAPS };
        let mut words = vec![pair(0, flags), pair(9, size::<RegionInfo>()), 0x2000, 0x9_0000_0000_0000];
        let mut left = capabilities.len();
        for capability in capabilities {
            left -= 1;
            let end = u32::try_from(8 * (words.len() + capability.len())).unwrap();
            words.push(capability[0] | pair(0, if left > 0 { end } else { 0 }));
            words.extend(&capability[1..]);
        }
        Chained::of(words)
    }

    const TYPE: u64 = VFIO_REGION_INFO_CAP_TYPE as u64;
    const SPARSE: u64 = VFIO_REGION_INFO_CAP_SPARSE_MMAP as u64;

    #[test]
    fn a_region_says_what_it_is_for_what_can_be_mapped_and_what_else() {
        let plain = Region::parse(&answer(&[])).unwrap().unwrap();
        assert_eq!((plain.kind, plain.mappable, plain.capabilities), (None, None, vec![]));
        assert_eq!((plain.size, plain.offset), (0x2000, 0x9_0000_0000_0000));
        let full = answer(&[&[6], &[SPARSE, 2, 0x1000, 0x800, 0, 0x10], &[TYPE, pair(3, 1)]]);
        let full = Region::parse(&full).unwrap().unwrap();
        assert_eq!(full.kind, Some((3, 1)));
        assert_eq!(full.mappable, Some(vec![(0x1000, 0x800), (0, 0x10)]));
        assert_eq!(full.capabilities, [6, 1, 2]);
    }

    #[test]
    fn capabilities_that_are_cut_short_make_no_sense() {
        for cut in [vec![&[SPARSE, 3, 0x1000, 0x800][..]], vec![&[TYPE][..]], vec![&[SPARSE, u64::from(u32::MAX)][..]]]
        {
            assert_eq!(Region::parse(&answer(&cut)), Some(Err(Errno::BADMSG)), "{cut:?}");
        }
    }
}
