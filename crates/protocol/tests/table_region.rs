//! `Table::region` against a second statement of the rules: in the register's numbers, pair by pair.

use std::collections::BTreeSet;

use vfio_migration_protocol::region::StateBits;
use vfio_migration_protocol::state::{Acceptance, Dialect};
use vfio_migration_protocol::{Capabilities, State, Table};

/// The values of `device_state` that mean a state, without NDMA.
const PLAIN: [u32; 5] = [0, 1, 2, 3, 4];
/// With NDMA; superfluous where the device does not run, and never asked for there.
const WITH_NDMA: [u32; 7] = [0, 1, 2, 3, 4, 9, 11];

/// Every pair that a device of this dialect can be asked for, as `from to: steps`; what is missing is refused.
fn ways(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        // Anything, in one write.
        Dialect::Thread => &[],
        Dialect::Qemu => &[
            "0 1: 1", "0 2: 2", "0 3: 1 3", //
            "1 0: 0", "1 2: 2", "1 3: 3", "1 4: 4", //
            "2 0: 0", "2 1: 1", //
            "3 0: 2 0", "3 1: 1", "3 2: 2", //
            "4 1: 1", "4 3: 1 3",
        ],
        Dialect::LibvfioUser => &[
            "0 1: 1", "0 3: 1 3", //
            "1 0: 0", "1 2: 2", "1 3: 3", "1 4: 4", //
            "2 0: 0", "2 1: 1", //
            "3 0: 0", "3 1: 2 1", "3 2: 2", //
            "4 1: 1", "4 3: 1 3",
        ],
    }
}

fn state(bits: u32) -> State {
    StateBits::new(bits).state(true)
}

/// What the lists say of a pair: the steps, or that it is refused.
fn expected(dialect: Dialect, from: u32, to: u32) -> Option<Vec<State>> {
    if from == to {
        return Some(Vec::new());
    }
    if dialect == Dialect::Thread {
        return Some(vec![state(to)]);
    }
    let pair = format!("{from} {to}: ");
    let steps = ways(dialect).iter().find_map(|way| way.strip_prefix(&pair))?;
    Some(steps.split(' ').map(|bits| state(bits.parse().expect("a number"))).collect())
}

fn pairs(values: &[u32]) -> impl Iterator<Item = (u32, u32)> {
    values.iter().flat_map(|from| values.iter().map(|to| (*from, *to)))
}

#[test]
fn each_pair_of_each_dialect_takes_the_way_that_the_lists_have() {
    let mut count = 0;
    for (dialect, ndma) in Dialect::ALL.into_iter().flat_map(|dialect| [(dialect, false), (dialect, true)]) {
        let table = Table::region(dialect, ndma);
        let values: &[u32] = if ndma && dialect == Dialect::Thread { &WITH_NDMA } else { &PLAIN };
        for (from, to) in pairs(values) {
            let path = table.path(state(from), state(to)).ok();
            assert_eq!(path, expected(dialect, from, to), "{dialect}, NDMA {ndma}: {from} to {to}");
            count += 1;
        }
        // All other pairs of states are refused.
        let known: BTreeSet<State> = values.iter().map(|bits| state(*bits)).collect();
        for (from, to) in State::ALL.into_iter().flat_map(|from| State::ALL.map(|to| (from, to))) {
            if !known.contains(&from) || !known.contains(&to) {
                assert!(table.path(from, to).is_err(), "{dialect}, NDMA {ndma}: {from} to {to}");
                assert_eq!(dialect.accepts(from, to, ndma), Acceptance::Never);
                count += 1;
            }
            assert_eq!(table.has(from), known.contains(&from), "{dialect}, NDMA {ndma}: {from}");
        }
    }
    assert_eq!(count, 6 * 64);
}

#[test]
fn each_step_is_a_write_that_the_device_accepts_and_the_rest_of_a_way_is_the_way_from_there() {
    for (dialect, ndma) in Dialect::ALL.into_iter().flat_map(|dialect| [(dialect, false), (dialect, true)]) {
        let table = Table::region(dialect, ndma);
        for (from, to) in State::ALL.into_iter().flat_map(|from| State::ALL.map(|to| (from, to))) {
            let Ok(path) = table.path(from, to) else { continue };
            let mut at = from;
            for (place, step) in path.iter().enumerate() {
                assert_ne!(dialect.accepts(at, *step, ndma), Acceptance::Never, "{dialect}: {at} to {step}");
                assert_eq!(table.path(*step, to).as_deref(), Ok(&path[place + 1..]), "{dialect}: {from} to {to}");
                at = *step;
            }
        }
    }
}

