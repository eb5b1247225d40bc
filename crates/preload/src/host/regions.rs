//! The regions of a software device: what `VFIO_DEVICE_GET_REGION_INFO` says, and where they lie in the device's file.

use core::mem::offset_of;

use vfio_migration_model::{Layout, Settings};
use vfio_migration_protocol::Errno;
use vfio_migration_protocol::region::{NDMA_CAPABILITY, REGION_SUBTYPE, REGION_TYPE};
use vfio_migration_uapi::layout::{
    DeviceInfo, RegionInfo, VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_FLAGS_RESET, VFIO_PCI_CONFIG_REGION_INDEX,
    VFIO_REGION_INFO_CAP_SPARSE_MMAP, VFIO_REGION_INFO_CAP_TYPE, VFIO_REGION_INFO_FLAG_CAPS,
    VFIO_REGION_INFO_FLAG_MMAP, VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE,
};

use super::config;
use super::interrupts::KINDS;
use super::structure::{Chained, Structure};

/// Bytes of the BARs that have a fixed size.
pub(super) const BAR_SIZE: u64 = 4096;
/// The BAR with the device's registers, in their order ([`vfio_migration_model::Register::ALL`]).
const REGISTER_BAR: u32 = 0;
/// The BAR with the memory that the guest writes to by itself, if the settings say `device-memory`.
const MEMORY_BAR: u32 = 2;
/// The BAR with the table of MSI-X vectors, which programs do not read: they set eventfds.
pub(super) const MSIX_BAR: u32 = 4;
/// The first index behind those that every PCI device has: the migration region.
const MIGRATION: u32 = 9;
/// The bits of an offset into the device's file that lie in one region.
const SHIFT: u32 = 40;

/// A region of the device's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Region {
    /// BAR 0.
    Registers,
    /// BAR 2.
    Memory,
    /// BAR 4.
    Msix,
    /// The PCI configuration space.
    Config,
    /// Of the region protocol.
    Migration,
}

/// Which regions there are.
#[derive(Debug)]
pub(super) struct Regions {
    /// Bytes of BAR 2: none, or a power of two.
    pub(super) memory: u64,
    pub(super) migration: Option<Layout>,
}

impl Regions {
    pub(super) fn new(settings: &Settings) -> Self {
        let memory = match settings.device_memory {
            0 => 0,
            size => size.next_power_of_two(),
        };
        Self { memory, migration: settings.layout() }
    }

    /// How many indices there are.
    const fn count(&self) -> u32 {
        MIGRATION + self.migration.is_some() as u32
    }

