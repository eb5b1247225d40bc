//! What `list` and `find` say of hosts in folders made for the test.
#![cfg(target_os = "linux")]

mod fake_host;

use fake_host::{FakeHost, MDEV};
use vfio_migration_device::discovery::{DRIVERS, FindError, Found, Holder, InUse, Support, find, list, place};
use vfio_migration_protocol::Protocol;

fn find_one(host: &FakeHost, name: &str) -> Found {
    find(&host.host(), &place(name).unwrap()).unwrap()
}

#[test]
fn devices_of_vfio_drivers_are_listed_and_no_others() {
    let host = FakeHost::new("listed");
    host.pci("0000:65:00.0", Some("mlx5_core"), 40, 0);
    host.pci("0000:65:00.1", Some("mlx5_vfio_pci"), 41, 0);
    host.pci("0000:65:00.2", None, 42, 0);
    host.mdev(MDEV, "mtty", 7, 1);
    host.file("sys/kernel/iommu_groups/7/name", "vfio-noiommu\n");
    let found = list(&host.host());
    let addresses: Vec<_> = found.iter().map(|found| found.address.as_str()).collect();
    assert_eq!(addresses, [&format!("mdev:{MDEV}"), "vfio:0000:65:00.1"]);

    let [mdev, function] = &found[..] else { panic!("two devices") };
    assert_eq!((mdev.driver.as_deref(), mdev.mdev_type.as_deref()), (Some("mtty"), Some("mtty-2")));
    assert_eq!(mdev.cdev.as_deref(), Some("/dev/vfio/devices/vfio1"));
    assert!(!mdev.reset_by_opening && function.reset_by_opening);
    let group = mdev.group.as_ref().unwrap();
    assert_eq!((group.node.as_str(), group.no_iommu), ("/dev/vfio/7", false), "groups of mdevs only have the name");
    let group = function.group.as_ref().unwrap();
    assert_eq!((group.number, group.node.as_str(), group.no_iommu), (41, "/dev/vfio/41", false));
    assert_eq!(group.members, [("0000:65:00.1".to_owned(), Some("mlx5_vfio_pci".to_owned()))]);
    assert_eq!((function.migration, function.dirty_tracking), (Support::Likely, Support::Unknown));
    assert_eq!(function.in_use, InUse::No);
}

#[test]
fn a_driver_that_nobody_knows_is_unknown_and_debugfs_knows_better() {
    let host = FakeHost::new("debugfs");
    host.pci("0000:65:00.1", Some("acme_vfio_pci"), 41, 0);
    let unknown = find_one(&host, "vfio:0000:65:00.1");
    assert_eq!(
        (unknown.migration, unknown.p2p, unknown.pre_copy),
        (Support::Unknown, Support::Unknown, Support::Unknown)
    );
    assert_eq!(unknown.protocol, None);

    // A kernel without the file of features.
    host.file("sys/kernel/debug/vfio/0000:65:00.1/migration/state", "RUNNING\n");
    let able = find_one(&host, "vfio:0000:65:00.1");
    assert_eq!((able.migration, able.protocol, able.p2p), (Support::Yes, Some(Protocol::Fsm), Support::Unknown));

    host.file("sys/kernel/debug/vfio/0000:65:00.1/migration/features", "stop-copy\npre-copy\ndirty-tracking\n");
    let known = find_one(&host, "vfio:0000:65:00.1");
    let all = (known.migration, known.p2p, known.pre_copy, known.dirty_tracking);
    assert_eq!(all, (Support::Yes, Support::No, Support::Yes, Support::Yes));

    // The driver's table says likely; a folder without migration is sure that this one is not.
    host.pci("0000:65:00.2", Some("mlx5_vfio_pci"), 42, 1);
    let migrates = |name: &str| {
        let found = find_one(&host, name);
        (found.migration, found.protocol)
    };
    assert_eq!(migrates("vfio:0000:65:00.2"), (Support::Likely, Some(Protocol::Fsm)));
    host.file("sys/kernel/debug/vfio/0000:65:00.2/other", "");
    assert_eq!(migrates("vfio:0000:65:00.2"), (Support::No, None));

    // Of a driver that nobody knows it says only that there is no fsm.
    host.pci("0000:65:00.3", Some("acme_vfio_pci"), 43, 2);
    host.file("sys/kernel/debug/vfio/0000:65:00.3/other", "");
    assert_eq!(migrates("vfio:0000:65:00.3"), (Support::Unknown, Some(Protocol::Region)));
}

#[test]
fn a_kernel_that_cannot_report_a_log_has_no_dirty_tracking() {
    let host = FakeHost::new("no-report");
    host.mdev(MDEV, "mtty", 7, 1);
    assert_eq!(find_one(&host, MDEV).dirty_tracking, Support::Likely);
    host.remove("sys/class/misc/iommu");
    host.remove("dev/iommu");
    assert_eq!(find_one(&host, MDEV).dirty_tracking, Support::Likely, "the module can be loaded");
    host.file("boot/config-6.18.1-test", "CONFIG_VFIO=m\n# CONFIG_IOMMUFD is not set\n");
    assert_eq!(find_one(&host, MDEV).dirty_tracking, Support::No);
    host.remove("boot/config-6.18.1-test");
    assert_eq!(find_one(&host, MDEV).dirty_tracking, Support::Unknown);
}

