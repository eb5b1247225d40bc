//! Devices of the Linux kernel: by the fsm protocol, or by a migration region for who asks for that
//! ([`region`](crate::region)).
//!
//! There are three ways to one: a program that has it open calls [`take`] with its descriptors; [`Address`](crate::Address)es
//! name descriptors of this or another process, or of whoever waits at a unix socket; or we open it, by group and container
//! or by cdev and iommufd.
//!
//! After every open the state is read. A device of somebody else's is taken in running, running-p2p or stop; in any other
//! state it is refused, because a session has it or a dead one left it so. A device that we opened is **reset** when it is
//! found anywhere but in running, and never walked out: some drivers do not survive that.
//!
//! Whoever removes a device or unbinds its driver waits until its last descriptor is closed (`vfio_unregister_group_dev`).
//! Until then it works as before, and a session over it goes on to its end; nobody opens it any more. Some drivers ask with
//! an interrupt that it be let go: that is the VMM's to arm and to follow.
//!
//! ```no_run
//! use std::os::fd::OwnedFd;
//! use vfio_migration_device::{OpenError, Opened, kernel};
//! # fn f(device: OwnedFd, container: OwnedFd) -> Result<Opened, OpenError> {
//! let place = "vfio:0000:65:00.1".parse()?;
//! let opened = kernel::take(device, vec![container], Some(&place))?;
//! # Ok(opened)
//! # }
//! ```

mod calls;
mod cdev;
mod companions;
mod descriptor;
mod first_state;
mod fsm;
mod group;
mod holding;
mod ioctls;
mod migration;
mod node;
mod offer;
mod passed;
mod passport;
mod receive;
mod region;
mod requests;
mod reserve;
mod signal;
pub mod tracker;
mod tracking;

pub use descriptor::{Kind, kind};
pub use holding::Holding;
pub use offer::Offer;
pub use signal::interrupt_with;

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FileType, major, minor, stat};
use rustix::io::Errno;
use vfio_migration_protocol::{Capabilities, Device, Errno as Number};

use crate::address::{By, Fault, KernelAddress, KernelError, OpenOptions, Opened, Place, Token};
use crate::region::RegionDevice;
use crate::sysfs::{Host, SysDevice};
use cdev::Bound;
use companions::Membership;
use first_state::Found;
use fsm::Fsm;
use group::Group;
use holding::{Beside, Kept, KeptDevice};
use ioctls::Ioctls;
use migration::Migration;
use region::KernelRegion;
use tracking::Logs;

/// Takes a device that the caller has open. `beside` is what it needs to go on working and what belongs to it: its
/// container or its iommufd; it is kept open and not touched. `place` says which device it is, for kernels that do not say
/// so themselves (before Linux 7, by group): without it the passport has no driver in it.
///
/// # Errors
/// If the descriptor is no device, the device has no migration, or its state belongs to another session.
pub fn take(device: OwnedFd, beside: Vec<OwnedFd>, place: Option<&Place>) -> Result<Opened, KernelError> {
    take_with(device, beside, place, &OpenOptions::default())
}

/// As [`take`], with options: what of `beside` may be used after all, for one ([`OpenOptions::lent`]).
///
/// # Errors
/// As [`take`], and if what is lent is not there.
pub fn take_with(
    device: OwnedFd,
    beside: Vec<OwnedFd>,
    place: Option<&Place>,
    options: &OpenOptions,
) -> Result<Opened, KernelError> {
    let descriptors = std::iter::once(device).chain(beside).collect();
    taken(options, descriptors, place, "the descriptor")
}

