//! `Table::fsm` against the kernel's own table and its own way of resolving it.

use vfio_migration_protocol::{Capabilities, State, Table};

/// `vfio_from_fsm_table[current][new]` in the kernel's numbers; 0 is `VFIO_DEVICE_STATE_ERROR`: EINVAL.
const KERNEL: [[u32; 8]; 8] = [
    //ERR STOP RUN SC RES RP2P PRE PREP
    [0, 0, 0, 0, 0, 0, 0, 0], // ERROR
    [0, 1, 5, 3, 4, 5, 5, 5], // STOP
    [0, 5, 2, 5, 5, 5, 6, 5], // RUNNING
    [0, 1, 1, 3, 1, 1, 0, 0], // STOP_COPY
    [0, 1, 1, 1, 4, 1, 1, 1], // RESUMING
    [0, 1, 2, 1, 1, 5, 2, 7], // RUNNING_P2P
    [0, 2, 2, 7, 2, 2, 6, 7], // PRE_COPY
    [0, 5, 5, 3, 5, 5, 6, 7], // PRE_COPY_P2P
];

/// `state_flags_table`: what each state needs.
const NEEDS: [u64; 8] = [0, 1, 1, 1, 1, 1 | 2, 1 | 4, 1 | 2 | 4];

/// `vfio_mig_get_next_state`, line by line; `None` is EINVAL.
fn kernel_next(flags: u64, from: u32, to: u32) -> Option<u32> {
    let has = |state: u32| NEEDS[state as usize] & flags == NEEDS[state as usize];
    if !has(from) || !has(to) {
        return None;
    }
    let mut next = KERNEL[from as usize][to as usize];
    while next != 0 && !has(next) {
        next = KERNEL[next as usize][to as usize];
    }
    (next != 0).then_some(next)
}

/// A driver's loop over `vfio_mig_get_next_state`; `None` is EINVAL.
fn kernel_path(flags: u64, from: u32, to: u32) -> Option<Vec<u32>> {
    let mut path = Vec::new();
    let mut at = from;
    kernel_next(flags, from, to)?;
    while at != to {
        at = kernel_next(flags, at, to)?;
        path.push(at);
        assert!(path.len() <= 8, "the kernel's table loops from {from} to {to} with flags {flags}");
    }
    Some(path)
}

#[test]
fn each_pair_of_each_capability_set_steps_as_in_the_kernel() {
    let mut pairs = 0;
    for set in Capabilities::FSM_SETS {
        let table = Table::fsm(set);
        for (from, to) in (0..8).flat_map(|from| (0..8).map(move |to| (from, to))) {
            let expected = kernel_next(set.bits(), from, to).map(State::from_fsm);
            let step = table.next(State::from_fsm(from), State::from_fsm(to));
            assert_eq!(step.ok(), expected, "{set}: {} to {}", State::from_fsm(from), State::from_fsm(to));
            pairs += 1;
        }
    }
    assert_eq!(pairs, 4 * 64);
}

#[test]
fn each_pair_of_each_capability_set_walks_as_in_the_kernel() {
    for set in Capabilities::FSM_SETS {
        let table = Table::fsm(set);
        for (from, to) in (0..8).flat_map(|from| (0..8).map(move |to| (from, to))) {
            let expected =
                kernel_path(set.bits(), from, to).map(|path| path.into_iter().map(State::from_fsm).collect::<Vec<_>>());
            let path = table.path(State::from_fsm(from), State::from_fsm(to));
            assert_eq!(path.ok(), expected, "{set}: {} to {}", State::from_fsm(from), State::from_fsm(to));
        }
    }
}

#[test]
fn bits_that_the_kernel_has_not_defined_change_nothing() {
    for set in Capabilities::FSM_SETS {
        let plain = Table::fsm(set);
        assert_eq!(Table::fsm(set | Capabilities::DIRTY_TRACKING), plain);
        assert_eq!(Table::fsm(set | Capabilities::from_bits(1 << 3 | 1 << 63)), plain);
    }
}

#[test]
fn without_stop_copy_there_is_no_migration_at_all() {
    for bits in [0, 2, 4, 2 | 4, 1 << 32] {
        let table = Table::fsm(Capabilities::from_bits(bits));
        for (from, to) in State::ALL.into_iter().flat_map(|from| State::ALL.map(|to| (from, to))) {
            assert!(table.next(from, to).is_err(), "bits {bits}: {from} to {to}");
        }
    }
}

#[test]
fn a_refusal_names_both_states() {
    let table = Table::fsm(Capabilities::STOP_COPY);
    let refusal = table.path(State::StopCopy, State::PreCopy).expect_err("this device has no pre-copy");
    assert_eq!((refusal.from, refusal.to), (State::StopCopy, State::PreCopy));
    assert_eq!(refusal.to_string(), "no arcs lead from stop-copy to pre-copy on this device");
}
