//! The way by group and container: `/dev/vfio/N` and `/dev/vfio/vfio`.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::io::Errno;
use vfio_migration_protocol::Errno as Number;
use vfio_migration_uapi::{container, group, layout};

use super::node::{Node, open_node};
use crate::address::{Fault, KernelError, Token};
use crate::sysfs::{Host, SysDevice};

/// A group in a container. The kernel lets a group be opened once, so every device of it that this process opens shares it.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) group: OwnedFd,
    pub(super) container: OwnedFd,
}

/// The groups that this process has opened, by their nodes.
static OPEN: Mutex<Vec<(PathBuf, Weak<Group>)>> = Mutex::new(Vec::new());

impl Group {
    /// Opens the group of a device, or finds it open already.
    pub(super) fn of(host: &Host, device: &SysDevice) -> Result<Arc<Self>, KernelError> {
        let members = device.group().ok_or_else(|| {
            KernelError::new(
                Fault::Host,
                format!("{} is in no IOMMU group", device.name()),
                "switch the IOMMU on in the firmware and on the kernel's command line (intel_iommu=on)",
            )
        })?;
        let named = |name: String| host.path("/dev/vfio").join(name);
        let plain = named(members.number.to_string());
        let unprotected = named(format!("noiommu-{}", members.number));
        // Only whoever has switched the protection off on purpose has nodes of the other name.
        let (node, kind) = if !plain.exists() && unprotected.exists() {
            (unprotected, layout::VFIO_NOIOMMU_IOMMU)
        } else {
            (plain, layout::VFIO_TYPE1v2_IOMMU)
        };
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, group)| group.strong_count() > 0);
        if let Some(group) = open.iter().find(|(path, _)| *path == node).and_then(|(_, group)| group.upgrade()) {
            return Ok(group);
        }
        let container = open_node(host, &host.path("/dev/vfio/vfio"), Node::Container)?;
        let group = open_node(host, &node, Node::Group)?;
        let failed = |what: &str, errno: Errno, remedy: &str| {
            KernelError::new(Fault::Host, format!("cannot {what} {}: {errno}", node.display()), remedy).with(errno)
        };
        let flags =
            group::status(group.as_fd()).map_err(|errno| failed("ask for the status of", errno, "is it a group?"))?;
        if flags & layout::VFIO_GROUP_FLAGS_VIABLE == 0 {
            return Err(KernelError::new(
                Fault::Host,
                format!("the IOMMU group {} is not viable, it has {}", members.number, members.describe()),
                "bind every device of it to a VFIO driver, or to none",
            ));
        }
        group::set_container(group.as_fd(), container.as_fd()).map_err(|errno| {
            failed("give a container to", errno, "end the program that uses the group, or take its descriptors")
        })?;
        container::set_iommu(container.as_fd(), kind).map_err(|errno| {
            failed(
                "set the kind of IOMMU for",
                errno,
                "load 'vfio_iommu_type1', and look into the kernel's log ('dmesg')",
            )
        })?;
        let group = Arc::new(Self { group, container });
        open.push((node, Arc::downgrade(&group)));
        Ok(group)
    }

    /// Opens a device of it.
    pub(super) fn device(&self, device: &SysDevice, token: Option<&Token>) -> Result<OwnedFd, KernelError> {
        let name = match token {
            Some(token) => format!("{} vf_token={}", device.name(), token.reveal()),
            None => device.name().to_owned(),
        };
        // Names of devices have no zero byte; a path could not hold it.
        let name = CString::new(name).unwrap_or_default();
        loop {
            match group::device_fd(self.group.as_fd(), &name) {
                Err(Errno::INTR) => {}
                answer => return answer.map_err(|errno| not_opened(device, token.is_some(), errno)),
            }
        }
    }
}

/// By cdev the kernel says only that somebody else has the group: a driver of the host, or another program.
fn group_of_others(device: &SysDevice) -> KernelError {
    let members = device.group();
    let group = members.map_or_else(String::new, |group| format!(" {}, it has {}", group.number, group.describe()));
    KernelError::new(
        Fault::Host,
        format!("cannot open {}: others have a device of its IOMMU group{group}", device.name()),
        "bind every device of the group to a VFIO driver, or to none, and end the program that uses one of them",
    )
}

/// Why a device was not opened by either way, once its node was.
pub(super) fn not_opened(device: &SysDevice, has_token: bool, errno: Errno) -> KernelError {
    let name = device.name();
    let (fault, why, remedy) = match errno {
        Errno::ACCESS if has_token => {
            (Fault::Usage, "the VF token is wrong", "use that of whoever has its physical function")
        }
        Errno::ACCESS => (
            Fault::Usage,
            "its physical function belongs to vfio-pci, and it wants a VF token",
            "add ?vf_token=UUID, with that of whoever has its physical function",
        ),
        Errno::NODEV => (Fault::Host, "no VFIO driver has it", "bind it to a VFIO driver"),
        Errno::BUSY => (Fault::Host, "it is in use", Node::Group.busy()),
        Errno::PERM => return group_of_others(device).with(errno),
        Errno::INVAL if has_token => {
            (Fault::Usage, "it takes no VF token, or another program has it", "leave the token out")
        }
        Errno::INVAL => (Fault::Host, "another program has it", Node::Cdev.busy()),
        Errno::MFILE => (Fault::Host, "this process has too many files open", "raise its limit ('ulimit -n')"),
        _ => (Fault::Host, "its driver refused", "look into the kernel's log ('dmesg')"),
    };
    let number = Number::from_linux(errno.raw_os_error());
    KernelError::new(fault, format!("cannot open {name}: {why} ({number})"), remedy).with(errno)
}
