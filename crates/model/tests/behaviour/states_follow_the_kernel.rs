//! Every pair of states, for every set of capabilities, and what each end of a data fd answers.

use crate::transfer::{drain, errno, load, pair, save, write};
use vfio_migration_model::{CallKind, Model, Settings};
use vfio_migration_protocol::{Capabilities, Device, Errno, Estimate, State, Table, Then};

fn device(capabilities: Capabilities) -> Model {
    Model::new(&Settings { size: 10_000, capabilities, ..Settings::default() }, 1).expect("the settings are right")
}

/// A device in `state`, by single arcs.
fn device_in(capabilities: Capabilities, state: State) -> Model {
    let mut device = device(capabilities);
    for step in Table::fsm(capabilities).path(State::Running, state).expect("every state can be reached") {
        device.set_state(step).expect("a single arc");
    }
    device
}

#[test]
fn every_pair_ends_where_the_table_says_or_is_refused() {
    for capabilities in Capabilities::FSM_SETS {
        let table = Table::fsm(capabilities);
        for from in State::ALL.into_iter().filter(|state| *state != State::Error && table.has(*state)) {
            for to in State::ALL {
                let mut device = device_in(capabilities, from);
                let answer = device.set_state(to);
                match table.path(from, to) {
                    // Nothing was loaded, so leaving resuming fails at the first arc.
                    Ok(path) if from == State::Resuming && !path.is_empty() => {
                        assert_eq!(errno(answer), Errno::EINVAL);
                        assert_eq!(device.state(), Ok(State::Resuming));
                    }
                    Ok(_) => {
                        assert_eq!(answer, Ok(()), "{capabilities}: {from} -> {to}");
                        assert_eq!(device.state(), Ok(to));
                    }
                    Err(_) => {
                        assert_eq!(errno(answer), Errno::EINVAL, "{capabilities}: {from} -> {to}");
                        assert_eq!(device.state(), Ok(from));
                    }
                }
            }
        }
    }
}

#[test]
fn a_number_that_is_no_state_is_invalid() {
    let mut device = device(Capabilities::STOP_COPY);
    assert_eq!(errno(device.set_state(State::Unknown(0xabcd))), Errno::EINVAL);
    assert_eq!(device.state(), Ok(State::Running));
}

#[test]
fn only_a_reset_leaves_error() {
    let settings = Settings::parse("size=64KiB,pre-copy,p2p,fault=data-size@1:error").unwrap();
    let mut device = Model::new(&settings, 1).unwrap();
    assert_eq!(errno(device.data_size()), Errno::EIO);
    assert_eq!(device.state(), Ok(State::Error));
    for to in State::ALL.into_iter().filter(|to| *to != State::Error) {
        assert_eq!(errno(device.set_state(to)), Errno::EINVAL, "{to}");
    }
    // linux/vfio.h: a request for the current state does nothing, in this state too.
    assert_eq!(device.set_state(State::Error), Ok(()));
    assert_eq!(device.reset(), Ok(()));
    assert_eq!(device.state(), Ok(State::Running));
    assert_eq!(errno(device.set_state(State::Error)), Errno::EINVAL);
}

#[test]
fn asking_for_the_current_state_opens_nothing() {
    let (mut source, _) = pair("size=64KiB,pre-copy");
    source.set_state(State::PreCopy).unwrap();
    let mut data = Vec::new();
    assert_eq!(drain(&mut source, 100, &mut data), Then::Pause);
    source.set_state(State::PreCopy).unwrap();
    assert_eq!(drain(&mut source, 100, &mut data), Then::Pause, "the same session goes on");
}

