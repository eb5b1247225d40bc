//! The dirty tracking of an IOMMU's page table, through iommufd.

use std::os::fd::AsFd;

use rustix::io;
use vfio_migration_protocol::{CallError, Errno, IovaRange};
use vfio_migration_uapi::iommufd::{self, AfterReport};
use vfio_migration_uapi::layout::IoasIovaRange;

use super::{Kernel, SMALLEST_PAGE, failed};

/// The largest bitmap that is filled in one call, in bytes: that of 8 TiB of small pages. The kernel has no limit.
const MOST: u64 = 256 << 20;

/// A page table (HWPT) that tracks dirty pages, for a [`MappedLog`](super::MappedLog).
#[derive(Debug)]
pub struct PageTable<F> {
    iommufd: F,
    id: u32,
    /// Where to unmap.
    ioas: Option<u32>,
}

impl<F: AsFd + Send> PageTable<F> {
    /// Over a page table of an address space, made with dirty tracking.
    pub const fn new(iommufd: F, id: u32, ioas: u32) -> Self {
        Self { iommufd, id, ioas: Some(ioas) }
    }

    /// Over a page table, made with dirty tracking, of an address space that is not ours: nothing can be unmapped.
    pub const fn lent(iommufd: F, id: u32) -> Self {
        Self { iommufd, id, ioas: None }
    }

    /// Makes a page table with dirty tracking for a bound device, to attach the device to.
    ///
    /// `None`: there is no such tracking here, because the device is an emulated one without an IOMMU, the IOMMU cannot
    /// track, or the kernel is older than Linux 6.7.
    pub fn make(iommufd: F, device: u32, ioas: u32) -> Result<Option<Self>, CallError> {
        let fd = iommufd.as_fd();
        let none = |errno| matches!(errno, io::Errno::NOENT | io::Errno::OPNOTSUPP | io::Errno::NOTTY);
        match iommufd::hw_info(fd, device) {
            Ok(hardware) if !hardware.tracks_dirty() => return Ok(None),
            Err(errno) if none(errno) => return Ok(None),
            Err(errno) => return Err(failed("asking for the device's IOMMU", errno)),
            Ok(_) => {}
        }
        match iommufd::alloc_page_table(fd, device, ioas, true) {
            Ok(id) => Ok(Some(Self::new(iommufd, id, ioas))),
            Err(errno) if none(errno) => Ok(None),
            Err(errno) => Err(failed("making a page table", errno)),
        }
    }

    /// Its id, to attach devices to.
    pub const fn id(&self) -> u32 {
        self.id
    }
}

impl<F: AsFd + Send> Kernel for PageTable<F> {
    const NAME: &'static str = "dirty tracking of the IOMMU";

    fn supports(&self, wish: u64) -> Result<(u64, u64), CallError> {
        let page_size = wish.max(SMALLEST_PAGE).checked_next_power_of_two();
        page_size.map(|size| (size, MOST)).ok_or_else(|| CallError::because(Errno::EINVAL, "no page is that large"))
    }

    fn start(&self) -> io::Result<()> {
        iommufd::set_dirty_tracking(self.iommufd.as_fd(), self.id, true)
    }

    fn stop(&self) -> io::Result<()> {
        iommufd::set_dirty_tracking(self.iommufd.as_fd(), self.id, false)
    }

    fn read(&self, mapped: IovaRange, page_size: u64, words: &mut [u64]) -> io::Result<()> {
        self.ask(mapped, page_size, AfterReport::Clear, words)
    }

    fn unmap(&self, mapped: IovaRange, log: Option<(u64, &mut [u64])>) -> io::Result<u64> {
        let ioas = self.ioas.ok_or(io::Errno::PERM)?;
        if let Some((page_size, words)) = log {
            self.ask(mapped, page_size, AfterReport::Keep, words)?;
        }
        iommufd::unmap(self.iommufd.as_fd(), ioas, mapped.iova, mapped.length)
    }
}

impl<F: AsFd> PageTable<F> {
    fn ask(&self, mapped: IovaRange, page_size: u64, after: AfterReport, words: &mut [u64]) -> io::Result<()> {
        let last =
            mapped.iova.checked_add(mapped.length).and_then(|end| end.checked_sub(1)).ok_or(io::Errno::OVERFLOW)?;
        let range = IoasIovaRange { start: mapped.iova, last };
        iommufd::dirty(self.iommufd.as_fd(), self.id, range, page_size, after, words)
    }
}
