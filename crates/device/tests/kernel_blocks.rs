//! Calls to a device of the kernel that block: a signal ends those that signals can end, and the others are waited for. The
//! project's own module (testbed/module) blocks as it is told to. It runs in the test bed; elsewhere each test says that it
//! is skipped.
#![cfg(target_os = "linux")]

#[path = "kernel_module/bench.rs"]
#[expect(dead_code, reason = "the other suite of the module uses all of it")]
mod bench;

use core::time::Duration;
use std::io::ErrorKind;
use std::thread::{sleep, spawn};
use std::time::Instant;

use vfio_migration_device::{open, release};
use vfio_migration_protocol::{CallError, Device, Errno, IovaRange, State};

use bench::{Bench, Knobs};

/// Longer than any machine runs: only a signal ends it.
const FOREVER: &str = "block 3600000";
/// No signal ends it, so that it has to end by itself.
const FOR_A_WHILE: &str = "delay 500";
/// What hangs must not hang the test.
const WATCHDOG: Duration = Duration::from_secs(60);

fn address(knobs: &Knobs) -> String {
    format!("vfio:platform/vfio-testdev.{}", knobs.number)
}

fn device(knobs: &Knobs) -> Box<dyn Device> {
    open(&address(knobs), None).unwrap().device
}

type Call = fn(&mut dyn Device) -> Result<(), CallError>;

/// Each call: the fault's name for it, the state that it is made in, and the call.
const CALLS: [(&str, State, Call); 8] = [
    ("get-state", State::Running, |device| device.state().map(drop)),
    ("set-state", State::Running, |device| device.set_state(State::Stop)),
    ("arc:running-p2p>stop", State::RunningP2p, |device| device.set_state(State::Stop)),
    ("reset", State::Stop, |device| device.reset()),
    ("data-size", State::Running, |device| device.data_size().map(drop)),
    ("precopy-info", State::PreCopy, |device| device.pre_copy_info().map(drop)),
    ("read", State::PreCopy, |device| device.read(&mut [0; 64]).map(drop)),
    ("write", State::Resuming, |device| device.write(&[0; 64], false).map(drop)),
];

/// Makes a call on which a fault of the driver strikes, and interrupts it from then on until it has returned.
fn interrupted(knobs: &Knobs, mut device: Box<dyn Device>, call: Call) -> (Box<dyn Device>, Result<(), CallError>) {
    let interrupter = device.interrupter().expect("devices of the kernel have one");
    let calling = spawn(move || {
        let answer = call(&mut *device);
        (device, answer)
    });
    until("the call comes to the driver", || knobs.text("faults").contains("struck 1"));
    until("the call returns", || {
        interrupter();
        calling.is_finished()
    });
    calling.join().unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < WATCHDOG, "it does not happen that {what}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_signal_ends_each_call_that_signals_can_end() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    for (name, state, call) in CALLS {
        let mut device = device(knobs);
        device.set_state(state).unwrap();
        knobs.fault(&format!("{name} 1 {FOREVER}"));
        let (mut device, answer) = interrupted(knobs, device, call);
        let error = answer.expect_err("nothing but an interruption ends it");
        assert_eq!(error.errno, Errno::EINTR, "{name}: {error}");
        assert!(error.to_string().ends_with("the call did not return, and was interrupted"), "{name}: {error}");
        // The next request is another one, and nothing of the device has changed.
        assert_eq!(device.state(), Ok(state), "{name}");
        knobs.fault("clear");
    }
}

#[test]
fn a_call_that_no_signal_ends_answers_when_it_ends() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    // What is written to the device here is no data of a device, which it says in the end.
    for (name, state, call) in CALLS.into_iter().filter(|(name, ..)| *name != "write") {
        let mut device = device(knobs);
        device.set_state(state).unwrap();
        knobs.fault(&format!("{name} 1 {FOR_A_WHILE}"));
        let (mut device, answer) = interrupted(knobs, device, call);
        assert_eq!(answer, Ok(()), "{name}: it was done, whoever waited for it");
        let now = match name {
            "set-state" | "arc:running-p2p>stop" => State::Stop,
            "reset" => State::Running,
            _ => state,
        };
        assert_eq!(device.state(), Ok(now), "{name}");
        knobs.fault("clear");
    }
}

#[test]
fn a_signal_ends_the_calls_of_a_tracker() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let range = IovaRange { iova: 0, length: 1 << 20 };
    // A kernel without iommufd does not ask the driver for a report.
    let reports = std::env::var("TESTBED_SET").is_ok_and(|set| set != "stock");
    for (name, stops) in [("log-start", 0), ("log-report", 1)].into_iter().take(if reports { 2 } else { 1 }) {
        knobs.set("counts", 0);
        let mut opened = open(&address(knobs), None).unwrap();
        let mut tracker = opened.trackers.remove(0);
        let interrupter = tracker.interrupter().expect("trackers of the kernel have one");
        knobs.fault(&format!("{name} 1 {FOREVER}"));
        // The log is asked once as it starts.
        let starting = spawn(move || tracker.start(&[range], 4096).map(|_| ()));
        until("the call comes to the driver", || knobs.text("faults").contains("struck 1"));
        until("the call returns", || {
            interrupter();
            starting.is_finished()
        });
        let error = starting.join().unwrap().expect_err("nothing but an interruption ends it");
        assert_eq!(error.errno, Errno::EINTR, "{name}: {error}");
        assert_eq!(knobs.count("log-stop"), stops, "{name}");
        knobs.fault("clear");
    }
}

#[test]
fn a_device_is_released_from_where_it_is() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let saving = [State::RunningP2p, State::Stop, State::PreCopy, State::PreCopyP2p, State::StopCopy];
    for (state, resets) in saving.map(|state| (state, 0)).into_iter().chain([(State::Resuming, 1)]) {
        knobs.set("counts", 0);
        let mut device = device(knobs);
        device.set_state(state).unwrap();
        assert_eq!(release(device, State::Running, WATCHDOG), Ok(State::Running), "{state}");
        assert_eq!(knobs.count("reset"), resets, "{state}");
        // It is closed: a group can be opened once.
        drop(open(&address(knobs), None).unwrap());
    }
}

#[test]
fn a_device_that_blocks_is_released_within_the_bound() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let mut device = device(knobs);
    device.set_state(State::PreCopy).unwrap();
    knobs.fault(&format!("set-state 1 {FOREVER}"));
    let error = release(device, State::Running, Duration::from_secs(4)).expect_err("the change was interrupted");
    assert_eq!(error.errno, Errno::EINTR, "{error}");
    assert_eq!(open(&address(knobs), None).unwrap().device.state(), Ok(State::Running), "it is closed");
}

#[test]
fn a_device_that_cannot_be_interrupted_is_overdue_and_closed_later() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let device = device(knobs);
    knobs.fault("get-state 1 delay 3600000");
    let error = release(device, State::Running, Duration::from_secs(1)).expect_err("it hangs");
    assert_eq!(error.errno, Errno::ETIMEDOUT, "{error}");
    assert!(error.to_string().contains("the device is closed when it returns"), "{error}");
    // A knob that is for closed devices only.
    let is_closed = || match knobs.try_write("capabilities", "7") {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::ResourceBusy => false,
        Err(error) => panic!("{error}"),
    };
    assert!(!is_closed(), "the call has not returned");
    knobs.fault("release");
    until("it is closed", is_closed);
}
