//! Pre-copy: initial data, what changes meanwhile, and new initial data.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use vfio_migration_protocol::State;
use vfio_migration_uapi::feature;

use crate::bench::Bench;
use crate::open_device::{OpenDevice, precopy_info, read_to_end, read_to_pause, write_all};

/// Bytes of the head's record, and of a block's.
const HEAD: u64 = 48;
const BLOCK: u64 = 24 + 4096;

fn bytes(fd: &OwnedFd) -> (u32, u64, u64) {
    let info = precopy_info(fd).expect("it is asked in pre-copy");
    (info.flags, info.initial_bytes, info.dirty_bytes)
}

/// Loads what was saved into device 1, which then has the secret of device 0.
fn loads(bench: &Bench, data: &[u8]) {
    let destination = OpenDevice::by_group(&bench.knobs[1]);
    let fd = destination.open_data(State::Resuming);
    write_all(&fd, data).expect("the data is good");
    destination.to(State::Running);
    assert_eq!(bench.knobs[1].get("secret"), bench.knobs[0].get("secret"));
}

#[test]
fn what_changes_is_read_once_it_was_asked_for() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    knobs.set("initial_size", 10 * 4096);
    knobs.set("dirty_per_query", 3 * 4096);
    knobs.set("dirty_queries", 2);
    let device = OpenDevice::by_group(knobs);
    let fd = device.open_data(State::PreCopy);
    let mut data = Vec::new();
    assert_eq!(bytes(&fd), (0, HEAD + 10 * BLOCK, 0));
    assert_eq!(read_to_pause(&fd, &mut data), Err(Errno::NOMSG));
    assert_eq!(data.len() as u64, HEAD + 10 * BLOCK);
    let mut changed = 0;
    for _ in 0..2 {
        let before = data.len() as u64;
        // Without asking there is nothing new.
        assert_eq!(read_to_pause(&fd, &mut data), Err(Errno::NOMSG));
        let (_, initial, dirty) = bytes(&fd);
        assert_eq!(read_to_pause(&fd, &mut data), Err(Errno::NOMSG));
        assert_eq!((initial, dirty), (0, data.len() as u64 - before));
        changed += dirty;
    }
    assert_eq!(bytes(&fd), (0, 0, 0));
    device.to(State::PreCopyP2p);
    assert_eq!(bytes(&fd), (0, 0, 0));
    device.to(State::StopCopy);
    assert_eq!(precopy_info(&fd), Err(Errno::INVAL));
    data.extend(read_to_end(&fd));
    assert!(data.len() as u64 > HEAD + 256 * BLOCK + changed);
    loads(&bench, &data);
}

#[test]
fn what_changed_must_not_be_lost() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    knobs.set("initial_size", 1 << 20);
    knobs.set("dirty_per_query", 4096);
    let device = OpenDevice::by_group(knobs);
    let fd = device.open_data(State::PreCopy);
    let (mut data, mut lost) = (Vec::new(), Vec::new());
    assert_eq!(read_to_pause(&fd, &mut data), Err(Errno::NOMSG));
    assert_eq!(bytes(&fd), (0, 0, BLOCK));
    assert_eq!(read_to_pause(&fd, &mut lost), Err(Errno::NOMSG));
    device.to(State::StopCopy);
    let rest = read_to_end(&fd);
    let destination = OpenDevice::by_group(&bench.knobs[1]);
    assert_eq!(destination.load(&[&data[..], &rest].concat(), 4096), Err(Errno::INVAL));
    destination.reset().expect("a reset always works");
    destination.load(&[data, lost, rest].concat(), 4096).expect("nothing is missing");
}

#[test]
fn a_pause_is_zero_where_the_driver_knows_no_enomsg() {
    let Some(bench) = Bench::take() else { return };
    bench.knobs[0].set("enomsg", 0);
    let device = OpenDevice::by_group(&bench.knobs[0]);
    let fd = device.open_data(State::PreCopy);
    let mut data = Vec::new();
    assert_eq!(read_to_pause(&fd, &mut data), Ok(0));
    device.to(State::StopCopy);
    assert!(data.len() as u64 == HEAD + BLOCK && !read_to_end(&fd).is_empty());
}

#[test]
fn a_device_without_pre_copy_answers_no_question_about_it() {
    let Some(bench) = Bench::take() else { return };
    bench.knobs[0].set("capabilities", 3);
    let device = OpenDevice::by_group(&bench.knobs[0]);
    device.to(State::Stop);
    assert_eq!(precopy_info(&device.open_data(State::StopCopy)), Err(Errno::NOTTY));
}

#[test]
fn new_initial_data_makes_the_old_void() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    knobs.set("initial_size", 2 * 4096);
    knobs.set("reinit_at", 2);
    let secret = knobs.get("secret");
    let device = OpenDevice::by_group(knobs);
    let new = feature::opt_into_precopy_info_v2(device.fd());
    let fd = device.open_data(State::PreCopy);
    let mut data = Vec::new();
    assert_eq!(bytes(&fd), (0, HEAD + 2 * BLOCK, 0));
    assert_eq!(read_to_pause(&fd, &mut data), Err(Errno::NOMSG));
    device.to(State::PreCopyP2p);
    assert_eq!(bytes(&fd), (0, 0, 0), "nothing new in P2P");
    device.to(State::PreCopy);
    match new {
        Ok(()) => {
            assert_eq!(bytes(&fd), (1, HEAD + 2 * BLOCK, 0), "REINIT");
            assert_eq!(bytes(&fd), (0, HEAD + 2 * BLOCK, 0));
            assert_ne!(knobs.get("secret"), secret);
        }
        Err(error) => {
            assert_eq!(error, Errno::NOTTY, "a kernel before 7.1");
            assert_eq!(bytes(&fd), (0, 0, 0));
            assert_eq!(knobs.get("secret"), secret);
        }
    }
    device.to(State::StopCopy);
    data.extend(read_to_end(&fd));
    loads(&bench, &data);
}

#[test]
fn who_did_not_opt_in_sees_no_new_initial_data() {
    let Some(bench) = Bench::take() else { return };
    bench.knobs[0].set("reinit_at", 1);
    let device = OpenDevice::by_group(&bench.knobs[0]);
    let fd = device.open_data(State::PreCopy);
    assert_eq!(bytes(&fd), (0, HEAD + BLOCK, 0));
    assert_eq!(bench.knobs[0].get("secret"), 0x5ec2_e75e_c2e7);
}
