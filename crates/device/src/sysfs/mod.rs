//! What sysfs says about devices, without opening any.
//!
//! A host lies below a root folder, `/` unless a test brings its own: `ROOT/sys`, `ROOT/dev`, `ROOT/proc`. Everything is
//! read when it is asked for and nothing is kept: devices come and go. A file that is missing or unreadable is `None`,
//! since most of them exist on some kernels only.
//!
//! | type | what it is |
//! |---|---|
//! | [`Host`] | the root: finds devices, groups, character devices |
//! | [`SysDevice`] | one device: driver, group, cdev node, ids, mdev type |
//! | [`IommuGroup`] | a group and its members |
//! | [`Bdf`], [`Uuid`] | names of PCI functions and mdevs |

mod device;
mod names;

pub use device::{IommuGroup, SysDevice};
pub use names::{Bdf, NameError, Uuid};

use std::fs;
use std::path::{Path, PathBuf};

/// A host's folders.
///
/// ```
/// use vfio_migration_device::sysfs::Host;
/// let host = Host::new();
/// for device in host.mdevs() {
///     println!("{} of type {:?}, driver {:?}", device.name(), device.mdev_type(), device.driver());
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    root: PathBuf,
}

impl Host {
    /// This host.
    pub fn new() -> Self {
        Self::at("/")
    }

    /// A host whose `sys`, `dev` and `proc` are below `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A path of the host, such as `/dev/vfio/vfio`, where it really is.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The PCI function at `bdf`, if there is one.
    pub fn pci(&self, bdf: Bdf) -> Option<SysDevice> {
        self.on_bus("pci", &bdf.to_string())
    }

    /// The mdev named `uuid`, if there is one.
    pub fn mdev(&self, uuid: Uuid) -> Option<SysDevice> {
        self.on_bus("mdev", &uuid.to_string())
    }

    /// The device called `name` on a bus, if there is one. A name that would lead elsewhere names nothing.
    pub fn on_bus(&self, bus: &str, name: &str) -> Option<SysDevice> {
        if [bus, name].iter().any(|part| part.is_empty() || part.starts_with('.') || part.contains(['/', '\0'])) {
            return None;
        }
        SysDevice::at(self, self.path("/sys/bus").join(bus).join("devices").join(name))
    }

    /// The device with this folder in `/sys`, if there is one.
    pub fn device(&self, folder: impl AsRef<Path>) -> Option<SysDevice> {
        SysDevice::at(self, self.path(folder))
    }

    /// All PCI functions, by name.
    pub fn pci_functions(&self) -> Vec<SysDevice> {
        self.all("/sys/bus/pci/devices")
    }

    /// All mdevs, by name.
    pub fn mdevs(&self) -> Vec<SysDevice> {
        self.all("/sys/bus/mdev/devices")
    }

    /// All devices of a VFIO driver, on kernels from 6.1 on, each with what the kernel calls it: also the name of its node
    /// in `/dev/vfio/devices`, if it has one ([`SysDevice::cdev`]).
    pub fn cdevs(&self) -> Vec<(String, SysDevice)> {
        let nodes = names(&self.path("/sys/class/vfio-dev"));
        nodes.into_iter().filter_map(|node| Some((node.clone(), self.cdev(&node)?))).collect()
    }

    /// The device behind the cdev node called `node`, such as `vfio0`.
    pub fn cdev(&self, node: &str) -> Option<SysDevice> {
        if node.contains('/') {
            return None;
        }
        SysDevice::at(self, self.path("/sys/class/vfio-dev").join(node).join("device"))
    }

    /// The IOMMU group with this number, if there is one.
    pub fn group(&self, number: u32) -> Option<IommuGroup> {
        IommuGroup::at(self, &self.path("/sys/kernel/iommu_groups").join(number.to_string()))
    }

    /// What the character device `major`:`minor` is: the folder's name of its class and its own name, such as
    /// `("vfio-dev", "vfio0")`, `("vfio", "12")` or `("misc", "iommu")`.
    pub fn character_device(&self, major: u32, minor: u32) -> Option<(String, String)> {
        let link = self.path("/sys/dev/char").join(format!("{major}:{minor}"));
        let folder = fs::canonicalize(link).ok()?;
        Some((base_name(&fs::read_link(folder.join("subsystem")).ok()?)?, base_name(&folder)?))
    }

    fn all(&self, folder: &str) -> Vec<SysDevice> {
        let folder = self.path(folder);
        names(&folder).into_iter().filter_map(|name| SysDevice::at(self, folder.join(name))).collect()
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

/// The names in a folder, in their order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_unstable();
    names
}

fn base_name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.to_owned())
}
