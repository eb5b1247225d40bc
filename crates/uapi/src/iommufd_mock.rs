//! The device, the IOMMU and the page tables that iommufd makes up for its own tests, in kernels with
//! `CONFIG_IOMMUFD_TEST`: dirty tracking whose truth is known. Only with the feature `iommufd-mock`.
//!
//! The request is no part of the kernel's interface: these are the numbers of Linux 6.12 and 7.3
//! (`drivers/iommu/iommufd/iommufd_test.h`). Calls answer ENOTTY in any other kernel.

use core::mem::offset_of;
use std::os::fd::BorrowedFd;

use rustix::io::Result;

use crate::call::{Exchange, address, room, size};

/// `IOMMU_TEST_CMD`
const COMMAND: u32 = 0x3ba0;

/// `IOMMU_TEST_OP_*`
const MOCK_DOMAIN_REPLACE: u32 = 10;
const MOCK_DOMAIN_FLAGS: u32 = 12;
const DIRTY: u32 = 13;

/// `MOCK_FLAGS_DEVICE_NO_DIRTY`
const NO_DIRTY: u32 = 1;

/// `struct iommu_test_cmd` as operations on devices use it, of which the longest wants four numbers.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Device {
    size: u32,
    op: u32,
    id: u32,
    reserved: u32,
    numbers: [u32; 4],
    unused: [u64; 4],
    last: u32,
    reserved_2: u32,
}

/// The same as [`DIRTY`] uses it.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Dirty {
    size: u32,
    op: u32,
    id: u32,
    reserved: u32,
    flags: u32,
    reserved_2: u32,
    iova: u64,
    length: u64,
    page_size: u64,
    pages: u64,
    out_count: u64,
    last: u32,
    reserved_3: u32,
}

const _: () = {
    assert!(size_of::<Device>() == 72 && offset_of!(Device, numbers) == 16 && offset_of!(Device, last) == 64);
    assert!(size_of::<Dirty>() == 72 && offset_of!(Dirty, iova) == 24 && offset_of!(Dirty, last) == 64);
};

/// The first address that its page tables can map, and the last.
pub const ADDRESSES: (u64, u64) = (1 << 24, (1 << 31) - 1);

/// A device that iommufd made up. It ends with the iommufd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MockDevice {
    /// The object itself, to attach it elsewhere or to destroy it.
    pub id: u32,
    /// What binding a real device answers with.
    pub device: u32,
    /// The page table that the kernel made for it, which tracks nothing.
    pub page_table: u32,
}

/// Makes a device behind an IOMMU that tracks dirty pages, or does not, and attaches it to an address space. ENOTTY: the
/// kernel is no such kernel.
pub fn make_device(iommufd: BorrowedFd<'_>, ioas: u32, tracks_dirty: bool) -> Result<MockDevice> {
    let flags = if tracks_dirty { 0 } else { NO_DIRTY };
    let [id, page_table, device, _] = of_device(iommufd, MOCK_DOMAIN_FLAGS, ioas, [0, 0, 0, flags])?;
    Ok(MockDevice { id, device, page_table })
}

/// Attaches the device to another page table or address space.
pub fn attach(iommufd: BorrowedFd<'_>, device: MockDevice, page_table: u32) -> Result<()> {
    of_device(iommufd, MOCK_DOMAIN_REPLACE, device.id, [page_table, 0, 0, 0]).map(drop)
}

fn of_device(iommufd: BorrowedFd<'_>, op: u32, id: u32, numbers: [u32; 4]) -> Result<[u32; 4]> {
    let ask = Device { size: size::<Device>(), op, id, numbers, ..Device::default() };
    // SAFETY: the structure says its size, and these operations take numbers only.
    unsafe { Exchange::<COMMAND, _>::new(ask) }.on(iommufd).map(|(_, answer)| answer.numbers)
}

/// Marks the pages of `page_size` bytes whose bits are set as written to, from `iova` on, as a device would that wrote
/// there. Pages that are not mapped stay as they are. EINVAL: the page table does not track.
pub fn write_to(
    iommufd: BorrowedFd<'_>,
    page_table: u32,
    iova: u64,
    length: u64,
    page_size: u64,
    pages: &[u64],
) -> Result<()> {
    room(pages, length, page_size)?;
    let (size, op, pages) = (size::<Dirty>(), DIRTY, address(pages));
    let ask = Dirty { size, op, id: page_table, iova, length, page_size, pages, ..Dirty::default() };
    // SAFETY: the structure says its size; the kernel reads a bit of every page, for which the bitmap has room.
    unsafe { Exchange::<COMMAND, _>::new(ask) }.on(iommufd).map(drop)
}
