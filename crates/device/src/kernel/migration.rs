//! How a device can be migrated: by which protocol, and with what.

use std::os::fd::AsFd;

use rustix::io::Errno;
use vfio_migration_protocol::Capabilities;
use vfio_migration_uapi::device::Region as Info;
use vfio_migration_uapi::feature::{self, Operation};
use vfio_migration_uapi::layout;

use super::holding::Kept;
use super::region;
use crate::address::{EXPERIMENTAL_REMEDY, Fault, KernelError, experimental};
use crate::region::RegionOptions;
use crate::sysfs::SysDevice;

/// The protocol that a device speaks.
pub(super) enum Migration {
    /// fsm, with these capabilities.
    Fsm(Capabilities),
    /// A migration region, for who asked for one.
    Region(Info, RegionOptions),
}

/// Asks a device how it can be migrated. fsm comes first, as with everybody else: a driver that has both has the region
/// for old programs.
pub(super) fn ask(
    kept: &Kept,
    sysfs: Option<&SysDevice>,
    experiment: Option<RegionOptions>,
    from: &str,
) -> Result<Migration, KernelError> {
    let fd = kept.device.as_fd();
    let driver =
        sysfs.and_then(SysDevice::driver).map_or_else(|| "its driver".into(), |name| format!("the driver {name}"));
    let unreadable = |what: &str, errno: Errno| {
        let what = format!("{from} does not say {what}: {errno}");
        KernelError::new(Fault::Device, what, "look into the kernel's log ('dmesg')").with(errno)
    };
    let bits = match feature::migration(fd) {
        Ok(bits) => bits,
        Err(errno @ (Errno::NOTTY | Errno::INVAL)) => {
            let found = region::find(fd).map_err(|errno| unreadable("which regions it has", errno))?;
            return by_region(found, experiment, from).unwrap_or_else(|| {
                let remedy = "use a device and a driver with migration: 'vfio-migration list' shows those of this host";
                let what = format!("{from} cannot migrate: {driver} has no migration");
                Err(KernelError::new(Fault::Unsupported, what, remedy).with(errno))
            });
        }
        Err(errno) => return Err(unreadable("whether it can migrate", errno)),
    };
    // What is newer than this is not used, whatever it is.
    let known = Capabilities::FSM_SETS[3].bits() & bits;
    let Some(capabilities) = Capabilities::FSM_SETS.into_iter().find(|set| set.bits() == known) else {
        let what = format!("{from} cannot migrate: {driver} offers migration without stop-copy (flags {bits:#x})");
        return Err(KernelError::new(Fault::Unsupported, what, "report it to the maintainers of the driver"));
    };
    // Some kernels say yes and then cannot report: that shows when a tracker starts.
    let logs = feature::probe(fd, layout::VFIO_DEVICE_FEATURE_DMA_LOGGING_START, Some(Operation::Set)).is_ok();
    Ok(Migration::Fsm(if logs { capabilities | Capabilities::DIRTY_TRACKING } else { capabilities }))
}

/// A region that was found is used only by who asked for the experiment.
fn by_region(
    found: Option<Info>,
    experiment: Option<RegionOptions>,
    from: &str,
) -> Option<Result<Migration, KernelError>> {
    let info = found?;
    Some(match experiment {
        Some(options) => Ok(Migration::Region(info, options)),
        None => Err(KernelError::new(Fault::Usage, experimental(from), EXPERIMENTAL_REMEDY)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_used_by_who_asks_for_it_and_named_to_who_does_not() {
        let info = Info { flags: 3, size: 0x2000, offset: 0, kind: Some((3, 1)), mappable: None, capabilities: vec![] };
        let options = RegionOptions::default();
        assert!(by_region(None, Some(options), "fd:7").is_none());
        let used = by_region(Some(info.clone()), Some(options), "fd:7").unwrap();
        assert!(matches!(used, Ok(Migration::Region(found, with)) if found == info && with == options));
        let refused = by_region(Some(info), None, "fd:7").unwrap().err().unwrap();
        assert_eq!(refused.fault, Fault::Usage);
        assert!(refused.what.starts_with("fd:7 has a migration region"), "{refused}");
    }
}
