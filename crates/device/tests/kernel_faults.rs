//! The backend on a kernel device that misbehaves: the project's own module (testbed/module). It runs in the test bed;
//! elsewhere each test says that it is skipped.
#![cfg(target_os = "linux")]

#[path = "kernel_module/bench.rs"]
#[expect(dead_code, reason = "the other suite of the module uses all of it")]
mod bench;

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use rustix::event::{EventfdFlags, eventfd};
use vfio_migration_device::{Address, Fault, OpenOptions, Opened, open};
use vfio_migration_protocol::device::Then;
use vfio_migration_protocol::{Capabilities, Device, Errno, Estimate, State};
use vfio_migration_uapi::{Errno as Kernel, device as calls, feature, irq};

use bench::{Bench, Knobs};

fn address(knobs: &Knobs) -> String {
    format!("vfio:platform/vfio-testdev.{}", knobs.number)
}

fn opened(knobs: &Knobs) -> Opened {
    open(&address(knobs), None).unwrap()
}

/// Reads until there is something else than more.
fn read(device: &mut dyn Device, data: &mut Vec<u8>) -> Then {
    let mut room = vec![0; 1 << 16];
    loop {
        let filled = device.read(&mut room).unwrap();
        data.extend_from_slice(&room[..filled.len]);
        if filled.then != Then::More {
            return filled.then;
        }
    }
}

fn saved(device: &mut dyn Device) -> Vec<u8> {
    let mut data = Vec::new();
    device.set_state(State::StopCopy).unwrap();
    assert_eq!(read(device, &mut data), Then::End);
    data
}

fn load(device: &mut dyn Device, mut data: &[u8]) {
    device.set_state(State::Resuming).unwrap();
    while !data.is_empty() {
        let taken = device.write(data, false).unwrap();
        data = &data[taken..];
    }
    device.set_state(State::Running).unwrap();
}

#[test]
fn a_pause_is_a_pause_however_the_driver_says_it() {
    let Some(bench) = Bench::take() else { return };
    for enomsg in [1, 0] {
        let [from, to] = &bench.knobs;
        from.set("enomsg", enomsg);
        to.set("secret", 5 + enomsg);
        let (mut source, mut destination) = (opened(from), opened(to));
        let mut data = Vec::new();
        source.device.set_state(State::PreCopy).unwrap();
        assert!(source.device.pre_copy_info().unwrap().initial.known().unwrap() > 4096);
        assert_eq!(read(&mut *source.device, &mut data), Then::Pause);
        source.device.set_state(State::StopCopy).unwrap();
        assert_eq!(read(&mut *source.device, &mut data), Then::End);
        load(&mut *destination.device, &data);
        assert_eq!(to.get("secret"), from.get("secret"));
        assert_eq!((from.count("reset"), to.count("reset")), (0, 0), "by the driver's own count");
    }
}

#[test]
fn interrupted_and_short_calls_lose_nothing() {
    let Some(bench) = Bench::take() else { return };
    let [from, to] = &bench.knobs;
    let (mut source, mut destination) = (opened(from), opened(to));
    from.fault("set-state 1 errno 4");
    from.fault("arc:running-p2p>stop 1 late 4");
    from.fault("read 2 errno 4");
    from.fault("read 3 short 7");
    from.fault("get-state 2 errno 4");
    let data = saved(&mut *source.device);
    assert_eq!(source.device.state(), Ok(State::StopCopy));
    assert_eq!(from.text("faults").matches("struck 1").count(), 5, "each has struck");
    to.fault("write 1 errno 4");
    to.fault("write 2+ short 1000");
    load(&mut *destination.device, &data);
    assert_eq!(to.get("secret"), from.get("secret"));
    assert_eq!((from.count("reset"), to.count("reset")), (0, 0));
}

#[test]
fn what_the_driver_does_not_know_is_unknown() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let mut device = opened(knobs).device;
    assert!(matches!(device.data_size().unwrap(), Estimate::Known(size) if size > 1 << 20));
    for mode in [1, 2] {
        knobs.set("data_size_mode", mode);
        assert_eq!(device.data_size(), Ok(Estimate::Unknown));
    }
}

#[test]
fn new_initial_data_is_seen_where_the_kernel_can_say_so() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    knobs.set("reinit_at", 2);
    let Opened { mut device, kernel, .. } = opened(knobs);
    let fd = kernel.unwrap().descriptors().unwrap().remove(0);
    // Kernels before 7.1 do not know the question.
    let new = vfio_migration_uapi::feature::probe(fd.as_fd(), 12, None).is_ok();
    device.set_state(State::PreCopy).unwrap();
    assert!(!device.pre_copy_info().unwrap().reinit);
    assert_eq!(device.pre_copy_info().unwrap().reinit, new);
}