/// Opens, fetches or receives what an address names.
pub(crate) fn open(address: &KernelAddress, mut options: OpenOptions) -> Result<Opened, KernelError> {
    let named = address.device.as_deref();
    let from = address.place.to_string();
    match &address.place {
        Place::Descriptor(number) => {
            let fd = options.descriptor.take().ok_or_else(|| {
                let remedy = "give its owner with the options, or call kernel::take";
                KernelError::new(
                    Fault::Usage,
                    format!("descriptor {number} is a number, and nobody gave its owner"),
                    remedy,
                )
            })?;
            taken(&options, vec![fd], named, &from)
        }
        Place::Socket(path) => {
            let descriptors = receive::from_socket(&options.host, path, options.wait)?;
            taken(&options, descriptors, named, &from)
        }
        Place::Process { pid, fd } => taken(&options, vec![receive::from_process(*pid, *fd)?], named, &from),
        place => open_afresh(address, &find(&options.host, place)?, &options),
    }
}

fn taken(
    options: &OpenOptions,
    descriptors: Vec<OwnedFd>,
    named: Option<&Place>,
    from: &str,
) -> Result<Opened, KernelError> {
    let passed = passed::sort(&options.host, descriptors, named, from)?;
    let beside = Beside::Borrowed(passed.beside);
    let kept = Kept { device: passed.device, beside, membership: passed.membership };
    finish(kept, passed.sysfs.as_ref(), None, options, from)
}

fn open_afresh(address: &KernelAddress, device: &SysDevice, options: &OpenOptions) -> Result<Opened, KernelError> {
    let host = &options.host;
    let from = address.place.to_string();
    if options.to_save && !options.fresh && device.is_reset_by_opening() {
        return Err(KernelError::new(
            Fault::Usage,
            format!(
                "{from} would be empty: the kernel resets it when it is opened afresh, so there is nothing to save"
            ),
            "take it from the program that uses it (fd:unix:PATH, pidfd:PID:N, fd:N), or ask for a fresh one (--fresh)",
        ));
    }
    if device.driver().is_none() {
        let what = format!("{from} has no driver");
        return Err(KernelError::new(Fault::Host, what, "bind it to the VFIO driver of its kind"));
    }
    let node = device.cdev().map(|name| host.path("/dev/vfio/devices").join(name));
    let by = match (address.by, &address.place) {
        (Some(by), _) => by,
        (None, Place::Cdev(_)) => By::Cdev,
        _ if node.as_ref().is_some_and(|node| node.exists()) && host.path("/dev/iommu").exists() => By::Cdev,
        _ => By::Group,
    };
    let token = address.token.as_ref();
    let (kept, by) = match by {
        By::Group => (by_group(host, device, token)?, by),
        By::Cdev => {
            let node = node.ok_or_else(|| no_cdev(host, device, &from))?;
            match Bound::open(host, &node, device, token) {
                Ok(Bound { device: fd, space, tracking }) => {
                    (kept(host, device, fd, Beside::Space { space, tracking }), by)
                }
                // Before Linux 6.17 a token goes by group only.
                Err(error) if address.by.is_none() && token.is_some() && error.errno == Some(Number::EINVAL) => {
                    (by_group(host, device, token)?, By::Group)
                }
                Err(error) => return Err(error),
            }
        }
    };
    finish(kept, Some(device), Some(by), options, &from)
}

fn by_group(host: &Host, device: &SysDevice, token: Option<&Token>) -> Result<Kept, KernelError> {
    let group = Group::of(host, device)?;
    Ok(kept(host, device, group.device(device, token)?, Beside::Group(group)))
}

fn kept(host: &Host, of: &SysDevice, device: OwnedFd, beside: Beside) -> Kept {
    Kept { device, beside, membership: Membership::of(host, of) }
}