#[test]
fn who_has_it_open_is_said_and_what_cannot_be_seen_is_unknown() {
    let host = FakeHost::new("in-use");
    let folder = host.pci("0000:65:00.1", Some("mlx5_vfio_pci"), 41, 0);
    host.pci("0000:65:00.2", Some("mlx5_vfio_pci"), 42, 1);
    host.pci("0000:65:00.3", Some("mlx5_vfio_pci"), 43, 2);
    host.process(812, "qemu", &[(3, "/dev/vfio/41", ""), (4, "/dev/null", "")]);
    let info = format!("pos:\t0\nvfio-device-syspath: /{folder}\n");
    host.process(813, "vmm", &[(9, "anon_inode:[vfio-device]", &info), (10, "/dev/vfio/devices/vfio1", "")]);
    let holder = |pid, command: &str, device_fd| Holder { pid, command: command.into(), device_fd };
    let in_use = |name| find_one(&host, name).in_use;
    assert_eq!(in_use("0000:65:00.1"), InUse::By(vec![holder(812, "qemu", None), holder(813, "vmm", Some(9))]));
    assert_eq!(in_use("0000:65:00.2"), InUse::By(vec![holder(813, "vmm", Some(10))]));
    assert_eq!(in_use("0000:65:00.3"), InUse::No);

    // A device's file on a kernel that does not say which device it is.
    host.process(814, "old", &[(5, "anon_inode:[vfio-device]", "pos:\t0\n")]);
    assert_eq!(in_use("0000:65:00.3"), InUse::Unknown);
    host.remove("proc/814");
    assert_eq!(in_use("0000:65:00.3"), InUse::No);
    // A process without a readable folder, and a container that sees only its own processes.
    host.file("proc/815/comm", "secret\n");
    assert_eq!(in_use("0000:65:00.3"), InUse::Unknown);
    host.remove("proc/815");
    host.remove("proc/self/ns/pid");
    host.link("proc/self/ns/pid", "pid:[4026532000]");
    assert_eq!(in_use("0000:65:00.3"), InUse::Unknown);
}

#[test]
fn a_kernel_without_cdev_has_names_but_no_nodes() {
    let host = FakeHost::new("no-cdev");
    let folder = host.mdev(MDEV, "mtty", 7, 1);
    assert!(find_one(&host, "cdev:/dev/vfio/devices/vfio1").cdev.is_some());
    host.remove(&format!("{folder}/vfio-dev/vfio1/dev"));
    let found = find_one(&host, MDEV);
    assert_eq!(found.cdev, None);
    assert!(found.bound);
    assert_eq!(list(&host.host()).len(), 1);
}

#[test]
fn what_is_not_there_or_malformed_is_told() {
    let host = FakeHost::new("absent");
    let absent = place("vfio:0000:01:00.0").unwrap();
    let error = find(&host.host(), &absent).unwrap_err();
    assert_eq!(error.to_string(), "this host has no device vfio:0000:01:00.0");
    assert!(matches!(error, FindError::Absent(_)) && error.remedy().contains("lspci"));
    let secret = place("vfio:banana?vf_token=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001").unwrap_err();
    assert!(
        secret.to_string().starts_with("'banana' is no address") && !secret.to_string().contains("83b8"),
        "{secret}"
    );
    for text in ["", "model:size=1MiB", "mdev:1", "/dev/vfio/devices"] {
        assert!(matches!(place(text), Err(FindError::Name(_))), "{text}");
    }
    // A name cannot lead out of its folder, and a descriptor is no place.
    for text in ["cdev:/dev/null", "cdev:/dev/vfio/devices/../../x", "cdev:/dev/vfio/devices/.."] {
        assert!(matches!(find(&host.host(), &place(text).unwrap()), Err(FindError::Absent(_))), "{text}");
    }
    let descriptor = find(&host.host(), &place("fd:3").unwrap()).unwrap_err();
    assert!(matches!(descriptor, FindError::Descriptor(_)), "{descriptor}");
    assert!(list(&vfio_migration_device::sysfs::Host::at("/nonexistent")).is_empty());
}

#[test]
fn the_table_of_drivers_is_documented() {
    let documented = include_str!("../../../docs/cli.md");
    for driver in DRIVERS {
        let [migration, p2p] = [driver.migration, driver.p2p];
        let [pre_copy, tracking] = [driver.pre_copy, driver.dirty_tracking];
        let row = format!(
            "| `{}` | {} | {migration} | {p2p} | {pre_copy} | {tracking} | {} |",
            driver.name, driver.devices, driver.source
        );
        assert!(documented.contains(&row), "docs/cli.md lacks the row {row}");
    }
}
