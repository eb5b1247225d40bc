//! Where a program finds the software devices: the paths that are answered for, and the folder that stands in for sysfs.

use core::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// One more device than a PCI bus has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// How many were asked for.
    pub devices: usize,
}

/// A node of `/dev` that is answered for.
///
/// ```
/// use std::path::Path;
/// use vfio_migration_preload::{Node, Place};
/// let group = Node::Group(Place::of(0)?);
/// assert_eq!(Node::at(Path::new("/dev/vfio/7000"), 1), Some(group));
/// assert_eq!(Node::at(Path::new("/dev/vfio/7001"), 1), None, "there is one device");
/// assert_eq!(group.path().to_str(), Some("/dev/vfio/7000"));
/// # Ok::<(), vfio_migration_preload::Crowd>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// The container of groups.
    Container,
    /// The iommufd.
    Iommufd,
    /// A device's group.
    Group(Place),
    /// A device's character device.
    Cdev(Place),
}

impl Node {
    /// What is answered for at a path, with that many devices.
    pub fn at(path: &Path, devices: usize) -> Option<Self> {
        let name = path.to_str()?;
        if devices == 0 || !name.starts_with("/dev/") {
            return None;
        }
        let ends = [Self::Container, Self::Iommufd];
        let places = (0..devices).filter_map(|index| Place::of(index).ok());
        let nodes = places.flat_map(|place| [Self::Group(place), Self::Cdev(place)]);
        ends.into_iter().chain(nodes).find(|node| node.path() == path)
    }

    /// Where it is.
    pub fn path(self) -> PathBuf {
        match self {
            Self::Container => "/dev/vfio/vfio".into(),
            Self::Iommufd => "/dev/iommu".into(),
            Self::Group(place) => format!("/dev/vfio/{}", place.group()).into(),
            Self::Cdev(place) => Path::new("/dev/vfio/devices").join(place.cdev_name()),
        }
    }

    /// Its major and minor number. The majors of groups and devices are the last of those that Linux gives out as it
    /// goes.
    pub fn number(self) -> (u32, u32) {
        match self {
            Self::Container => (10, 196),
            Self::Iommufd => (10, 125),
            Self::Group(place) => (510, u32::from(place.0)),
            Self::Cdev(place) => (511, u32::from(place.0)),
        }
    }
}

/// Where a program finds one software device.
///
/// ```
/// use vfio_migration_preload::Place;
/// let second = Place::of(1)?;
/// assert_eq!(second.address(), "0000:00:02.0");
/// assert_eq!((second.group(), second.cdev_name()), (7001, "vfio7001".to_owned()));
/// # Ok::<(), vfio_migration_preload::Crowd>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place(u8);

impl Place {
    /// The most devices: the slots of a PCI bus, without the first.
    pub const MOST: usize = 31;

    /// The place of the device with this index, from 0.
    pub fn of(index: usize) -> Result<Self, Crowd> {
        let crowd = Crowd { devices: index.saturating_add(1) };
        if index >= Self::MOST {
            return Err(crowd);
        }
        u8::try_from(index).map(Self).map_err(|_| crowd)
    }

    /// The device's index, from 0.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its address on the PCI bus, which is its name in the folder.
    pub fn address(self) -> String {
        format!("0000:00:{:02x}.0", self.0 + 1)
    }

    /// Its group: a number that no host reaches.
    pub fn group(self) -> u32 {
        7000 + u32::from(self.0)
    }

    /// The name of its character device.
    pub fn cdev_name(self) -> String {
        format!("vfio{}", self.group())
    }

    /// Makes the device's part of the folder that stands in for sysfs, if it is not there; answers its path, which QEMU takes
    /// as `sysfsdev=`.
    ///
    /// ```text
    /// 0000:00:01.0/{subsystem,driver,iommu_group}     links, of which the last names tell
    /// 0000:00:01.0/vfio-dev/vfio7000/{dev,device,subsystem}
    /// iommu_groups/7000/devices/0000:00:01.0          class/vfio-dev/vfio7000
    /// char/MAJOR:MINOR                                a link to what the node is
    /// class/vfio/7000/subsystem, class/misc/{vfio,iommu}/subsystem
    /// ```
    pub fn build_in(self, folder: &Path) -> io::Result<PathBuf> {
        let (address, group, cdev) = (self.address(), self.group().to_string(), self.cdev_name());
        let device = folder.join(&address);
        let named = device.join("vfio-dev").join(&cdev);
        for made in [&named, &folder.join("iommu_groups").join(&group).join("devices"), &folder.join("char")] {
            fs::create_dir_all(made)?;
        }
        let (major, minor) = Node::Cdev(self).number();
        fs::write(named.join("dev"), format!("{major}:{minor}\n"))?;
        let up = "../../..";
        link("../bus/pci", &device.join("subsystem"))?;
        link("../drivers/vfio-pci", &device.join("driver"))?;
        link(&format!("../iommu_groups/{group}"), &device.join("iommu_group"))?;
        link(&format!("{up}/{address}"), &named.join("device"))?;
        link(&format!("{up}/class/vfio-dev"), &named.join("subsystem"))?;
        link(&format!("{up}/{address}"), &folder.join("iommu_groups").join(&group).join("devices").join(&address))?;
        fs::create_dir_all(folder.join("class/vfio-dev"))?;
        link(&format!("../../{address}/vfio-dev/{cdev}"), &folder.join("class/vfio-dev").join(&cdev))?;
        for (node, class, name) in [
            (Node::Cdev(self), "vfio-dev", cdev.as_str()),
            (Node::Group(self), "vfio", group.as_str()),
            (Node::Container, "misc", "vfio"),
            (Node::Iommufd, "misc", "iommu"),
        ] {
            let place = folder.join("class").join(class).join(name);
            if !place.exists() {
                fs::create_dir_all(&place)?;
            }
            link(&format!("../../{class}"), &place.join("subsystem"))?;
            let (major, minor) = node.number();
            link(&format!("../class/{class}/{name}"), &folder.join("char").join(format!("{major}:{minor}")))?;
        }
        Ok(device)
    }
}

