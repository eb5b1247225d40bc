//! Devices of the kernel that cannot be had: what is said, who must act, and that there is a remedy.
#![cfg(target_os = "linux")]

mod fake_host;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use vfio_migration_device::sysfs::Host;
use vfio_migration_device::{Address, Fault, OpenError, OpenOptions, kernel};

use fake_host::{FakeHost, MDEV};

const PCI: &str = "0000:65:00.1";

fn refused(address: &str, options: OpenOptions) -> (Fault, String) {
    let error = address.parse::<Address>().unwrap().open(options).unwrap_err();
    let OpenError::Kernel(error) = error else { panic!("{error:?}") };
    assert!(!error.what.is_empty() && !error.remedy.is_empty());
    (error.fault, error.to_string())
}

/// Opens on a host of the test's.
fn on(host: &FakeHost, address: &str) -> (Fault, String) {
    refused(address, OpenOptions { host: host.host(), ..OpenOptions::default() })
}

fn says(answer: &(Fault, String), fault: Fault, words: &[&str]) {
    assert_eq!(answer.0, fault, "{}", answer.1);
    for words in words {
        assert!(answer.1.contains(words), "'{words}' is missing: {}", answer.1);
    }
}

#[test]
fn a_device_that_is_not_there_is_named() {
    let host = FakeHost::new("refused-absent");
    host.pci(PCI, Some("vfio-pci"), 40, 0);
    says(&on(&host, "vfio:0000:01:00.0"), Fault::Host, &["no device vfio:0000:01:00.0", "ls /sys/bus/pci/devices"]);
    says(&on(&host, &format!("mdev:{MDEV}")), Fault::Host, &[MDEV, "ls /sys/bus/mdev/devices"]);
    says(&on(&host, "vfio:platform/x.0"), Fault::Host, &["vfio:platform/x.0", "ls /sys/bus/platform/devices"]);
}

#[test]
fn what_would_be_empty_is_not_saved() {
    let host = FakeHost::new("refused-fresh");
    host.pci(PCI, Some("mlx5_vfio_pci"), 40, 0);
    host.mdev(MDEV, "mtty", 7, 1);
    let options = |fresh| OpenOptions { to_save: true, fresh, host: host.host(), ..OpenOptions::default() };
    let address = format!("vfio:{PCI}");
    let answer = refused(&address, options(false));
    says(&answer, Fault::Usage, &["would be empty", "resets it when it is opened", "--fresh", "fd:unix:PATH"]);
    // Asked for, it goes on to the nodes, which are not real here. An mdev keeps what is in it.
    says(&refused(&address, options(true)), Fault::Host, &["is a file, not"]);
    says(&refused(&format!("mdev:{MDEV}"), options(false)), Fault::Host, &["is a file, not"]);
    says(&on(&host, &address), Fault::Host, &["is a file, not"]);
}

#[test]
fn what_the_host_lacks_is_named() {
    let host = FakeHost::new("refused-host");
    let pci = host.pci(PCI, None, 40, 0);
    let address = format!("vfio:{PCI}");
    says(&on(&host, &address), Fault::Host, &["has no driver", "bind it"]);
    host.link(&format!("{pci}/driver"), "/sys/bus/pci/drivers/vfio-pci");
    says(&on(&host, &format!("{address}?by=cdev")), Fault::Host, &["has no node in /dev/vfio/devices", "vfio-pci"]);
    host.remove("dev/vfio/vfio");
    says(&on(&host, &address), Fault::Host, &["/dev/vfio/vfio: it does not exist", "modprobe"]);
    host.remove(&format!("{pci}/iommu_group"));
    says(&on(&host, &address), Fault::Host, &["is in no IOMMU group", "intel_iommu=on"]);

    let mdev = FakeHost::new("refused-iommufd");
    mdev.mdev(MDEV, "mtty", 7, 1);
    mdev.remove("dev/iommu");
    says(&on(&mdev, &format!("mdev:{MDEV}?by=cdev")), Fault::Host, &["/dev/iommu: it does not exist", "by=group"]);
}

#[test]
fn a_path_that_is_no_node_is_not_opened() {
    for (path, fault, words) in [
        ("/nonexistent/vfio0", Fault::Host, "does not exist"),
        ("/dev/null", Fault::Unsupported, "is no VFIO device"),
        ("/proc/cmdline", Fault::Unsupported, "is no VFIO device"),
    ] {
        let answer = refused(&format!("cdev:{path}"), OpenOptions::default());
        says(&answer, fault, &[path, words, "/dev/vfio/devices"]);
    }
}

#[test]
fn a_descriptor_of_another_kind_is_named() {
    let socket = UnixStream::pair().unwrap().0;
    let eventfd = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
    let others: [(&str, OwnedFd); 5] = [
        ("a file", File::open("/proc/cmdline").unwrap().into()),
        ("a pipe", rustix::pipe::pipe().unwrap().0),
        ("a socket", socket.into()),
        ("a file of the kind eventfd", eventfd),
        ("the character device null", File::open("/dev/null").unwrap().into()),
    ];
    for (words, fd) in others {
        let error = kernel::take(fd, Vec::new(), None).unwrap_err();
        assert_eq!(error.fault, Fault::Unsupported);
        assert!(error.what.ends_with(&format!("is {words}, not a VFIO device")), "{error}");
    }
    says(&refused("fd:0", OpenOptions::default()), Fault::Usage, &["nobody gave its owner"]);
}

#[test]
fn nodes_are_known_by_their_numbers() {
    let host = FakeHost::new("kinds");
    // /dev/null is 1:3: here it plays each of them.
    for (class, name, kind) in [
        ("misc", "vfio", kernel::Kind::Container),
        ("misc", "iommu", kernel::Kind::Iommufd),
        ("vfio", "12", kernel::Kind::Group("12".into())),
        ("vfio-dev", "vfio0", kernel::Kind::Cdev("vfio0".into())),
        ("tty", "tty0", kernel::Kind::Other("the character device tty0".into())),
    ] {
        let folder = format!("sys/devices/virtual/{class}/{name}");
        host.link(&format!("{folder}/subsystem"), &format!("/sys/class/{class}"));
        host.link("sys/dev/char/1:3", &format!("/{folder}"));
        let null = File::open("/dev/null").unwrap();
        assert_eq!(kernel::kind(&host.host(), &null).unwrap(), kind);
        host.remove("sys/dev/char/1:3");
    }
    let null = File::open("/dev/null").unwrap();
    assert_eq!(kernel::kind(&host.host(), null).unwrap().to_string(), "the character device 1:3");
}

#[test]
fn a_process_without_the_descriptor_is_named() {
    let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
    let of = |pid: u32, fd: u32| refused(&format!("pidfd:{pid}:{fd}"), OpenOptions::default());
    says(&of(child.id(), 77), Fault::Usage, &["the process has no such descriptor", "EBADF"]);
    says(&of(child.id(), 0), Fault::Unsupported, &["the character device null, not a VFIO device"]);
    child.kill().unwrap();
    child.wait().unwrap();
    says(&of(child.id(), 0), Fault::Usage, &["there is no such process", "name a process that runs"]);
    assert!(Host::new().path("/proc").is_dir());
}