#[test]
fn a_failed_change_leaves_what_is_then_read() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let mut device = opened(knobs).device;
    knobs.fault("arc:running>running-p2p 1 errno 5");
    assert_eq!(device.set_state(State::StopCopy).unwrap_err().errno, Errno::EIO);
    assert_eq!(device.state(), Ok(State::Running));
    knobs.fault("arc:stop>stop-copy 1 late 5");
    assert_eq!(device.set_state(State::StopCopy).unwrap_err().errno, Errno::EIO);
    assert_eq!(device.state(), Ok(State::StopCopy));
    assert_eq!(device.read(&mut [0; 8]).unwrap_err().errno, Errno::EBADF, "its data fd was lost");
    device.set_state(State::Running).unwrap();
    knobs.fault("arc:running-p2p>stop 1 error 5");
    assert_eq!(device.set_state(State::Stop).unwrap_err().errno, Errno::EIO);
    assert_eq!(device.state(), Ok(State::Error));
    assert_eq!(device.set_state(State::Running).unwrap_err().errno, Errno::EINVAL, "no arc leads out of error");
    knobs.fault("reset 1 errno 11");
    device.reset().unwrap();
    assert_eq!(device.state(), Ok(State::Running));
    assert_eq!(knobs.count("reset"), 2, "one that was told to come again, and one that worked");
}

#[test]
fn a_reset_by_others_is_named() {
    let Some(bench) = Bench::take() else { return };
    let Opened { mut device, kernel, .. } = opened(&bench.knobs[0]);
    let fd = kernel.unwrap().descriptors().unwrap().remove(0);
    for state in [State::StopCopy, State::PreCopy] {
        device.set_state(state).unwrap();
        calls::reset(fd.as_fd()).unwrap();
        let error = device.read(&mut [0; 64]).unwrap_err();
        assert_eq!(error.errno, Errno::ENODEV);
        assert!(error.to_string().contains("reset by others: it is in running"), "{error}");
    }
}

#[test]
fn a_write_that_failed_is_final_even_if_the_driver_goes_on() {
    let Some(bench) = Bench::take() else { return };
    let [from, to] = &bench.knobs;
    let data = saved(&mut *opened(from).device);
    to.set("accept_corrupt", 1);
    let mut device = opened(to).device;
    device.set_state(State::Resuming).unwrap();
    to.fault("write 1 errno 5");
    assert_eq!(device.write(&data, false).unwrap_err().errno, Errno::EIO);
    assert_eq!(device.write(&data, false).unwrap_err().errno, Errno::EIO);
    assert_eq!(device.set_state(State::Running).unwrap_err().errno, Errno::EIO);
    assert_eq!((device.state(), to.count("write")), (Ok(State::Resuming), 1));
    device.reset().unwrap();
    load(&mut *device, &data);
    assert_eq!(to.get("secret"), from.get("secret"));
}

#[test]
fn a_device_that_opening_wipes_is_saved_from_who_holds_it() {
    let Some(bench) = Bench::take() else { return };
    let [from, to] = &bench.knobs;
    from.set("wipe", 1);
    to.set("wipe", 1);
    let place = address(from).parse::<Address>().unwrap();
    let error = place.open(OpenOptions { to_save: true, ..OpenOptions::default() }).unwrap_err();
    assert_eq!((error.fault(), from.count("open")), (Fault::Usage, 0));
    assert!(error.to_string().contains("would be empty"), "{error}");

    // Another program holds both, and goes on to.
    let (holder, taker) = (opened(from), opened(to));
    assert!(holder.kernel.as_ref().unwrap().is_reset_by_opening());
    from.set("secret", 0xabc);
    let through = |opened: &Opened| {
        let mut descriptors = opened.kernel.as_ref().unwrap().descriptors().unwrap();
        vfio_migration_device::kernel::take(descriptors.remove(0), descriptors, None).unwrap()
    };
    let data = saved(&mut *through(&holder).device);
    load(&mut *through(&taker).device, &data);
    assert_eq!(to.get("secret"), 0xabc, "it outlives the descriptor of the restore");
    drop(taker);
    assert_eq!(to.get("secret"), 0, "and not the last one");
    assert_eq!((from.count("wipes"), to.count("wipes")), (1, 2));
    assert_eq!((from.count("reset"), to.count("reset")), (0, 0));
}

