//! The way by cdev and iommufd: `/dev/vfio/devices/vfioN` and `/dev/iommu`.

use core::time::Duration;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::sleep;

use rustix::io::Errno;
use vfio_migration_uapi::{cdev, iommufd};

use super::group::not_opened;
use super::node::{Node, open_node};
use super::tracker::PageTable;
use crate::address::{Fault, KernelError, Token};
use crate::sysfs::{Host, SysDevice};

/// How often, and after which pause, a device is attached again while a reset of it goes on (Linux 7).
const ATTACHING: u32 = 50;
const ATTACH_PAUSE: Duration = Duration::from_millis(20);

/// An iommufd with an address space of its own. All devices that this process opens share one: those of one IOMMU group
/// must.
#[derive(Debug)]
pub(super) struct AddressSpace {
    pub(super) iommufd: OwnedFd,
    pub(super) ioas: u32,
}

/// A device that is bound to an iommufd and attached to its address space.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) device: OwnedFd,
    pub(super) space: Arc<AddressSpace>,
    /// The page table that logs writes, where the IOMMU can: devices without one (mdevs) have none.
    pub(super) tracking: Option<u32>,
}

static OPEN: Mutex<Weak<AddressSpace>> = Mutex::new(Weak::new());

impl AddressSpace {
    fn shared(host: &Host) -> Result<Arc<Self>, KernelError> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(space) = open.upgrade() {
            return Ok(space);
        }
        let iommufd = open_node(host, &host.path("/dev/iommu"), Node::Iommufd)?;
        let ioas = iommufd::alloc_ioas(iommufd.as_fd()).map_err(|errno| {
            let what = format!("/dev/iommu gave no address space: {errno}");
            KernelError::new(Fault::Host, what, "look into the kernel's log ('dmesg')").with(errno)
        })?;
        let space = Arc::new(Self { iommufd, ioas });
        *open = Arc::downgrade(&space);
        Ok(space)
    }
}

impl Bound {
    /// Opens the node of a device and makes the device usable.
    pub(super) fn open(
        host: &Host,
        node: &Path,
        device: &SysDevice,
        token: Option<&Token>,
    ) -> Result<Self, KernelError> {
        let space = AddressSpace::shared(host)?;
        let fd = open_node(host, node, Node::Cdev)?;
        let token = token.map(|token| *token.reveal().bytes());
        let id = cdev::bind(fd.as_fd(), space.iommufd.as_fd(), token)
            .map_err(|errno| not_opened(device, token.is_some(), errno))?;
        // An address space makes page tables by itself, but none that log writes. Without one the device works all the same.
        let tracking = PageTable::make(space.iommufd.as_fd(), id, space.ioas).ok().flatten().map(|table| table.id());
        attach(&fd, tracking.unwrap_or(space.ioas)).map_err(|errno| {
            let what = format!("{} cannot be attached to an address space: {errno}", device.name());
            KernelError::new(Fault::Host, what, "look into the kernel's log ('dmesg')").with(errno)
        })?;
        Ok(Self { device: fd, space, tracking })
    }
}

fn attach(device: &OwnedFd, to: u32) -> Result<u32, Errno> {
    for _ in 1..ATTACHING {
        match cdev::attach(device.as_fd(), to, None) {
            Err(Errno::BUSY) => sleep(ATTACH_PAUSE),
            Err(Errno::INTR) => {}
            answer => return answer,
        }
    }
    cdev::attach(device.as_fd(), to, None)
}
