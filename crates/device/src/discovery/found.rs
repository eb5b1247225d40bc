use core::fmt;
use std::fs;

use vfio_migration_protocol::Protocol;

use super::{Driver, InUse, driver, holders::Holders, kernel::Kernel};
use crate::address::{KernelError, Place};
use crate::sysfs::{Host, SysDevice};

/// What a device, or its driver, is capable of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// The kernel says so.
    Yes,
    /// Its driver usually is: `probe` knows.
    Likely,
    /// Nothing that can be read without opening the device tells.
    Unknown,
    /// It is not: the kernel says so, or its driver never is.
    No,
}

/// A device of this host, as far as it can be seen without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How it is opened: `vfio:0000:65:00.1`, `mdev:UUID`, on other buses `vfio:BUS/NAME`.
    pub address: String,
    /// Its name on its bus.
    pub name: String,
    /// Its bus: `pci`, `mdev`, `platform`.
    pub bus: Option<String>,
    /// The driver that it is bound to.
    pub driver: Option<String>,
    /// Whether that is a VFIO driver: without one it cannot be opened.
    pub bound: bool,
    /// The type of an mdev.
    pub mdev_type: Option<String>,
    /// Its IOMMU group. Without one it cannot be opened by group.
    pub group: Option<FoundGroup>,
    /// Its node for iommufd, on kernels that have such nodes.
    pub cdev: Option<String>,
    /// Who has it open.
    pub in_use: InUse,
    /// Whether it can be migrated.
    pub migration: Support,
    /// The protocol by which it is migrated if it can be; `None` where nothing tells, and where it cannot be. A device with a
    /// migration region is opened only for who asks for it ([`region`](crate::region)).
    pub protocol: Option<Protocol>,
    /// Whether it has the P2P states, which a group of several devices needs.
    pub p2p: Support,
    /// Whether it can be moved while it runs.
    pub pre_copy: Support,
    /// Whether it logs its own DMA, and this kernel reports the log.
    pub dirty_tracking: Support,
    /// Whether the first open and the last close reset it, so that what is in it is lost.
    pub reset_by_opening: bool,
}

/// The IOMMU group of a device: its members belong to one program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundGroup {
    /// Its number.
    pub number: u32,
    /// The group's node: `/dev/vfio/12`, or `/dev/vfio/noiommu-12`.
    pub node: String,
    /// Whether no IOMMU protects the host from it.
    pub no_iommu: bool,
    /// Every device in it, this one too, with its driver.
    pub members: Vec<(String, Option<String>)>,
}

/// Why a device was not found, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindError {
    /// The words name no device of a host.
    Name(KernelError),
    /// Somebody has it open already, and it has no place of its own.
    Descriptor(Place),
    /// There is no such device.
    Absent(Place),
}

/// All devices that a VFIO driver has, in the order of their addresses.
pub fn list(host: &Host) -> Vec<Found> {
    let mut devices: Vec<_> = host.pci_functions().into_iter().chain(host.mdevs()).collect();
    for (_, device) in host.cdevs() {
        if devices.iter().all(|known| known.folder() != device.folder()) {
            devices.push(device);
        }
    }
    devices.retain(|device| is_mdev(device) || is_bound(device));
    let (holders, kernel) = (Holders::of(host), Kernel::of(host));
    let mut found: Vec<_> = devices.iter().map(|device| Found::of(host, device, &holders, &kernel)).collect();
    found.sort_by(|one, other| one.address.cmp(&other.address));
    found
}

/// One device, whether or not a VFIO driver has it.
pub fn find(host: &Host, place: &Place) -> Result<Found, FindError> {
    Ok(Found::of(host, &device(host, place)?, &Holders::of(host), &Kernel::of(host)))
}

/// The place that somebody names: an address without its settings, or just the name of a PCI function or an mdev.
///
/// ```
/// use vfio_migration_device::Place;
/// use vfio_migration_device::discovery::place;
/// assert_eq!(place("65:00.1")?, Place::Pci("0000:65:00.1".parse()?));
/// assert_eq!(place("vfio:0000:65:00.1?by=group")?.to_string(), "vfio:0000:65:00.1");
/// assert!(place("vfio:banana").is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn place(text: &str) -> Result<Place, FindError> {
    // Settings are none of discovery's business, least of all a token.
    let name = text.split('?').next().unwrap_or(text);
    let bare = name.parse().ok().map(Place::Pci).or_else(|| name.parse().ok().map(Place::Mdev));
    bare.map_or_else(|| name.parse().map_err(FindError::Name), Ok)
}

pub(super) fn device(host: &Host, place: &Place) -> Result<SysDevice, FindError> {
    let device = match place {
        Place::Pci(bdf) => host.pci(*bdf),
        Place::Mdev(uuid) => host.mdev(*uuid),
        Place::Bus { bus, name } => host.on_bus(bus, name),
        Place::Cdev(path) => path.strip_prefix("/dev/vfio/devices").ok().and_then(|node| host.cdev(node.to_str()?)),
        Place::Descriptor(_) | Place::Socket(_) | Place::Process { .. } => {
            return Err(FindError::Descriptor(place.clone()));
        }
    };
    device.ok_or_else(|| FindError::Absent(place.clone()))
}

