//! The type1 container: what its devices reach of the program's memory, and which pages they wrote to. The rules are those
//! of `vfio_iommu_type1.c`, for an IOMMU that sees single pages.

use core::mem::offset_of;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vfio_migration_model::PAGE_SIZE;
use vfio_migration_protocol::{Bitmap, CallError, Errno, IovaRange, Tracker as _};
use vfio_migration_uapi::layout::{
    CapabilityHeader, DirtyBitmap, DirtyPages, DirtyPagesRange, Type1Info, Type1Map, Type1Migration, Type1Unmap,
    VFIO_API_VERSION, VFIO_CHECK_EXTENSION, VFIO_DMA_MAP_FLAG_READ, VFIO_DMA_MAP_FLAG_WRITE, VFIO_DMA_UNMAP_FLAG_ALL,
    VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, VFIO_GET_API_VERSION, VFIO_IOMMU_DIRTY_PAGES,
    VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP, VFIO_IOMMU_DIRTY_PAGES_FLAG_START, VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP,
    VFIO_IOMMU_GET_INFO, VFIO_IOMMU_INFO_CAPS, VFIO_IOMMU_INFO_PGSIZES, VFIO_IOMMU_MAP_DMA,
    VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL,
    VFIO_IOMMU_UNMAP_DMA, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU, VFIO_TYPE1v2_IOMMU as VFIO_TYPE1V2_IOMMU, VFIO_UNMAP_ALL,
};

use super::device::{Device, Log};
use super::dirty::{self, Question};
use super::handle::Unknown;
use super::space::{Backing, LAST_ADDRESS, Rights, Space, View};
use super::structure::{Chained, Structure};

/// The largest bitmap, in bytes.
const MOST: u64 = 256 << 20;
/// How many mappings there can be, as the kernel says unless its module is told otherwise.
const MAPPINGS: u32 = 65535;

/// A container.
#[derive(Debug, Default)]
pub(super) struct Container {
    space: Arc<Space>,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    /// The devices of its groups.
    members: Vec<Arc<Device>>,
    /// The kind of its IOMMU, once that was chosen.
    kind: Option<u32>,
    tracks: bool,
}

impl Container {
    /// A group joins, with its device.
    pub(super) fn join(&self, device: &Arc<Device>) -> Result<(), CallError> {
        let mut inside = self.inside();
        if inside.kind.is_some() {
            device.view.attach(Some(Arc::clone(&self.space)));
        }
        if inside.tracks {
            start(device)?;
        }
        inside.members.push(Arc::clone(device));
        Ok(())
    }

    /// A group leaves. With the last one the mappings go too.
    pub(super) fn leave(&self, device: &Arc<Device>) {
        let mut inside = self.inside();
        if inside.tracks {
            // It leaves whatever this answers.
            let _ = stop(device);
        }
        device.view.attach(None);
        inside.members.retain(|member| !Arc::ptr_eq(member, device));
        if inside.members.is_empty() {
            (inside.kind, inside.tracks) = (None, false);
            self.space.clear();
        }
    }

    /// Whether the kind of its IOMMU was chosen.
    pub(super) fn has_iommu(&self) -> bool {
        self.inside().kind.is_some()
    }

    /// Answers a request.
    pub(super) fn ioctl(&self, request: u32, argument: u64) -> Result<i32, Unknown> {
        match request {
            VFIO_GET_API_VERSION => return Ok(VFIO_API_VERSION.cast_signed()),
            VFIO_CHECK_EXTENSION => {
                let known = [VFIO_TYPE1_IOMMU, VFIO_TYPE1V2_IOMMU, VFIO_UNMAP_ALL];
                return Ok(known.into_iter().any(|known| u64::from(known) == argument).into());
            }
            VFIO_SET_IOMMU => return Ok(self.set_iommu(argument)?),
            _ => {}
        }
        let known =
            [VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA, VFIO_IOMMU_DIRTY_PAGES].contains(&request);
        match request {
            _ if !known => Err(Unknown::Request),
            _ if !self.has_iommu() => Err(Errno::EINVAL.into()),
            VFIO_IOMMU_GET_INFO => Ok(info(argument)?),
            VFIO_IOMMU_MAP_DMA => Ok(self.map(argument)?),
            VFIO_IOMMU_UNMAP_DMA => Ok(self.unmap(argument)?),
            _ => Ok(self.dirty_pages(argument)?),
        }
    }

