//! iommufd: address spaces (IOAS), page tables (HWPT), and which pages were written to through them.
//!
//! Order: bind the device ([`cdev::bind`](crate::cdev::bind)), [`alloc_ioas`], [`hw_info`], [`alloc_page_table`] with
//! dirty tracking, attach the device to it, [`map`], [`set_dirty_tracking`], [`dirty`]. A page table that the kernel
//! makes by itself tracks nothing.
//!
//! ENOTTY: the kernel lacks the request; ENOENT: there is no object of this id.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::{Errno, Result};

use crate::call::{Exchange, address_mut, room, size};
use crate::layout::{
    Destroy, HwInfo, HwptAlloc, HwptGetDirtyBitmap, HwptSetDirtyTracking, IOMMU_DESTROY, IOMMU_GET_HW_INFO,
    IOMMU_HW_CAP_DIRTY_TRACKING, IOMMU_HWPT_ALLOC, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, IOMMU_HWPT_DIRTY_TRACKING_ENABLE,
    IOMMU_HWPT_GET_DIRTY_BITMAP, IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR, IOMMU_HWPT_SET_DIRTY_TRACKING, IOMMU_IOAS_ALLOC,
    IOMMU_IOAS_IOVA_RANGES, IOMMU_IOAS_MAP, IOMMU_IOAS_MAP_FILE, IOMMU_IOAS_MAP_FIXED_IOVA, IOMMU_IOAS_MAP_READABLE,
    IOMMU_IOAS_MAP_WRITEABLE, IOMMU_IOAS_UNMAP, IOMMU_OPTION, IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_SET,
    IOMMU_VFIO_IOAS, IOMMU_VFIO_IOAS_GET, IoasAlloc, IoasIovaRange, IoasIovaRanges, IoasMap, IoasMapFile, IoasUnmap,
    IommuOption, VfioIoas,
};
use crate::mapping::{Access, Piece};

/// Makes an address space, and answers with its id.
pub fn alloc_ioas(iommufd: BorrowedFd<'_>) -> Result<u32> {
    let alloc = IoasAlloc { size: size::<IoasAlloc>(), ..IoasAlloc::default() };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<IOMMU_IOAS_ALLOC, _>::new(alloc) }.on(iommufd).map(|(_, alloc)| alloc.out_ioas_id)
}

/// Ends an object. EBUSY: something still uses it.
pub fn destroy(iommufd: BorrowedFd<'_>, id: u32) -> Result<()> {
    let destroy = Destroy { size: size::<Destroy>(), id };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<IOMMU_DESTROY, _>::new(destroy) }.on(iommufd).map(drop)
}

/// The addresses that an address space can map, first and last of each range, and what they have to be a multiple of,
/// in bytes.
pub fn addresses(iommufd: BorrowedFd<'_>, ioas: u32) -> Result<(Vec<IoasIovaRange>, u64)> {
    let mut ranges = vec![IoasIovaRange::default(); 64];
    loop {
        let num_iovas = u32::try_from(ranges.len()).map_err(|_| Errno::OVERFLOW)?;
        let ask = IoasIovaRanges {
            size: size::<IoasIovaRanges>(),
            ioas_id: ioas,
            num_iovas,
            allowed_iovas: address_mut(&mut ranges),
            ..IoasIovaRanges::default()
        };
        // SAFETY: the structure says its size, and how many ranges there is room for.
        let asked = unsafe { Exchange::<IOMMU_IOAS_IOVA_RANGES, _>::new(ask) }.on(iommufd);
        match asked {
            Ok((_, answer)) => {
                ranges.truncate(answer.num_iovas as usize);
                return Ok((ranges, answer.out_iova_alignment));
            }
            // Too little room, and the kernel does not say how much it wants where the structure is not ours to see.
            Err(Errno::MSGSIZE) if ranges.len() < 1 << 16 => ranges.resize(ranges.len() * 4, IoasIovaRange::default()),
            Err(error) => return Err(error),
        }
    }
}

