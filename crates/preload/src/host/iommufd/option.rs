//! `IOMMU_OPTION`: how memory is accounted, and how large pages may be. Here neither changes anything, but that it is said
//! again; what the kernel refuses is refused (`iommufd_option` and `iommufd_ioas_option`).

use core::mem::offset_of;

use vfio_migration_protocol::Errno;
use vfio_migration_uapi::layout::{
    IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_GET, IOMMU_OPTION_OP_SET, IOMMU_OPTION_RLIMIT_MODE, IommuOption,
};

use super::super::structure::Structure;
use super::{Inside, Object};

/// To whom pinned memory is accounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Accounting {
    /// To the user.
    #[default]
    User,
    /// To the process, as libvirt wants it before it hands the iommufd on.
    Process,
}

impl Inside {
    pub(super) fn option(&mut self, argument: u64) -> Result<i32, Errno> {
        const SIZE: usize = size_of::<IommuOption>();
        let mut option = Structure::exact(argument, SIZE, SIZE)?;
        if option.u16(offset_of!(IommuOption, reserved)) != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let op = option.u16(offset_of!(IommuOption, op));
        let object = option.u32(offset_of!(IommuOption, object_id));
        let value = option.u64(offset_of!(IommuOption, val64));
        let answer = match (option.u32(offset_of!(IommuOption, option_id)), op) {
            (IOMMU_OPTION_RLIMIT_MODE, _) if object != 0 => return Err(Errno::EOPNOTSUPP),
            (IOMMU_OPTION_RLIMIT_MODE, IOMMU_OPTION_OP_GET) => (self.accounting == Accounting::Process).into(),
            (IOMMU_OPTION_RLIMIT_MODE, IOMMU_OPTION_OP_SET) => {
                // It is decided before anything is pinned.
                if !self.objects.is_empty() {
                    return Err(Errno::EBUSY);
                }
                self.accounting = match value {
                    0 => Accounting::User,
                    1 => Accounting::Process,
                    _ => return Err(Errno::EINVAL),
                };
                return Ok(0);
            }
            (IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_GET) => {
                self.space(object)?;
                (!self.small_pages.contains(&object)).into()
            }
            (IOMMU_OPTION_HUGE_PAGES, IOMMU_OPTION_OP_SET) => {
                self.space(object)?;
                let is_view = |one: &Object| matches!(one, Object::Table(table) if table.space_id == object);
                match value {
                    // A page table may hold large ones already.
                    0 if self.objects.values().any(is_view) => return Err(Errno::EINVAL),
                    0 => drop(self.small_pages.insert(object)),
                    1 => drop(self.small_pages.remove(&object)),
                    _ => return Err(Errno::EINVAL),
                }
                return Ok(0);
            }
            _ => return Err(Errno::EOPNOTSUPP),
        };
        option.set_u64(offset_of!(IommuOption, val64), answer);
        option.store().map(|()| 0)
    }
}
