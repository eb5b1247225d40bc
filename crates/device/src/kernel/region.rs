//! The migration region of a device of the kernel: registers by reads and writes of its descriptor, data through what of it
//! can be mapped.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::io::{Errno, pread, pwrite};
use vfio_migration_protocol::region::{BLOCK, NDMA_CAPABILITY, REGION_SUBTYPE, REGION_TYPE};
use vfio_migration_protocol::{CallError, Companions, Errno as Number};
use vfio_migration_uapi::device::{self, Region as Info};
use vfio_migration_uapi::layout::{
    VFIO_REGION_INFO_FLAG_MMAP, VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
};
use vfio_migration_uapi::mapping::{Mapping, page_size};

use super::holding::KeptDevice;
use super::requests::Requests;
use crate::region::{Areas, Region, UnfitRegion};

/// More regions than any device has: a number beyond it is not believed.
const MOST_REGIONS: u32 = 4096;

/// Accesses to a region, by offset in the device's descriptor. One call each, once, as the kernel answers it.
pub(super) trait Accesses: Send {
    fn read(&self, offset: u64, into: &mut [u8]) -> Result<usize, Errno>;

    fn write(&self, offset: u64, from: &[u8]) -> Result<usize, Errno>;

    /// `VFIO_DEVICE_RESET`
    fn reset(&self) -> Result<(), Errno>;

    /// Those of the device's IOMMU group that are open, if its group is known. No access.
    fn companions(&self) -> Option<Companions> {
        None
    }
}

/// The migration region of a device, mapped as far as it can be.
pub(super) struct KernelRegion<A> {
    accesses: A,
    requests: Requests,
    /// Where it begins in the descriptor, in bytes.
    start: u64,
    size: u64,
    has_ndma: bool,
    /// What is mapped, each with where it begins in the region.
    windows: Vec<(u64, Mapping)>,
}

/// Finds the migration region of a device: the one of type 3 and subtype 1.
pub(super) fn find(device: BorrowedFd<'_>) -> Result<Option<Info>, Errno> {
    let regions = device::info(device)?.num_regions.min(MOST_REGIONS);
    first((0..regions).map(|index| device::region(device, index)))
}

fn first(regions: impl Iterator<Item = Result<Info, Errno>>) -> Result<Option<Info>, Errno> {
    for region in regions {
        match region {
            Ok(info) if info.kind == Some((REGION_TYPE, REGION_SUBTYPE)) => return Ok(Some(info)),
            // Indices may have gaps: functions without VGA have none of that number.
            Ok(_) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(None)
}

impl<A: Accesses> KernelRegion<A> {
    /// Takes the region that `info` describes, of the device whose descriptor is `device`, and maps what the device offers.
    /// What cannot be mapped all the same is read and written.
    pub(super) fn new(accesses: A, device: BorrowedFd<'_>, info: &Info) -> Result<Self, UnfitRegion> {
        let needed = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
        if info.flags & needed != needed {
            return Err(UnfitRegion::Access);
        }
        // Offsets in a descriptor are signed numbers.
        if info.offset.checked_add(info.size).is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(UnfitRegion::Place { offset: info.offset, size: info.size });
        }
        let offered = match &info.mappable {
            _ if info.flags & VFIO_REGION_INFO_FLAG_MMAP == 0 => Vec::new(),
            Some(areas) => areas.clone(),
            None => vec![(0, info.size)],
        };
        Areas::new(offered.clone(), info.size).map_err(UnfitRegion::Areas)?;
        let windows = offered.into_iter().filter_map(|(offset, len)| {
            let (offset, len) = whole_pages(offset, len)?;
            Some((offset, Mapping::shared(device, info.offset + offset, len).ok()?))
        });
        Ok(Self {
            accesses,
            requests: Requests::default(),
            start: info.offset,
            size: info.size,
            has_ndma: info.capabilities.contains(&NDMA_CAPABILITY),
            windows: windows.collect(),
        })
    }

    fn failed(&self, errno: Errno) -> CallError {
        let number = Number::from_linux(errno.raw_os_error());
        self.requests.why(errno).map_or_else(|| CallError::new(number), |why| CallError::because(number, why))
    }
}

impl<A: Accesses> Region for KernelRegion<A> {
    fn begin(&mut self) {
        self.requests.begin();
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn has_ndma(&self) -> bool {
        self.has_ndma
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, CallError> {
        let place = self.start + offset;
        self.requests.made(|| self.accesses.read(place, into)).map_err(|errno| self.failed(errno))
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<usize, CallError> {
        let place = self.start + offset;
        let write = || self.accesses.write(place, from);
        // Data may be written to its place again. A register may have done its work.
        let written = if offset < BLOCK { self.requests.once(write) } else { self.requests.made(write) };
        written.map_err(|errno| self.failed(errno))
    }

    fn mapped(&self) -> Vec<(u64, u64)> {
        self.windows.iter().map(|(offset, mapping)| (*offset, mapping.len() as u64)).collect()
    }

    fn load(&mut self, offset: u64, into: &mut [u8]) -> Result<(), CallError> {
        let (mapping, at) = window(&mut self.windows, offset)?;
        mapping.read(at, into).map_err(|_| outside(offset))
    }

    fn store(&mut self, offset: u64, from: &[u8]) -> Result<(), CallError> {
        let (mapping, at) = window(&mut self.windows, offset)?;
        mapping.write(at, from).map_err(|_| outside(offset))
    }

    fn reset(&mut self) -> Result<(), CallError> {
        self.requests.reset(|| self.accesses.reset())
    }

    fn companions(&self) -> Option<Companions> {
        self.accesses.companions()
    }

    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        Some(self.requests.interrupter())
    }
}

impl Accesses for KeptDevice {
    fn read(&self, offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
        pread(self, into, offset)
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<usize, Errno> {
        pwrite(self, from, offset)
    }

    fn reset(&self) -> Result<(), Errno> {
        device::reset(self.as_fd())
    }

    fn companions(&self) -> Option<Companions> {
        self.0.companions()
    }
}

/// The whole pages of an area, if it has any.
fn whole_pages(offset: u64, len: u64) -> Option<(u64, usize)> {
    let page = page_size() as u64;
    let first = offset.checked_next_multiple_of(page)?;
    let end = (offset + len) / page * page;
    let len = usize::try_from(end.checked_sub(first)?).ok()?;
    (len > 0).then_some((first, len))
}

/// What is mapped at an offset of the region, and where in it that lies.
fn window(windows: &mut [(u64, Mapping)], offset: u64) -> Result<(&mut Mapping, usize), CallError> {
    let found = windows.iter_mut().find_map(|(start, mapping)| {
        let at = usize::try_from(offset.checked_sub(*start)?).ok()?;
        (at < mapping.len()).then_some((mapping, at))
    });
    found.ok_or_else(|| outside(offset))
}

fn outside(offset: u64) -> CallError {
    CallError::because(Number::EFAULT, format!("nothing is mapped at {offset:#x} of the region"))
}

#[cfg(test)]
mod tests;
