//! What a program finds of a device: regions, configuration space, interrupts; and how it gets there.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod program;

use std::os::unix::fs::FileExt;

use program::{CONTROL, DOORBELL, Pages, Tester, pair, place};
use vfio_migration_preload::Node;
use vfio_migration_protocol::Errno;
use vfio_migration_uapi::layout::*;

const DEVICE: &str = "model:size=64KiB,device-memory=12KiB";
const CONFIG: u64 = 7 << 40;

#[test]
fn regions_and_configuration_space_agree() {
    let tester = Tester::new(&[DEVICE]);
    let (_, [device]) = tester.open_by_group();
    for argsz in [20, 24, 200] {
        let mut info = [argsz, 9, 9, 9, 9, 9];
        assert_eq!(tester.ask(device, VFIO_DEVICE_GET_INFO, &mut info), Ok(0));
        let written = if argsz == 20 { [20, 3, 9, 5, 0, 9] } else { [24, 3, 9, 5, 0, 9] };
        assert_eq!(info[..5], written[..5], "argsz {argsz}");
    }
    let region = |index| {
        let mut info = [32, 0, index, 0, 0, 0, 0, 0];
        tester.ask(device, VFIO_DEVICE_GET_REGION_INFO, &mut info).map(|_| (info[1], info[4], info[7]))
    };
    let found: Vec<_> = (0..9).map(region).collect();
    let (registers, memory, msix) = ((3, 0x1000, 0), (7, 0x4000, 2 << 8), (3, 0x1000, 4 << 8));
    let empty = |index: u32| Ok((0, 0, index << 8));
    let config = Ok((3, 256, 7 << 8));
    assert_eq!(found, [Ok(registers), empty(1), Ok(memory), empty(3), Ok(msix), empty(5), empty(6), config, empty(8)]);
    assert_eq!(region(9), Err(Errno::EINVAL));
    let handle = tester.get(device);
    for (bar, _, size) in [(0, 0, registers.1), (2, 0, memory.1), (4, 0, msix.1)] {
        let place = CONFIG + 0x10 + bar * 4;
        assert_eq!(handle.pwrite(&[0xff; 4], place), Ok(4));
        let mut bytes = [0; 4];
        assert_eq!(handle.pread(&mut bytes, place), Ok(4));
        assert_eq!(u32::from_le_bytes(bytes), !(size - 1), "BAR {bar}");
    }
    let mut class = [0; 4];
    assert_eq!(handle.pread(&mut class, CONFIG + 8), Ok(4));
    assert_eq!(class[1..], [0, 0, 0xff]);
    assert_eq!(handle.pread(&mut [0; 8], CONFIG + 252), Ok(4), "as much as there is");
    assert_eq!(handle.pread(&mut [0; 8], CONFIG + 256), Err(Errno::EINVAL));
    assert_eq!(handle.pread(&mut [0; 8], u64::MAX), Err(Errno::EINVAL));
    assert_eq!(handle.read(&mut [0; 8]), Err(Errno::EINVAL), "a device is read at an offset");
}

#[test]
fn memory_that_is_mapped_is_the_devices_own() {
    let tester = Tester::new(&[DEVICE]);
    let (_, [device]) = tester.open_by_group();
    let handle = tester.get(device);
    let (file, at) = handle.mmap((2 << 40) + 0x1000, 0x2000).expect("it can be mapped");
    file.write_all_at(b"by a guest", at).expect("it is there");
    let mut bytes = [0; 10];
    assert_eq!(handle.pread(&mut bytes, (2 << 40) + 0x1000), Ok(10));
    assert_eq!(&bytes, b"by a guest");
    for (offset, length) in [(0, 0x1000), ((2 << 40) + 0x1000, 0x4000), (CONFIG, 0x1000), (4 << 40, 0x1000)] {
        assert_eq!(handle.mmap(offset, length).map(drop), Err(Errno::EINVAL), "{offset:#x}");
    }
    // It goes along.
    let data_fd = tester.set_state(device, VFIO_DEVICE_STATE_STOP_COPY).expect("it can").expect("it opens one");
    let (stream, _) = tester.drain(data_fd);
    let destination = Tester::new(&[DEVICE]);
    let (_, [other]) = destination.open_by_group();
    let data_fd = destination.set_state(other, VFIO_DEVICE_STATE_RESUMING).expect("it can").expect("it opens one");
    assert_eq!(destination.get(data_fd).write(&stream), Ok(stream.len()));
    assert_eq!(destination.set_state(other, VFIO_DEVICE_STATE_STOP), Ok(None));
    let (file, at) = destination.get(other).mmap((2 << 40) + 0x1000, 0x1000).expect("it can be mapped");
    file.read_exact_at(&mut bytes, at).expect("it is there");
    assert_eq!(&bytes, b"by a guest");
}

