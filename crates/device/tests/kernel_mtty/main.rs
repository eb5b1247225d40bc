//! The backend on a driver that somebody else wrote: the kernel's sample mtty. It runs in the test bed; elsewhere each test
//! says that it is skipped.
#![cfg(target_os = "linux")]

mod descriptors;
mod mdev;

use std::fs;
use std::os::fd::AsFd;

use vfio_migration_device::{Fault, open};
use vfio_migration_protocol::device::Then;
use vfio_migration_protocol::{Capabilities, Device, Errno, Estimate, State};
use vfio_migration_uapi::{Errno as Kernel, feature};

use mdev::{Mdev, by_each_way, descriptor, scratch};

/// Reads to the end, or to a pause.
fn read(device: &mut dyn Device, data: &mut Vec<u8>) -> Then {
    let mut room = [0; 7];
    loop {
        let filled = device.read(&mut room).unwrap();
        data.extend_from_slice(&room[..filled.len]);
        if filled.then != Then::More {
            return filled.then;
        }
    }
}

fn write(device: &mut dyn Device, mut data: &[u8]) {
    while !data.is_empty() {
        let taken = device.write(&data[..data.len().min(5)], false).unwrap();
        data = &data[taken..];
    }
}

fn saved(device: &mut dyn Device) -> Vec<u8> {
    let mut data = Vec::new();
    device.set_state(State::StopCopy).unwrap();
    assert_eq!(read(device, &mut data), Then::End);
    data
}

#[test]
fn what_it_is_and_what_it_can_is_known() {
    by_each_way(|by| {
        let mdev = Mdev::new();
        let mut opened = mdev.open(by);
        let device = &mut *opened.device;
        assert!(device.capabilities().has(Capabilities::P2P | Capabilities::PRE_COPY));
        let needed: Vec<_> = device.passport().entries().iter().filter(|entry| entry.needed).collect();
        let needed: Vec<_> = needed.iter().map(|entry| (&*entry.key, &*entry.value)).collect();
        assert_eq!(needed, [("driver", "mtty"), ("mdev-type", "mtty-2")]);
        assert_eq!(device.state(), Ok(State::Running));
        assert_eq!(device.data_size(), Ok(Estimate::Known(96)));
        let kernel = opened.kernel.unwrap();
        assert!(!kernel.was_reset() && !kernel.is_reset_by_opening());
        assert_eq!(kernel.opened_by().unwrap().to_string(), by);
    });
}

#[test]
fn every_pair_of_states_ends_where_the_table_says() {
    by_each_way(|by| {
        let mdev = Mdev::new();
        let mut opened = mdev.open(by);
        let data = saved(&mut *opened.device);
        let fd = descriptor(&opened);
        let device = &mut *opened.device;
        let states = &State::ALL[1..];
        let mut blocked = 0;
        for (from, to) in states.iter().flat_map(|from| states.iter().map(move |to| (*from, *to))) {
            device.reset().unwrap();
            device.set_state(from).unwrap();
            if from == State::Resuming {
                write(device, &data);
            }
            if device.table().path(from, to).is_err() {
                blocked += 1;
                assert_eq!(device.set_state(to).unwrap_err().errno, Errno::EINVAL, "{from} to {to}");
                // Around the check, the kernel says the same.
                assert_eq!(feature::set_state(fd.as_fd(), to.to_fsm()).unwrap_err(), Kernel::INVAL);
                assert_eq!(device.state(), Ok(from));
                continue;
            }
            device.set_state(to).unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
            assert_eq!(device.state(), Ok(to), "{from} to {to}");
            if to == State::StopCopy {
                assert_eq!(read(device, &mut Vec::new()), Then::End, "{from} to {to} has its data fd");
            }
        }
        assert_eq!(blocked, 2, "stop-copy to pre-copy and pre-copy-p2p");
        device.reset().unwrap();
    });
}

