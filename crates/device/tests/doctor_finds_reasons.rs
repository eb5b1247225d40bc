//! Each reason why a host or a device cannot migrate, made on purpose.
#![cfg(target_os = "linux")]

mod fake_host;

use fake_host::{FakeHost, MDEV};
use vfio_migration_device::discovery::{Diagnosis, Finding, doctor, place};
use vfio_migration_device::sysfs::Host;

const VF: &str = "vfio:0000:65:00.1";

/// What is found is documented.
const CLI: &str = include_str!("../../../docs/cli.md");

fn diagnose(host: &FakeHost, name: &str) -> Diagnosis {
    let diagnosis = doctor(&host.host(), Some(&place(name).unwrap())).unwrap();
    for Finding { code, what, remedy, .. } in &diagnosis.findings {
        assert!(CLI.contains(&format!("`{code}`")), "{code} is not in docs/cli.md");
        assert!(!what.is_empty() && !remedy.is_empty() && !what.contains('\n') && !remedy.contains('\n'));
    }
    diagnosis
}

fn codes(diagnosis: &Diagnosis) -> Vec<&str> {
    diagnosis.findings.iter().map(|finding| finding.code).collect()
}

/// The finding called `code`, which must be there.
fn finding(diagnosis: &Diagnosis, code: &str) -> Finding {
    let found = diagnosis.findings.iter().find(|finding| finding.code == code);
    found.unwrap_or_else(|| panic!("{code} is not in {:?}", codes(diagnosis))).clone()
}

/// A host on which nothing is wrong.
fn healthy(name: &str) -> FakeHost {
    let host = FakeHost::new(name);
    host.mdev(MDEV, "mtty", 7, 1);
    assert_eq!(diagnose(&host, MDEV), Diagnosis { findings: Vec::new(), able: true });
    host
}

#[test]
fn a_host_without_vfio() {
    let diagnosis = doctor(&Host::at("/nonexistent"), None).unwrap();
    assert!(!diagnosis.able);
    assert_eq!(codes(&diagnosis), ["no-vfio", "no-iommufd", "no-iommu", "no-devices"]);
    let host = healthy("no-vfio");
    host.remove("sys/class/misc/vfio");
    host.remove("sys/class/misc/iommu");
    assert!(finding(&diagnose(&host, MDEV), "no-vfio").remedy.contains("modprobe"));
    host.file("boot/config-6.18.1-test", "# CONFIG_VFIO is not set\n");
    let none = finding(&diagnose(&host, MDEV), "no-vfio");
    assert!(none.blocks && none.remedy.contains("CONFIG_VFIO"), "{none:?}");
}

#[test]
fn a_kernel_without_iommufd_has_no_log_report() {
    let host = healthy("no-iommufd");
    host.remove("sys/class/misc/iommu");
    assert!(finding(&diagnose(&host, MDEV), "no-iommufd").remedy.contains("modprobe iommufd"));
    host.remove("dev/iommu");
    host.file("boot/config-6.18.1-test", "CONFIG_VFIO=m\n");
    let diagnosis = diagnose(&host, MDEV);
    let without = finding(&diagnosis, "no-iommufd");
    assert!(without.what.contains("EOPNOTSUPP") && without.remedy.contains("CONFIG_IOMMUFD"), "{without:?}");
    assert!(!without.blocks && diagnosis.able);
    finding(&diagnosis, "no-dirty-tracking");
}

#[test]
fn no_iommu_lowered_limits_and_little_memory() {
    let host = healthy("limits");
    host.remove("sys/class/iommu");
    host.file("sys/module/vfio_iommu_type1/parameters/dma_entry_limit", "65535\n");
    host.file("proc/self/limits", "Max locked memory         8388608              8388608              bytes\n");
    assert_eq!(codes(&diagnose(&host, MDEV)), ["no-iommu"], "CAP_IPC_LOCK is not limited");
    host.file("proc/self/status", "CapEff:\t0000000000000000\n");
    host.file("sys/module/vfio_iommu_type1/parameters/dma_entry_limit", "100\n");
    let diagnosis = diagnose(&host, MDEV);
    let memlock = finding(&diagnosis, "memlock");
    assert!(memlock.what.contains("8388608") && memlock.what.contains("charges the process, iommufd the user"));
    assert!(finding(&diagnosis, "dma-entry-limit").what.contains("100 mappings: the next one is ENOSPC"));
    assert!(diagnosis.able);
    host.file("proc/self/limits", "Max locked memory         unlimited            unlimited            bytes\n");
    assert!(!codes(&diagnose(&host, MDEV)).contains(&"memlock"));
}

#[test]
fn a_device_that_no_vfio_driver_has() {
    let host = FakeHost::new("not-bound");
    host.pci("0000:65:00.1", Some("mlx5_core"), 41, 0);
    let diagnosis = diagnose(&host, VF);
    let unbound = finding(&diagnosis, "not-bound");
    assert!(unbound.blocks && !diagnosis.able);
    assert_eq!(unbound.what, "no VFIO driver has 0000:65:00.1: mlx5_core has it");
    assert!(unbound.remedy.ends_with("set-override 0000:65:00.1 vfio-pci"), "{}", unbound.remedy);
    // Modules know better than the generic driver.
    let aliases = "alias pci:v000015B3d*sv*sd*bc*sc*i* mlx5_core\nalias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n\
                   alias vfio_pci:v000015B3d0000101Esv*sd*bc*sc*i* mlx5_vfio_pci\n";
    host.file("lib/modules/6.18.1-test/modules.alias", aliases);
    assert!(finding(&diagnose(&host, VF), "not-bound").remedy.ends_with("0000:65:00.1 mlx5_vfio_pci"));
}

