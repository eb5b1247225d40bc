//! Every pair of states of every capability set, beside the library's table.

use rustix::io::{Errno, read, write};
use vfio_migration_protocol::{Capabilities, State, Table};
use vfio_migration_uapi::feature;

use crate::bench::{Bench, Knobs};
use crate::open_device::{OpenDevice, precopy_info};

/// Opens the device with a capability set and without data: then resuming may be left at once.
fn with_capabilities(knobs: &Knobs, capabilities: Capabilities) -> OpenDevice {
    knobs.set("size", 0);
    knobs.set("capabilities", capabilities.bits());
    let device = OpenDevice::by_group(knobs);
    assert_eq!(feature::migration(device.fd()), Ok(capabilities.bits()));
    device
}

/// Brings the device into a state, by a reset.
fn start_in(device: &OpenDevice, knobs: &Knobs, state: State) {
    device.reset().expect("a reset always works");
    assert_eq!(device.state(), State::Running);
    if state == State::Error {
        knobs.fault("set-state 1 error");
        assert_eq!(device.try_to(State::Stop).unwrap_err(), Errno::IO);
    } else {
        device.try_to(state).unwrap_or_else(|error| panic!("to {state}: {error}"));
    }
    assert_eq!(device.state(), state);
    knobs.set("counts", 0);
}

/// Whether the last arc of a path opens a session.
fn opens(path: &[State], from: State) -> bool {
    let saves = |state| matches!(state, State::PreCopy | State::PreCopyP2p | State::StopCopy);
    let Some(&last) = path.last() else { return false };
    let before = path.iter().rev().nth(1).copied().unwrap_or(from);
    last == State::Resuming || saves(last) && !saves(before)
}

#[test]
fn every_pair_of_states_goes_as_the_table_says() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let mut pairs = 0;
    for capabilities in Capabilities::FSM_SETS {
        let table = Table::fsm(capabilities);
        let device = with_capabilities(knobs, capabilities);
        for from in State::ALL.into_iter().filter(|state| table.has(*state) || *state == State::Error) {
            for to in State::ALL {
                pairs += 1;
                start_in(&device, knobs, from);
                let answer = device.try_to(to);
                let what = format!("{capabilities}: {from} to {to}");
                if from == to {
                    // No arc, no session, not even in error.
                    assert!(answer.expect(&what).is_none(), "{what}");
                    assert_eq!((device.state(), knobs.arcs()), (from, vec![]), "{what}");
                    continue;
                }
                if let Ok(path) = table.path(from, to) {
                    assert_eq!(answer.expect(&what).is_some(), opens(&path, from), "{what}");
                    assert_eq!(device.state(), to, "{what}");
                    let froms = [from].into_iter().chain(path.iter().copied());
                    let walked: Vec<_> = froms.zip(&path).map(|(a, b)| (a.to_string(), b.to_string())).collect();
                    assert_eq!(knobs.arcs(), walked, "{what}");
                } else {
                    assert_eq!(answer.err(), Some(Errno::INVAL), "{what}");
                    assert_eq!((device.state(), knobs.arcs()), (from, vec![]), "{what}");
                }
            }
        }
    }
    // Each set has error and, one after the other, 4, 5, 5 and 7 more states; each is asked to go to all 8.
    assert_eq!(pairs, 8 * (5 + 6 + 6 + 8));
}

#[test]
fn numbers_that_are_no_state_are_refused() {
    let Some(bench) = Bench::take() else { return };
    let device = with_capabilities(&bench.knobs[0], Capabilities::FSM_SETS[0]);
    for number in [8, 9, 255, u32::MAX] {
        assert_eq!(feature::set_state(device.fd(), number).unwrap_err(), Errno::INVAL, "{number}");
        assert_eq!(device.state(), State::Running);
    }
}

#[test]
fn a_reset_leads_from_every_state_to_running_and_ends_the_session() {
    let Some(bench) = Bench::take() else { return };
    let device = OpenDevice::by_group(&bench.knobs[0]);
    for state in [State::StopCopy, State::PreCopy, State::PreCopyP2p, State::Resuming] {
        let fd = device.open_data(state);
        device.reset().expect("a reset always works");
        assert_eq!(device.state(), State::Running);
        if state == State::Resuming {
            assert_eq!(write(&fd, &[0]), Err(Errno::NODEV));
            assert_eq!(read(&fd, &mut [0]), Err(Errno::BADF));
        } else {
            assert_eq!(read(&fd, &mut [0]), Err(Errno::NODEV));
            assert_eq!(precopy_info(&fd), Err(Errno::NODEV));
            assert_eq!(write(&fd, &[0]), Err(Errno::BADF));
        }
        assert_eq!(rustix::fs::seek(&fd, rustix::fs::SeekFrom::Start(0)), Err(Errno::SPIPE));
    }
    assert_eq!(bench.knobs[0].count("reset"), 4);
}

#[test]
fn a_device_without_migration_has_none() {
    let Some(bench) = Bench::take() else { return };
    bench.knobs[0].set("capabilities", 0);
    let device = OpenDevice::by_group(&bench.knobs[0]);
    assert_eq!(feature::migration(device.fd()), Err(Errno::NOTTY));
    assert_eq!(feature::state(device.fd()), Err(Errno::NOTTY));
    assert_eq!(feature::data_size(device.fd()), Err(Errno::NOTTY));
    assert!(bench.knobs[0].try_write("capabilities", "7").is_err(), "who has it open relies on what it read");
}

#[test]
fn the_state_ends_with_the_last_close_unless_it_is_kept() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    for (keep, expected) in [(0, State::Running), (1, State::Resuming)] {
        knobs.set("keep_state", keep);
        drop(OpenDevice::by_group(knobs).open_data(State::Resuming));
        let device = OpenDevice::by_group(knobs);
        assert_eq!(device.state(), expected);
        if expected == State::Resuming {
            // There is no session to leave it with; only a reset helps, and nothing breaks.
            assert_eq!(device.try_to(State::Running).unwrap_err(), Errno::INVAL);
            device.reset().expect("a reset always works");
        }
    }
}

#[test]
fn a_device_that_was_left_in_any_state_is_usable_again() {
    let Some(bench) = Bench::take() else { return };
    for state in State::ALL.into_iter().filter(|state| *state != State::Error) {
        for data_fd_first in [true, false] {
            let [from, to] = [0, 1].map(|number| OpenDevice::by_group(&bench.knobs[number]));
            let left = to.try_to(state).unwrap_or_else(|error| panic!("to {state}: {error}"));
            if data_fd_first {
                drop(left);
                drop(to);
            } else {
                drop(to);
                // What outlives the device's fd has nothing more to say.
                assert!(left.is_none_or(|fd| read(&fd, &mut [0; 64]).is_err()), "{state}");
            }
            let to = OpenDevice::by_group(&bench.knobs[1]);
            assert_eq!(to.state(), State::Running, "{state}");
            to.load(&from.save(), 1 << 20).unwrap_or_else(|error| panic!("after {state}: {error}"));
        }
    }
    assert_eq!(bench.knobs[1].count("reset"), 0);
}
