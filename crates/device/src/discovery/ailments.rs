//! What is wrong with one device.

use vfio_migration_protocol::Protocol;

use super::host::{CAP_SYS_RAWIO, has_capability};
use super::kernel::Kernel;
use super::node::may_open;
use super::variants::variant;
use super::{Finding, Found, FoundGroup, InUse, Support};
use crate::sysfs::{Host, SysDevice};

/// Drivers that share a group with devices of programs: they do no DMA of their own, or VFIO's are behind them.
const HARMLESS: [&str; 3] = ["pci-stub", "pcieport", "shpchp"];

pub(super) fn findings(host: &Host, kernel: &Kernel, found: &Found) -> Vec<Finding> {
    let device = device_of(host, found);
    let mut findings = Vec::new();
    let mut add = |code, blocks, what: String, remedy: String| {
        findings.push(Finding { code, device: Some(found.address.clone()), blocks, what, remedy });
    };
    let name = &found.name;

    if !found.bound {
        let driver = device.as_ref().and_then(|device| variant(host, kernel, device)).unwrap_or("vfio-pci".into());
        let has = found.driver.as_ref().map_or("no driver has it".to_owned(), |driver| format!("{driver} has it"));
        let remedy = match found.bus.as_deref() {
            Some("pci") => format!("bind it: driverctl --nosave set-override {name} {driver}"),
            _ => "load the driver of its parent and bind it".to_owned(),
        };
        add("not-bound", true, format!("no VFIO driver has {name}: {has}"), remedy);
        return findings;
    }
    if found.group.is_none() && found.cdev.is_none() {
        let what = format!("{name} has no IOMMU group and no node: it cannot be opened");
        add("no-group", true, what, "switch the IOMMU on, in the firmware and on the kernel's command line".into());
    }
    if let Some(group) = &found.group {
        let others: Vec<_> = unsuitable(host, group).collect();
        if !others.is_empty() {
            add(
                "group-not-viable",
                true,
                format!(
                    "group {} is not viable, {} must not have a driver of the host: it has {}",
                    group.number,
                    others.join(" and "),
                    describe(group)
                ),
                format!("bind {} to a VFIO driver or to none", others.join(" and ")),
            );
        }
        if group.no_iommu && !has_capability(host, CAP_SYS_RAWIO) {
            let what = format!("{name} is in a group without IOMMU: opening it is EPERM without CAP_SYS_RAWIO");
            add("no-iommu-group", true, what, "use a host with an IOMMU, or give CAP_SYS_RAWIO".into());
        }
    }
    if let InUse::By(holders) = &found.in_use {
        let by: Vec<_> = holders.iter().map(|holder| format!("{} (pid {})", holder.command, holder.pid)).collect();
        let fd = holders.iter().find_map(|holder| Some((holder.pid, holder.device_fd?)));
        let fd = fd.map_or("pidfd:PID:FD".to_owned(), |(pid, fd)| format!("pidfd:{pid}:{fd}"));
        add(
            "in-use",
            true,
            format!("{name} is in use by {}", by.join(", ")),
            format!("let that program hand its file descriptors over ({fd}, fd:unix:PATH), or end it"),
        );
    }
    // Either way to open it will do.
    let nodes = [found.cdev.as_deref(), found.group.as_ref().map(|group| group.node.as_str())];
    let refusals: Vec<_> = nodes.into_iter().flatten().map(|node| may_open(host, node)).collect();
    if refusals.iter().all(Result::is_err) {
        for refusal in refusals.into_iter().filter_map(Result::err) {
            add("permission", true, refusal.what, refusal.remedy);
        }
    }
    if let Some(physical) = device.as_ref().and_then(SysDevice::physical_function)
        && physical.driver().as_deref() == Some("vfio-pci")
    {
        let what = format!(
            "{name} needs a VF token, since vfio-pci has its physical function {}: EACCES without",
            physical.name()
        );
        add(
            "vf-token",
            false,
            what,
            format!("use {}?vf_token=UUID with the token of {}", found.address, physical.name()),
        );
    }
    migration(host, kernel, found, device.as_ref(), &mut add);
    findings
}

fn migration(
    host: &Host,
    kernel: &Kernel,
    found: &Found,
    device: Option<&SysDevice>,
    add: &mut impl FnMut(&'static str, bool, String, String),
) {
    let name = &found.name;
    let driver = found.driver.as_deref().unwrap_or("its driver");
    match found.migration {
        Support::No => {
            let better = device.and_then(|device| variant(host, kernel, device));
            let better = better.filter(|better| better.replace('-', "_") != driver.replace('-', "_"));
            let remedy = match better {
                Some(better) => format!(
                    "bind it to the driver that is made for it: driverctl --nosave set-override {name} {better}"
                ),
                None => {
                    "use a device whose driver can migrate it; see the table of drivers in the documentation".into()
                }
            };
            return add("no-migration", true, format!("{driver} cannot migrate {name}"), remedy);
        }
        Support::Unknown if found.protocol == Some(Protocol::Region) => {
            let what = format!(
                "{driver} does not speak fsm: it can migrate {name} only if that has a migration region (protocol v1), \
                 which is experimental here and known to QEMU until 7.2 only"
            );
            let remedy = format!("run vfio-migration probe {} --experimental-region", found.address);
            add("region-only", false, what, remedy);
        }
        Support::Unknown => {
            let what = format!("it cannot be seen from outside whether {driver} can migrate {name}");
            add("migration-unknown", false, what, format!("run vfio-migration probe {}", found.address));
        }
        Support::Yes | Support::Likely => {}
    }
    if found.reset_by_opening {
        add(
            "reset-by-opening",
            false,
            format!("opening {name} resets it, and so does closing it: saved afresh it is empty"),
            "let the program that has it hand its file descriptors over; --fresh saves it as it is after a reset"
                .into(),
        );
    }
    if found.p2p == Support::No {
        let what = format!("{name} has no P2P states: a group of several devices with it is refused");
        add("no-p2p", false, what, "migrate it alone, or use --no-p2p-traffic if no device accesses another".into());
    }
    if found.dirty_tracking == Support::No {
        let what = format!("{name} does not log its DMA, or this kernel does not report the log");
        let remedy = "track by iommufd, if the IOMMU has dirty bits, or by a type1 container, which counts all that a \
                      real device has mapped as dirty";
        add("no-dirty-tracking", false, what, remedy.into());
    }
}

fn device_of(host: &Host, found: &Found) -> Option<SysDevice> {
    host.on_bus(found.bus.as_deref()?, &found.name)
}

/// Members whose driver claims the group for the host.
fn unsuitable<'a>(host: &'a Host, group: &'a FoundGroup) -> impl Iterator<Item = String> + 'a {
    group.members.iter().filter_map(|(name, driver)| {
        let driver = driver.as_deref()?;
        let bound = ["pci", "mdev", "platform"].iter().find_map(|bus| host.on_bus(bus, name));
        let vfio = bound.is_some_and(|device| super::found::is_bound(&device));
        (!vfio && !HARMLESS.contains(&driver)).then(|| name.clone())
    })
}

fn describe(group: &FoundGroup) -> String {
    let member =
        |(name, driver): &(String, Option<String>)| format!("{name} ({})", driver.as_deref().unwrap_or("no driver"));
    group.members.iter().map(member).collect::<Vec<_>>().join(", ")
}