#[test]
fn a_driver_without_migration_and_one_that_nobody_knows() {
    let host = FakeHost::new("no-migration");
    host.pci("0000:65:00.1", Some("vfio-pci"), 41, 0);
    let diagnosis = diagnose(&host, VF);
    assert!(finding(&diagnosis, "no-migration").blocks && !diagnosis.able);
    host.file("lib/modules/6.18.1-test/modules.alias", "alias vfio_pci:v000015B3d*sv*sd*bc*sc*i* mlx5_vfio_pci\n");
    assert!(finding(&diagnose(&host, VF), "no-migration").remedy.contains("mlx5_vfio_pci"));

    host.pci("0000:65:00.2", Some("acme_vfio_pci"), 42, 1);
    let unknown = diagnose(&host, "vfio:0000:65:00.2");
    assert!(unknown.able && finding(&unknown, "migration-unknown").remedy.contains("probe vfio:0000:65:00.2"));
    // The kernel knows of no fsm: a region is all that it can have.
    host.file("sys/kernel/debug/vfio/0000:65:00.2/other", "");
    let region = diagnose(&host, "vfio:0000:65:00.2");
    assert!(region.able && finding(&region, "region-only").remedy.contains("00.2 --experimental-region"));
    // Of all devices one will do.
    assert!(doctor(&host.host(), None).unwrap().able);
}

#[test]
fn a_device_without_p2p_and_without_dirty_tracking() {
    let host = FakeHost::new("lacking");
    host.pci("0000:65:00.1", Some("hisi_acc_vfio_pci"), 41, 0);
    let diagnosis = diagnose(&host, VF);
    assert_eq!(codes(&diagnosis), ["reset-by-opening", "no-p2p", "no-dirty-tracking"]);
    assert!(diagnosis.able && finding(&diagnosis, "no-p2p").remedy.contains("--no-p2p-traffic"));
}

#[test]
fn a_group_that_is_not_viable_names_every_device_and_its_driver() {
    let host = FakeHost::new("viable");
    host.pci("0000:65:00.0", Some("e1000e"), 41, 0);
    host.pci("0000:65:00.1", Some("mlx5_vfio_pci"), 41, 0);
    host.pci("0000:65:00.2", None, 41, 0);
    host.pci("0000:65:00.3", Some("pcieport"), 41, 0);
    let diagnosis = diagnose(&host, VF);
    let group = finding(&diagnosis, "group-not-viable");
    assert!(group.blocks && !diagnosis.able);
    let all = "0000:65:00.0 (e1000e), 0000:65:00.1 (mlx5_vfio_pci), 0000:65:00.2 (no driver), 0000:65:00.3 (pcieport)";
    assert!(group.what.ends_with(all), "{}", group.what);
    assert_eq!(group.remedy, "bind 0000:65:00.0 to a VFIO driver or to none");
}

#[test]
fn a_device_in_use_names_its_user_and_how_to_take_it_over() {
    let host = healthy("doctor-in-use");
    host.process(812, "qemu", &[(9, "/dev/vfio/devices/vfio1", "")]);
    let diagnosis = diagnose(&host, MDEV);
    let used = finding(&diagnosis, "in-use");
    assert!(used.blocks && !diagnosis.able);
    assert!(used.what.ends_with("is in use by qemu (pid 812)") && used.remedy.contains("pidfd:812:9"), "{used:?}");
}

#[test]
fn a_virtual_function_whose_physical_function_vfio_pci_has() {
    let host = FakeHost::new("token");
    let folder = host.pci("0000:65:00.1", Some("mlx5_vfio_pci"), 41, 0);
    host.pci("0000:65:00.0", Some("vfio-pci"), 40, 1);
    assert!(!codes(&diagnose(&host, VF)).contains(&"vf-token"));
    host.link(&format!("{folder}/physfn"), "/sys/devices/pci0000:64/0000:65:00.0");
    let token = finding(&diagnose(&host, VF), "vf-token");
    assert!(token.what.contains("EACCES") && token.remedy.contains("?vf_token=UUID"), "{token:?}");
}

#[test]
fn a_group_without_iommu_and_a_device_without_group() {
    let host = FakeHost::new("no-iommu");
    let folder = host.pci("0000:65:00.1", Some("mlx5_vfio_pci"), 41, 0);
    host.file("sys/class/vfio/noiommu-41/dev", "240:0\n");
    host.file("dev/vfio/noiommu-41", "");
    assert!(!codes(&diagnose(&host, VF)).contains(&"no-iommu-group"), "CAP_SYS_RAWIO may");
    host.file("proc/self/status", "CapEff:\t0000000000000000\n");
    assert!(finding(&diagnose(&host, VF), "no-iommu-group").what.contains("EPERM"));
    host.remove(&format!("{folder}/iommu_group"));
    host.remove(&format!("{folder}/vfio-dev/vfio0/dev"));
    assert!(finding(&diagnose(&host, VF), "no-group").blocks);
}

#[test]
fn nodes_that_are_missing() {
    let host = healthy("nodes");
    host.remove("dev/vfio/7");
    assert!(diagnose(&host, MDEV).findings.is_empty(), "by cdev it can be opened");
    host.remove("dev/vfio/devices/vfio1");
    let diagnosis = diagnose(&host, MDEV);
    assert_eq!(codes(&diagnosis), ["permission", "permission"]);
    assert!(!diagnosis.able && finding(&diagnosis, "permission").what.ends_with("vfio1 is missing"));
    host.remove("dev/vfio/vfio");
    assert!(!finding(&diagnose(&host, MDEV), "permission").blocks, "iommufd is left");
    host.remove("dev/iommu");
    assert!(finding(&diagnose(&host, MDEV), "permission").blocks);
}
