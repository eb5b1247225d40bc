use super::found::{FindError, Found, device, list};
use super::holders::Holders;
use super::kernel::Kernel;
use super::{ailments, host};
use crate::address::Place;
use crate::sysfs::Host;

/// Why a migration does not work, or what has to be minded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A name to compare, such as `not-bound`. All of them are listed in docs/cli.md.
    pub code: &'static str,
    /// The device that it is about, by its address; none if it is the host.
    pub device: Option<String>,
    /// Whether a migration is impossible; otherwise only a part of it is, or something has to be minded.
    pub blocks: bool,
    /// What was found: one sentence.
    pub what: String,
    /// What to do about it: one sentence.
    pub remedy: String,
}

/// What [`doctor`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Those of the host first.
    pub findings: Vec<Finding>,
    /// Whether nothing blocks the host and the device that was asked for or, if none was, at least one of all.
    pub able: bool,
}

/// Says why this host cannot migrate the device at `place`, or any device of a VFIO driver if none is given.
///
/// ```
/// use vfio_migration_device::discovery::doctor;
/// use vfio_migration_device::sysfs::Host;
/// let diagnosis = doctor(&Host::at("/nonexistent"), None)?;
/// assert!(!diagnosis.able);
/// assert_eq!(diagnosis.findings[0].code, "no-vfio");
/// # Ok::<(), vfio_migration_device::discovery::FindError>(())
/// ```
pub fn doctor(host: &Host, place: Option<&Place>) -> Result<Diagnosis, FindError> {
    let kernel = Kernel::of(host);
    let mut findings = host::findings(host, &kernel);
    let host_able = findings.iter().all(|finding| !finding.blocks);
    let devices = match place {
        Some(place) => vec![Found::of(host, &device(host, place)?, &Holders::of(host), &kernel)],
        None => list(host),
    };
    if devices.is_empty() {
        findings.push(Finding {
            code: "no-devices",
            device: None,
            blocks: true,
            what: "no device of this host has a VFIO driver".into(),
            remedy: "bind a PCI function to its VFIO driver, or make an mdev; then see \"list\"".into(),
        });
    }
    let mut any = false;
    for device in &devices {
        let of_device = ailments::findings(host, &kernel, device);
        any |= of_device.iter().all(|finding| !finding.blocks);
        findings.extend(of_device);
    }
    Ok(Diagnosis { findings, able: host_able && any })
}