/// Lets the devices reach a piece of memory at `iova`. It stays so until it is unmapped or the address space ends; once
/// the mapping is dropped they reach nothing there that anybody else uses.
pub fn map(iommufd: BorrowedFd<'_>, ioas: u32, memory: Piece<'_>, iova: u64, access: Access) -> Result<()> {
    let (user_va, length) = memory.expose();
    let flags = map_flags(access);
    let map = IoasMap { size: size::<IoasMap>(), flags, ioas_id: ioas, reserved: 0, user_va, length, iova };
    // SAFETY: the structure says its size. The memory that devices may write to from now on is a mapping's, which
    // expects it, and whose addresses nothing else ever gets.
    unsafe { Exchange::<IOMMU_IOAS_MAP, _>::new(map) }.on(iommufd).map(drop)
}

/// Lets the devices reach a piece of a memfd, from `start` on, at `iova` (Linux 6.13).
pub fn map_file(
    iommufd: BorrowedFd<'_>,
    ioas: u32,
    file: BorrowedFd<'_>,
    start: u64,
    length: u64,
    iova: u64,
    access: Access,
) -> Result<()> {
    let (flags, fd) = (map_flags(access), file.as_raw_fd());
    let map = IoasMapFile { size: size::<IoasMapFile>(), flags, ioas_id: ioas, fd, start, length, iova };
    // SAFETY: the structure says its size; devices get a file's pages, which Rust sees through a mapping at most.
    unsafe { Exchange::<IOMMU_IOAS_MAP_FILE, _>::new(map) }.on(iommufd).map(drop)
}

/// Takes memory away from the devices, and answers with how many bytes that were. The range may not cut a mapping; to
/// know which pages were written to, ask with [`AfterReport::Keep`] right before.
pub fn unmap(iommufd: BorrowedFd<'_>, ioas: u32, iova: u64, length: u64) -> Result<u64> {
    let unmap = IoasUnmap { size: size::<IoasUnmap>(), ioas_id: ioas, iova, length };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<IOMMU_IOAS_UNMAP, _>::new(unmap) }.on(iommufd).map(|(_, unmap)| unmap.length)
}

/// Whether an address space may use large pages, of which a dirty bit marks the whole. To be said before anything is
/// mapped or attached.
pub fn set_huge_pages(iommufd: BorrowedFd<'_>, ioas: u32, allowed: bool) -> Result<()> {
    let option = IommuOption {
        size: size::<IommuOption>(),
        option_id: IOMMU_OPTION_HUGE_PAGES,
        op: IOMMU_OPTION_OP_SET,
        reserved: 0,
        object_id: ioas,
        val64: u64::from(allowed),
    };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<IOMMU_OPTION, _>::new(option) }.on(iommufd).map(drop)
}

/// The address space that groups get which take the iommufd for a container. ENODEV: there is none.
pub fn container_ioas(iommufd: BorrowedFd<'_>) -> Result<u32> {
    let ask = VfioIoas { size: size::<VfioIoas>(), ioas_id: 0, op: IOMMU_VFIO_IOAS_GET, reserved: 0 };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<IOMMU_VFIO_IOAS, _>::new(ask) }.on(iommufd).map(|(_, answer)| answer.ioas_id)
}

/// What the IOMMU of a device can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardware {
    /// Which kind it is: `IOMMU_HW_INFO_TYPE_*`; 0: it does not say.
    pub kind: u32,
    /// `IOMMU_HW_CAP_*`, and newer bits.
    pub capabilities: u64,
}

impl Hardware {
    /// Whether its page tables can track dirty pages.
    pub const fn tracks_dirty(self) -> bool {
        self.capabilities & IOMMU_HW_CAP_DIRTY_TRACKING != 0
    }
}

