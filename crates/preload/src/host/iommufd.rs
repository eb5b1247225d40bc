//! iommufds: address spaces (IOAS) and page tables (HWPT) with dirty tracking.

mod mapping;
mod option;

use core::mem::offset_of;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vfio_migration_model::PAGE_SIZE;
use vfio_migration_protocol::{Errno, IovaRange};
use vfio_migration_uapi::layout::{
    Destroy, HwInfo, HwptAlloc, HwptGetDirtyBitmap, HwptSetDirtyTracking, IOMMU_DESTROY, IOMMU_GET_HW_INFO,
    IOMMU_HW_CAP_DIRTY_TRACKING, IOMMU_HWPT_ALLOC, IOMMU_HWPT_ALLOC_DIRTY_TRACKING, IOMMU_HWPT_DIRTY_TRACKING_ENABLE,
    IOMMU_HWPT_GET_DIRTY_BITMAP, IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR, IOMMU_HWPT_SET_DIRTY_TRACKING, IOMMU_IOAS_ALLOC,
    IOMMU_IOAS_IOVA_RANGES, IOMMU_IOAS_MAP, IOMMU_IOAS_MAP_FILE, IOMMU_IOAS_UNMAP, IOMMU_OPTION, IoasAlloc,
};

use super::container::{collect, start, start_all, stop, stop_all};
use super::device::Device;
use super::dirty::{self, Question};
use super::handle::Unknown;
use super::memory;
use super::program::Program;
use super::space::Space;
use super::structure::Structure;

/// `IOMMU_IOAS_CHANGE_PROCESS`, of Linux 6.14: memory of the program is accounted to another process from now on.
const CHANGE_PROCESS: u32 = 0x3b92;

/// An iommufd.
#[derive(Debug, Default)]
pub(super) struct Iommufd(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    last: u32,
    objects: BTreeMap<u32, Object>,
    accounting: option::Accounting,
    /// The address spaces that may have no large pages.
    small_pages: BTreeSet<u32>,
}

#[derive(Debug)]
enum Object {
    Space(Arc<Space>),
    Table(PageTable),
    Device(Arc<Device>, Option<u32>),
}

/// A page table: a view of an address space.
#[derive(Clone, Debug)]
struct PageTable {
    space_id: u32,
    space: Arc<Space>,
    /// It can track dirty pages, because the program asked for that.
    can_track: bool,
    tracks: bool,
    /// It was made because a device was attached to an address space, and goes with the last device.
    by_itself: bool,
}

impl Iommufd {
    /// A device is bound: its id.
    pub(super) fn bind(&self, device: &Arc<Device>) -> u32 {
        self.inside().add(Object::Device(Arc::clone(device), None))
    }

    /// The device with this id is closed.
    pub(super) fn unbind(&self, id: u32, device: &Device) {
        let mut inside = self.inside();
        inside.detach(id, device);
        inside.objects.remove(&id);
    }

    /// The device with this id is attached to an address space or a page table, in place of what it was attached to: the
    /// page table that is used.
    pub(super) fn attach(&self, id: u32, device: &Arc<Device>, to: u32) -> Result<u32, Errno> {
        self.inside().attach(id, device, to)
    }

    /// The device with this id is detached.
    pub(super) fn detach(&self, id: u32, device: &Device) {
        self.inside().detach(id, device);
    }

