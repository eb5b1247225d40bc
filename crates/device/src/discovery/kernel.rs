use std::fs;

use super::Support;
use crate::sysfs::Host;

/// What the running kernel was built with, as far as it can be seen.
pub(super) struct Kernel {
    pub(super) release: Option<String>,
    config: Option<String>,
    has_iommufd: bool,
}

impl Kernel {
    pub(super) fn of(host: &Host) -> Self {
        let text = |path: String| fs::read_to_string(host.path(path)).ok();
        let release = text("/proc/sys/kernel/osrelease".into()).map(|release| release.trim().to_owned());
        let config = release.as_ref().and_then(|release| {
            let places = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
            places.into_iter().find_map(text)
        });
        // A module that was built for a kernel without it counts as well: what is there is there.
        let has_iommufd = host.path("/sys/class/misc/iommu").exists() || host.path("/dev/iommu").exists();
        Self { release, config, has_iommufd }
    }

    /// Whether an option is set, in the kernel or as a module; unknown if nobody can read how it was built.
    pub(super) fn option(&self, name: &str) -> Option<bool> {
        let set = |line: &str| line.strip_prefix(name).is_some_and(|rest| matches!(rest, "=y" | "=m"));
        Some(self.config.as_ref()?.lines().any(set))
    }

    /// Whether iommufd is there, or comes when it is asked for.
    pub(super) fn iommufd(&self) -> Option<bool> {
        if self.has_iommufd { Some(true) } else { self.option("CONFIG_IOMMUFD") }
    }

    /// A device logs its DMA in vain where the kernel cannot report the log: `DMA_LOGGING_REPORT` needs iommufd's bitmaps
    /// and is `EOPNOTSUPP` without.
    pub(super) fn reports_dma_log(&self, device: Support) -> Support {
        match self.iommufd() {
            Some(true) => device,
            Some(false) => Support::No,
            None if device == Support::No => Support::No,
            None => Support::Unknown,
        }
    }
}
