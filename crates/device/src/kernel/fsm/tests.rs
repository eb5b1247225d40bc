//! What is made of the kernel's answers. The fake answers by a script and accepts no call that is not in it.

use core::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use vfio_migration_protocol::device::Then;
use vfio_migration_protocol::{
    CallError, Capabilities, Companions, Device, Errno as Number, Estimate, Passport, State,
};

use super::Fsm;
use crate::kernel::calls::{Calls, Left};

/// A call and its answer.
enum Step {
    State(Result<u32, Errno>),
    Set(u32, Result<bool, Errno>),
    Reset(Result<(), Errno>),
    Size(Result<u64, Errno>),
    Want(Result<(), Errno>),
    Left(Result<Left, Errno>),
    Read(Result<usize, Errno>),
    Write(Result<usize, Errno>),
}

struct Script {
    steps: RefCell<VecDeque<Step>>,
    /// The other end of each number that was kept.
    kept: RefCell<Vec<OwnedFd>>,
}

impl Script {
    fn next(&self, call: &str) -> Step {
        self.steps.borrow_mut().pop_front().unwrap_or_else(|| panic!("{call} is not in the script"))
    }
}

macro_rules! answer {
    ($script:expr, $call:literal, $pattern:pat => $answer:expr) => {
        match $script.next($call) {
            $pattern => $answer,
            _ => panic!(concat!($call, " is not next in the script")),
        }
    };
}

fn descriptor() -> OwnedFd {
    rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap()
}

impl Calls for Script {
    fn state(&self) -> Result<u32, Errno> {
        answer!(self, "state", Step::State(answer) => answer)
    }

    fn set_state(&self, to: u32) -> Result<Option<OwnedFd>, Errno> {
        answer!(self, "set_state", Step::Set(expected, answer) => {
            assert_eq!(to, expected);
            if answer.as_ref().is_ok_and(|opens| *opens) {
                let kept = self.kept.borrow();
                assert!(kept.len() >= 2, "two numbers were kept for the data fd");
                for other_end in kept.iter() {
                    assert_eq!(rustix::io::read(other_end, &mut [0; 1]), Ok(0), "the number was given back");
                }
            }
            answer.map(|opens| opens.then(descriptor))
        })
    }

    fn reset(&self) -> Result<(), Errno> {
        answer!(self, "reset", Step::Reset(answer) => answer)
    }

    fn data_size(&self) -> Result<u64, Errno> {
        answer!(self, "data_size", Step::Size(answer) => answer)
    }

    fn want_reinit(&self) -> Result<(), Errno> {
        answer!(self, "want_reinit", Step::Want(answer) => answer)
    }

    fn left(&self, _data: BorrowedFd<'_>) -> Result<Left, Errno> {
        answer!(self, "left", Step::Left(answer) => answer)
    }

    fn read(&self, _data: BorrowedFd<'_>, _into: &mut [u8]) -> Result<usize, Errno> {
        answer!(self, "read", Step::Read(answer) => answer)
    }

    fn write(&self, _data: BorrowedFd<'_>, _from: &[u8]) -> Result<usize, Errno> {
        answer!(self, "write", Step::Write(answer) => answer)
    }

    fn companions(&self) -> Option<Companions> {
        Some(Companions { group: 40, name: "a".into(), open: vec!["a".into(), "b".into()] })
    }

    fn duplicate(&self) -> Result<OwnedFd, Errno> {
        let (other_end, number) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        self.kept.borrow_mut().push(other_end);
        Ok(number)
    }
}

const STOP: u32 = 1;
const RUNNING: u32 = 2;
const STOP_COPY: u32 = 3;
const RESUMING: u32 = 4;
const PRE_COPY: u32 = 6;

fn device(steps: impl IntoIterator<Item = Step>) -> Fsm<Script> {
    let script = Script { steps: RefCell::new(steps.into_iter().collect()), kept: RefCell::default() };
    Fsm::new(script, Passport::new(), Capabilities::from_bits(1 | 2 | 4))
}

fn done(device: &Fsm<Script>) {
    assert!(device.calls.steps.borrow().is_empty(), "the script was not played to its end");
}

