use super::Support::{self, Likely, No, Unknown};

/// What is known about a VFIO driver without asking its devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Driver {
    /// As sysfs calls it. `-` and `_` count as the same: a module's name has either.
    pub name: &'static str,
    /// What it drives, for people.
    pub devices: &'static str,
    /// Whether its devices can be migrated.
    pub migration: Support,
    /// Whether they have the P2P states.
    pub p2p: Support,
    /// Whether they have pre-copy.
    pub pre_copy: Support,
    /// Whether they log their own DMA.
    pub dirty_tracking: Support,
    /// Where this was read.
    pub source: &'static str,
}

/// Every driver that is known; those that migrate speak fsm. What depends on the firmware or on the driver's build is [`Support::Unknown`].
pub const DRIVERS: &[Driver] = &[
    driver_of(
        "mlx5_vfio_pci",
        "ConnectX virtual functions",
        [Likely, Likely, Likely, Unknown],
        "Linux 6.12, drivers/vfio/pci/mlx5",
    ),
    driver_of(
        "hisi_acc_vfio_pci",
        "HiSilicon accelerators",
        [Likely, No, Likely, No],
        "Linux 6.12, drivers/vfio/pci/hisilicon",
    ),
    driver_of(
        "pds_vfio_pci",
        "AMD Pensando virtual functions",
        [Likely, Likely, No, Likely],
        "Linux 6.12, drivers/vfio/pci/pds",
    ),
    driver_of(
        "qat_vfio_pci",
        "Intel QAT virtual functions",
        [Likely, Likely, Likely, No],
        "Linux 6.12, drivers/vfio/pci/qat",
    ),
    driver_of(
        "virtio_vfio_pci",
        "virtio virtual functions",
        [Unknown, Unknown, Unknown, No],
        "Linux 7.3, drivers/vfio/pci/virtio",
    ),
    driver_of("xe_vfio_pci", "Intel Xe virtual functions", [Likely, Likely, No, No], "Linux 7.3, drivers/vfio/pci/xe"),
    driver_of("mtty", "sample serial ports", [Likely, Likely, Likely, Likely], "Linux 6.12, samples/vfio-mdev/mtty.c"),
    driver_of(
        "igb_vfio_pci",
        "emulated 82576 virtual functions",
        [Likely, No, Likely, Likely],
        "igb-vfio-pci, out of tree, measured",
    ),
    driver_of("vfio_pci", "any PCI function", [No; 4], "Linux 6.12, drivers/vfio/pci/vfio_pci.c"),
    driver_of("nvgrace_gpu_vfio_pci", "NVIDIA Grace GPUs", [No; 4], "Linux 6.12, drivers/vfio/pci/nvgrace-gpu"),
    driver_of("ism_vfio_pci", "IBM ISM functions", [No; 4], "Linux 7.3, drivers/vfio/pci/ism"),
    driver_of("vfio_platform", "platform devices", [No; 4], "Linux 6.12, drivers/vfio/platform"),
    driver_of("vfio_ccw_mdev", "s390 channel devices", [No; 4], "Linux 6.12, drivers/s390/cio"),
    driver_of("vfio_ap_mdev", "s390 crypto adapters", [No; 4], "Linux 6.12, drivers/s390/crypto"),
    driver_of("mdpy", "sample displays", [No; 4], "Linux 6.12, samples/vfio-mdev/mdpy.c"),
    driver_of("mbochs", "sample displays", [No; 4], "Linux 6.12, samples/vfio-mdev/mbochs.c"),
];

/// What is known about the driver called `name`.
///
/// ```
/// use vfio_migration_device::discovery::{Support, driver};
/// assert_eq!(driver("mlx5_vfio_pci").map(|driver| driver.migration), Some(Support::Likely));
/// assert_eq!(driver("vfio-pci").map(|driver| driver.migration), Some(Support::No));
/// assert_eq!(driver("e1000e"), None);
/// ```
pub fn driver(name: &str) -> Option<&'static Driver> {
    let name = name.replace('-', "_");
    DRIVERS.iter().find(|driver| driver.name == name)
}

const fn driver_of(
    name: &'static str,
    devices: &'static str,
    [migration, p2p, pre_copy, dirty_tracking]: [Support; 4],
    source: &'static str,
) -> Driver {
    Driver { name, devices, migration, p2p, pre_copy, dirty_tracking, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_makes_sense() {
        for (index, row) in DRIVERS.iter().enumerate() {
            assert!(!row.name.contains('-') && !row.source.is_empty(), "{row:?}");
            assert!(DRIVERS[..index].iter().all(|other| other.name != row.name), "{} stands there twice", row.name);
            // Only an open device, or debugfs, is sure; and nothing of migration is there without migration.
            let all = [row.migration, row.p2p, row.pre_copy, row.dirty_tracking];
            assert!(all.iter().all(|one| *one != Support::Yes), "{row:?}");
            assert!(row.migration != No || all == [No; 4], "{row:?}");
        }
    }
}
