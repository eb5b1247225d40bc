//! What a device of the kernel is, for the other end.

use std::os::fd::AsFd;

use rustix::io::pread;
use vfio_migration_protocol::Passport;
use vfio_migration_uapi::{device, layout};

use crate::sysfs::SysDevice;

/// A driver reads what it wrote itself; whether its version and its hardware fit, it checks itself.
pub(super) fn passport(sysfs: Option<&SysDevice>, fd: impl AsFd) -> Passport {
    let passport = Passport::new();
    let Some(device) = sysfs else {
        // Nobody said which device it is. PCI functions say what they are.
        return match pci_ids(fd) {
            Some((vendor, device)) => with_ids(passport, vendor, device),
            None => passport,
        };
    };
    let mut passport = passport.says("name", device.name());
    if let Some(driver) = device.driver() {
        passport = passport.needs("driver", driver);
    }
    if let Some(kind) = device.mdev_type() {
        passport = passport.needs("mdev-type", kind);
    }
    if let (Some(vendor), Some(number)) = (device.id("vendor"), device.id("device")) {
        passport = with_ids(passport, vendor, number);
    }
    for key in ["subsystem_vendor", "subsystem_device", "revision"] {
        if let Some(id) = device.id(key) {
            passport = passport.says(key.replace('_', "-"), format!("{id:#06x}"));
        }
    }
    passport
}

fn with_ids(passport: Passport, vendor: u32, device: u32) -> Passport {
    passport.needs("vendor", format!("{vendor:#06x}")).needs("device", format!("{device:#06x}"))
}

/// The ids in the configuration space, which may be read in every state.
fn pci_ids(fd: impl AsFd) -> Option<(u32, u32)> {
    let info = device::info(fd.as_fd()).ok().filter(|info| info.flags & layout::VFIO_DEVICE_FLAGS_PCI != 0)?;
    let index = layout::VFIO_PCI_CONFIG_REGION_INDEX;
    let region = device::region(fd.as_fd(), index).ok().filter(|_| index < info.num_regions)?;
    let mut ids = [0; 4];
    let read = pread(fd, &mut ids, region.offset).ok()?;
    let [v0, v1, d0, d1] = ids;
    (read == ids.len()).then(|| (u32::from(u16::from_le_bytes([v0, v1])), u32::from(u16::from_le_bytes([d0, d1]))))
}
