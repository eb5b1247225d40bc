//! What sysfs says, read from folders made for the test.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use vfio_migration_device::sysfs::{Bdf, Host, Uuid};

/// A host in a folder of its own, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("vfio-migration-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, path: &str, content: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A link with an absolute target below the same root.
    fn link(&self, path: &str, to: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::create_dir_all(self.0.join(to)).unwrap();
        symlink(self.0.join(to), path).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MDEV: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

fn host(name: &str) -> (Folder, Host) {
    let folder = Folder::new(name);
    let mdev = format!("sys/devices/virtual/mtty/mtty/{MDEV}");
    folder.link(&format!("{mdev}/driver"), "sys/bus/mdev/drivers/mtty");
    folder.link(&format!("{mdev}/subsystem"), "sys/bus/mdev");
    folder.link(&format!("{mdev}/mdev_type"), "sys/devices/virtual/mtty/mtty/mdev_supported_types/mtty-2");
    folder.link(&format!("{mdev}/iommu_group"), "sys/kernel/iommu_groups/7");
    folder.file(&format!("{mdev}/vfio-dev/vfio0/dev"), "511:0\n");
    folder.link(&format!("{mdev}/vfio-dev/vfio0/device"), &mdev);
    folder.link(&format!("{mdev}/vfio-dev/vfio0/subsystem"), "sys/class/vfio-dev");
    folder.link(&format!("sys/bus/mdev/devices/{MDEV}"), &mdev);
    folder.link("sys/class/vfio-dev/vfio0", &format!("{mdev}/vfio-dev/vfio0"));
    folder.link("sys/dev/char/511:0", &format!("{mdev}/vfio-dev/vfio0"));
    folder.link(&format!("sys/kernel/iommu_groups/7/devices/{MDEV}"), &mdev);

    for (function, driver) in [("0000:65:00.0", Some("mlx5_core")), ("0000:65:00.1", None)] {
        let pci = format!("sys/devices/pci0000:64/{function}");
        folder.file(&format!("{pci}/vendor"), "0x15b3\n");
        folder.file(&format!("{pci}/device"), "0x101e\n");
        folder.link(&format!("{pci}/subsystem"), "sys/bus/pci");
        folder.link(&format!("{pci}/iommu_group"), "sys/kernel/iommu_groups/40");
        if let Some(driver) = driver {
            folder.link(&format!("{pci}/driver"), &format!("sys/bus/pci/drivers/{driver}"));
        }
        folder.link(&format!("sys/bus/pci/devices/{function}"), &pci);
        folder.link(&format!("sys/kernel/iommu_groups/40/devices/{function}"), &pci);
    }
    folder.link("sys/devices/pci0000:64/0000:65:00.1/physfn", "sys/devices/pci0000:64/0000:65:00.0");
    let host = Host::at(&folder.0);
    (folder, host)
}

#[test]
fn an_mdev_is_found_with_all_that_belongs_to_it() {
    let (_folder, host) = host("mdev");
    let device = host.mdev(MDEV.parse().unwrap()).unwrap();
    assert_eq!(device.name(), MDEV);
    assert_eq!(device.bus().as_deref(), Some("mdev"));
    assert_eq!(device.driver().as_deref(), Some("mtty"));
    assert_eq!(device.mdev_type().as_deref(), Some("mtty-2"));
    assert_eq!(device.cdev().as_deref(), Some("vfio0"));
    assert_eq!(device.group_number(), Some(7));
    assert_eq!(device.parent().unwrap().name(), "mtty");
    assert!(!device.is_reset_by_opening());
    assert_eq!(host.cdev("vfio0"), Some(device.clone()));
    assert_eq!(host.cdevs(), [("vfio0".to_owned(), device.clone())]);
    assert_eq!(host.mdevs(), [device]);
    assert_eq!(host.character_device(511, 0), Some(("vfio-dev".into(), "vfio0".into())));
    assert_eq!(host.character_device(511, 1), None);
}

#[test]
fn a_function_and_its_group_are_found() {
    let (_folder, host) = host("pci");
    let device = host.pci("65:00.1".parse().unwrap()).unwrap();
    assert_eq!((device.id("vendor"), device.id("device"), device.id("class")), (Some(0x15b3), Some(0x101e), None));
    assert_eq!((device.driver(), device.mdev_type(), device.cdev()), (None, None, None));
    assert_eq!(device.physical_function().unwrap().name(), "0000:65:00.0");
    assert!(device.is_reset_by_opening());
    let group = device.group().unwrap();
    assert_eq!(Some(&group), host.group(40).as_ref());
    assert_eq!(group.number, 40);
    assert_eq!(group.describe(), "0000:65:00.0 (mlx5_core), 0000:65:00.1 (no driver)");
    assert_eq!(host.pci_functions().len(), 2);
}

#[test]
fn what_is_not_there_is_none() {
    let (_folder, host) = host("absent");
    assert_eq!(host.pci("0000:01:00.0".parse().unwrap()), None);
    assert_eq!(host.mdev("00000000-0000-0000-0000-000000000000".parse().unwrap()), None);
    assert_eq!(host.group(8), None);
    assert_eq!(host.cdev("vfio1"), None);
    // Names from outside do not lead out of their folder.
    for name in ["..", ".", "", "../../class", "a/b"] {
        assert_eq!(host.on_bus("pci", name), None, "{name}");
    }
    assert_eq!(host.on_bus("..", "pci"), None);
    let nothing = Host::at(Path::new("/nonexistent"));
    assert!(nothing.pci_functions().is_empty() && nothing.mdevs().is_empty() && nothing.cdevs().is_empty());
}

#[test]
fn names_that_are_wrong_are_refused() {
    for bdf in ["", "65:00", "0000:65:00", "0000:65:00.8", "0000:65:20.0", "+000:65:00.1", "0:65:00.1", "0000:65:0.1"] {
        assert!(bdf.parse::<Bdf>().is_err(), "{bdf}");
    }
    for uuid in
        ["", MDEV.get(1..).unwrap(), &MDEV.replace('-', "_"), &MDEV.replace('8', "g"), &MDEV.replacen("83", "+3", 1)]
    {
        assert!(uuid.parse::<Uuid>().is_err(), "{uuid}");
    }
    let error = "65".parse::<Bdf>().unwrap_err();
    assert_eq!(error.to_string(), "it must be DOMAIN:BUS:DEVICE.FUNCTION in hexadecimal, such as 0000:65:00.1");
}