    fn set_iommu(&self, kind: u64) -> Result<i32, Errno> {
        let mut inside = self.inside();
        if inside.members.is_empty() || inside.kind.is_some() {
            return Err(Errno::EINVAL);
        }
        let kind = u32::try_from(kind).ok().filter(|kind| matches!(*kind, VFIO_TYPE1_IOMMU | VFIO_TYPE1V2_IOMMU));
        inside.kind = Some(kind.ok_or(Errno::ENODEV)?);
        inside.members.iter().for_each(|device| device.view.attach(Some(Arc::clone(&self.space))));
        Ok(0)
    }

    fn map(&self, argument: u64) -> Result<i32, Errno> {
        const SIZE: usize = size_of::<Type1Map>();
        let map = Structure::sized(argument, SIZE, SIZE)?;
        let flags = map.u32(offset_of!(Type1Map, flags));
        let rights = Rights { read: flags & VFIO_DMA_MAP_FLAG_READ != 0, write: flags & VFIO_DMA_MAP_FLAG_WRITE != 0 };
        let address = map.u64(offset_of!(Type1Map, vaddr));
        if flags & !(VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE) != 0
            || flags == 0
            || !address.is_multiple_of(PAGE_SIZE)
        {
            return Err(Errno::EINVAL);
        }
        let (iova, length) = (map.u64(offset_of!(Type1Map, iova)), map.u64(offset_of!(Type1Map, size)));
        self.space.map(IovaRange { iova, length }, Backing::Program(address), rights).map(|()| 0)
    }

    fn unmap(&self, argument: u64) -> Result<i32, Errno> {
        const SIZE: usize = size_of::<Type1Unmap>();
        let mut unmap = Structure::sized(argument, SIZE, SIZE)?;
        let flags = unmap.u32(offset_of!(Type1Unmap, flags));
        let mut range = IovaRange {
            iova: unmap.u64(offset_of!(Type1Unmap, iova)),
            length: unmap.u64(offset_of!(Type1Unmap, size)),
        };
        match flags {
            VFIO_DMA_UNMAP_FLAG_ALL if range.iova == 0 && range.length == 0 => range.length = LAST_ADDRESS + 1,
            VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP => {
                if (unmap.u32(0) as usize) < SIZE + size_of::<DirtyBitmap>() {
                    return Err(Errno::EINVAL);
                }
                let bitmap = Structure::load(argument + SIZE as u64, size_of::<DirtyBitmap>())?;
                self.report(range, &bitmap, 0)?;
            }
            0 if range.length > 0 && range.length.is_multiple_of(PAGE_SIZE) && range.iova.is_multiple_of(PAGE_SIZE) => {
            }
            _ => return Err(Errno::EINVAL),
        }
        let unmapped = self.space.unmap(range)?;
        unmap.set_u64(offset_of!(Type1Unmap, size), unmapped);
        unmap.store().map(|()| 0)
    }

