//! Calls that block in the kernel: pipes stand for the device, so that only a signal ends them.

use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::thread::{sleep, spawn};
use std::time::Instant;

use rustix::io::Errno;
use vfio_migration_protocol::device::Then;
use vfio_migration_protocol::{CallError, Capabilities, Device, Errno as Number, Passport, State};

use super::Fsm;
use crate::kernel::calls::{Calls, Left};

/// A device whose changes to stop each wait for a byte, and whose data fds are pipes.
struct Pipes {
    state: AtomicU32,
    stops: PipeReader,
    source: PipeReader,
    target: PipeWriter,
}

/// The other ends.
struct Ends {
    stops: PipeWriter,
    source: PipeWriter,
    _target: PipeReader,
}

impl Calls for Pipes {
    fn state(&self) -> Result<u32, Errno> {
        Ok(self.state.load(Ordering::Relaxed))
    }

    fn set_state(&self, to: u32) -> Result<Option<OwnedFd>, Errno> {
        let to_state = State::from_fsm(to);
        if to_state == State::Stop {
            rustix::io::read(&self.stops, &mut [0; 1])?;
        }
        self.state.store(to, Ordering::Relaxed);
        Ok(match to_state {
            State::PreCopy => Some(rustix::io::fcntl_dupfd_cloexec(&self.source, 0)?),
            State::Resuming => Some(rustix::io::fcntl_dupfd_cloexec(&self.target, 0)?),
            _ => None,
        })
    }

    fn reset(&self) -> Result<(), Errno> {
        Err(Errno::NOTTY)
    }

    fn data_size(&self) -> Result<u64, Errno> {
        Err(Errno::NOTTY)
    }

    fn want_reinit(&self) -> Result<(), Errno> {
        Err(Errno::NOTTY)
    }

    fn left(&self, _data: BorrowedFd<'_>) -> Result<Left, Errno> {
        Err(Errno::NOTTY)
    }

    fn read(&self, data: BorrowedFd<'_>, into: &mut [u8]) -> Result<usize, Errno> {
        rustix::io::read(data, into)
    }

    fn write(&self, data: BorrowedFd<'_>, from: &[u8]) -> Result<usize, Errno> {
        rustix::io::write(data, from)
    }

    fn duplicate(&self) -> Result<OwnedFd, Errno> {
        rustix::io::fcntl_dupfd_cloexec(&self.source, 0)
    }
}

fn device() -> (Fsm<Pipes>, Ends) {
    let ((stops, stops_end), (source, source_end), (target_end, target)) =
        (pipe().unwrap(), pipe().unwrap(), pipe().unwrap());
    let state = AtomicU32::new(State::Running.to_fsm());
    let device = Fsm::new(Pipes { state, stops, source, target }, Passport::new(), Capabilities::from_bits(1 | 2 | 4));
    (device, Ends { stops: stops_end, source: source_end, _target: target_end })
}

/// Makes a call that blocks, and interrupts it until it has returned.
fn interrupted<T: Send + 'static>(
    mut device: Fsm<Pipes>,
    call: impl FnOnce(&mut Fsm<Pipes>) -> Result<T, CallError> + Send + 'static,
) -> (Fsm<Pipes>, CallError) {
    let interrupter = device.interrupter().unwrap();
    // Nothing is under way, so nothing comes of it.
    interrupter();
    let calling = spawn(move || {
        let answer = call(&mut device);
        (device, answer.err().expect("nothing but an interruption ends it"))
    });
    sleep(Duration::from_millis(30));
    assert!(!calling.is_finished(), "it blocks until it is interrupted");
    let begun = Instant::now();
    while !calling.is_finished() {
        assert!(begun.elapsed() < Duration::from_secs(30), "no interruption ends it");
        interrupter();
        sleep(Duration::from_millis(1));
    }
    let (device, error) = calling.join().unwrap();
    assert_eq!(error.errno, Number::EINTR);
    assert!(error.to_string().ends_with("the call did not return, and was interrupted"), "{error}");
    (device, error)
}

#[test]
fn a_change_of_state_that_blocks_is_interrupted() {
    let (device, ends) = device();
    let (mut device, error) = interrupted(device, |device| device.set_state(State::Stop));
    assert!(error.to_string().contains("the change from running to stop"), "{error}");
    assert_eq!(device.state(), Ok(State::Running), "asking where it is now is another request");
    rustix::io::write(&ends.stops, &[0]).unwrap();
    device.set_state(State::Stop).unwrap();
}

#[test]
fn a_read_that_blocks_is_interrupted() {
    let (mut device, ends) = device();
    device.set_state(State::PreCopy).unwrap();
    let (mut device, _) = interrupted(device, |device| device.read(&mut [0; 8]));
    assert_eq!(device.state(), Ok(State::PreCopy));
    rustix::io::write(&ends.source, b"later").unwrap();
    let filled = device.read(&mut [0; 8]).unwrap();
    assert_eq!((filled.len, filled.then), (5, Then::More));
}

#[test]
fn a_write_that_blocks_is_interrupted_for_good() {
    let (mut device, _ends) = device();
    device.set_state(State::Resuming).unwrap();
    let (mut device, _) = interrupted(device, |device| -> Result<(), CallError> {
        loop {
            // A pipe has room for some of it.
            device.write(&[0; 4096], false)?;
        }
    });
    assert_eq!(device.state(), Ok(State::Resuming));
    assert_eq!(device.write(&[0], true).unwrap_err().errno, Number::EINTR, "what arrived of it is unknown");
}

#[test]
fn a_device_that_is_released_does_not_stay_in_its_call() {
    let (device, _ends) = device();
    let error = crate::release(Box::new(device), State::Stop, Duration::from_secs(4)).unwrap_err();
    assert_eq!(error.errno, Number::EINTR, "the call ended within the bound: {error}");
}
