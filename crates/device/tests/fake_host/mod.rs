//! A host in a folder of its own, which goes with it: what the tests of discovery look at.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use vfio_migration_device::sysfs::Host;

pub(crate) const MDEV: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

pub(crate) struct FakeHost {
    folder: PathBuf,
}

impl FakeHost {
    /// A host with VFIO and iommufd loaded, an IOMMU, all capabilities, and one process that everybody may look at.
    pub(crate) fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("vfio-migration-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let host = Self { folder };
        host.file("proc/sys/kernel/osrelease", "6.18.1-test\n");
        host.file("boot/config-6.18.1-test", "CONFIG_VFIO=m\nCONFIG_IOMMUFD=m\nCONFIG_VFIO_DEVICE_CDEV=y\n");
        host.file("sys/class/misc/vfio/dev", "10:196\n");
        host.file("sys/class/misc/iommu/dev", "10:122\n");
        host.file("dev/vfio/vfio", "");
        host.file("dev/iommu", "");
        host.link("sys/class/iommu/dmar0", "/sys/devices/virtual/iommu/dmar0");
        host.link("proc/self/ns/pid", "pid:[4026531836]");
        host.file("proc/self/status", "Name:\ttest\nCapEff:\t000001ffffffffff\n");
        host.process(1, "init", &[]);
        host
    }

    pub(crate) fn host(&self) -> Host {
        Host::at(&self.folder)
    }

    pub(crate) fn file(&self, path: &str, content: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A link; one to an absolute path leads there below the same root.
    pub(crate) fn link(&self, path: &str, to: &str) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let to = match to.strip_prefix('/') {
            Some(below) => {
                fs::create_dir_all(self.folder.join(below)).unwrap();
                self.folder.join(below)
            }
            None => PathBuf::from(to),
        };
        symlink(to, path).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.folder.join(path);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
    }

    /// A process with open files: what `/proc` says they are, and their `fdinfo`.
    pub(crate) fn process(&self, pid: u32, command: &str, files: &[(u32, &str, &str)]) {
        self.file(&format!("proc/{pid}/comm"), &format!("{command}\n"));
        fs::create_dir_all(self.folder.join(format!("proc/{pid}/fd"))).unwrap();
        for (fd, target, info) in files {
            symlink(target, self.folder.join(format!("proc/{pid}/fd/{fd}"))).unwrap();
            self.file(&format!("proc/{pid}/fdinfo/{fd}"), info);
        }
    }

    /// A PCI function in a group; with a driver of VFIO it also has its nodes. Its folder, below the root.
    pub(crate) fn pci(&self, name: &str, driver: Option<&str>, group: u32, number: u32) -> String {
        let folder = format!("sys/devices/pci0000:64/{name}");
        self.file(&format!("{folder}/vendor"), "0x15b3\n");
        self.file(&format!("{folder}/device"), "0x101e\n");
        let modalias = "pci:v000015B3d0000101Esv000015B3sd00000001bc02sc00i00\n";
        self.file(&format!("{folder}/modalias"), modalias);
        self.device("pci", &folder, name, driver, group, number);
        folder
    }

    pub(crate) fn mdev(&self, uuid: &str, driver: &str, group: u32, number: u32) -> String {
        let folder = format!("sys/devices/virtual/{driver}/{driver}/{uuid}");
        let kind = format!("/sys/devices/virtual/{driver}/{driver}/mdev_supported_types/{driver}-2");
        self.link(&format!("{folder}/mdev_type"), &kind);
        self.device("mdev", &folder, uuid, Some(driver), group, number);
        folder
    }

    fn device(&self, bus: &str, folder: &str, name: &str, driver: Option<&str>, group: u32, number: u32) {
        self.link(&format!("{folder}/subsystem"), &format!("/sys/bus/{bus}"));
        self.link(&format!("{folder}/iommu_group"), &format!("/sys/kernel/iommu_groups/{group}"));
        self.link(&format!("sys/bus/{bus}/devices/{name}"), &format!("/{folder}"));
        self.link(&format!("sys/kernel/iommu_groups/{group}/devices/{name}"), &format!("/{folder}"));
        let Some(driver) = driver else { return };
        self.link(&format!("{folder}/driver"), &format!("/sys/bus/{bus}/drivers/{driver}"));
        if driver.contains("vfio") || bus == "mdev" {
            let node = format!("vfio{number}");
            self.file(&format!("{folder}/vfio-dev/{node}/dev"), &format!("511:{number}\n"));
            self.link(&format!("{folder}/vfio-dev/{node}/device"), &format!("/{folder}"));
            self.link(&format!("sys/class/vfio-dev/{node}"), &format!("/{folder}/vfio-dev/{node}"));
            self.file(&format!("dev/vfio/devices/{node}"), "");
            self.file(&format!("dev/vfio/{group}"), "");
        }
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