/// A device that was started, and interrupts when it is rung.
fn interrupting(tester: &Tester) -> i32 {
    let (_, [device]) = tester.open_by_group();
    tester.write_register(device, CONTROL, 3);
    device
}

fn set_irqs(tester: &Tester, device: i32, flags: u32, index: u32, data: &[i32]) -> Result<i32, Errno> {
    let count = u32::try_from(data.len()).expect("it is short");
    let mut words = vec![20 + count * 4, flags, index, 0, count];
    words.extend(data.iter().map(|fd| fd.cast_unsigned()));
    tester.ask(device, VFIO_DEVICE_SET_IRQS, &mut words)
}

#[test]
fn the_device_interrupts_by_msi_x() {
    let tester = Tester::new(&[DEVICE]);
    let device = interrupting(&tester);
    (1..3).for_each(|number| tester.eventfd(number));
    let (eventfd, trigger) = (VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_ACTION_TRIGGER);
    assert_eq!(set_irqs(&tester, device, eventfd | trigger, 2, &[1, 2]), Ok(0));
    tester.write_register(device, DOORBELL, 0);
    tester.write_register(device, DOORBELL, 0);
    assert_eq!((tester.signals(1), tester.signals(2)), (2, 0));
    assert_eq!(set_irqs(&tester, device, eventfd | trigger, 2, &[-1]), Ok(0));
    tester.write_register(device, DOORBELL, 0);
    assert_eq!(tester.signals(1), 0);
    assert_eq!(set_irqs(&tester, device, eventfd | trigger, 2, &[9]), Err(Errno::EBADF), "there is no such eventfd");
    assert_eq!(set_irqs(&tester, device, eventfd | trigger, 2, &[1, 2, 1]), Err(Errno::EINVAL), "there are two");
    assert_eq!(set_irqs(&tester, device, eventfd | trigger, 1, &[1]), Err(Errno::EINVAL), "there is no MSI");
    assert_eq!(set_irqs(&tester, device, trigger | VFIO_IRQ_SET_DATA_NONE, 2, &[]), Ok(0));
    let info = |index| {
        let mut info = [16, 0, index, 0];
        tester.ask(device, VFIO_DEVICE_GET_IRQ_INFO, &mut info).map(|_| (info[1], info[3]))
    };
    let found: Vec<_> = (0..6).map(info).collect();
    assert_eq!(found, [Ok((7, 1)), Ok((9, 0)), Ok((9, 2)), Ok((9, 1)), Ok((9, 1)), Err(Errno::EINVAL)]);
}

#[test]
fn intx_is_masked_until_the_program_has_seen_it() {
    let tester = Tester::new(&[DEVICE]);
    let device = interrupting(&tester);
    tester.eventfd(1);
    let trigger = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    assert_eq!(set_irqs(&tester, device, trigger, 0, &[1]), Ok(0));
    (0..3).for_each(|_| tester.write_register(device, DOORBELL, 0));
    assert_eq!(tester.signals(1), 1);
    let unmask = |tester: &Tester| {
        let flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK;
        tester.ask(device, VFIO_DEVICE_SET_IRQS, &mut [20, flags, 0, 0, 1])
    };
    assert_eq!(unmask(&tester), Ok(0));
    assert_eq!(tester.signals(1), 1, "it came again meanwhile");
    assert_eq!(unmask(&tester), Ok(0));
    assert_eq!(tester.signals(1), 0);
    let wrong = VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_NONE;
    assert_eq!(tester.ask(device, VFIO_DEVICE_SET_IRQS, &mut [20, wrong, 0, 0, 1]), Err(Errno::EINVAL));
}

