//! The type1 container: which memory its devices may reach, and which pages they may have written to.
//!
//! Rules of Linux 6.12's `vfio_iommu_type1.c`. All ranges are addresses as the devices see them, in bytes.

use core::ops::ControlFlow;
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, Result};

use crate::call::{Exchange, Plain, address_mut, room, size};
use crate::capability::Chained;
use crate::layout::{
    DirtyBitmap, DirtyPages, DirtyPagesRange, Type1Info, Type1Map, Type1Unmap, VFIO_CHECK_EXTENSION,
    VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_DMA_UNMAP_FLAG_ALL, VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP,
    VFIO_GET_API_VERSION, VFIO_IOMMU_DIRTY_PAGES, VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP,
    VFIO_IOMMU_DIRTY_PAGES_FLAG_START, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP, VFIO_IOMMU_GET_INFO, VFIO_IOMMU_INFO_CAPS,
    VFIO_IOMMU_INFO_PGSIZES, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
    VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, VFIO_IOMMU_UNMAP_DMA, VFIO_SET_IOMMU,
};
use crate::mapping::{Access, Piece};

/// The version of the interface: [`VFIO_API_VERSION`](crate::layout::VFIO_API_VERSION).
pub fn api_version(container: BorrowedFd<'_>) -> Result<u32> {
    // SAFETY: the request has no argument.
    let version = unsafe { Plain::<VFIO_GET_API_VERSION>::new(0) }.on(container)?;
    u32::try_from(version).map_err(|_| Errno::BADMSG)
}

/// Whether there is an extension, such as [`VFIO_TYPE1v2_IOMMU`](crate::layout::VFIO_TYPE1v2_IOMMU).
pub fn has_extension(container: BorrowedFd<'_>, extension: u32) -> Result<bool> {
    // SAFETY: the argument is a number.
    unsafe { Plain::<VFIO_CHECK_EXTENSION>::new(extension as usize) }.on(container).map(|answer| answer > 0)
}

/// Chooses the kind of IOMMU, once the container has a group.
pub fn set_iommu(container: BorrowedFd<'_>, kind: u32) -> Result<()> {
    // SAFETY: the argument is a number.
    unsafe { Plain::<VFIO_SET_IOMMU>::new(kind as usize) }.on(container).map(drop)
}

/// What a container can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Info {
    /// A bit for each page size that can be mapped, in bytes; 0: it does not say.
    pub page_sizes: u64,
    /// Its dirty tracking, where it has it.
    pub dirty_tracking: Option<DirtyTracking>,
    /// How many more mappings it takes, where it says so.
    pub mappings_left: Option<u32>,
    /// The addresses that can be mapped, first and last of each range, where it says so.
    pub addresses: Option<Vec<(u64, u64)>>,
}

/// How a container tracks dirty pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirtyTracking {
    /// A bit for each page size that can be asked for, in bytes. Linux 6.12 takes the smallest only.
    pub page_sizes: u64,
    /// The largest bitmap that it fills in one call, in bytes.
    pub most: u64,
}

/// Asks what the container can do. EBADMSG: what the kernel says makes no sense.
pub fn info(container: BorrowedFd<'_>) -> Result<Info> {
    // SAFETY: vfio_iommu_type1_info begins with its size, within which the kernel stays.
    let answer =
        unsafe { Chained::ask::<VFIO_IOMMU_GET_INFO>(container, size_of::<Type1Info>(), |size| [size, 0, 0, 0]) }?;
    parse(&answer)
}

fn parse(answer: &Chained) -> Result<Info> {
    let flags = answer.u32(4).ok_or(Errno::BADMSG)?;
    let mut info = Info::default();
    if flags & VFIO_IOMMU_INFO_PGSIZES != 0 {
        info.page_sizes = answer.u64(8).ok_or(Errno::BADMSG)?;
    }
    if flags & VFIO_IOMMU_INFO_CAPS == 0 {
        return Ok(info);
    }
    let first = answer.u32(16).ok_or(Errno::BADMSG)?;
    let cut_short = answer.walk(first, |head, place| match note(&mut info, answer, head.id, place) {
        Some(()) => ControlFlow::Continue(()),
        None => ControlFlow::Break(()),
    })?;
    if cut_short.is_some() { Err(Errno::BADMSG) } else { Ok(info) }
}

/// Takes note of a capability; `None` if it is shorter than it has to be.
fn note(info: &mut Info, answer: &Chained, id: u16, place: usize) -> Option<()> {
    match id {
        VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION => {
            let (page_sizes, most) = (answer.u64(place + 16)?, answer.u64(place + 24)?);
            info.dirty_tracking = Some(DirtyTracking { page_sizes, most });
        }
        VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL => info.mappings_left = Some(answer.u32(place + 8)?),
        VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE => {
            let count = answer.u32(place + 8)? as usize;
            let range = |i| Some((answer.u64(place + 16 + i * 16)?, answer.u64(place + 24 + i * 16)?));
            info.addresses = Some((0..count).map(range).collect::<Option<_>>()?);
        }
        _ => {}
    }
    Some(())
}

