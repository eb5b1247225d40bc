//! Devices that somebody else opened.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use vfio_migration_uapi::device;

use super::descriptor::{Kind, device_folder, kind};
use crate::address::{Fault, KernelError, Place};
use crate::sysfs::{Host, SysDevice};

/// A device's descriptor among those that came.
pub(super) struct Passed {
    pub(super) device: OwnedFd,
    pub(super) sysfs: Option<SysDevice>,
    pub(super) beside: Vec<OwnedFd>,
}

/// Finds the one device among descriptors, before any call is made on them. `named` is which device it is, by the
/// caller's word. `from` says where they come from.
pub(super) fn sort(
    host: &Host,
    descriptors: Vec<OwnedFd>,
    named: Option<&Place>,
    from: &str,
) -> Result<Passed, KernelError> {
    let mut found = None;
    let mut beside = Vec::new();
    for fd in descriptors {
        let kind = kind(host, &fd).map_err(|error| {
            let what = format!("it cannot be found out what {from} is: {error}");
            KernelError::new(Fault::Host, what, "mount /proc")
        })?;
        match kind {
            Kind::Device | Kind::Cdev(_) if found.is_some() => {
                let what = format!("{from} gives more than one device");
                return Err(KernelError::new(Fault::Usage, what, "send each in a message of its own"));
            }
            Kind::Device | Kind::Cdev(_) => found = Some((fd, kind)),
            Kind::Other(what) => return Err(no_device(from, &what)),
            Kind::Group(_) | Kind::Container | Kind::Iommufd => beside.push((fd, kind)),
        }
    }
    let Some((device, kind)) = found else {
        let what = beside.first().map_or_else(|| "nothing".into(), |(_, kind)| kind.to_string());
        return Err(no_device(from, &what));
    };
    let sysfs = identify(host, &device, &kind, named, from)?;
    match device::info(device.as_fd()) {
        Ok(_) => {}
        // Before it is bound, every call is.
        Err(Errno::INVAL) if matches!(kind, Kind::Cdev(_)) => {
            let what = format!("{from} is {kind}, which is not bound to an iommufd");
            let remedy = "let its owner bind it and attach it to an address space before it hands it over";
            return Err(KernelError::new(Fault::Usage, what, remedy).with(Errno::INVAL));
        }
        Err(errno) => {
            let what = format!("{from} is {kind}, which does not say what it is: {errno}");
            return Err(KernelError::new(Fault::Device, what, "is the device still there?").with(errno));
        }
    }
    Ok(Passed { device, sysfs, beside: beside.into_iter().map(|(fd, _)| fd).collect() })
}

fn no_device(from: &str, what: &str) -> KernelError {
    KernelError::new(
        Fault::Unsupported,
        format!("{from} is {what}, not a VFIO device"),
        "hand over the descriptor of the device itself: what VFIO_GROUP_GET_DEVICE_FD gave, or a node in /dev/vfio/devices",
    )
}

/// Which device it is, by its node, by the kernel, or by the caller's word; these must not disagree.
fn identify(
    host: &Host,
    fd: &OwnedFd,
    kind: &Kind,
    named: Option<&Place>,
    from: &str,
) -> Result<Option<SysDevice>, KernelError> {
    let known = match kind {
        Kind::Cdev(node) => host.cdev(node),
        _ => device_folder(fd).and_then(|folder| host.device(folder)),
    };
    let Some(place) = named else { return Ok(known) };
    let named = super::find(host, place)?;
    match known {
        Some(known) if known != named => {
            let what = format!("{from} is {}, and not {}", known.name(), named.name());
            Err(KernelError::new(Fault::Usage, what, "mend 'device', or leave it out"))
        }
        _ => Ok(Some(named)),
    }
}
