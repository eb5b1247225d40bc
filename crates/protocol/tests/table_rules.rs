//! `Table::fsm` against a second statement of the rules, which knows the single arcs and nothing of the kernel's table:
//! the shortest path over single arcs, with a saving state inside only in pre-copy -> pre-copy-p2p -> stop-copy.

use std::collections::VecDeque;

use State::{Error, PreCopy, PreCopyP2p, Resuming, Running, RunningP2p, Stop, StopCopy};
use vfio_migration_protocol::{Capabilities, State, Table};

/// The arcs that the comments of linux/vfio.h describe one by one.
const ARCS: [(State, State); 15] = [
    (RunningP2p, Stop),
    (StopCopy, Stop),
    (Resuming, Stop),
    (PreCopy, Running),
    (RunningP2p, Running),
    (Running, RunningP2p),
    (Stop, RunningP2p),
    (PreCopyP2p, RunningP2p),
    (Running, PreCopy),
    (RunningP2p, PreCopyP2p),
    (PreCopyP2p, PreCopy),
    (PreCopy, PreCopyP2p),
    (PreCopyP2p, StopCopy),
    (Stop, StopCopy),
    (Stop, Resuming),
];

/// What takes the place of the arcs through a P2P state on a device that has none.
const ARCS_WITHOUT_P2P: [(State, State); 3] = [(Running, Stop), (Stop, Running), (PreCopy, StopCopy)];

fn states(set: Capabilities) -> Vec<State> {
    let mut states = vec![Stop, Running, StopCopy, Resuming];
    if set.has(Capabilities::P2P) {
        states.push(RunningP2p);
    }
    if set.has(Capabilities::PRE_COPY) {
        states.push(PreCopy);
    }
    if set.has(Capabilities::P2P | Capabilities::PRE_COPY) {
        states.push(PreCopyP2p);
    }
    states
}

fn arcs(set: Capabilities) -> Vec<(State, State)> {
    let states = states(set);
    let more: &[_] = if set.has(Capabilities::P2P) { &[] } else { &ARCS_WITHOUT_P2P };
    let here = |(from, to): &(State, State)| states.contains(from) && states.contains(to);
    ARCS.iter().chain(more).copied().filter(here).collect()
}

fn is_saving(state: State) -> bool {
    matches!(state, PreCopy | PreCopyP2p | StopCopy)
}

/// Whether the rules let `inside` stand within a path from `from` to `to`.
fn may_stand_inside(inside: State, from: State, to: State) -> bool {
    !is_saving(inside) || (from, inside, to) == (PreCopy, PreCopyP2p, StopCopy)
}

/// Every shortest path, breadth first; none where the rules refuse the request.
fn shortest(set: Capabilities, from: State, to: State) -> Vec<Vec<State>> {
    let states = states(set);
    let blocked = from == StopCopy && matches!(to, PreCopy | PreCopyP2p);
    if blocked || !states.contains(&from) || !states.contains(&to) {
        return Vec::new();
    }
    let arcs = arcs(set);
    let mut found: Vec<Vec<State>> = Vec::new();
    let mut open = VecDeque::from([vec![from]]);
    while let Some(path) = open.pop_front() {
        if found.first().is_some_and(|shorter| path.len() > shorter.len() + 1) {
            break;
        }
        let at = *path.last().expect("a path has a start");
        if at == to {
            found.push(path[1..].to_vec());
        } else if path.len() == 1 || may_stand_inside(at, from, to) {
            for (_, next) in arcs.iter().filter(|(start, next)| *start == at && !path.contains(next)) {
                open.push_back([path.as_slice(), &[*next]].concat());
            }
        }
    }
    found
}

fn pairs() -> impl Iterator<Item = (State, State)> {
    State::ALL.into_iter().flat_map(|from| State::ALL.into_iter().map(move |to| (from, to)))
}

#[test]
fn each_pair_of_each_capability_set_takes_the_shortest_path_that_the_rules_allow() {
    let (mut walked, mut refused) = (0, 0);
    for set in Capabilities::FSM_SETS {
        let table = Table::fsm(set);
        for (from, to) in pairs() {
            let paths = shortest(set, from, to);
            assert!(paths.len() <= 1, "{set}: the rules leave a choice from {from} to {to}: {paths:?}");
            assert_eq!(table.path(from, to).ok().as_ref(), paths.first(), "{set}: {from} to {to}");
            if paths.is_empty() { refused += 1 } else { walked += 1 }
        }
    }
    // 4, 5, 5 and 7 states; of the sets with pre-copy one and two pairs are blocked.
    assert_eq!((walked, refused), (16 + 25 + (25 - 1) + (49 - 2), 256 - 112));
}

#[test]
fn each_step_of_each_path_is_one_arc_and_any_rest_of_a_path_is_the_path_from_there() {
    for set in Capabilities::FSM_SETS {
        let (table, arcs) = (Table::fsm(set), arcs(set));
        for (from, to) in pairs() {
            let Ok(path) = table.path(from, to) else { continue };
            let mut at = from;
            for (index, step) in path.iter().enumerate() {
                assert!(arcs.contains(&(at, *step)), "{set}: {from} to {to} takes {at} to {step}, which is no arc");
                assert_eq!(table.next(at, *step), Ok(*step), "{set}: an arc can be asked for by itself");
                assert_eq!(table.path(*step, to).as_deref(), Ok(&path[index + 1..]), "{set}: {from} to {to}");
                at = *step;
            }
        }
    }
}

#[test]
fn each_arc_is_a_path_of_one_step() {
    for set in Capabilities::FSM_SETS {
        let (table, arcs) = (Table::fsm(set), arcs(set));
        for (from, to) in pairs() {
            let single = table.path(from, to).is_ok_and(|path| path.len() == 1);
            assert_eq!(single, arcs.contains(&(from, to)), "{set}: {from} to {to}");
        }
    }
}

#[test]
fn error_and_states_without_a_name_are_refused_in_every_place() {
    for set in Capabilities::FSM_SETS {
        let table = Table::fsm(set);
        for odd in [Error, State::Unknown(8), State::Unknown(0xABCD), State::Unknown(u32::MAX)] {
            assert!(!table.has(odd));
            assert!(table.path(odd, odd).is_err() && table.next(odd, odd).is_err());
            for state in State::ALL {
                assert!(table.path(odd, state).is_err() && table.path(state, odd).is_err(), "{set}: {odd} and {state}");
            }
        }
    }
}

#[test]
fn a_device_has_the_states_that_its_capabilities_name() {
    for set in Capabilities::FSM_SETS {
        let (table, states) = (Table::fsm(set), states(set));
        for state in State::ALL {
            assert_eq!(table.has(state), states.contains(&state), "{set}: {state}");
            if table.has(state) {
                assert_eq!(table.path(state, state).as_deref(), Ok(&[][..]), "{set}: {state} is reached by staying");
            }
        }
    }
}
