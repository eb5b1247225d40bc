//! What devices a host has and what is wrong with them. Looking takes its time, on a thread of its own.

use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;
use vfio_migration::device::discovery::{self, Diagnosis, FindError, Finding, Found, FoundGroup, Holder, InUse};
use vfio_migration::device::sysfs::Host;
use vfio_migration::{Code, Error};

use crate::device::protocol_name;
use crate::promise::elsewhere;

/// A device that was seen and not opened.
#[napi(object, object_from_js = false)]
pub struct BindingFound {
    /// How it is opened.
    pub address: String,
    /// Its name on its bus.
    pub name: String,
    /// Its bus.
    pub bus: Option<String>,
    /// The driver that it is bound to.
    pub driver: Option<String>,
    /// Whether that is a VFIO driver.
    pub bound: bool,
    /// The type of an mdev.
    pub mdev_type: Option<String>,
    /// Its IOMMU group.
    pub group: Option<BindingFoundGroup>,
    /// Its node for iommufd.
    pub cdev: Option<String>,
    /// `yes`, `unknown` or `no`.
    pub in_use: String,
    /// Who has it open, as far as it can be seen.
    pub holders: Vec<BindingHolder>,
    /// `yes`, `likely`, `unknown` or `no`.
    pub migration: String,
    /// `fsm` or `region`; absent where nothing tells.
    pub protocol: Option<String>,
    /// As `migration`.
    #[napi(js_name = "p2p")]
    pub p2p: String,
    /// Likewise.
    pub pre_copy: String,
    /// Likewise.
    pub dirty_tracking: String,
    /// Whether opening it resets it.
    pub reset_by_opening: bool,
}

/// The IOMMU group of a device.
#[napi(object, object_from_js = false)]
pub struct BindingFoundGroup {
    /// Its number.
    pub number: u32,
    /// Its node.
    pub node: String,
    /// Whether no IOMMU protects the host from it.
    pub no_iommu: bool,
    /// Every device in it.
    pub members: Vec<BindingMember>,
}

/// A device of an IOMMU group.
#[napi(object, object_from_js = false)]
pub struct BindingMember {
    /// Its name on its bus.
    pub name: String,
    /// Its driver.
    pub driver: Option<String>,
}

/// A process that has a device open.
#[napi(object, object_from_js = false)]
pub struct BindingHolder {
    /// Its number.
    pub pid: u32,
    /// What it is called.
    pub command: String,
    /// Its file descriptor of the device, where that is known.
    pub device_fd: Option<u32>,
}

/// What the doctor found.
#[napi(object, object_from_js = false)]
pub struct BindingDiagnosis {
    /// Those of the host first.
    pub findings: Vec<BindingFinding>,
    /// Whether nothing blocks.
    pub able: bool,
}

/// Why a migration does not work.
#[napi(object, object_from_js = false)]
pub struct BindingFinding {
    /// A name to compare. Not `code`: that is what failures have.
    pub kind: String,
    /// The device's address; absent for the host.
    pub device: Option<String>,
    /// Whether a migration is impossible.
    pub blocks: bool,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

/// All devices that a VFIO driver has, of the host below `root`.
#[napi(catch_unwind, ts_return_type = "Promise<Array<BindingFound> | BindingError>")]
pub fn list_devices(env: &Env, root: String) -> napi::Result<Object<'_>> {
    elsewhere(env, "vfio-discovery", move || {
        Ok(discovery::list(&Host::at(root)).into_iter().map(BindingFound::from).collect::<Vec<_>>())
    })
}

/// One device, whether or not a VFIO driver has it.
#[napi(catch_unwind, ts_return_type = "Promise<BindingFound | BindingError>")]
pub fn find_device(env: &Env, address: String, root: String) -> napi::Result<Object<'_>> {
    elsewhere(env, "vfio-discovery", move || {
        let place = discovery::place(&address).map_err(not_found)?;
        discovery::find(&Host::at(root), &place).map(BindingFound::from).map_err(not_found)
    })
}

/// Why the host, or one device of it, cannot migrate.
#[napi(catch_unwind, ts_return_type = "Promise<BindingDiagnosis | BindingError>")]
pub fn doctor(env: &Env, address: Option<String>, root: String) -> napi::Result<Object<'_>> {
    elsewhere(env, "vfio-discovery", move || {
        let place = address.as_deref().map(discovery::place).transpose().map_err(not_found)?;
        let diagnosis = discovery::doctor(&Host::at(root), place.as_ref());
        diagnosis.map(BindingDiagnosis::from).map_err(not_found)
    })
}

fn not_found(error: FindError) -> Error {
    let code = match error {
        FindError::Name(_) | FindError::Descriptor(_) => Code::Usage,
        FindError::Absent(_) => Code::Host,
    };
    let mut failed = Error::new(code, error.to_string());
    failed.remedy = Some(error.remedy().to_owned());
    failed
}

impl From<Found> for BindingFound {
    fn from(found: Found) -> Self {
        let (in_use, holders) = match found.in_use {
            InUse::No => ("no", Vec::new()),
            InUse::Unknown => ("unknown", Vec::new()),
            InUse::By(holders) => ("yes", holders),
        };
        Self {
            address: found.address,
            name: found.name,
            bus: found.bus,
            driver: found.driver,
            bound: found.bound,
            mdev_type: found.mdev_type,
            group: found.group.map(BindingFoundGroup::from),
            cdev: found.cdev,
            in_use: in_use.into(),
            holders: holders.into_iter().map(BindingHolder::from).collect(),
            migration: found.migration.to_string(),
            protocol: found.protocol.map(|protocol| protocol_name(protocol).into()),
            p2p: found.p2p.to_string(),
            pre_copy: found.pre_copy.to_string(),
            dirty_tracking: found.dirty_tracking.to_string(),
            reset_by_opening: found.reset_by_opening,
        }
    }
}

impl From<FoundGroup> for BindingFoundGroup {
    fn from(FoundGroup { number, node, no_iommu, members }: FoundGroup) -> Self {
        let members = members.into_iter().map(|(name, driver)| BindingMember { name, driver }).collect();
        Self { number, node, no_iommu, members }
    }
}

impl From<Holder> for BindingHolder {
    fn from(Holder { pid, command, device_fd }: Holder) -> Self {
        Self { pid, command, device_fd }
    }
}

impl From<Diagnosis> for BindingDiagnosis {
    fn from(Diagnosis { findings, able }: Diagnosis) -> Self {
        Self { findings: findings.into_iter().map(BindingFinding::from).collect(), able }
    }
}

impl From<Finding> for BindingFinding {
    fn from(Finding { code, device, blocks, what, remedy }: Finding) -> Self {
        Self { kind: code.into(), device, blocks, what, remedy }
    }
}