/// Lets the devices reach a piece of memory at `iova`. It stays so until it is unmapped or the
/// container closed; once the mapping is dropped they reach nothing there that anybody else uses.
///
/// ENOSPC: the container takes no more mappings (`dma_entry_limit`); ENOMEM: more than the process may lock.
pub fn map(container: BorrowedFd<'_>, memory: Piece<'_>, iova: u64, access: Access) -> Result<()> {
    let flags = match access {
        Access::Read => VFIO_DMA_MAP_FLAG_READ,
        Access::ReadWrite => VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
    };
    let (vaddr, length) = memory.expose();
    let map = Type1Map { argsz: size::<Type1Map>(), flags, vaddr, iova, size: length };
    // SAFETY: the structure says its size. The memory that devices may write to from now on is a mapping's, which
    // expects it, and whose addresses nothing else ever gets.
    unsafe { Exchange::<VFIO_IOMMU_MAP_DMA, _>::new(map) }.on(container).map(drop)
}

/// Takes memory away from the devices, and answers with how many bytes that were. The range may not cut a mapping.
pub fn unmap(container: BorrowedFd<'_>, iova: u64, length: u64) -> Result<u64> {
    let unmap = Type1Unmap { argsz: size::<Type1Unmap>(), flags: 0, iova, size: length };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<VFIO_IOMMU_UNMAP_DMA, _>::new(unmap) }.on(container).map(|(_, unmap)| unmap.size)
}

/// Takes all memory away from the devices, and answers with how many bytes that were.
pub fn unmap_all(container: BorrowedFd<'_>) -> Result<u64> {
    let unmap = Type1Unmap { argsz: size::<Type1Unmap>(), flags: VFIO_DMA_UNMAP_FLAG_ALL, iova: 0, size: 0 };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<VFIO_IOMMU_UNMAP_DMA, _>::new(unmap) }.on(container).map(|(_, unmap)| unmap.size)
}

/// Takes memory away from the devices, and sets the bits of the pages that they may have written to: after it nobody
/// can ask for them. EINVAL unless [`start_dirty_tracking`] was called. The bitmap is as for [`dirty`].
pub fn unmap_dirty(
    container: BorrowedFd<'_>,
    iova: u64,
    length: u64,
    page_size: u64,
    bitmap: &mut [u64],
) -> Result<u64> {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct WithBitmap {
        head: Type1Unmap,
        bitmap: DirtyBitmap,
    }
    const _: () = assert!(size_of::<WithBitmap>() == 48);
    let flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP;
    let head = Type1Unmap { argsz: size::<WithBitmap>(), flags, iova, size: length };
    let unmap = WithBitmap { head, bitmap: dirty_bitmap(length, page_size, bitmap)? };
    // SAFETY: the structure says its size, and the bitmap its own.
    unsafe { Exchange::<VFIO_IOMMU_UNMAP_DMA, _>::new(unmap) }.on(container).map(|(_, unmap)| unmap.head.size)
}

/// Starts tracking dirty pages. Starting twice is no error.
pub fn start_dirty_tracking(container: BorrowedFd<'_>) -> Result<()> {
    dirty_pages(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_START)
}

/// Stops tracking dirty pages. Stopping twice is no error.
pub fn stop_dirty_tracking(container: BorrowedFd<'_>) -> Result<()> {
    dirty_pages(container, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP)
}

fn dirty_pages(container: BorrowedFd<'_>, flags: u32) -> Result<()> {
    let request = DirtyPages { argsz: size::<DirtyPages>(), flags };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<VFIO_IOMMU_DIRTY_PAGES, _>::new(request) }.on(container).map(drop)
}

/// Writes the bits of the pages of a range that devices may have written to since they were last asked for: bit i of
/// word i / 64 is page i. Words of mapped memory are *overwritten*, those of holes are left as they are.
///
/// EINVAL: tracking is not on, the page size is not the smallest one, the bitmap is too small or larger than
/// [`DirtyTracking::most`], or the range cuts a mapping.
pub fn dirty(container: BorrowedFd<'_>, iova: u64, length: u64, page_size: u64, bitmap: &mut [u64]) -> Result<()> {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct WithRange {
        head: DirtyPages,
        range: DirtyPagesRange,
    }
    const _: () = assert!(size_of::<WithRange>() == 48);
    let head = DirtyPages { argsz: size::<WithRange>(), flags: VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP };
    let range = DirtyPagesRange { iova, size: length, bitmap: dirty_bitmap(length, page_size, bitmap)? };
    // SAFETY: the structure says its size, and the bitmap its own.
    unsafe { Exchange::<VFIO_IOMMU_DIRTY_PAGES, _>::new(WithRange { head, range }) }.on(container).map(drop)
}

fn dirty_bitmap(length: u64, page_size: u64, bitmap: &mut [u64]) -> Result<DirtyBitmap> {
    room(bitmap, length, page_size)?;
    Ok(DirtyBitmap { pgsize: page_size, size: size_of_val(bitmap) as u64, data: address_mut(bitmap) })
}
