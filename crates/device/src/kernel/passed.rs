//! Devices that somebody else opened.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use vfio_migration_uapi::device;

use super::companions::Membership;
use super::descriptor::{Kind, device_folder, kind};
use crate::address::{Fault, KernelError, Place};
use crate::sysfs::{Host, SysDevice};

/// A device's descriptor among those that came.
pub(super) struct Passed {
    pub(super) device: OwnedFd,
    pub(super) sysfs: Option<SysDevice>,
    pub(super) membership: Option<Membership>,
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
    let mut kinds = Vec::with_capacity(descriptors.len());
    for fd in &descriptors {
        let kind = kind(host, fd).map_err(|error| {
            let what = format!("it cannot be found out what {from} is: {error}");
            KernelError::new(Fault::Host, what, "mount /proc")
        })?;
        kinds.push(kind);
    }
    let place = device_among(&kinds, from)?;
    let mut beside = descriptors;
    let (device, kind) = (beside.remove(place), kinds.remove(place));
    let sysfs = identify(host, &device, &kind, named, from)?;
    let membership = match &sysfs {
        Some(device) => Membership::of(host, device),
        None => Membership::by_group(host, &kinds, from),
    };
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
    Ok(Passed { device, sysfs, membership, beside })
}

/// Which descriptor is the device's, if the others are none but those that one device needs: its container and its group,
/// or its iommufd.
fn device_among(kinds: &[Kind], from: &str) -> Result<usize, KernelError> {
    let is_device = |kind: &Kind| matches!(kind, Kind::Device | Kind::Cdev(_));
    let count = |is: fn(&Kind) -> bool| kinds.iter().filter(|kind| is(kind)).count();
    let all = || kinds.iter().map(Kind::to_string).collect::<Vec<_>>().join(", ");
    let refused = |what: String, remedy: &str| Err(KernelError::new(Fault::Usage, what, remedy));
    let place = match (kinds.iter().position(is_device), kinds) {
        (Some(place), _) => place,
        (None, kinds) => {
            let what = match kinds {
                [one] => format!("{from} is {one}, not a VFIO device"),
                _ => format!("{from} gives {}, and no VFIO device", all()),
            };
            return Err(KernelError::new(
                Fault::Unsupported,
                what,
                "hand over the descriptor of the device itself: what VFIO_GROUP_GET_DEVICE_FD gave, or a node in \
                 /dev/vfio/devices",
            ));
        }
    };
    if kinds.iter().filter(|kind| is_device(kind)).count() > 1 {
        return refused(format!("{from} gives more than one device: {}", all()), "send each in a message of its own");
    }
    let others = count(|kind| matches!(kind, Kind::Other(_)));
    let containers = count(|kind| *kind == Kind::Container);
    let groups = count(|kind| matches!(kind, Kind::Group(_)));
    let iommufds = count(|kind| *kind == Kind::Iommufd);
    if others > 0 || containers.max(groups).max(iommufds) > 1 || (iommufds > 0 && containers + groups > 0) {
        return refused(
            format!("{from} gives what no device needs: {}", all()),
            "hand over the device with its container and group, or with its iommufd, and nothing else",
        );
    }
    Ok(place)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn among(kinds: &[Kind]) -> Result<usize, (Fault, String)> {
        device_among(kinds, "fd:unix:/s").map_err(|error| (error.fault, error.to_string()))
    }

    #[test]
    fn a_device_comes_with_what_it_needs_in_any_order() {
        let (group, cdev) = (Kind::Group("12".into()), Kind::Cdev("vfio0".into()));
        assert_eq!(among(&[Kind::Device]), Ok(0));
        assert_eq!(among(&[Kind::Container, group.clone(), Kind::Device]), Ok(2));
        assert_eq!(among(&[group, Kind::Device]), Ok(1));
        assert_eq!(among(&[Kind::Iommufd, cdev]), Ok(1));
    }

    #[test]
    fn what_is_too_much_is_refused_by_its_name() {
        let (group, cdev) = (Kind::Group("12".into()), Kind::Cdev("vfio0".into()));
        for (kinds, words) in [
            (
                vec![Kind::Device, cdev.clone()],
                "fd:unix:/s gives more than one device: a VFIO device, opened by its group, the VFIO device vfio0",
            ),
            (
                vec![Kind::Device, Kind::Container, Kind::Container],
                "needs: a VFIO device, opened by its group, a VFIO container, a VFIO container",
            ),
            (vec![Kind::Device, group.clone(), group.clone()], "the VFIO group 12, the VFIO group 12"),
            (vec![Kind::Device, Kind::Container, Kind::Iommufd], "a VFIO container, an iommufd"),
            (vec![cdev.clone(), Kind::Iommufd, group.clone()], "an iommufd, the VFIO group 12"),
            (vec![cdev, Kind::Iommufd, Kind::Iommufd], "an iommufd, an iommufd"),
            (vec![Kind::Device, Kind::Other("a pipe".into())], "opened by its group, a pipe"),
        ] {
            let (fault, error) = among(&kinds).unwrap_err();
            assert!(fault == Fault::Usage && error.contains(words), "{error}");
        }
        let (fault, error) = among(&[Kind::Container, group]).unwrap_err();
        assert_eq!(fault, Fault::Unsupported);
        assert!(error.contains("gives a VFIO container, the VFIO group 12, and no VFIO device"), "{error}");
    }
}