fn error<T: core::fmt::Debug>(answer: Result<T, CallError>) -> (Number, String) {
    let CallError { errno, detail } = answer.unwrap_err();
    (errno, detail.map(String::from).unwrap_or_default())
}

/// In pre-copy, with a data fd.
fn in_pre_copy(then: impl IntoIterator<Item = Step>) -> Fsm<Script> {
    let enter = [Step::State(Ok(RUNNING)), Step::Want(Err(Errno::NOTTY)), Step::Set(PRE_COPY, Ok(true))];
    let mut device = device(enter.into_iter().chain(then));
    device.set_state(State::PreCopy).unwrap();
    device
}

fn in_resuming(then: impl IntoIterator<Item = Step>) -> Fsm<Script> {
    let enter = [Step::State(Ok(RUNNING)), Step::Set(RESUMING, Ok(true))];
    let mut device = device(enter.into_iter().chain(then));
    device.set_state(State::Resuming).unwrap();
    device
}

#[test]
fn nothing_is_an_end_in_stop_copy_only() {
    let mut device = in_pre_copy([
        Step::Read(Ok(7)),
        Step::Read(Ok(0)),
        Step::Read(Err(Errno::NOMSG)),
        Step::State(Ok(PRE_COPY)),
        Step::Set(STOP_COPY, Ok(false)),
        Step::Read(Ok(3)),
        Step::Read(Err(Errno::NOMSG)),
        Step::Read(Ok(0)),
    ]);
    let mut room = [0; 16];
    let mut read = |device: &mut Fsm<Script>| device.read(&mut room).map(|filled| (filled.len, filled.then));
    assert_eq!(read(&mut device), Ok((7, Then::More)));
    assert_eq!(read(&mut device), Ok((0, Then::Pause)));
    assert_eq!(read(&mut device), Ok((0, Then::Pause)));
    device.set_state(State::StopCopy).unwrap();
    assert_eq!(read(&mut device), Ok((3, Then::More)));
    assert_eq!(error(read(&mut device)).0, Number::ENOMSG);
    assert_eq!(read(&mut device), Ok((0, Then::End)));
    assert_eq!(device.read(&mut []).unwrap().then, Then::More, "an empty buffer is no end");
    done(&device);
}

#[test]
fn a_number_is_kept_for_each_data_fd() {
    let mut device = in_pre_copy([
        Step::State(Ok(PRE_COPY)),
        Step::Set(RUNNING, Ok(false)),
        Step::State(Ok(RUNNING)),
        Step::Set(STOP_COPY, Ok(true)),
    ]);
    device.set_state(State::Running).unwrap();
    assert!(device.data.is_none());
    device.set_state(State::StopCopy).unwrap();
    assert!(device.data.is_some());
    done(&device);
}

#[test]
fn a_state_without_its_data_fd_leads_only_out() {
    let mut device = device([
        Step::State(Ok(STOP)),
        Step::Set(STOP_COPY, Err(Errno::MFILE)),
        Step::State(Ok(STOP_COPY)),
        Step::State(Ok(STOP_COPY)),
        Step::State(Ok(STOP_COPY)),
        Step::Set(RUNNING, Ok(false)),
    ]);
    let (errno, why) = error(device.set_state(State::StopCopy));
    assert_eq!(errno, Number::EMFILE);
    assert!(why.contains("ulimit -n"), "{why}");
    assert_eq!(device.state(), Ok(State::StopCopy));
    let (errno, why) = error(device.set_state(State::StopCopy));
    assert_eq!(errno, Number::EBADF);
    assert_eq!(why, "the data fd of stop-copy is lost: leave stop-copy, or reset the device");
    assert!(error(device.read(&mut [0; 8])).1.contains("no data to read in stop-copy"));
    device.set_state(State::Running).unwrap();
    done(&device);
}

#[test]
fn an_interrupted_change_goes_on_from_where_the_device_is() {
    let mut device = device([
        Step::State(Ok(RUNNING)),
        Step::Set(STOP_COPY, Err(Errno::INTR)),
        Step::State(Ok(STOP)),
        Step::Set(STOP_COPY, Ok(true)),
        Step::State(Err(Errno::INTR)),
        Step::State(Ok(STOP_COPY)),
    ]);
    device.set_state(State::StopCopy).unwrap();
    assert_eq!(device.state(), Ok(State::StopCopy));
    done(&device);
}