impl FindError {
    /// What to do about it.
    pub fn remedy(&self) -> &str {
        match self {
            Self::Name(error) => &error.remedy,
            Self::Descriptor(_) => "open it: only the program that has it, or \"probe\", can say more",
            Self::Absent(_) => "see which there are: \"list\", lspci -D, ls /sys/bus/mdev/devices /dev/vfio/devices",
        }
    }
}

impl Found {
    pub(super) fn of(host: &Host, device: &SysDevice, holders: &Holders, kernel: &Kernel) -> Self {
        let group = device.group().map(|group| {
            // The name of the group does not tell: those of mdevs are called vfio-noiommu as well.
            let unprotected = format!("noiommu-{}", group.number);
            let no_iommu = host.path("/sys/class/vfio").join(&unprotected).exists();
            let node = format!("/dev/vfio/{}", if no_iommu { unprotected } else { group.number.to_string() });
            let members = group.members.iter().map(|member| (member.name().to_owned(), member.driver()));
            FoundGroup { number: group.number, node, no_iommu, members: members.collect() }
        });
        let cdev = device.cdev().map(|node| format!("/dev/vfio/devices/{node}"));
        let bus = device.bus();
        let address = match bus.as_deref() {
            Some("mdev") => format!("mdev:{}", device.name()),
            Some("pci") | None => format!("vfio:{}", device.name()),
            Some(bus) => format!("vfio:{bus}/{}", device.name()),
        };
        let name_of_driver = device.driver();
        let known = name_of_driver.as_deref().and_then(driver);
        let features = Features::of(host, device, known, is_bound(device));
        let in_use = holders.of_device(device, group.as_ref().map(|group| group.node.as_str()), cdev.as_deref());
        Self {
            address,
            name: device.name().to_owned(),
            bus,
            driver: name_of_driver,
            bound: is_bound(device),
            mdev_type: device.mdev_type(),
            group,
            cdev,
            in_use,
            migration: features.migration,
            protocol: features.protocol,
            p2p: features.p2p,
            pre_copy: features.pre_copy,
            dirty_tracking: kernel.reports_dma_log(features.dirty_tracking),
            reset_by_opening: device.is_reset_by_opening(),
        }
    }
}

fn is_mdev(device: &SysDevice) -> bool {
    device.bus().as_deref() == Some("mdev")
}

/// Kernels from 6.1 on have a `vfio-dev` folder in every device of a VFIO driver; before, only the driver's name tells.
pub(super) fn is_bound(device: &SysDevice) -> bool {
    device.folder().join("vfio-dev").is_dir()
        || device.driver().is_some_and(|name| driver(&name).is_some() || name.contains("vfio"))
}

struct Features {
    migration: Support,
    protocol: Option<Protocol>,
    p2p: Support,
    pre_copy: Support,
    dirty_tracking: Support,
}

impl Features {
    /// debugfs has a folder for each device of a VFIO driver (from 6.8 on, with `VFIO_DEBUGFS`); in it one called
    /// `migration` if the driver speaks fsm, and in that `features` (from 6.18 on). Of a migration region the kernel knows
    /// nothing; no driver of the table has one.
    fn of(host: &Host, device: &SysDevice, known: Option<&Driver>, bound: bool) -> Self {
        use Support::{No, Unknown, Yes};
        let all = |support| Self {
            migration: support,
            protocol: None,
            p2p: support,
            pre_copy: support,
            dirty_tracking: support,
        };
        let table = match known {
            Some(row) => Self {
                migration: row.migration,
                protocol: (row.migration != No).then_some(Protocol::Fsm),
                p2p: row.p2p,
                pre_copy: row.pre_copy,
                dirty_tracking: row.dirty_tracking,
            },
            None if bound => all(Unknown),
            None => all(No),
        };
        let folder = host.path("/sys/kernel/debug/vfio").join(device.name());
        if !folder.is_dir() {
            return table;
        }
        if !folder.join("migration").is_dir() {
            return match known {
                Some(_) => all(No),
                None => Self { protocol: Some(Protocol::Region), dirty_tracking: No, ..all(Unknown) },
            };
        }
        match fs::read_to_string(folder.join("migration/features")) {
            Ok(features) => {
                let has = |name| if features.lines().any(|line| line.trim() == name) { Yes } else { No };
                let dirty_tracking = has("dirty-tracking");
                let (p2p, pre_copy) = (has("p2p"), has("pre-copy"));
                Self { migration: Yes, protocol: Some(Protocol::Fsm), p2p, pre_copy, dirty_tracking }
            }
            Err(_) => Self { migration: Yes, protocol: Some(Protocol::Fsm), ..table },
        }
    }
}

impl fmt::Display for Support {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Yes => "yes",
            Self::Likely => "likely",
            Self::Unknown => "unknown",
            Self::No => "no",
        })
    }
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(error) => f.write_str(&error.what),
            Self::Descriptor(place) => write!(f, "{place} is a descriptor, and no place where a device is"),
            Self::Absent(place) => write!(f, "this host has no device {place}"),
        }
    }
}

impl core::error::Error for FindError {}
