//! Addresses of devices of the kernel: what they mean, what is said of those that mean nothing, and what is never said.

use vfio_migration_device::{Address, By, Fault, KernelAddress, OpenError, Place};

const UUID: &str = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

fn kernel(text: &str) -> KernelAddress {
    match text.parse() {
        Ok(Address::Kernel(address)) => *address,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn every_place_has_its_address() {
    let bus = Place::Bus { bus: "platform".into(), name: "test.0".into() };
    let places = [
        ("vfio:0000:65:00.1", Place::Pci("0000:65:00.1".parse().unwrap())),
        ("vfio:platform/test.0", bus),
        ("mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", Place::Mdev(UUID.parse().unwrap())),
        ("cdev:/dev/vfio/devices/vfio0", Place::Cdev("/dev/vfio/devices/vfio0".into())),
        ("fd:5", Place::Descriptor(5)),
        ("fd:unix:/run/vmm.sock", Place::Socket("/run/vmm.sock".into())),
        ("pidfd:4711:12", Place::Process { pid: 4711, fd: 12 }),
    ];
    for (text, place) in places {
        let address = kernel(text);
        assert_eq!(address.place, place);
        assert_eq!(address.to_string(), text);
        assert_eq!(address.by, None);
        assert_eq!(address.descriptor(), (text == "fd:5").then_some(5));
    }
}

#[test]
fn settings_are_taken() {
    let address = kernel(&format!("mdev:{UUID}?by=group"));
    assert_eq!(address.by, Some(By::Group));
    assert_eq!(address.to_string(), format!("mdev:{UUID}?by=group"));
    let address = kernel("fd:5?device=vfio:65:00.1");
    assert_eq!(address.device.as_deref(), Some(&Place::Pci("0000:65:00.1".parse().unwrap())));
    assert_eq!(kernel(&address.to_string()), address);
}

#[test]
fn a_token_is_kept_and_never_shown() {
    let secret = "deadbeef-0000-4000-8000-00c0ffee0001";
    let address: Address = format!("vfio:0000:65:00.1?vf_token={secret}&by=group").parse().unwrap();
    let Address::Kernel(inner) = &address else { panic!("{address}") };
    assert_eq!(inner.token.unwrap().reveal().to_string(), secret);
    for shown in [format!("{address}"), format!("{address:?}"), format!("{:#?}", inner.token)] {
        assert!(!shown.contains("deadbeef") && !shown.contains("c0ffee"), "{shown}");
    }
    // Neither is one with a mistake near it.
    for text in [
        format!("vfio:0000:65:00.1?vf_token={secret}0"),
        format!("vfio:0000:65:00?vf_token={secret}"),
        format!("vfio?vf_token={secret}"),
        format!("mdev:x?vf_token={secret}?"),
        format!("fd:x?vf_token={secret}"),
        format!("fd:5?vf_token={secret}"),
        format!("gpu:5?vf_token={secret}"),
    ] {
        let error = text.parse::<Address>().unwrap_err();
        for shown in [format!("{error}"), format!("{error:?}")] {
            assert!(!shown.contains("deadbeef"), "{shown}");
        }
    }
}

#[test]
fn what_is_wrong_is_named_with_a_remedy() {
    let wrong = [
        ("vfio:", "'' is no address of a PCI function", "lspci"),
        ("vfio:0000:65:20.0", "'0000:65:20.0' is no address of a PCI function", "lspci"),
        ("vfio:/x", "'/x' is no address of a PCI function", "BUS/NAME"),
        ("mdev:5", "'5' is no name of an mdev, it must be a UUID", "/sys/bus/mdev/devices"),
        ("cdev:", "the address names no node", "write cdev:"),
        ("cdev:/a\0b", "the address contains a zero byte", "leave it out"),
        ("fd:", "'' is no file descriptor", "write fd:N"),
        ("fd:-1", "'-1' is no file descriptor", "write fd:N"),
        ("fd:4294967295", "'4294967295' is no file descriptor", "write fd:N"),
        ("fd:unix:", "the address names no socket", "write fd:unix:PATH"),
        ("pidfd:5", "'5' is no descriptor of a process", "write pidfd:PID:N"),
        ("pidfd:0:5", "'0:5' is no descriptor of a process", "write pidfd:PID:N"),
        ("mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001?by=magic", "'magic' is no way to a device", "by=group"),
        ("mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001?to=x", "an address has no setting 'to'", "vf_token"),
        ("mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001?", "nothing follows the '?'", "leave it out"),
        ("fd:5?by=group", "a descriptor has no setting 'by'", "'device'"),
        ("fd:5?device=fd:6", "'fd:6' names no device", "device=vfio:BDF"),
    ];
    for (text, what, remedy) in wrong {
        let error = text.parse::<Address>().unwrap_err();
        assert_eq!(error.fault(), Fault::Usage, "{text}");
        let OpenError::Kernel(error) = error else { panic!("{text}: {error:?}") };
        assert!(error.what.starts_with(what), "{text}: {error}");
        assert!(error.remedy.contains(remedy), "{text}: {error}");
    }
}
