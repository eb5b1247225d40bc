//! Devices through descriptors that somebody else has, and descriptors that run out.

use core::mem::MaybeUninit;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixListener;
use std::thread;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use vfio_migration_device::sysfs::Host;
use vfio_migration_device::{Fault, kernel, open};
use vfio_migration_protocol::{Errno, State};

use crate::mdev::{Mdev, by_each_way, descriptor, scratch};

#[test]
fn a_device_of_somebody_else_is_taken_only_where_it_is_free() {
    by_each_way(|by| {
        let mdev = Mdev::new();
        let mut held = mdev.open(by);
        scratch(&held, Some(0x77));
        let place = mdev.place().parse().unwrap();
        for state in &State::ALL[1..] {
            held.device.reset().unwrap();
            held.device.set_state(*state).unwrap();
            let mut descriptors = held.kernel.as_ref().unwrap().descriptors().unwrap();
            let fd = descriptors.remove(0);
            let taken = kernel::take(fd, descriptors, Some(&place));
            if matches!(state, State::Running | State::RunningP2p | State::Stop) {
                let mut taken = taken.unwrap();
                assert_eq!(taken.device.state(), Ok(*state));
                assert_eq!(taken.device.passport(), held.device.passport());
                let kernel = taken.kernel.unwrap();
                assert!(kernel.opened_by().is_none() && !kernel.was_reset());
            } else {
                let error = taken.unwrap_err();
                assert_eq!(error.fault, Fault::Device);
                assert!(error.to_string().contains(&format!("is in {state}: another session has it")), "{error}");
            }
            assert_eq!(held.device.state(), Ok(*state), "nothing was done to it");
        }
        held.device.reset().unwrap();
    });
}

#[test]
fn descriptors_come_from_sockets_and_processes() {
    by_each_way(|by| {
        let mdev = Mdev::new();
        let held = mdev.open(by);
        scratch(&held, Some(0x42));
        let path = std::env::temp_dir().join(format!("vfio-migration-mtty-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let descriptors = held.kernel.as_ref().unwrap().descriptors().unwrap();
        let sender = thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)));
            sendmsg(&socket, &[IoSlice::new(b"vfio")], &mut ancillary, SendFlags::empty()).unwrap();
        });
        let through = open(&format!("fd:unix:{}?device={}", path.display(), mdev.place()), None).unwrap();
        sender.join().unwrap();
        std::fs::remove_file(path).unwrap();
        assert_eq!(scratch(&through, None), 0x42);

        let fd = descriptor(&held);
        let (pid, number) = (std::process::id(), fd.as_raw_fd());
        let fetched = open(&format!("pidfd:{pid}:{number}?device={}", mdev.place()), None).unwrap();
        assert_eq!(scratch(&fetched, None), 0x42);

        // The whole saves through a descriptor that somebody else keeps, and the device stays theirs.
        let mut fetched = fetched;
        fetched.device.set_state(State::StopCopy).unwrap();
        fetched.device.set_state(State::Running).unwrap();
        drop((through, fetched));
        assert_eq!(scratch(&held, None), 0x42);
    });
}

#[test]
fn descriptors_of_other_kinds_are_told_apart() {
    by_each_way(|by| {
        let mdev = Mdev::new();
        let held = mdev.open(by);
        let kinds: Vec<_> = held.kernel.as_ref().unwrap().descriptors().unwrap();
        let kinds: Vec<_> = kinds.iter().map(|fd| kernel::kind(&Host::new(), fd).unwrap()).collect();
        if by == "group" {
            assert_eq!(kinds[..2], [kernel::Kind::Device, kernel::Kind::Container]);
            assert!(matches!(kinds[2], kernel::Kind::Group(_)), "{kinds:?}");
        } else {
            assert!(matches!(kinds[0], kernel::Kind::Cdev(_)), "{kinds:?}");
            assert_eq!(kinds[1..], [kernel::Kind::Iommufd]);
        }
        let others = held.kernel.as_ref().unwrap().descriptors().unwrap().split_off(1);
        let error = kernel::take(others.into_iter().next().unwrap(), Vec::new(), None).unwrap_err();
        assert_eq!(error.fault, Fault::Unsupported);
        assert!(error.to_string().contains("not a VFIO device"), "{error}");
    });
}

#[test]
fn a_data_fd_without_a_number_is_lost_and_the_device_is_not() {
    by_each_way(|by| {
        let mdev = Mdev::new();
        let mut opened = mdev.open(by);
        let limit = getrlimit(Resource::Nofile);
        for to in [State::StopCopy, State::PreCopy, State::Resuming] {
            setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..limit }).unwrap();
            let answer = opened.device.set_state(to);
            setrlimit(Resource::Nofile, limit).unwrap();
            assert_eq!(answer.unwrap_err().errno, Errno::EMFILE);
            assert_eq!(opened.device.state(), Ok(to), "it moved all the same");
            let lost = match to {
                State::Resuming => opened.device.write(b"x", false).unwrap_err(),
                _ => opened.device.read(&mut [0; 8]).unwrap_err(),
            };
            assert_eq!(lost.errno, Errno::EBADF);
            match to {
                State::Resuming => opened.device.reset().unwrap(),
                _ => opened.device.set_state(State::Running).unwrap(),
            }
            opened.device.set_state(to).unwrap();
            opened.device.reset().unwrap();
        }
    });
}

#[test]
fn numbers_are_kept_for_when_there_are_no_others() {
    by_each_way(|by| {
        let mdev = Mdev::new();
        let mut opened = mdev.open(by);
        let mut all = Vec::new();
        while let Ok(one) = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 0) {
            all.push(one);
        }
        assert!(!all.is_empty());
        opened.device.set_state(State::StopCopy).unwrap();
        opened.device.set_state(State::Running).unwrap();
        opened.device.set_state(State::PreCopy).unwrap();
        drop(all);
        opened.device.set_state(State::Running).unwrap();
    });
}
