//! Opening the nodes in `/dev`, and what it means when that fails.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use super::descriptor::{Kind, kind};
use crate::address::{Fault, KernelError};
use crate::sysfs::Host;

/// What a node is for: it decides what its absence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Container,
    Group,
    Cdev,
    Iommufd,
}

impl Node {
    const fn wanted(self) -> &'static str {
        match self {
            Self::Container => "a VFIO container",
            Self::Group => "a VFIO group",
            Self::Cdev => "a VFIO device",
            Self::Iommufd => "an iommufd",
        }
    }

    const fn absent(self) -> &'static str {
        match self {
            Self::Container => "load the kernel's VFIO: 'modprobe vfio-pci', or the driver of the device",
            Self::Group => "bind every device of the group to a VFIO driver; in a container, pass the node in",
            Self::Cdev => "bind the device to a VFIO driver; in a container, pass the node in",
            Self::Iommufd => "load 'iommufd'; a kernel built without IOMMUFD has only groups: ask for by=group",
        }
    }

    pub(super) const fn busy(self) -> &'static str {
        match self {
            Self::Group | Self::Cdev => {
                "another program has the device or one of its group: end it, or take its descriptor with pidfd:PID:N or \
                 fd:unix:PATH"
            }
            Self::Container | Self::Iommufd => "try again",
        }
    }
}

/// Opens a node of the host for reading and writing, and looks whether it is what its name says, before any call.
pub(super) fn open_node(host: &Host, path: &Path, node: Node) -> Result<OwnedFd, KernelError> {
    let fd = loop {
        match open(path, OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty()) {
            Err(Errno::INTR) => {}
            answer => break answer.map_err(|errno| cannot_open(path, node, errno))?,
        }
    };
    let found = kind(host, &fd).unwrap_or_else(|error| Kind::Other(format!("something unknown ({error})")));
    let right = match node {
        Node::Container => found == Kind::Container,
        Node::Group => matches!(found, Kind::Group(_)),
        Node::Cdev => matches!(found, Kind::Cdev(_)),
        Node::Iommufd => found == Kind::Iommufd,
    };
    if right {
        return Ok(fd);
    }
    let what = format!("{} is {found}, not {}", path.display(), node.wanted());
    Err(KernelError::new(Fault::Host, what, "let udev make the nodes again, and mount /sys"))
}

fn cannot_open(path: &Path, node: Node, errno: Errno) -> KernelError {
    let (fault, why, remedy) = match errno {
        Errno::NOENT | Errno::NOTDIR => (Fault::Host, "it does not exist".into(), node.absent().into()),
        Errno::NXIO | Errno::NODEV => (Fault::Host, "no driver answers for it".into(), node.absent().into()),
        Errno::ACCESS => (
            Fault::Host,
            "permission denied".into(),
            format!("let this user read and write it ('ls -lZ {}' shows its mode and SELinux label)", path.display()),
        ),
        Errno::PERM => (
            Fault::Host,
            "not permitted".into(),
            "let the device cgroup of the container allow it; devices without an IOMMU need CAP_SYS_RAWIO".into(),
        ),
        Errno::BUSY => (Fault::Host, "it is in use".into(), node.busy().into()),
        Errno::MFILE => {
            (Fault::Host, "this process has too many files open".into(), "raise its limit ('ulimit -n')".into())
        }
        errno => (Fault::Host, errno.to_string(), "look into the kernel's log ('dmesg')".into()),
    };
    KernelError::new(fault, format!("cannot open {}: {why}", path.display()), remedy).with(errno)
}