/// Asks what the IOMMU of a device can do. EOPNOTSUPP: it does not say; ENOENT: the device has none (emulated devices).
pub fn hw_info(iommufd: BorrowedFd<'_>, device: u32) -> Result<Hardware> {
    let ask = HwInfo { size: size::<HwInfo>(), dev_id: device, ..HwInfo::default() };
    // SAFETY: the structure says its size, and that there is no room for more.
    unsafe { Exchange::<IOMMU_GET_HW_INFO, _>::new(ask) }
        .on(iommufd)
        .map(|(_, info)| Hardware { kind: info.out_data_type, capabilities: info.out_capabilities })
}

/// Makes a page table for a device over an address space, and answers with its id. EOPNOTSUPP: the IOMMU cannot track
/// dirty pages; ENOENT: the device has none (emulated devices).
pub fn alloc_page_table(iommufd: BorrowedFd<'_>, device: u32, ioas: u32, tracks_dirty: bool) -> Result<u32> {
    let flags = if tracks_dirty { IOMMU_HWPT_ALLOC_DIRTY_TRACKING } else { 0 };
    let first_size = u32::try_from(core::mem::offset_of!(HwptAlloc, fault_id)).map_err(|_| Errno::OVERFLOW)?;
    let alloc = HwptAlloc { size: first_size, flags, dev_id: device, pt_id: ioas, ..HwptAlloc::default() };
    // SAFETY: the structure says a size that is at most its own, and that no data of a driver's follows.
    unsafe { Exchange::<IOMMU_HWPT_ALLOC, _>::new(alloc) }.on(iommufd).map(|(_, alloc)| alloc.out_hwpt_id)
}

/// Switches dirty tracking of a page table on, with a clean slate, or off.
pub fn set_dirty_tracking(iommufd: BorrowedFd<'_>, page_table: u32, on: bool) -> Result<()> {
    let flags = if on { IOMMU_HWPT_DIRTY_TRACKING_ENABLE } else { 0 };
    let set = HwptSetDirtyTracking {
        size: size::<HwptSetDirtyTracking>(),
        flags,
        hwpt_id: page_table,
        ..HwptSetDirtyTracking::default()
    };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<IOMMU_HWPT_SET_DIRTY_TRACKING, _>::new(set) }.on(iommufd).map(drop)
}

/// What a report leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterReport {
    /// The pages count as clean until they are written to again.
    Clear,
    /// Their marks stay: cheaper, for memory that is unmapped next.
    Keep,
}

/// Sets a bit in `bitmap` for each page of a range that was written to: bit i of word i / 64 is page i. EINVAL if the
/// bitmap has no room for the range.
///
/// EINVAL also if nothing is mapped in a part of the range, or if tracking is off. Kernels have lost that error, and then
/// both read as clean: ask for one mapped range a call, and only while tracking is on.
pub fn dirty(
    iommufd: BorrowedFd<'_>,
    page_table: u32,
    range: IoasIovaRange,
    page_size: u64,
    after: AfterReport,
    bitmap: &mut [u64],
) -> Result<()> {
    let length = range.last.checked_sub(range.start).and_then(|rest| rest.checked_add(1)).ok_or(Errno::OVERFLOW)?;
    room(bitmap, length, page_size)?;
    let ask = HwptGetDirtyBitmap {
        size: size::<HwptGetDirtyBitmap>(),
        hwpt_id: page_table,
        flags: if after == AfterReport::Keep { IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR } else { 0 },
        reserved: 0,
        iova: range.start,
        length,
        page_size,
        data: address_mut(bitmap),
    };
    // SAFETY: the structure says its size; the kernel sets bits of the range's pages, for which the bitmap has room.
    unsafe { Exchange::<IOMMU_HWPT_GET_DIRTY_BITMAP, _>::new(ask) }.on(iommufd).map(drop)
}

const fn map_flags(access: Access) -> u32 {
    match access {
        Access::Read => IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE,
        Access::ReadWrite => IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_READABLE | IOMMU_IOAS_MAP_WRITEABLE,
    }
}