#[test]
fn a_group_is_opened_once_and_needs_a_container() {
    let tester = Tester::new(&[DEVICE, DEVICE]);
    let group = tester.open(Node::Group(place(0))).expect("it is free");
    assert_eq!(tester.open(Node::Group(place(0))), Err(Errno::EBUSY));
    assert_eq!(tester.open(Node::Group(place(2))), Err(Errno::ENOENT));
    let status = || {
        let mut status = [8, 0];
        tester.ask(group, VFIO_GROUP_GET_STATUS, &mut status).map(|_| status[1])
    };
    let name = c"0000:00:01.0".as_ptr().expose_provenance() as u64;
    let other = c"0000:00:02.0".as_ptr().expose_provenance() as u64;
    assert_eq!(status(), Ok(1));
    assert_eq!(tester.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name), Err(Errno::EINVAL), "it has no container");
    let container = tester.open(Node::Container).expect("it can be opened");
    assert_eq!(tester.ioctl(container, VFIO_SET_IOMMU, 3), Err(Errno::EINVAL), "it has no group");
    assert_eq!(tester.ask(container, VFIO_IOMMU_GET_INFO, &mut [24; 6]), Err(Errno::EINVAL));
    assert_eq!(tester.ask(group, VFIO_GROUP_SET_CONTAINER, &mut [99]), Err(Errno::EBADF));
    assert_eq!(tester.ask(group, VFIO_GROUP_SET_CONTAINER, &mut [group.cast_unsigned()]), Err(Errno::from_linux(77)));
    let set = || tester.ask(group, VFIO_GROUP_SET_CONTAINER, &mut [container.cast_unsigned()]);
    assert_eq!((set(), set(), status()), (Ok(0), Err(Errno::EINVAL), Ok(3)));
    assert_eq!(tester.ioctl(container, VFIO_SET_IOMMU, 7), Err(Errno::ENODEV));
    assert_eq!(tester.ioctl(container, VFIO_SET_IOMMU, 3), Ok(0));
    assert_eq!(tester.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, other), Err(Errno::ENODEV));
    let device = tester.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name).expect("it is there");
    assert_eq!(tester.ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), Err(Errno::EBUSY), "its device is open");
    tester.write_register(device, program::SCRATCH_A, 5);
    let again = tester.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name).expect("it is there");
    assert_eq!(tester.register(again, program::SCRATCH_A), 5, "it is the same device");
    tester.close(device);
    assert_eq!(tester.register(again, program::SCRATCH_A), 5);
    tester.close(again);
    let fresh = tester.ioctl(group, VFIO_GROUP_GET_DEVICE_FD, name).expect("it is there");
    assert_eq!(tester.register(fresh, program::SCRATCH_A), 0, "closing it for the last time makes it a new one");
    tester.close(fresh);
    assert_eq!(tester.ioctl(group, VFIO_GROUP_UNSET_CONTAINER, 0), Ok(0));
    tester.close(group);
    assert!(tester.open(Node::Group(place(0))).is_ok());
}

#[test]
fn a_container_says_what_it_can_do() {
    let tester = Tester::new(&[DEVICE]);
    let (container, [_]) = tester.open_by_group();
    let extension = |number| tester.ioctl(container, VFIO_CHECK_EXTENSION, number);
    assert_eq!(tester.ioctl(container, VFIO_GET_API_VERSION, 0), Ok(0));
    assert_eq!((extension(1), extension(3), extension(9), extension(10)), (Ok(1), Ok(1), Ok(1), Ok(0)));
    let mut info = [24, 0, 0, 0, 0, 0];
    assert_eq!(tester.ask(container, VFIO_IOMMU_GET_INFO, &mut info), Ok(0));
    assert!(info[0] > 24 && info[1] == 3 && info[4] == 0, "{info:?}");
    let mut info = [info[0]; 40];
    assert_eq!(tester.ask(container, VFIO_IOMMU_GET_INFO, &mut info), Ok(0));
    assert_eq!((info[2], info[3]), (0xffff_f000, u32::MAX), "whole pages of any size");
    let at = info[4] as usize / 4;
    assert_eq!(info[at] & 0xffff, u32::from(VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION));
    assert_eq!((info[at + 4], info[at + 6]), (4096, 256 << 20));
    let mut memory = Pages::new(4);
    assert_eq!(tester.map(container, memory.bytes(), 0x1000), Ok(0));
    assert_eq!(tester.map(container, memory.bytes(), 0x4000), Err(Errno::EEXIST));
    let unmap = |flags: u32, iova: u64, size: u64| {
        let mut words = [pair(24, flags), iova, size];
        tester.ioctl(container, VFIO_IOMMU_UNMAP_DMA, program::address(&mut words)).map(|_| words[2])
    };
    assert_eq!((unmap(0, 0x1000, 0x1000), unmap(4, 0, 0)), (Err(Errno::EINVAL), Err(Errno::EINVAL)));
    assert_eq!((unmap(2, 0, 0), unmap(0, 0x1000, 0x4000)), (Ok(0x4000), Ok(0)));
}