#[test]
fn what_the_table_refuses_is_not_sent() {
    let mut device = device([
        Step::State(Ok(STOP_COPY)),
        Step::State(Ok(RUNNING)),
        Step::State(Ok(0)),
        Step::State(Ok(9)),
        Step::State(Ok(RUNNING)),
    ]);
    for to in [State::PreCopy, State::Unknown(9), State::Running, State::Running, State::Error] {
        assert_eq!(error(device.set_state(to)).0, Number::EINVAL, "{to}");
    }
    done(&device);
}

#[test]
fn a_failed_write_is_final_until_a_reset() {
    let mut device = in_resuming([
        Step::Write(Ok(2)),
        Step::Write(Err(Errno::INTR)),
        Step::Write(Err(Errno::FAULT)),
        Step::State(Ok(RESUMING)),
        Step::Reset(Ok(())),
        Step::State(Ok(RUNNING)),
    ]);
    assert_eq!(device.write(b"abc", true), Ok(2));
    assert_eq!(error(device.write(b"c", true)).0, Number::EFAULT);
    assert_eq!(error(device.write(b"c", true)).0, Number::EFAULT, "it is not tried again");
    let (errno, why) = error(device.set_state(State::Running));
    assert_eq!(errno, Number::EFAULT);
    assert!(why.contains("only a reset leads out of resuming"), "{why}");
    device.reset().unwrap();
    device.set_state(State::Running).unwrap();
    done(&device);
}

#[test]
fn a_reset_is_tried_again_while_the_lock_is_taken() {
    let mut device = device([
        Step::Reset(Err(Errno::AGAIN)),
        Step::Reset(Err(Errno::INTR)),
        Step::Reset(Ok(())),
        Step::Reset(Err(Errno::INVAL)),
    ]);
    device.reset().unwrap();
    assert!(error(device.reset()).1.contains("no reset that works"));
    done(&device);
}

#[test]
fn a_reset_by_others_is_named() {
    let mut device = in_pre_copy([Step::Read(Err(Errno::NODEV)), Step::State(Ok(RUNNING))]);
    let (errno, why) = error(device.read(&mut [0; 8]));
    assert_eq!(errno, Number::ENODEV);
    assert!(why.starts_with("the device was reset by others: it is in running"), "{why}");
    assert!(error(device.read(&mut [0; 8])).1.starts_with("the device was reset by others"));
    done(&device);
}

#[test]
fn unknown_is_not_zero() {
    let mut device = device([
        Step::Size(Ok(96)),
        Step::Size(Ok(u64::MAX - 106)),
        Step::Size(Err(Errno::NOTTY)),
        Step::Size(Err(Errno::NOTCONN)),
    ]);
    assert_eq!(device.data_size(), Ok(Estimate::Known(96)));
    assert_eq!(device.data_size(), Ok(Estimate::Unknown));
    assert_eq!(device.data_size(), Ok(Estimate::Unknown));
    let (errno, why) = error(device.data_size());
    assert!(errno == Number::ENOTCONN && why.contains("physical function"), "{why}");
    done(&device);
}

#[test]
fn reinit_means_something_only_if_it_was_asked_for() {
    let left = Left { initial: 24, dirty: 0, reinit: true };
    let mut old = in_pre_copy([Step::Left(Ok(left))]);
    assert!(!old.pre_copy_info().unwrap().reinit, "older kernels echo the field");
    let enter = [Step::State(Ok(RUNNING)), Step::Want(Ok(())), Step::Set(PRE_COPY, Ok(true)), Step::Left(Ok(left))];
    let mut new = device(enter);
    new.set_state(State::PreCopy).unwrap();
    let info = new.pre_copy_info().unwrap();
    assert_eq!((info.initial, info.dirty, info.reinit), (Estimate::Known(24), Estimate::Known(0), true));
    done(&old);
    done(&new);
}

#[test]
fn it_says_who_else_of_its_group_is_open() {
    let companions = device(Vec::new()).companions().unwrap();
    assert_eq!((companions.group, companions.open), (40, vec!["a".to_owned(), "b".to_owned()]));
}