#[test]
fn the_data_fd_answers_as_a_drivers() {
    let mut buffer = [0; 8];
    let (mut source, mut destination) = pair("size=64KiB,pre-copy,p2p");
    assert_eq!(errno(source.read(&mut buffer)), Errno::EBADF);
    assert_eq!(errno(source.write(&buffer, false)), Errno::EBADF);
    assert_eq!(errno(source.pre_copy_info()), Errno::EBADF);

    source.set_state(State::PreCopy).unwrap();
    assert_eq!(errno(source.write(&buffer, false)), Errno::EBADF);
    source.set_state(State::StopCopy).unwrap();
    assert_eq!(errno(source.pre_copy_info()), Errno::EINVAL);
    assert_eq!(drain(&mut source, 4096, &mut Vec::new()), Then::End);
    assert_eq!(source.read(&mut buffer).map(|filled| filled.then), Ok(Then::End), "the end can be read again");
    source.set_state(State::Stop).unwrap();
    assert_eq!(errno(source.read(&mut buffer)), Errno::ENODEV);
    assert_eq!(errno(source.pre_copy_info()), Errno::ENODEV);

    destination.set_state(State::Resuming).unwrap();
    assert_eq!(errno(destination.read(&mut buffer)), Errno::EBADF);
    assert_eq!(errno(destination.pre_copy_info()), Errno::ENOTTY);
    destination.reset().unwrap();
    assert_eq!(errno(destination.write(&buffer, false)), Errno::ENODEV);
    assert_eq!(destination.state(), Ok(State::Running));
}

#[test]
fn a_device_without_pre_copy_knows_no_pre_copy_information() {
    let (mut source, _) = pair("size=64KiB");
    source.set_state(State::StopCopy).unwrap();
    assert_eq!(errno(source.pre_copy_info()), Errno::ENOTTY);
}

#[test]
fn a_second_session_needs_to_leave_the_saving_states() {
    let (mut source, mut destination) = pair("size=64KiB,pre-copy,p2p");
    let first = save(&mut source, 4096);
    source.set_state(State::Running).unwrap();
    source.set_state(State::PreCopy).unwrap();
    source.set_state(State::Running).unwrap();
    let second = save(&mut source, 4096);
    assert_eq!(first.len(), second.len());
    assert_eq!(load(&mut destination, &second, 4096), Ok(()));
    assert_eq!(destination.proof(), source.proof());
}

#[test]
fn leaving_resuming_without_all_data_stays_in_resuming_and_may_go_on() {
    let (mut source, mut destination) = pair("size=64KiB");
    let data = save(&mut source, 4096);
    destination.set_state(State::Resuming).unwrap();
    assert_eq!(errno(destination.set_state(State::Stop)), Errno::EINVAL, "nothing came");
    let (most, last) = data.split_at(data.len() - 1);
    assert_eq!(write(&mut destination, most, 1000), Ok(()));
    assert_eq!(errno(destination.set_state(State::Running)), Errno::EINVAL, "a byte is missing");
    assert_eq!(destination.state(), Ok(State::Resuming));
    assert_eq!(write(&mut destination, last, 1), Ok(()));
    assert_eq!(destination.set_state(State::Running), Ok(()));
}

#[test]
fn a_reset_works_from_every_state_and_forgets_everything() {
    let all = Capabilities::FSM_SETS[3];
    for state in State::ALL.into_iter().filter(|state| *state != State::Error) {
        let mut device = device_in(all, state);
        device.start();
        let before = device.proof();
        assert_eq!(device.resets(), Some(0));
        assert_eq!(device.reset(), Ok(()));
        assert_eq!(device.resets(), Some(1));
        assert_eq!(device.state(), Ok(State::Running));
        assert_ne!(device.proof(), before);
        assert!(device.read(&mut [0]).is_err());
        assert_eq!(device.count(CallKind::Reset), 1);
    }
}

#[test]
fn estimates_of_the_size_are_what_stop_copy_gives() {
    for settings in ["size=0", "size=1", "size=4096", "size=4097", "size=1MiB", "size=0,empty-stream"] {
        let (mut source, _) = pair(settings);
        let before = source.data_size().unwrap();
        let data = save(&mut source, 777);
        assert_eq!(before, Estimate::Known(data.len() as u64), "{settings}");
        assert_eq!(source.data_size(), Ok(Estimate::Known(0)), "{settings}");
    }
}