    /// Answers a request.
    pub(super) fn ioctl(&self, request: u32, argument: u64, program: &dyn Program) -> Result<i32, Unknown> {
        // Before anything is locked: the program may be in the middle of closing something of ours.
        let file = match request {
            IOMMU_IOAS_MAP_FILE => Some(mapping::mapped_file(argument, program)?),
            _ => None,
        };
        let mut inside = self.inside();
        Ok(match request {
            IOMMU_DESTROY => inside.destroy(argument)?,
            IOMMU_IOAS_ALLOC => inside.new_space(argument)?,
            IOMMU_IOAS_IOVA_RANGES => inside.addresses(argument)?,
            IOMMU_IOAS_MAP => inside.map(argument)?,
            IOMMU_IOAS_MAP_FILE => inside.map_file(argument, file.ok_or(Errno::EBADF)?)?,
            IOMMU_IOAS_UNMAP => inside.unmap(argument)?,
            IOMMU_HWPT_ALLOC => inside.new_table(argument)?,
            IOMMU_GET_HW_INFO => inside.hardware(argument)?,
            IOMMU_HWPT_SET_DIRTY_TRACKING => inside.set_tracking(argument)?,
            IOMMU_HWPT_GET_DIRTY_BITMAP => inside.dirty_bitmap(argument)?,
            IOMMU_OPTION => inside.option(argument)?,
            CHANGE_PROCESS => inside.change_process(argument)?,
            _ => return Err(Unknown::Request),
        })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn add(&mut self, object: Object) -> u32 {
        self.last += 1;
        self.objects.insert(self.last, object);
        self.last
    }

    fn space(&self, id: u32) -> Result<&Arc<Space>, Errno> {
        match self.objects.get(&id) {
            Some(Object::Space(space)) => Ok(space),
            _ => Err(Errno::ENOENT),
        }
    }

    fn table(&mut self, id: u32) -> Result<&mut PageTable, Errno> {
        match self.objects.get_mut(&id) {
            Some(Object::Table(table)) => Ok(table),
            _ => Err(Errno::ENOENT),
        }
    }

    /// The devices that are attached to a page table.
    fn attached(&self, table: u32) -> Vec<Arc<Device>> {
        let devices = self.objects.values().filter_map(|object| match object {
            Object::Device(device, Some(to)) if *to == table => Some(Arc::clone(device)),
            _ => None,
        });
        devices.collect()
    }

    fn attach(&mut self, id: u32, device: &Arc<Device>, to: u32) -> Result<u32, Errno> {
        let (to, table) = match self.objects.get(&to) {
            Some(Object::Table(table)) => (to, table.clone()),
            Some(Object::Space(space)) => {
                let space = Arc::clone(space);
                let made = self.objects.iter().find_map(|(id, object)| match object {
                    Object::Table(table) if table.by_itself && table.space_id == to => Some((*id, table.clone())),
                    _ => None,
                });
                made.unwrap_or_else(|| {
                    let table = PageTable { space_id: to, space, can_track: false, tracks: false, by_itself: true };
                    (self.add(Object::Table(table.clone())), table)
                })
            }
            _ => return Err(Errno::ENOENT),
        };
        self.detach(id, device);
        if table.tracks {
            start(device).map_err(|error| error.errno)?;
        }
        device.view.attach(Some(table.space));
        self.objects.insert(id, Object::Device(Arc::clone(device), Some(to)));
        Ok(to)
    }

    fn detach(&mut self, id: u32, device: &Device) {
        device.view.attach(None);
        let Some(Object::Device(_, attached)) = self.objects.get_mut(&id) else { return };
        let Some(table) = attached.take() else { return };
        let is_left = self.attached(table).is_empty();
        let goes = self.table(table).is_ok_and(|table| table.by_itself) && is_left;
        if self.table(table).is_ok_and(|table| table.tracks) {
            // It leaves whatever this answers.
            let _ = stop(device);
        }
        if goes {
            self.objects.remove(&table);
        }
    }

    fn destroy(&mut self, argument: u64) -> Result<i32, Errno> {
        let id = Structure::exact(argument, size_of::<Destroy>(), size_of::<Destroy>())?.u32(offset_of!(Destroy, id));
        let in_use = match self.objects.get(&id).ok_or(Errno::ENOENT)? {
            Object::Space(_) => {
                self.objects.values().any(|object| matches!(object, Object::Table(table) if table.space_id == id))
            }
            Object::Table(_) => !self.attached(id).is_empty(),
            Object::Device(..) => true,
        };
        if in_use {
            return Err(Errno::EBUSY);
        }
        self.objects.remove(&id);
        Ok(0)
    }

    fn new_space(&mut self, argument: u64) -> Result<i32, Errno> {
        const SIZE: usize = size_of::<IoasAlloc>();
        let mut alloc = Structure::exact(argument, SIZE, SIZE)?;
        if alloc.u32(offset_of!(IoasAlloc, flags)) != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let id = self.add(Object::Space(Arc::default()));
        alloc.set_u32(offset_of!(IoasAlloc, out_ioas_id), id);
        alloc.store().map(|()| 0)
    }

    fn new_table(&mut self, argument: u64) -> Result<i32, Errno> {
        // Kernels before fault queues know the first 40 bytes.
        let mut alloc = Structure::exact(argument, offset_of!(HwptAlloc, fault_id), size_of::<HwptAlloc>())?;
        let flags = alloc.u32(offset_of!(HwptAlloc, flags));
        let plain = alloc.u32(offset_of!(HwptAlloc, data_type)) == 0 && alloc.u32(offset_of!(HwptAlloc, data_len)) == 0;
        if flags & !IOMMU_HWPT_ALLOC_DIRTY_TRACKING != 0 || !plain {
            return Err(Errno::EOPNOTSUPP);
        }
        self.device(alloc.u32(offset_of!(HwptAlloc, dev_id)))?;
        let space_id = alloc.u32(offset_of!(HwptAlloc, pt_id));
        let space = Arc::clone(self.space(space_id)?);
        let can_track = flags & IOMMU_HWPT_ALLOC_DIRTY_TRACKING != 0;
        let id = self.add(Object::Table(PageTable { space_id, space, can_track, tracks: false, by_itself: false }));
        alloc.set_u32(offset_of!(HwptAlloc, out_hwpt_id), id);
        alloc.store().map(|()| 0)
    }

    fn device(&self, id: u32) -> Result<(), Errno> {
        if matches!(self.objects.get(&id), Some(Object::Device(..))) { Ok(()) } else { Err(Errno::ENOENT) }
    }

    fn hardware(&self, argument: u64) -> Result<i32, Errno> {
        /// The program's room is filled with zeros, up to a page.
        const MOST: u32 = 4096;
        let mut info = Structure::exact(argument, offset_of!(HwInfo, out_capabilities), size_of::<HwInfo>())?;
        if info.u32(offset_of!(HwInfo, flags)) != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        self.device(info.u32(offset_of!(HwInfo, dev_id)))?;
        let room = info.u32(offset_of!(HwInfo, data_len)).min(MOST);
        memory::store(info.u64(offset_of!(HwInfo, data_uptr)), &vec![0; room as usize])?;
        // An IOMMU of no kind in particular.
        info.set_u32(offset_of!(HwInfo, data_len), 0);
        info.set_u32(offset_of!(HwInfo, out_data_type), 0);
        info.set_u64(offset_of!(HwInfo, out_capabilities), IOMMU_HW_CAP_DIRTY_TRACKING);
        info.store().map(|()| 0)
    }

    fn set_tracking(&mut self, argument: u64) -> Result<i32, Errno> {
        const SIZE: usize = size_of::<HwptSetDirtyTracking>();
        let set = Structure::exact(argument, SIZE, SIZE)?;
        let flags = set.u32(offset_of!(HwptSetDirtyTracking, flags));
        if flags & !IOMMU_HWPT_DIRTY_TRACKING_ENABLE != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let id = set.u32(offset_of!(HwptSetDirtyTracking, hwpt_id));
        let devices = self.attached(id);
        let table = self.table(id)?;
        if !table.can_track {
            return Err(Errno::EOPNOTSUPP);
        }
        let on = flags & IOMMU_HWPT_DIRTY_TRACKING_ENABLE != 0;
        // Enabling begins with nothing dirty.
        if table.tracks {
            stop_all(&devices)?;
            table.tracks = false;
        }
        if on {
            start_all(&devices)?;
        }
        table.tracks = on;
        Ok(0)
    }

    fn dirty_bitmap(&mut self, argument: u64) -> Result<i32, Errno> {
        const SIZE: usize = size_of::<HwptGetDirtyBitmap>();
        let get = Structure::exact(argument, SIZE, SIZE)?;
        let flags = get.u32(offset_of!(HwptGetDirtyBitmap, flags));
        if flags & !IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let id = get.u32(offset_of!(HwptGetDirtyBitmap, hwpt_id));
        let devices = self.attached(id);
        let table = self.table(id)?;
        if !table.can_track {
            return Err(Errno::EOPNOTSUPP);
        }
        let range = IovaRange {
            iova: get.u64(offset_of!(HwptGetDirtyBitmap, iova)),
            length: get.u64(offset_of!(HwptGetDirtyBitmap, length)),
        };
        let page_size = get.u64(offset_of!(HwptGetDirtyBitmap, page_size));
        let end = range.iova.checked_add(range.length).ok_or(Errno::EOVERFLOW)?;
        let aligned = |value: u64| value.is_multiple_of(PAGE_SIZE) && value.is_multiple_of(page_size);
        if !page_size.is_power_of_two() || page_size < PAGE_SIZE || range.length == 0 {
            return Err(Errno::EINVAL);
        }
        if !aligned(range.iova) || !aligned(end) || !table.tracks {
            return Err(Errno::EINVAL);
        }
        let keep = flags & IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR != 0;
        let bits = collect(&devices, Question { range, page_size, keep })?;
        dirty::merge(get.u64(offset_of!(HwptGetDirtyBitmap, data)), &bits).map(|()| 0)
    }

    /// Memory that belongs to a program cannot follow another one; files can.
    fn change_process(&self, argument: u64) -> Result<i32, Errno> {
        Structure::exact(argument, 8, 8)?;
        let files_only = self.objects.values().all(|object| match object {
            Object::Space(space) => space.has_files_only(),
            _ => true,
        });
        if files_only { Ok(0) } else { Err(Errno::EINVAL) }
    }
}
