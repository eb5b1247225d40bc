//! Faults strike at the call that they are set for, and say what they are set to say.

use std::time::{Duration, Instant};

use rustix::io::{Errno, read, write};
use vfio_migration_protocol::State;
use vfio_migration_uapi::layout::DmaLoggingRange;
use vfio_migration_uapi::{feature, irq};

use crate::bench::Bench;
use crate::open_device::{OpenDevice, precopy_info, read_to_end, read_to_pause};

#[test]
fn a_request_fails_at_its_turn_and_leaves_the_state() {
    let Some(bench) = Bench::take() else { return };
    let device = OpenDevice::by_group(&bench.knobs[0]);
    bench.knobs[0].fault("set-state 2 errno 4");
    device.to(State::Stop);
    assert_eq!(device.try_to(State::Running).unwrap_err(), Errno::INTR);
    assert_eq!(device.state(), State::Stop);
    device.to(State::Running);
}

#[test]
fn an_arc_fails_in_the_middle_of_a_path() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let device = OpenDevice::by_group(knobs);
    knobs.fault("arc:running-p2p>stop 1 errno");
    assert_eq!(device.try_to(State::StopCopy).unwrap_err(), Errno::IO);
    assert_eq!(device.state(), State::RunningP2p);
    knobs.fault("arc:stop>stop-copy 1 error 19");
    assert_eq!(device.try_to(State::StopCopy).unwrap_err(), Errno::NODEV);
    assert_eq!(device.state(), State::Error);
    assert_eq!(device.try_to(State::Running).unwrap_err(), Errno::INVAL);
    device.reset().expect("a reset leads out of error");
    knobs.fault("arc:stop>stop-copy 1 late");
    assert_eq!(device.try_to(State::StopCopy).unwrap_err(), Errno::IO);
    assert_eq!(device.state(), State::StopCopy);
    device.to(State::Stop);
}

#[test]
fn reads_fail_once_or_for_good() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let device = OpenDevice::by_group(knobs);
    device.to(State::Stop);
    let fd = device.open_data(State::StopCopy);
    let mut bytes = [0; 4096];
    knobs.fault("read 1 errno 4");
    assert_eq!(read(&fd, &mut bytes), Err(Errno::INTR));
    knobs.fault("read 2 short 7");
    assert_eq!((read(&fd, &mut bytes), read(&fd, &mut bytes)), (Ok(4096), Ok(7)));
    knobs.fault("read 1 end");
    assert_eq!(read_to_end(&fd), [] as [u8; 0], "the data ends too early");
    device.to(State::Stop);
    let fd = device.open_data(State::StopCopy);
    knobs.fault("read 1 error");
    assert_eq!((read(&fd, &mut bytes), read(&fd, &mut bytes)), (Err(Errno::IO), Err(Errno::IO)));
    device.to(State::Stop);
    assert!(!device.save().is_empty(), "the next session is sound");
}

#[test]
fn writes_are_short_fail_or_vanish() {
    let Some(bench) = Bench::take() else { return };
    let data = OpenDevice::by_group(&bench.knobs[0]).save();
    let knobs = &bench.knobs[1];
    let device = OpenDevice::by_group(knobs);
    knobs.fault("write 1+ short 1000");
    device.load(&data, 1 << 20).expect("short writes lose nothing");
    knobs.fault("clear");
    knobs.fault("write 3 swallow");
    assert!(device.load(&data, 4096).is_err(), "what vanished is missed");
    device.reset().expect("a reset always works");
    knobs.fault("write 3 error 5");
    assert_eq!(device.load(&data, 4096), Err(Errno::IO));
    assert_eq!((device.state(), device.try_to(State::Stop).unwrap_err()), (State::Resuming, Errno::INVAL));
}

#[test]
fn a_wrong_bit_on_the_way_out_is_found_on_the_way_in() {
    let Some(bench) = Bench::take() else { return };
    bench.knobs[0].fault("read 1 corrupt");
    let data = OpenDevice::by_group(&bench.knobs[0]).save();
    assert!(OpenDevice::by_group(&bench.knobs[1]).load(&data, 1 << 20).is_err());
}

#[test]
fn numbers_can_be_wrong() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let device = OpenDevice::by_group(knobs);
    knobs.fault("data-size 1 value 17");
    assert_eq!(feature::data_size(device.fd()), Ok(17));
    knobs.fault("get-state 1 value 42");
    assert_eq!((device.state(), device.state()), (State::Unknown(42), State::Running));
    let fd = device.open_data(State::PreCopy);
    knobs.fault("precopy-info 1 value -1");
    let info = precopy_info(&fd).expect("an answer");
    assert_eq!((info.initial_bytes, info.dirty_bytes), (u64::MAX, u64::MAX));
    knobs.fault("precopy-info 1 error 19");
    assert_eq!(precopy_info(&fd), Err(Errno::NODEV));
    assert_eq!(read_to_pause(&fd, &mut Vec::new()), Err(Errno::NODEV), "for good");
}

#[test]
fn other_calls_fail_too() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let device = OpenDevice::by_group(knobs);
    let range = [DmaLoggingRange { iova: 0, length: 4096 }];
    knobs.fault("log-start 1 errno 95");
    assert_eq!(feature::start_dma_logging(device.fd(), &range, 4096), Err(Errno::OPNOTSUPP));
    knobs.fault("log-stop 1 errno 5");
    assert_eq!(feature::stop_dma_logging(device.fd()), Err(Errno::IO));
    knobs.fault("reset 1 errno 11");
    assert_eq!((device.reset(), device.reset()), (Err(Errno::AGAIN), Ok(())));
    knobs.fault("set-irqs 1 errno 22");
    assert_eq!((irq::fire(device.fd(), 0, 0), irq::fire(device.fd(), 0, 0)), (Err(Errno::INVAL), Ok(())));
}

#[test]
fn calls_take_as_long_as_they_are_told_and_end_when_released() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let device = OpenDevice::by_group(knobs);
    knobs.fault("set-state 1 delay 150");
    let begun = Instant::now();
    device.to(State::Stop);
    assert!(begun.elapsed() >= Duration::from_millis(150));
    let resume = device.open_data(State::Resuming);
    knobs.fault("write 1 delay 600000");
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| write(&resume, &[0]));
        std::thread::sleep(Duration::from_millis(100));
        // A write that blocks holds nothing up.
        assert_eq!(device.state(), State::Resuming);
        assert!(!blocked.is_finished());
        knobs.fault("release");
        assert_eq!(blocked.join().expect("the thread ends"), Ok(1));
    });
}

#[test]
fn faults_that_make_no_sense_are_refused() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    for fault in [
        "\n",
        "read",
        "read 1",
        "read 0 errno",
        "bite 1 errno",
        "read 1 bite",
        "read 1 short",
        "read 1 errno 0",
        "read 1 errno 99999",
        "read:stop>running 1 errno",
        "arc:stop>nowhere 1 errno",
        "arc:stop 1 errno",
        "read 1 end 5",
        "read 1 swallow",
        "open 1 error",
        "read 1 none",
    ] {
        assert!(knobs.try_write("faults", fault).is_err(), "{fault:?} was taken");
    }
    for number in 1..=16 {
        knobs.fault(&format!("read {number}+ short 1"));
    }
    assert!(knobs.try_write("faults", "read 17 errno").is_err(), "there is no room");
}