    fn dirty_pages(&self, argument: u64) -> Result<i32, Errno> {
        const HEAD: usize = size_of::<DirtyPages>();
        const WHOLE: usize = HEAD + size_of::<DirtyPagesRange>();
        let head = Structure::sized(argument, HEAD, HEAD)?;
        let mut inside = self.inside();
        if inside.kind != Some(VFIO_TYPE1V2_IOMMU) {
            return Err(Errno::EACCES);
        }
        match head.u32(4) {
            VFIO_IOMMU_DIRTY_PAGES_FLAG_START => {
                if !inside.tracks {
                    start_all(&inside.members)?;
                    inside.tracks = true;
                }
            }
            VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP => {
                if inside.tracks {
                    stop_all(&inside.members)?;
                    inside.tracks = false;
                }
            }
            VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP => {
                drop(inside);
                if (head.u32(0) as usize) < WHOLE {
                    return Err(Errno::EINVAL);
                }
                let asked = Structure::load(argument + HEAD as u64, size_of::<DirtyPagesRange>())?;
                let range = IovaRange {
                    iova: asked.u64(offset_of!(DirtyPagesRange, iova)),
                    length: asked.u64(offset_of!(DirtyPagesRange, size)),
                };
                self.report(range, &asked, offset_of!(DirtyPagesRange, bitmap))?;
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    }

    /// Fills the program's bitmap, which `structure` describes from `at` on.
    fn report(&self, range: IovaRange, structure: &Structure, at: usize) -> Result<(), Errno> {
        let field = |offset| structure.u64(at + offset);
        let (page, size) = (field(offset_of!(DirtyBitmap, pgsize)), field(offset_of!(DirtyBitmap, size)));
        let IovaRange { iova, length } = range;
        let pages = length / PAGE_SIZE;
        let inside = self.inside();
        let whole = iova.is_multiple_of(PAGE_SIZE) && length.is_multiple_of(PAGE_SIZE);
        if !inside.tracks || page != PAGE_SIZE || pages == 0 || !whole {
            return Err(Errno::EINVAL);
        }
        if size > MOST || size < pages.div_ceil(64) * 8 {
            return Err(Errno::EINVAL);
        }
        let mapped = self.space.mapped(range)?;
        let bits = collect(&inside.members, Question { range, page_size: PAGE_SIZE, keep: false })?;
        let pages = |one: &IovaRange| ((one.iova - iova) / PAGE_SIZE, one.length / PAGE_SIZE);
        let pages: Vec<_> = mapped.iter().map(pages).collect();
        dirty::overwrite(field(offset_of!(DirtyBitmap, data)), &bits, &pages)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The log of the IOMMU in front of a device is started, for everything that the device reaches.
pub(super) fn start(device: &Device) -> Result<(), CallError> {
    device.track(Log::Iommu, "dirty-start", |log| log.start(&[View::REACH], PAGE_SIZE)).map(drop)
}

/// The log of the IOMMU in front of a device is stopped.
pub(super) fn stop(device: &Device) -> Result<(), CallError> {
    device.track(Log::Iommu, "dirty-stop", vfio_migration_protocol::Tracker::stop)
}

/// All logs are started, or none.
pub(super) fn start_all(devices: &[Arc<Device>]) -> Result<(), Errno> {
    for (started, device) in devices.iter().enumerate() {
        if let Err(error) = start(device) {
            for device in &devices[..started] {
                // The first error is what the program has to know.
                let _ = stop(device);
            }
            return Err(error.errno);
        }
    }
    Ok(())
}

/// All logs are stopped.
pub(super) fn stop_all(devices: &[Arc<Device>]) -> Result<(), Errno> {
    devices.iter().try_for_each(|device| stop(device)).map_err(|error| error.errno)
}

/// What the IOMMUs in front of some devices know.
pub(super) fn collect(devices: &[Arc<Device>], question: Question) -> Result<Bitmap, Errno> {
    let mut all = Bitmap::new(0);
    for device in devices {
        let page = device.log_page(Log::Iommu);
        let bits = device.track(Log::Iommu, "dirty-bitmap", |log| dirty::ask(log, page, question));
        let bits = bits.map_err(|error| error.errno)?;
        match (device.is_blind(), all.pages()) {
            (true, _) => {}
            (false, 0) => all = bits,
            (false, _) => all.merge(&bits),
        }
    }
    Ok(all)
}

/// Answers `VFIO_IOMMU_GET_INFO`.
fn info(argument: u64) -> Result<i32, Errno> {
    const SIZE: usize = size_of::<Type1Info>();
    const HEAD: usize = size_of::<CapabilityHeader>();
    let room = Structure::sized(argument, offset_of!(Type1Info, cap_offset), 4)?.u32(0) as usize;
    let mut info = Chained::new(SIZE, offset_of!(Type1Info, cap_offset));
    info.set_u32(offset_of!(Type1Info, flags), VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS);
    info.set_u64(offset_of!(Type1Info, iova_pgsizes), !(PAGE_SIZE - 1));
    let mut migration = [0; size_of::<Type1Migration>() - HEAD];
    let mut put = |offset: usize, value: u64| {
        migration[offset - HEAD..offset - HEAD + 8].copy_from_slice(&value.to_ne_bytes());
    };
    put(offset_of!(Type1Migration, pgsize_bitmap), PAGE_SIZE);
    put(offset_of!(Type1Migration, max_dirty_bitmap_size), MOST);
    info.capability(VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION, 1, &migration);
    info.capability(VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1, &MAPPINGS.to_ne_bytes());
    let mut ranges = [0; 24];
    ranges[..4].copy_from_slice(&1_u32.to_ne_bytes());
    ranges[16..].copy_from_slice(&LAST_ADDRESS.to_ne_bytes());
    info.capability(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1, &ranges);
    info.answer(argument, room, SIZE)
}