#[test]
fn data_moves_through_pre_copy() {
    by_each_way(|by| {
        let (here, there) = (Mdev::new(), Mdev::new());
        let mut source = here.open(by);
        scratch(&source, Some(0x5a));
        let mut data = Vec::new();
        source.device.set_state(State::PreCopy).unwrap();
        let info = source.device.pre_copy_info().unwrap();
        assert_eq!((info.initial, info.reinit), (Estimate::Known(24), false));
        assert_eq!(read(&mut *source.device, &mut data), Then::Pause);
        assert_eq!(source.device.pre_copy_info().unwrap().initial, Estimate::Known(0));
        source.device.set_state(State::PreCopyP2p).unwrap();
        source.device.set_state(State::StopCopy).unwrap();
        assert_eq!(read(&mut *source.device, &mut data), Then::End);
        assert_eq!(read(&mut *source.device, &mut data), Then::End, "the end stays");
        assert_eq!(data.len(), 96);

        let mut destination = there.open(by);
        assert_eq!(scratch(&destination, None), 0);
        destination.device.set_state(State::Resuming).unwrap();
        write(&mut *destination.device, &data);
        destination.device.set_state(State::Stop).unwrap();
        destination.device.set_state(State::Running).unwrap();
        assert_eq!(scratch(&destination, None), 0x5a);
        source.device.set_state(State::Running).unwrap();
        assert_eq!(scratch(&source, None), 0x5a, "the source still has it");
        assert_eq!(saved(&mut *destination.device), data);
    });
}

#[test]
fn a_device_that_a_dead_session_left_is_reset() {
    by_each_way(|by| {
        let mdev = Mdev::new();
        for left in [State::Resuming, State::StopCopy, State::PreCopy, State::Stop] {
            let mut opened = mdev.open(by);
            opened.device.set_state(left).unwrap();
            drop(opened);
            let mut opened = mdev.open(by);
            assert_eq!(opened.device.state(), Ok(State::Running));
            let kernel = opened.kernel.unwrap();
            assert_eq!((kernel.found(), kernel.was_reset()), (left, true));
        }
        assert!(!mdev.open(by).kernel.unwrap().was_reset());
    });
}

#[test]
fn data_that_the_driver_refuses_leads_only_to_a_reset() {
    by_each_way(|by| {
        let mdev = Mdev::new();
        let mut opened = mdev.open(by);
        let device = &mut *opened.device;
        let mut data = saved(device);
        device.set_state(State::Running).unwrap();

        // The driver takes the way out of resuming all the same, so it must not be asked.
        data[0] ^= 1;
        device.set_state(State::Resuming).unwrap();
        assert_eq!(device.write(&data, false).unwrap_err().errno, Errno::EFAULT);
        assert_eq!(device.set_state(State::Running).unwrap_err().errno, Errno::EFAULT);
        assert_eq!(device.state(), Ok(State::Resuming));
        device.reset().unwrap();
        assert_eq!(device.state(), Ok(State::Running));

        data[0] ^= 1;
        device.set_state(State::Resuming).unwrap();
        write(device, &data[..95]);
        assert_eq!(device.set_state(State::Running).unwrap_err().errno, Errno::EINVAL);
        assert_eq!(device.state(), Ok(State::Resuming));
        device.reset().unwrap();
        device.set_state(State::Resuming).unwrap();
        write(device, &data);
        device.set_state(State::Running).unwrap();
    });
}

#[test]
fn a_device_that_is_in_use_is_refused() {
    by_each_way(|by| {
        let mdev = Mdev::new();
        // Held as another program would: the way is not shared with the open below.
        let other = if by == "group" { "cdev" } else { "group" };
        let _held = mdev.open(by);
        let Err(error) = open(&mdev.address(other), None) else { panic!("it was opened by {other} as well") };
        // Kernels without IOMMUFD have one way only.
        let why = if fs::exists("/dev/iommu").unwrap() { "it is in use" } else { "has no node in /dev/vfio/devices" };
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.fault(), Fault::Host, "{error}");
    });
}