#[test]
fn what_the_table_blocks_never_reaches_the_driver() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    // Without data resuming may be left at once.
    knobs.set("size", 0);
    let mut blocked = 0;
    for set in Capabilities::FSM_SETS {
        knobs.set("capabilities", set.bits());
        let Opened { mut device, kernel, .. } = opened(knobs);
        let fd = kernel.unwrap().descriptors().unwrap().remove(0);
        let pairs = State::ALL.into_iter().flat_map(|from| State::ALL.map(|to| (from, to)));
        for (from, to) in pairs.filter(|(from, to)| from != to && *from != State::Error) {
            if !device.table().has(from) || device.table().path(from, to).is_ok() {
                continue;
            }
            blocked += 1;
            device.reset().unwrap();
            device.set_state(from).unwrap();
            let asked = knobs.count("set-state");
            assert_eq!(device.set_state(to).unwrap_err().errno, Errno::EINVAL, "{set}: {from} to {to}");
            assert_eq!(knobs.count("set-state"), asked, "{set}: {from} to {to}");
            // Around the check, the kernel says the same.
            assert_eq!(feature::set_state(fd.as_fd(), to.to_fsm()).unwrap_err(), Kernel::INVAL);
            assert_eq!((knobs.count("set-state"), device.state()), (asked + 1, Ok(from)));
        }
    }
    // Error is asked for from 4, 5, 5 and 7 states; the others want what a set has not, or lead out of stop-copy.
    assert_eq!(blocked, 4 * 4 + 5 * 3 + (5 * 3 + 1) + (7 + 2));
}

/// The device's doorbell; a ring of 0 writes raises the interrupt.
const DOORBELL: u64 = 0x38;

#[test]
fn an_interrupt_that_was_armed_before_a_migration_fires_after_it() {
    let Some(bench) = Bench::take() else { return };
    let [from, to] = &bench.knobs;
    let mut ends = [opened(from), opened(to)];
    let fds = ends.each_ref().map(|end| end.kernel.as_ref().unwrap().descriptors().unwrap().remove(0));
    let armed = fds.each_ref().map(|fd| {
        let eventfd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
        irq::signal(fd.as_fd(), 0, 0, Some(eventfd.as_fd())).unwrap();
        eventfd
    });
    let fired = |end: usize| rustix::io::read(&armed[end], &mut [0; 8]).is_ok();
    let data = saved(&mut *ends[0].device);
    load(&mut *ends[1].device, &data);
    assert_eq!((fired(0), fired(1)), (false, false));
    let doorbell = calls::region(fds[1].as_fd(), 0).unwrap().offset + DOORBELL;
    assert_eq!(rustix::io::pwrite(&fds[1], &0_u64.to_ne_bytes(), doorbell), Ok(8));
    assert_eq!((fired(0), fired(1)), (false, true));
}

#[test]
fn a_device_without_migration_is_refused() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    knobs.set("capabilities", 0);
    let error = open(&address(knobs), None).unwrap_err();
    assert_eq!(error.fault(), Fault::Unsupported);
    assert!(error.to_string().contains("cannot migrate: the driver vfio-testdev has no migration"), "{error}");
    for set in Capabilities::FSM_SETS {
        knobs.set("capabilities", set.bits());
        let capabilities = opened(knobs).device.capabilities();
        assert_eq!(capabilities.bits() & 7, set.bits());
    }
}

/// Where a child of the test below is told what to do.
const CHILD: &str = "VFIO_MIGRATION_LEAVE_IN";

#[test]
fn a_process_that_is_killed_leaves_a_device_that_can_be_opened() {
    let state = std::env::var(CHILD).ok();
    if let Some(state) = state {
        let mut device = open("vfio:platform/vfio-testdev.0", None).unwrap().device;
        device.set_state(state.parse().unwrap()).unwrap();
        println!("\nready");
        std::thread::sleep(std::time::Duration::from_secs(60));
        return;
    }
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    knobs.set("keep_state", 1);
    for state in &State::ALL[1..] {
        let name = "a_process_that_is_killed_leaves_a_device_that_can_be_opened";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let child = child.args([name, "--exact", "--nocapture"]).env(CHILD, state.to_string());
        let mut child = child.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"), "it never came to {state}");
        child.kill().unwrap();
        child.wait().unwrap();
        let mut opened = opened(knobs);
        assert_eq!(opened.device.state(), Ok(State::Running));
        let kernel = opened.kernel.unwrap();
        assert_eq!((kernel.found(), kernel.was_reset()), (*state, *state != State::Running));
    }
    knobs.set("keep_state", 0);
}