/// Where in the folder a path of sysfs is, for what a host with these devices has more than others.
///
/// ```
/// use std::path::Path;
/// use vfio_migration_preload::stand_in;
/// let group = stand_in(Path::new("/sys/bus/pci/devices/0000:00:01.0/iommu_group"), 1);
/// assert_eq!(group.as_deref(), Some(Path::new("0000:00:01.0/iommu_group")));
/// assert_eq!(stand_in(Path::new("/sys/bus/pci/devices/0000:00:02.0"), 1), None, "there is one device");
/// ```
pub fn stand_in(path: &Path, devices: usize) -> Option<PathBuf> {
    let places = || (0..devices).filter_map(|index| Place::of(index).ok());
    let below = |prefix: &str| path.strip_prefix(prefix).ok();
    let first = |rest: &Path| rest.components().next().and_then(|name| name.as_os_str().to_str().map(str::to_owned));
    if let Some(rest) = below("/sys/bus/pci/devices") {
        let name = first(rest)?;
        return places().any(|place| place.address() == name).then(|| rest.to_owned());
    }
    if let Some(rest) = below("/sys/kernel/iommu_groups") {
        let name = first(rest)?;
        return places().any(|place| place.group().to_string() == name).then(|| Path::new("iommu_groups").join(rest));
    }
    if let Some(rest) = below("/sys/dev/char") {
        let name = first(rest)?;
        let nodes = places().flat_map(|place| [Node::Group(place), Node::Cdev(place)]);
        let ours = |node: Node| name == format!("{}:{}", node.number().0, node.number().1);
        let found = [Node::Container, Node::Iommufd].into_iter().chain(nodes).any(ours);
        return (devices > 0 && found).then(|| Path::new("char").join(rest));
    }
    let rest = below("/sys/class/vfio-dev").filter(|_| devices > 0)?;
    Some(Path::new("class/vfio-dev").join(rest))
}

/// Makes a link, if it is not there.
fn link(to: &str, at: &Path) -> io::Result<()> {
    match symlink(to, at) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} devices are more than a PCI bus has room for: ask for at most {}", self.devices, Place::MOST)
    }
}

impl core::error::Error for Crowd {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_names_group_and_character_device_as_sysfs_does() {
        let folder = std::env::temp_dir().join(format!("vfio-migration-places-{}", std::process::id()));
        let place = Place::of(2).expect("there is room for three");
        for _ in 0..2 {
            let device = place.build_in(&folder).expect("the folder is ours");
            let group = fs::canonicalize(device.join("iommu_group")).expect("the group is there");
            assert_eq!(group.file_name().and_then(|name| name.to_str()), Some("7002"));
            let number = fs::read_to_string(device.join("vfio-dev/vfio7002/dev")).expect("the number is there");
            assert_eq!(number, "511:2\n");
            for (path, end) in [
                ("/sys/bus/pci/devices/0000:00:03.0/iommu_group/devices/0000:00:03.0", "0000:00:03.0"),
                ("/sys/class/vfio-dev/vfio7002/device", "0000:00:03.0"),
                ("/sys/dev/char/511:2", "vfio7002"),
                ("/sys/dev/char/510:2", "7002"),
                ("/sys/dev/char/10:125", "iommu"),
                ("/sys/kernel/iommu_groups/7002/devices/0000:00:03.0/vfio-dev/vfio7002", "vfio7002"),
            ] {
                let place = stand_in(Path::new(path), 3).map(|place| fs::canonicalize(folder.join(place)));
                let place =
                    place.unwrap_or_else(|| panic!("{path} is ours")).unwrap_or_else(|_| panic!("{path} is there"));
                assert_eq!(place.file_name().and_then(|name| name.to_str()), Some(end), "{path}");
            }
        }
        fs::remove_dir_all(&folder).expect("the folder is ours");
    }

    #[test]
    fn what_is_the_hosts_is_left_alone() {
        for path in ["/sys", "/sys/bus/pci/devices", "/sys/bus/pci/devices/0000:00:04.0", "/sys/dev/char/1:3", "/etc"] {
            assert_eq!(stand_in(Path::new(path), 3), None, "{path}");
        }
        assert_eq!(stand_in(Path::new("/sys/class/vfio-dev"), 0), None);
    }

    #[test]
    fn a_bus_has_room_for_thirty_one() {
        assert_eq!(Place::of(30).map(Place::address).as_deref(), Ok("0000:00:1f.0"));
        assert_eq!(Place::of(31), Err(Crowd { devices: 32 }));
        assert!(Place::of(usize::MAX).is_err());
    }
}
