//! What is wrong with a host, whatever its devices.

use std::fs;

use super::Finding;
use super::kernel::Kernel;
use super::node::may_open;
use crate::sysfs::Host;

/// Bits of `CapEff` (linux/capability.h).
const CAP_IPC_LOCK: u32 = 14;
pub(super) const CAP_SYS_RAWIO: u32 = 17;

/// What the kernel sets `dma_entry_limit` to (`drivers/vfio/vfio_iommu_type1.c`).
const DMA_ENTRY_LIMIT: u64 = 65535;

pub(super) fn findings(host: &Host, kernel: &Kernel) -> Vec<Finding> {
    let mut findings = Vec::new();
    let loaded = |name: &str| host.path("/sys/class/misc").join(name).exists();
    let (by_group, by_iommufd) = (loaded("vfio"), loaded("iommu"));
    if by_group || by_iommufd {
        let iommufd = by_iommufd.then(|| may_open(host, "/dev/iommu"));
        let group = by_group.then(|| may_open(host, "/dev/vfio/vfio"));
        // Either of them will do.
        let blocks = ![&iommufd, &group].into_iter().flatten().any(Result::is_ok);
        for refusal in [group, iommufd].into_iter().flatten().filter_map(Result::err) {
            findings.push(of_host("permission", blocks, refusal.what, refusal.remedy));
        }
    } else {
        findings.push(no_vfio(host, kernel));
    }
    if !by_iommufd {
        findings.push(no_iommufd(kernel));
    } else if kernel.option("CONFIG_VFIO_DEVICE_CDEV") == Some(false)
        && host.cdevs().iter().all(|(_, device)| device.cdev().is_none())
    {
        findings.push(of_host(
            "no-cdev",
            false,
            "this kernel was built without VFIO_DEVICE_CDEV: devices are opened by group only, without iommufd's dirty tracking",
            "use a kernel with CONFIG_VFIO_DEVICE_CDEV if guests are to be tracked by iommufd",
        ));
    }
    if fs::read_dir(host.path("/sys/class/iommu")).map_or(true, |mut units| units.next().is_none()) {
        findings.push(of_host(
            "no-iommu",
            false,
            "no IOMMU is active: PCI functions cannot be opened, only mdevs",
            "switch the IOMMU on in the firmware and with intel_iommu=on or amd_iommu=on on the kernel's command line",
        ));
    }
    findings.extend(memlock(host));
    findings.extend(dma_entry_limit(host));
    findings
}

fn of_host(code: &'static str, blocks: bool, what: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { code, device: None, blocks, what: what.into(), remedy: remedy.into() }
}

fn no_vfio(host: &Host, kernel: &Kernel) -> Finding {
    if kernel.option("CONFIG_VFIO") == Some(false) {
        let what = "this kernel was built without VFIO";
        return of_host("no-vfio", true, what, "use a kernel with CONFIG_VFIO and CONFIG_VFIO_PCI");
    }
    // Where no sysfs is, the modules may be there all the same.
    let what = if host.path("/sys/class/misc").is_dir() {
        "the kernel's VFIO modules are not loaded"
    } else {
        "this host shows no sysfs, so nothing of VFIO"
    };
    of_host("no-vfio", true, what, "run modprobe vfio-pci, or load the driver of the device; in a container mount /sys")
}

fn no_iommufd(kernel: &Kernel) -> Finding {
    let lacking = "no cdev, no iommufd dirty tracking, and devices that log their DMA cannot report it (EOPNOTSUPP)";
    match kernel.iommufd() {
        Some(true) => {
            of_host("no-iommufd", false, format!("iommufd is not loaded: {lacking} until then"), "run modprobe iommufd")
        }
        Some(false) => of_host(
            "no-iommufd",
            false,
            format!("this kernel was built without IOMMUFD: {lacking}"),
            "use a kernel with CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV; until then use type1 dirty tracking",
        ),
        None => of_host(
            "no-iommufd",
            false,
            format!("there is no iommufd here: {lacking}"),
            "run modprobe iommufd; if there is no such module, use a kernel with CONFIG_IOMMUFD",
        ),
    }
}

/// Mapping guest memory for a device locks it: type1 charges the process, iommufd all processes of the user together.
fn memlock(host: &Host) -> Option<Finding> {
    if has_capability(host, CAP_IPC_LOCK) {
        return None;
    }
    let limits = fs::read_to_string(host.path("/proc/self/limits")).ok()?;
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?.split_whitespace().next()?;
    // The other word is "unlimited".
    let bytes: u64 = soft.parse().ok()?;
    Some(of_host(
        "memlock",
        false,
        format!(
            "only {bytes} bytes of memory may be locked: mapping more for a device is ENOMEM; a type1 container charges \
             the process, iommufd the user with all processes"
        ),
        "raise RLIMIT_MEMLOCK above the guest's memory (ulimit -l, LimitMEMLOCK= of systemd), or give CAP_IPC_LOCK",
    ))
}

fn dma_entry_limit(host: &Host) -> Option<Finding> {
    let file = host.path("/sys/module/vfio_iommu_type1/parameters/dma_entry_limit");
    let limit: u64 = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (limit < DMA_ENTRY_LIMIT).then(|| {
        of_host(
            "dma-entry-limit",
            false,
            format!("a type1 container takes only {limit} mappings: the next one is ENOSPC"),
            format!("load vfio_iommu_type1 with dma_entry_limit={DMA_ENTRY_LIMIT}, or map fewer and larger pieces"),
        )
    })
}

/// Whether this process has a capability.
pub(super) fn has_capability(host: &Host, bit: u32) -> bool {
    let status = fs::read_to_string(host.path("/proc/self/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> bit & 1 == 1)
}
