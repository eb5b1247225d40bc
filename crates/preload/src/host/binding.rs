//! Devices that are opened by themselves, and what binds them to an iommufd.

use core::mem::offset_of;
use std::sync::Arc;

use vfio_migration_protocol::Errno;
use vfio_migration_uapi::layout::{
    AttachIommufdPt, BindIommufd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_BIND_FLAG_TOKEN, VFIO_DEVICE_BIND_IOMMUFD,
    VFIO_DEVICE_DETACH_IOMMUFD_PT,
};

use super::device::{By, Device};
use super::iommufd::Iommufd;
use super::program::Program;
use super::structure::Structure;

/// The requests to a device that are about its iommufd.
pub(super) const REQUESTS: [u32; 3] =
    [VFIO_DEVICE_BIND_IOMMUFD, VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_DETACH_IOMMUFD_PT];

/// That a device is bound to an iommufd, as the object with this id.
#[derive(Debug)]
pub(super) struct Bound {
    iommufd: Arc<Iommufd>,
    id: u32,
}

impl Bound {
    /// The device is closed.
    pub(super) fn unbind(self, device: &Device) {
        self.iommufd.unbind(self.id, device);
    }
}

/// Answers a request of a device that was opened by itself.
pub(super) fn answer(
    device: &Arc<Device>,
    bound: &mut Option<Bound>,
    request: u32,
    argument: u64,
    program: &dyn Program,
) -> Result<i32, Errno> {
    if request == VFIO_DEVICE_BIND_IOMMUFD {
        let mut bind = Structure::sized(argument, offset_of!(BindIommufd, token_uuid_ptr), size_of::<BindIommufd>())?;
        // It takes any token: nobody has to be kept out.
        if bind.u32(offset_of!(BindIommufd, flags)) & !VFIO_DEVICE_BIND_FLAG_TOKEN != 0 || bound.is_some() {
            return Err(Errno::EINVAL);
        }
        let handle = program.handle(bind.i32(offset_of!(BindIommufd, iommufd))).ok_or(Errno::EBADF)?;
        let iommufd = Arc::clone(handle.as_iommufd().ok_or(Errno::EBADF)?);
        device.take(By::Cdev)?;
        device.opened();
        let id = iommufd.bind(device);
        *bound = Some(Bound { iommufd, id });
        bind.set_u32(offset_of!(BindIommufd, out_devid), id);
        return bind.store().map(|()| 0);
    }
    let Bound { iommufd, id } = bound.as_ref().ok_or(Errno::EINVAL)?;
    let mut attach = Structure::sized(argument, 8, offset_of!(AttachIommufdPt, pasid))?;
    // There are no PASIDs.
    if attach.u32(offset_of!(AttachIommufdPt, flags)) != 0 {
        return Err(Errno::EINVAL);
    }
    if request == VFIO_DEVICE_DETACH_IOMMUFD_PT {
        iommufd.detach(*id, device);
        return Ok(0);
    }
    if (attach.u32(0) as usize) < offset_of!(AttachIommufdPt, pasid) {
        return Err(Errno::EINVAL);
    }
    let table = iommufd.attach(*id, device, attach.u32(offset_of!(AttachIommufdPt, pt_id)))?;
    attach.set_u32(offset_of!(AttachIommufdPt, pt_id), table);
    attach.store().map(|()| 0)
}