    /// What lies at an index, and its size in bytes. EINVAL: there is no such index, or nothing there.
    fn at(&self, index: u32) -> Result<(Region, u64), Errno> {
        match (index, &self.migration) {
            (REGISTER_BAR, _) => Ok((Region::Registers, BAR_SIZE)),
            (MEMORY_BAR, _) if self.memory > 0 => Ok((Region::Memory, self.memory)),
            (MSIX_BAR, _) => Ok((Region::Msix, BAR_SIZE)),
            (VFIO_PCI_CONFIG_REGION_INDEX, _) => Ok((Region::Config, config::SIZE as u64)),
            (MIGRATION, Some(layout)) => Ok((Region::Migration, layout.size)),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Where an access to the device's file goes: the region, the offset in it, and how many of its bytes it has at most.
    pub(super) fn access(&self, offset: u64, len: usize) -> Result<(Region, u64, usize), Errno> {
        let (region, size) = self.at(u32::try_from(offset >> SHIFT).map_err(|_| Errno::EINVAL)?)?;
        let within = offset & ((1 << SHIFT) - 1);
        let room = size.checked_sub(within).filter(|room| *room > 0).ok_or(Errno::EINVAL)?;
        Ok((region, within, len.min(usize::try_from(room).unwrap_or(usize::MAX))))
    }

    /// Where a mapping of the device's file goes, which must lie in parts of one region that can be mapped.
    pub(super) fn mapping(&self, offset: u64, len: u64) -> Result<(Region, u64), Errno> {
        let (region, within, _) = self.access(offset, 1)?;
        let end = within.checked_add(len).ok_or(Errno::EINVAL)?;
        let whole = |size: u64| end <= size.next_multiple_of(4096);
        let allowed = match (region, &self.migration) {
            (Region::Memory, _) => whole(self.memory),
            (Region::Migration, Some(Layout { areas: Some(areas), .. })) => {
                areas.iter().any(|(start, length)| within >= *start && end <= start + length)
            }
            (Region::Migration, Some(layout)) => layout.mmap && whole(layout.size),
            _ => false,
        };
        if allowed { Ok((region, within)) } else { Err(Errno::EINVAL) }
    }

    /// Answers `VFIO_DEVICE_GET_INFO`.
    pub(super) fn device_info(&self, argument: u64) -> Result<i32, Errno> {
        // Programs pass the size without the last field too, or what their headers had.
        let mut info = Structure::sized(argument, 16, size_of::<DeviceInfo>())?;
        let passed = (info.u32(0) as usize).min(size_of::<DeviceInfo>());
        info.set_u32(0, u32::try_from(passed).expect("a structure is short"));
        info.set_u32(offset_of!(DeviceInfo, flags), VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET);
        info.set_u32(offset_of!(DeviceInfo, num_regions), self.count());
        info.set_u32(offset_of!(DeviceInfo, num_irqs), KINDS);
        info.set_u32(offset_of!(DeviceInfo, cap_offset), 0);
        info.store().map(|()| 0)
    }

    /// Answers `VFIO_DEVICE_GET_REGION_INFO`.
    pub(super) fn region_info(&self, argument: u64) -> Result<i32, Errno> {
        const SIZE: usize = size_of::<RegionInfo>();
        let asked = Structure::sized(argument, SIZE, SIZE)?;
        let index = asked.u32(offset_of!(RegionInfo, index));
        if index >= self.count() {
            return Err(Errno::EINVAL);
        }
        let (mut flags, size) = match self.at(index) {
            Ok((_, size)) => (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE, size),
            Err(_) => (0, 0),
        };
        let mut info = Chained::new(SIZE, offset_of!(RegionInfo, cap_offset));
        if index == MEMORY_BAR && size > 0 {
            flags |= VFIO_REGION_INFO_FLAG_MMAP;
        }
        if let (MIGRATION, Some(layout)) = (index, &self.migration) {
            flags |= VFIO_REGION_INFO_FLAG_CAPS;
            if layout.mmap {
                flags |= VFIO_REGION_INFO_FLAG_MMAP;
            }
            capabilities(&mut info, layout);
        }
        info.set_u32(offset_of!(RegionInfo, flags), flags);
        info.set_u32(offset_of!(RegionInfo, index), index);
        info.set_u64(offset_of!(RegionInfo, size), size);
        info.set_u64(offset_of!(RegionInfo, offset), u64::from(index) << SHIFT);
        info.answer(argument, asked.u32(0) as usize, SIZE)
    }
}

/// That it is a migration region, what of it can be mapped, and whether it knows NDMA.
fn capabilities(info: &mut Chained, layout: &Layout) {
    let words = |numbers: &[u32]| numbers.iter().flat_map(|number| number.to_ne_bytes()).collect::<Vec<_>>();
    info.capability(VFIO_REGION_INFO_CAP_TYPE, 1, &words(&[REGION_TYPE, REGION_SUBTYPE]));
    if let Some(areas) = &layout.areas {
        let mut body = words(&[u32::try_from(areas.len()).expect("there are few areas"), 0]);
        for (start, length) in areas {
            body.extend(start.to_ne_bytes());
            body.extend(length.to_ne_bytes());
        }
        info.capability(VFIO_REGION_INFO_CAP_SPARSE_MMAP, 1, &body);
    }
    if layout.ndma {
        info.capability(NDMA_CAPABILITY, 1, &[]);
    }
}
