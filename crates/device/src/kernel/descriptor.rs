//! What a file descriptor is, found out before the first ioctl: the same number means another call on another kind.

use core::fmt;
use std::fs;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{FileType, fstat, major, minor};
use rustix::io::Errno;

use crate::sysfs::Host;

/// What kind of file a descriptor belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A device that was opened by way of its group.
    Device,
    /// A device that was opened by its own node, with the node's name.
    Cdev(String),
    /// A group, with the name of its node.
    Group(String),
    /// `/dev/vfio/vfio`
    Container,
    /// `/dev/iommu`
    Iommufd,
    /// Nothing of VFIO, in words.
    Other(String),
}

/// Finds out what kind of file a descriptor belongs to, without an ioctl.
///
/// ```
/// use vfio_migration_device::{kernel, sysfs::Host};
/// let file = std::fs::File::open("/proc/self/cmdline")?;
/// let kind = kernel::kind(&Host::new(), &file)?;
/// assert_eq!(kind.to_string(), "a file");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn kind(host: &Host, fd: impl AsFd) -> std::io::Result<Kind> {
    let stat = fstat(&fd)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => character_device(host, major(stat.st_rdev), minor(stat.st_rdev)),
        FileType::RegularFile => {
            Kind::Other(anonymous(&fd)?.map_or_else(|| "a file".into(), |name| format!("a file of the kind {name}")))
        }
        FileType::Directory => Kind::Other("a directory".into()),
        FileType::Socket => Kind::Other("a socket".into()),
        FileType::Fifo => Kind::Other("a pipe".into()),
        FileType::BlockDevice => Kind::Other("a block device".into()),
        // Files that only the kernel makes have no type, and a name that no path can have.
        _ => match anonymous(&fd)? {
            Some(name) if name == "vfio-device" => Kind::Device,
            Some(name) => Kind::Other(format!("a file of the kind {name}")),
            None => Kind::Other("a file of an unknown type".into()),
        },
    })
}

/// The name in `anon_inode:[NAME]`.
fn anonymous(fd: impl AsFd) -> std::io::Result<Option<String>> {
    let link = fs::read_link(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))?;
    let link = link.to_string_lossy();
    let name = link.strip_prefix("anon_inode:").or_else(|| link.strip_prefix("/memfd:"));
    Ok(name.map(|name| name.trim_matches(['[', ']']).to_owned()))
}

fn character_device(host: &Host, major: u32, minor: u32) -> Kind {
    const MISC: u32 = 10;
    match host.character_device(major, minor) {
        Some((class, name)) if class == "vfio-dev" => Kind::Cdev(name),
        Some((class, name)) if class == "vfio" => Kind::Group(name),
        Some((class, name)) if class == "misc" => misc(&name),
        Some((_, name)) => Kind::Other(format!("the character device {name}")),
        // A container of the other kind may have no sysfs.
        None if major == MISC => misc_name(host, minor).map_or_else(|| nameless(major, minor), |name| misc(&name)),
        None => nameless(major, minor),
    }
}

fn misc(name: &str) -> Kind {
    match name {
        "vfio" => Kind::Container,
        "iommu" => Kind::Iommufd,
        other => Kind::Other(format!("the character device {other}")),
    }
}

fn misc_name(host: &Host, minor: u32) -> Option<String> {
    let list = fs::read_to_string(host.path("/proc/misc")).ok()?;
    let mut pairs = list.lines().filter_map(|line| line.trim().split_once(' '));
    pairs.find(|(number, _)| number.parse() == Ok(minor)).map(|(_, name)| name.to_owned())
}

fn nameless(major: u32, minor: u32) -> Kind {
    Kind::Other(format!("the character device {major}:{minor}"))
}

/// Which device a descriptor of kind [`Kind::Device`] belongs to, where the kernel says so (7.x): its folder in sysfs.
pub(super) fn device_folder(fd: impl AsFd) -> Option<String> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd())).ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("vfio-device-syspath:"))?;
    Some(line.trim().to_owned())
}

/// Whether a call failed because this process or this host has no more descriptors.
pub(super) const fn is_out_of_descriptors(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE)
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device => f.write_str("a VFIO device, opened by its group"),
            Self::Cdev(name) => write!(f, "the VFIO device {name}"),
            Self::Group(name) => write!(f, "the VFIO group {name}"),
            Self::Container => f.write_str("a VFIO container"),
            Self::Iommufd => f.write_str("an iommufd"),
            Self::Other(words) => f.write_str(words),
        }
    }
}
