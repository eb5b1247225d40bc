//! Grace states, and what the states' names and numbers say of them.

use State::{PreCopy, PreCopyP2p, Running, RunningP2p};
use vfio_migration_protocol::{Capabilities, State, Table};

#[test]
fn a_running_device_has_the_grace_state_of_its_group_if_it_has_p2p() {
    for set in Capabilities::FSM_SETS {
        let table = Table::fsm(set);
        let p2p = set.has(Capabilities::P2P);
        let both = set.has(Capabilities::P2P | Capabilities::PRE_COPY);
        for state in State::ALL {
            let expected = match state {
                Running | RunningP2p => p2p.then_some(RunningP2p),
                PreCopy | PreCopyP2p => both.then_some(PreCopyP2p),
                _ => None,
            };
            assert_eq!(table.grace(state), expected, "{set}: {state}");
        }
    }
}

#[test]
fn grace_is_quiet_still_runs_and_lies_on_every_way_to_a_stop() {
    for set in Capabilities::FSM_SETS {
        let table = Table::fsm(set);
        for state in State::ALL {
            let Some(grace) = table.grace(state) else { continue };
            assert!(grace.is_quiet() && grace.is_running());
            assert!(table.path(state, grace).expect("a device reaches its grace state").len() <= 1);
            for stopped in [State::Stop, State::StopCopy, State::Resuming] {
                let Ok(path) = table.path(state, stopped) else { continue };
                let quiet = |one: &State| matches!(one, RunningP2p | PreCopyP2p);
                assert!(state == grace || path.iter().any(quiet), "{set}: {state} to {stopped} skips grace: {path:?}");
            }
        }
    }
}

#[test]
fn every_way_into_a_state_that_works_fully_passes_a_quiet_one_first() {
    for set in Capabilities::FSM_SETS.into_iter().filter(|set| set.has(Capabilities::P2P)) {
        let table = Table::fsm(set);
        for from in [State::Stop, State::StopCopy, State::Resuming] {
            for to in [Running, PreCopy] {
                let Ok(path) = table.path(from, to) else { continue };
                assert!(path.contains(&RunningP2p), "{set}: {from} to {to}: {path:?}");
            }
        }
    }
}

#[test]
fn names_and_numbers_of_states_go_both_ways() {
    for (number, state) in (0..).zip(State::ALL) {
        assert_eq!(state.to_fsm(), number);
        assert_eq!(State::from_fsm(number), state);
        assert_eq!(state.to_string().parse(), Ok(state));
        assert_eq!(serde_json::to_string(&state).expect("a name"), format!("\"{state}\""));
        assert_eq!(serde_json::from_str::<State>(&format!("\"{state}\"")).expect("the same name"), state);
    }
    for number in [8, 9, 0xABCD, u32::MAX] {
        let state = State::from_fsm(number);
        assert_eq!(state, State::Unknown(number));
        assert_eq!(state.to_fsm(), number);
        assert_eq!(state.to_string().parse(), Ok(state));
        assert!(!state.is_running() && !state.is_quiet() && !state.is_pre_copy());
    }
    assert_eq!("unknown(2)".parse(), Ok(Running), "a number that has a name is that state");
    for text in ["", "Running", "running ", "unknown", "unknown()", "unknown(-1)", "unknown(4294967296)"] {
        assert!(text.parse::<State>().is_err(), "'{text}'");
    }
}

#[test]
fn a_capability_set_names_what_is_in_it() {
    let names = Capabilities::FSM_SETS.map(|set| set.to_string());
    assert_eq!(names, ["stop-copy", "stop-copy+p2p", "stop-copy+pre-copy", "stop-copy+p2p+pre-copy"]);
    let all = Capabilities::from_bits(u64::MAX);
    assert_eq!(all.to_string(), "stop-copy+p2p+pre-copy+dirty-tracking");
    assert_eq!(Capabilities::from_bits(all.bits()), all);
    for set in Capabilities::FSM_SETS {
        assert!(all.has(set) && set.has(set) && set.has(Capabilities::STOP_COPY));
        assert!(!set.has(Capabilities::DIRTY_TRACKING));
        assert_eq!((set | Capabilities::DIRTY_TRACKING).bits(), set.bits() | 1 << 32);
    }
}