/// The device is open: finds out what it can do and where it is.
fn finish(
    kept: Kept,
    sysfs: Option<&SysDevice>,
    by: Option<By>,
    options: &OpenOptions,
    from: &str,
) -> Result<Opened, KernelError> {
    let migration = migration::ask(&kept, sysfs, options.region, from)?;
    let passport = passport::passport(sysfs, &kept.device);
    let kept = Arc::new(kept);
    let weak = Arc::downgrade(&kept);
    let logs = match &migration {
        Migration::Fsm(capabilities) if capabilities.has(Capabilities::DIRTY_TRACKING) => Logs::OwnFirst,
        Migration::Fsm(_) => Logs::Lent,
        Migration::Region(..) => Logs::Beside,
    };
    let trackers = tracking::trackers(&options.host, &kept, logs, options.lent, from)?;
    let tracking = if trackers.is_empty() { Capabilities::STOP_COPY } else { Capabilities::DIRTY_TRACKING };
    let mut device: Box<dyn Device> = match migration {
        Migration::Fsm(capabilities) => Box::new(Fsm::new(Ioctls(kept), passport, capabilities | tracking)),
        Migration::Region(info, options) => {
            let fd = Arc::clone(&kept);
            let region = KernelRegion::new(KeptDevice(kept), fd.device.as_fd(), &info);
            let device = region.and_then(|region| RegionDevice::new(region, passport, tracking, options));
            Box::new(device.map_err(|error| {
                let what = format!("{from} cannot migrate: {error}");
                KernelError::new(Fault::Device, what, "report it to the maintainers of the driver")
            })?)
        }
    };
    let Found { state: found, was_reset } = first_state::settle(&mut *device, by.is_some(), from)?;
    let reset_by_kernel = by.is_some() && sysfs.is_some_and(SysDevice::is_reset_by_opening);
    let holding = Holding { kept: weak, by, found, reset_by_us: was_reset, reset_by_kernel };
    Ok(Opened { device, trackers, model: None, kernel: Some(holding) })
}

/// The device at a place of this host.
fn find(host: &Host, place: &Place) -> Result<SysDevice, KernelError> {
    let absent = |list: &str| {
        let remedy = format!("'ls {list}' shows those that there are");
        KernelError::new(Fault::Host, format!("this host has no device {place}"), remedy)
    };
    match place {
        Place::Pci(bdf) => host.pci(*bdf).ok_or_else(|| absent("/sys/bus/pci/devices")),
        Place::Mdev(uuid) => host.mdev(*uuid).ok_or_else(|| absent("/sys/bus/mdev/devices")),
        Place::Bus { bus, name } => host.on_bus(bus, name).ok_or_else(|| absent(&format!("/sys/bus/{bus}/devices"))),
        Place::Cdev(path) => node_of(host, path),
        Place::Descriptor(_) | Place::Socket(_) | Place::Process { .. } => Err(absent("/dev/vfio/devices")),
    }
}

/// The device of a node, found without opening it: opening a node of another kind may do anything.
fn node_of(host: &Host, path: &Path) -> Result<SysDevice, KernelError> {
    let shown = path.display();
    let no_node = |fault, what: &str| {
        let remedy =
            "nodes of VFIO devices are in /dev/vfio/devices; kernels without IOMMUFD have none: use vfio: or mdev:";
        KernelError::new(fault, format!("{shown} {what}"), remedy)
    };
    let stat = stat(path).map_err(|errno| match errno {
        Errno::NOENT | Errno::NOTDIR => no_node(Fault::Host, "does not exist").with(errno),
        errno => no_node(Fault::Host, &format!("cannot be looked at: {errno}")).with(errno),
    })?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::CharacterDevice {
        return Err(no_node(Fault::Unsupported, "is no VFIO device"));
    }
    match host.character_device(major(stat.st_rdev), minor(stat.st_rdev)) {
        Some((class, name)) if class == "vfio-dev" => {
            host.cdev(&name).ok_or_else(|| no_node(Fault::Host, &format!("is {name}, which sysfs does not know")))
        }
        _ => Err(no_node(Fault::Unsupported, "is no VFIO device")),
    }
}

fn no_cdev(host: &Host, device: &SysDevice, from: &str) -> KernelError {
    let remedy = if host.path("/dev/iommu").exists() {
        "bind it to a VFIO driver"
    } else {
        "this kernel has no IOMMUFD, or it is not loaded: ask for by=group"
    };
    let driver = device.driver().unwrap_or_else(|| "no driver".into());
    KernelError::new(Fault::Host, format!("{from} has no node in /dev/vfio/devices ({driver})"), remedy)
}
