//! Devices of their own (`/dev/vfio/devices/vfioN`): binding them to an iommufd.
//!
//! Structures that grew are sent in their first size unless the new part is wanted, so that older kernels take them.

use core::mem::offset_of;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Result;

use crate::call::{Exchange, address, size};
use crate::layout::{
    AttachIommufdPt, BindIommufd, DetachIommufdPt, VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_ATTACH_PASID,
    VFIO_DEVICE_BIND_FLAG_TOKEN, VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_DETACH_IOMMUFD_PT, VFIO_DEVICE_DETACH_PASID,
};

/// Binds the device to an iommufd until it is closed, and answers with its id there. `token` is that of the physical
/// function, in the order of a UUID's text.
///
/// Before this, every other call answers EINVAL. EINVAL: it is bound already, by whomever, or its fd came from a group;
/// EBUSY: its group is in use; EACCES: the token is wrong or missing.
pub fn bind(device: BorrowedFd<'_>, iommufd: BorrowedFd<'_>, token: Option<[u8; 16]>) -> Result<u32> {
    let mut bind = BindIommufd { iommufd: iommufd.as_raw_fd(), ..BindIommufd::default() };
    bind.argsz = first_size(offset_of!(BindIommufd, token_uuid_ptr));
    if let Some(token) = &token {
        bind.argsz = size::<BindIommufd>();
        bind.flags = VFIO_DEVICE_BIND_FLAG_TOKEN;
        bind.token_uuid_ptr = address(token);
    }
    // SAFETY: the structure says its size, and points to the token's sixteen bytes where it points to anything.
    unsafe { Exchange::<VFIO_DEVICE_BIND_IOMMUFD, _>::new(bind) }.on(device).map(|(_, bind)| bind.out_devid)
}

/// Attaches the device to an address space or a page table of its iommufd, in place of what it was attached to. Answers
/// with the page table that is used. EBUSY: a reset is going on.
pub fn attach(device: BorrowedFd<'_>, page_table: u32, pasid: Option<u32>) -> Result<u32> {
    let mut attach = AttachIommufdPt { pt_id: page_table, ..AttachIommufdPt::default() };
    attach.argsz = first_size(offset_of!(AttachIommufdPt, pasid));
    if let Some(pasid) = pasid {
        attach = AttachIommufdPt { argsz: size::<AttachIommufdPt>(), flags: VFIO_DEVICE_ATTACH_PASID, pasid, ..attach };
    }
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<VFIO_DEVICE_ATTACH_IOMMUFD_PT, _>::new(attach) }.on(device).map(|(_, attach)| attach.pt_id)
}

/// Detaches the device from what it is attached to.
pub fn detach(device: BorrowedFd<'_>, pasid: Option<u32>) -> Result<()> {
    let detach = match pasid {
        Some(pasid) => DetachIommufdPt { argsz: size::<DetachIommufdPt>(), flags: VFIO_DEVICE_DETACH_PASID, pasid },
        None => DetachIommufdPt { argsz: first_size(offset_of!(DetachIommufdPt, pasid)), flags: 0, pasid: 0 },
    };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<VFIO_DEVICE_DETACH_IOMMUFD_PT, _>::new(detach) }.on(device).map(drop)
}

/// The size of a structure before it grew a field at `offset`.
#[expect(clippy::cast_possible_truncation, reason = "offsets in the kernel's structures are small")]
const fn first_size(offset: usize) -> u32 {
    offset as u32
}

const _: () = {
    assert!(offset_of!(BindIommufd, token_uuid_ptr) == 16);
    assert!(offset_of!(AttachIommufdPt, pasid) == 12);
    assert!(offset_of!(DetachIommufdPt, pasid) == 8);
};
