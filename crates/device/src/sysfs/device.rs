use std::fs;
use std::path::{Path, PathBuf};

use super::{Host, base_name, names};

/// One device in sysfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SysDevice {
    host: Host,
    folder: PathBuf,
    name: String,
}

/// Devices that the IOMMU cannot tell apart: they belong to one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IommuGroup {
    /// Its number, and with the group API the name of its node in `/dev/vfio`.
    pub number: u32,
    /// What the kernel calls it, if anything: `vfio-noiommu` for devices that no IOMMU stands behind, mdevs among them.
    pub name: Option<String>,
    /// Every device in it, by name.
    pub members: Vec<SysDevice>,
}

impl SysDevice {
    pub(super) fn at(host: &Host, path: impl AsRef<Path>) -> Option<Self> {
        let folder = fs::canonicalize(path).ok().filter(|folder| folder.is_dir())?;
        Some(Self { host: host.clone(), name: base_name(&folder)?, folder })
    }

    /// Its name on its bus, such as `0000:65:00.1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its folder, without links.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The bus that it is on: `pci`, `mdev`, `platform`.
    pub fn bus(&self) -> Option<String> {
        self.link("subsystem")
    }

    /// The driver that it is bound to.
    pub fn driver(&self) -> Option<String> {
        self.link("driver")
    }

    /// The number of its IOMMU group.
    pub fn group_number(&self) -> Option<u32> {
        self.link("iommu_group")?.parse().ok()
    }

    /// Its IOMMU group.
    pub fn group(&self) -> Option<IommuGroup> {
        IommuGroup::at(&self.host, &fs::canonicalize(self.folder.join("iommu_group")).ok()?)
    }

    /// The name of its cdev node in `/dev/vfio/devices`: `vfio3`, or `noiommu-vfio3`. There is none without a VFIO driver,
    /// nor on a kernel without `VFIO_DEVICE_CDEV`, where the device has the name but no number.
    pub fn cdev(&self) -> Option<String> {
        let folder = self.folder.join("vfio-dev");
        names(&folder).into_iter().find(|name| folder.join(name).join("dev").is_file())
    }

    /// An attribute of PCI functions that is one hexadecimal number: `vendor`, `device`, `subsystem_vendor`,
    /// `subsystem_device`, `class`, `revision`.
    pub fn id(&self, attribute: &str) -> Option<u32> {
        u32::from_str_radix(self.attribute(attribute)?.strip_prefix("0x")?, 16).ok()
    }

    /// What the file called `attribute` says, without the end of the line.
    pub fn attribute(&self, attribute: &str) -> Option<String> {
        let text = fs::read_to_string(self.folder.join(attribute)).ok()?;
        Some(text.trim_end().to_owned())
    }

    /// The type of an mdev, such as `mtty-2`.
    pub fn mdev_type(&self) -> Option<String> {
        self.link("mdev_type")
    }

    /// The device above it: for an mdev the one that it is a part of.
    pub fn parent(&self) -> Option<Self> {
        Self::at(&self.host, self.folder.parent()?)
    }

    /// The physical function that a virtual function belongs to.
    pub fn physical_function(&self) -> Option<Self> {
        Self::at(&self.host, self.folder.join("physfn"))
    }

    /// Whether the kernel resets the device when the first program opens it and when the last one closes it, so that what
    /// is in it is lost. vfio-pci and its variants and vfio-platform do; the sample mdevs keep their state. Unknown buses
    /// count as resetting.
    pub fn is_reset_by_opening(&self) -> bool {
        self.bus().as_deref() != Some("mdev")
    }

    fn link(&self, name: &str) -> Option<String> {
        base_name(&fs::read_link(self.folder.join(name)).ok()?)
    }
}

impl IommuGroup {
    pub(super) fn at(host: &Host, folder: &Path) -> Option<Self> {
        let number = base_name(folder)?.parse().ok()?;
        let members = folder.join("devices");
        if !members.is_dir() {
            return None;
        }
        let name = fs::read_to_string(folder.join("name")).ok().map(|name| name.trim_end().to_owned());
        let members =
            names(&members).into_iter().filter_map(|member| SysDevice::at(host, members.join(member))).collect();
        Some(Self { number, name, members })
    }

    /// Every member with its driver, for people: `0000:65:00.0 (vfio-pci), 0000:65:00.1 (no driver)`.
    pub fn describe(&self) -> String {
        let member = |member: &SysDevice| {
            let driver = member.driver().unwrap_or_else(|| "no driver".into());
            format!("{} ({driver})", member.name())
        };
        self.members.iter().map(member).collect::<Vec<_>>().join(", ")
    }
}
