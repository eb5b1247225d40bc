//! What is mapped in an address space, and where.

use core::mem::offset_of;
use std::fs::File;
use std::sync::Arc;

use vfio_migration_model::PAGE_SIZE;
use vfio_migration_protocol::{Errno, IovaRange};
use vfio_migration_uapi::layout::{
    IOMMU_IOAS_MAP_FIXED_IOVA, IOMMU_IOAS_MAP_READABLE, IOMMU_IOAS_MAP_WRITEABLE, IoasIovaRange, IoasIovaRanges,
    IoasMap, IoasMapFile, IoasUnmap,
};

use super::super::memory;
use super::super::program::Program;
use super::super::space::{Backing, LAST_ADDRESS, Rights, Space};
use super::super::structure::Structure;
use super::Inside;

/// `EMSGSIZE`: there is more than the program has room for.
const NO_ROOM: Errno = Errno::from_linux(90);

impl Inside {
    pub(super) fn addresses(&self, argument: u64) -> Result<i32, Errno> {
        const SIZE: usize = size_of::<IoasIovaRanges>();
        let mut ranges = Structure::exact(argument, SIZE, SIZE)?;
        self.space(ranges.u32(offset_of!(IoasIovaRanges, ioas_id)))?;
        let room = ranges.u32(offset_of!(IoasIovaRanges, num_iovas));
        ranges.set_u32(offset_of!(IoasIovaRanges, num_iovas), 1);
        ranges.set_u64(offset_of!(IoasIovaRanges, out_iova_alignment), PAGE_SIZE);
        if room > 0 {
            let mut range = [0; size_of::<IoasIovaRange>()];
            range[offset_of!(IoasIovaRange, last)..].copy_from_slice(&LAST_ADDRESS.to_ne_bytes());
            memory::store(ranges.u64(offset_of!(IoasIovaRanges, allowed_iovas)), &range)?;
        }
        ranges.store()?;
        if room > 0 { Ok(0) } else { Err(NO_ROOM) }
    }

    pub(super) fn map(&self, argument: u64) -> Result<i32, Errno> {
        const SIZE: usize = size_of::<IoasMap>();
        let mut map = Structure::exact(argument, SIZE, SIZE)?;
        let address = map.u64(offset_of!(IoasMap, user_va));
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        let space = self.space(map.u32(offset_of!(IoasMap, ioas_id)))?;
        let asked = Asked {
            flags: map.u32(offset_of!(IoasMap, flags)),
            length: map.u64(offset_of!(IoasMap, length)),
            iova: map.u64(offset_of!(IoasMap, iova)),
        };
        map.set_u64(offset_of!(IoasMap, iova), asked.map_in(space, Backing::Program(address))?);
        map.store().map(|()| 0)
    }

    pub(super) fn map_file(&self, argument: u64, file: File) -> Result<i32, Errno> {
        const SIZE: usize = size_of::<IoasMapFile>();
        let mut map = Structure::exact(argument, SIZE, SIZE)?;
        let start = map.u64(offset_of!(IoasMapFile, start));
        let space = self.space(map.u32(offset_of!(IoasMapFile, ioas_id)))?;
        let asked = Asked {
            flags: map.u32(offset_of!(IoasMapFile, flags)),
            length: map.u64(offset_of!(IoasMapFile, length)),
            iova: map.u64(offset_of!(IoasMapFile, iova)),
        };
        let end = start.checked_add(asked.length).ok_or(Errno::EOVERFLOW)?;
        let size = file.metadata().map_err(|_| Errno::EBADF)?.len();
        if !start.is_multiple_of(PAGE_SIZE) || end > size.next_multiple_of(PAGE_SIZE) {
            return Err(Errno::EINVAL);
        }
        map.set_u64(offset_of!(IoasMapFile, iova), asked.map_in(space, Backing::File(Arc::new(file), start))?);
        map.store().map(|()| 0)
    }

    pub(super) fn unmap(&self, argument: u64) -> Result<i32, Errno> {
        const SIZE: usize = size_of::<IoasUnmap>();
        let mut unmap = Structure::exact(argument, SIZE, SIZE)?;
        let space = self.space(unmap.u32(offset_of!(IoasUnmap, ioas_id)))?;
        let range = IovaRange {
            iova: unmap.u64(offset_of!(IoasUnmap, iova)),
            length: unmap.u64(offset_of!(IoasUnmap, length)),
        };
        let all = range.iova == 0 && range.length == u64::MAX;
        let unmapped = match space.unmap(range) {
            Ok(0) if !all => return Err(Errno::ENOENT),
            Ok(bytes) => bytes,
            // A mapping that is cut is one that was not mapped like this.
            Err(_) => return Err(Errno::ENOENT),
        };
        unmap.set_u64(offset_of!(IoasUnmap, length), unmapped);
        unmap.store().map(|()| 0)
    }
}

/// The file that is to be mapped.
pub(super) fn mapped_file(argument: u64, program: &dyn Program) -> Result<File, Errno> {
    const SIZE: usize = size_of::<IoasMapFile>();
    let map = Structure::exact(argument, SIZE, SIZE)?;
    program.duplicate(map.i32(offset_of!(IoasMapFile, fd))).map(File::from)
}

/// What a mapping is to be.
struct Asked {
    flags: u32,
    length: u64,
    iova: u64,
}

impl Asked {
    /// Maps it, and returns where.
    fn map_in(&self, space: &Space, backing: Backing) -> Result<u64, Errno> {
        let known = IOMMU_IOAS_MAP_FIXED_IOVA | IOMMU_IOAS_MAP_WRITEABLE | IOMMU_IOAS_MAP_READABLE;
        let rights = Rights {
            read: self.flags & IOMMU_IOAS_MAP_READABLE != 0,
            write: self.flags & IOMMU_IOAS_MAP_WRITEABLE != 0,
        };
        if self.flags & !known != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        if !rights.read && !rights.write {
            return Err(Errno::EINVAL);
        }
        let iova = match self.flags & IOMMU_IOAS_MAP_FIXED_IOVA {
            0 => space.hole(self.length).ok_or(Errno::ENOSPC)?,
            _ => self.iova,
        };
        space.map(IovaRange { iova, length: self.length }, backing, rights)?;
        Ok(iova)
    }
}