/// What linux/vfio.h of 5.15 names as possible, and the thread's flows for devices with NDMA.
#[test]
fn what_the_text_spells_out_has_to_work_and_the_rest_may() {
    let header = [(1, 0), (1, 2), (2, 0), (1, 3), (3, 2), (1, 4), (4, 1)];
    let flows = [(3, 11), (11, 2), (4, 9), (9, 1)];
    for (from, to) in pairs(&WITH_NDMA) {
        let with = Dialect::Thread.accepts(state(from), state(to), true);
        let without = Dialect::Thread.accepts(state(from), state(to), false);
        let plain = PLAIN.contains(&from) && PLAIN.contains(&to);
        let expected = match (from, to) {
            _ if from == to => Acceptance::Never,
            pair if header.contains(&pair) || flows.contains(&pair) => Acceptance::Must,
            _ => Acceptance::May,
        };
        assert_eq!(with, expected, "{from} to {to}");
        assert_eq!(without, if plain { expected } else { Acceptance::Never }, "{from} to {to}");
        assert_eq!(Table::region(Dialect::Thread, true).must(state(from), state(to)), with == Acceptance::Must);
    }
}

/// "3 -> 1 (cancel pre-copy) EINVAL, 3 -> 3 EINVAL, 2 -> 2 ok, 0 -> 2 EINVAL, 0 -> 4 EINVAL, 4 -> 0 EINVAL" was measured;
/// QEMU writes 2 in 2 at the end of pre-copy, and 1 in 1 after a failure.
#[test]
fn what_was_measured_of_deployed_peers_is_so() {
    let accepts = |dialect: Dialect, from, to| dialect.accepts(state(from), state(to), true) != Acceptance::Never;
    for (from, to) in [(3, 1), (3, 3), (0, 2), (0, 4), (4, 0), (1, 1), (4, 4), (0, 0), (2, 3), (9, 1)] {
        assert!(!accepts(Dialect::LibvfioUser, from, to), "{from} to {to}");
    }
    for (from, to) in [(1, 0), (1, 2), (1, 3), (1, 4), (3, 2), (3, 0), (2, 0), (2, 1), (0, 1), (4, 1), (2, 2)] {
        assert!(accepts(Dialect::LibvfioUser, from, to), "{from} to {to}");
    }
    let live = [(1, 3), (3, 2), (2, 2), (2, 0)];
    let save_stopped = [(1, 2), (2, 2), (1, 0), (0, 2), (2, 0), (0, 1)];
    let cancel = [(3, 1), (2, 1), (0, 1), (1, 1)];
    let load = [(1, 4), (4, 1)];
    for (from, to) in live.into_iter().chain(save_stopped).chain(cancel).chain(load) {
        assert!(accepts(Dialect::Qemu, from, to), "{from} to {to}");
    }
}

#[test]
fn only_libvfio_user_stops_a_device_on_its_way_from_running_to_running() {
    for (dialect, ndma) in Dialect::ALL.into_iter().flat_map(|dialect| [(dialect, false), (dialect, true)]) {
        let table = Table::region(dialect, ndma);
        for (from, to) in State::ALL.into_iter().flat_map(|from| State::ALL.map(|to| (from, to))) {
            let expected = (dialect, from, to) == (Dialect::LibvfioUser, State::PreCopy, State::Running);
            assert_eq!(table.stops_between(from, to), expected, "{dialect}: {from} to {to}");
        }
    }
    for set in Capabilities::FSM_SETS {
        let table = Table::fsm(set);
        let any = State::ALL.into_iter().any(|from| State::ALL.iter().any(|to| table.stops_between(from, *to)));
        assert!(!any, "{set}");
    }
}

#[test]
fn an_fsm_device_has_to_walk_all_of_its_table() {
    for set in Capabilities::FSM_SETS {
        let table = Table::fsm(set);
        for (from, to) in State::ALL.into_iter().flat_map(|from| State::ALL.map(|to| (from, to))) {
            assert_eq!(table.must(from, to), table.path(from, to).is_ok(), "{set}: {from} to {to}");
        }
    }
}

#[test]
fn names_of_dialects_go_both_ways() {
    for dialect in Dialect::ALL {
        assert_eq!(dialect.to_string().parse(), Ok(dialect));
    }
    for text in ["", "Thread", "libvfio_user", "fsm"] {
        assert!(text.parse::<Dialect>().is_err(), "'{text}'");
    }
}

#[test]
fn only_the_threads_text_knows_ndma() {
    for dialect in Dialect::ALL {
        let plain = dialect.capabilities(false);
        assert!(plain.has(Capabilities::STOP_COPY | Capabilities::PRE_COPY) && !plain.has(Capabilities::P2P));
        assert_eq!(dialect.capabilities(true).has(Capabilities::P2P), dialect == Dialect::Thread);
        assert_eq!(Table::region(dialect, true).has(State::RunningP2p), dialect == Dialect::Thread);
        assert_eq!(Table::region(dialect, true).grace(State::PreCopy).is_some(), dialect == Dialect::Thread);
    }
}
