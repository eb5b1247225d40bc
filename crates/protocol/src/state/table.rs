use core::fmt;

use super::{Capabilities, State};

/// Which single arcs lead from a state to another: what a device accepts, as a value.
///
/// Sessions ask it for a path and never ask which protocol a device speaks. [`Table::fsm`] follows
/// `vfio_mig_get_next_state` of the kernel: the path is the shortest over single arcs, a saving state stands inside it
/// only in pre-copy -> pre-copy-p2p -> stop-copy, and stop-copy never leads back to pre-copy. [`Table::region`] follows
/// a [`Dialect`](super::Dialect) of the region protocol.
///
/// ```
/// use vfio_migration_protocol::{Capabilities, State, Table};
/// let table = Table::fsm(Capabilities::STOP_COPY | Capabilities::P2P);
/// let path = table.path(State::Running, State::StopCopy).unwrap();
/// assert_eq!(path, [State::RunningP2p, State::Stop, State::StopCopy]);
/// assert!(table.path(State::Running, State::PreCopy).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// The first arc from a state (row) towards another (column), by the kernel's numbers; 0, error, is a refusal.
    next: [[u8; 8]; 8],
    /// What a device may not refuse, one bit a state that is asked for.
    must: [u8; 8],
}

/// The table has no way for a request, so it must not be sent (the kernel answers EINVAL; an xe VF stops).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The state that the device is in.
    pub from: State,
    /// The state that was asked for.
    pub to: State,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "no arcs lead from {from} to {to} on this device")
    }
}

impl core::error::Error for Refusal {}

impl Table {
    /// The table of the fsm protocol for one set of capabilities.
    pub fn fsm(capabilities: Capabilities) -> Self {
        let mut table = Self::EMPTY;
        let has = |state: State| capabilities.has(needs(state));
        for from in State::ALL.into_iter().filter(|state| has(*state)) {
            for to in State::ALL.into_iter().filter(|state| has(*state)) {
                let mut step = full_step(from, to);
                // A state that the device lacks is walked through, as the kernel does.
                while !has(step) {
                    step = full_step(step, to);
                }
                table.leads(from, to, step);
                table.needs(from, to);
            }
        }
        table
    }

    /// A table that refuses everything.
    pub(super) const EMPTY: Self = Self { next: [[0; 8]; 8], must: [0; 8] };

    /// Notes the first arc from a state towards another.
    pub(super) fn leads(&mut self, from: State, to: State, step: State) {
        self.next[index(from)][index(to)] = u8::try_from(index(step)).expect("there are eight states");
    }

    /// Notes that a device may not refuse a request.
    pub(super) fn needs(&mut self, from: State, to: State) {
        self.must[index(from)] |= 1 << index(to);
    }

    /// The first arc on the way, or `to` itself when the device is there already.
    pub fn next(&self, from: State, to: State) -> Result<State, Refusal> {
        let known = !matches!((from, to), (State::Unknown(_), _) | (_, State::Unknown(_)));
        match known.then(|| self.next[index(from)][index(to)]) {
            None | Some(0) => Err(Refusal { from, to }),
            Some(step) => Ok(State::ALL[usize::from(step)]),
        }
    }

    /// All states that a request walks through, `to` last; empty when the device is there already.
    pub fn path(&self, from: State, to: State) -> Result<Vec<State>, Refusal> {
        let mut path = Vec::new();
        let mut at = self.next(from, to).map(|_| from)?;
        while at != to {
            at = self.next(at, to)?;
            path.push(at);
        }
        Ok(path)
    }

    /// Whether a device that refuses this request breaks the rules. A region device may refuse much of what it may be
    /// asked for; an fsm device has to walk every path of its table, unless something is wrong.
    ///
    /// ```
    /// use vfio_migration_protocol::{Capabilities, State, Table, state::Dialect};
    /// let leaving = |table: Table| table.must(State::Resuming, State::Stop);
    /// assert!(leaving(Table::fsm(Capabilities::STOP_COPY)));
    /// assert!(!leaving(Table::region(Dialect::Thread, false)));
    /// ```
    pub fn must(&self, from: State, to: State) -> bool {
        self.next(from, to).is_ok() && self.must[index(from)] & 1 << index(to) != 0
    }

    /// Whether a device that runs, and is to run, stops on the way: libvfio-user's region leaves pre-copy through a stop.
    pub fn stops_between(&self, from: State, to: State) -> bool {
        let stops = |path: Vec<State>| path.into_iter().any(|state| !state.is_running());
        from.is_running() && to.is_running() && self.path(from, to).is_ok_and(stops)
    }

    /// Whether the device has this state.
    pub fn has(&self, state: State) -> bool {
        self.next(state, state).is_ok()
    }

    /// The grace state of the group that `state` belongs to: what a device enters before any of its group stops, or
    /// `None` when the device has none or is stopped.
    pub fn grace(&self, state: State) -> Option<State> {
        let grace = match state {
            State::Running | State::RunningP2p => State::RunningP2p,
            State::PreCopy | State::PreCopyP2p => State::PreCopyP2p,
            _ => return None,
        };
        self.has(grace).then_some(grace)
    }
}

fn index(state: State) -> usize {
    State::ALL.iter().position(|one| *one == state).expect("an unknown state is refused before the table is asked")
}

/// What a state needs (`state_flags_table` in the kernel).
fn needs(state: State) -> Capabilities {
    match state {
        // A device cannot be asked into or out of error by an arc: `full_step` says so for every pair.
        State::Error | State::Unknown(_) | State::Stop | State::Running | State::StopCopy | State::Resuming => {
            Capabilities::STOP_COPY
        }
        State::RunningP2p => Capabilities::STOP_COPY | Capabilities::P2P,
        State::PreCopy => Capabilities::STOP_COPY | Capabilities::PRE_COPY,
        State::PreCopyP2p => Capabilities::STOP_COPY | Capabilities::P2P | Capabilities::PRE_COPY,
    }
}

/// The kernel's next-state table (`vfio_from_fsm_table`) for a device with every state; `Error` is a refusal.
#[expect(clippy::match_same_arms, reason = "one line a state, as in the table this comes from")]
fn full_step(from: State, to: State) -> State {
    use State::{Error, PreCopy, PreCopyP2p, Resuming, Running, RunningP2p, Stop, StopCopy, Unknown};
    match (from, to) {
        (Error | Unknown(_), _) | (_, Error | Unknown(_)) => Error,

        (Stop, Stop | StopCopy | Resuming) => to,
        (Stop, _) => RunningP2p,

        (Running, Running | PreCopy) => to,
        (Running, _) => RunningP2p,

        (StopCopy, StopCopy) => to,
        (StopCopy, PreCopy | PreCopyP2p) => Error,
        (StopCopy, _) => Stop,

        (Resuming, Resuming) => to,
        (Resuming, _) => Stop,

        (RunningP2p, RunningP2p | Running | PreCopyP2p) => to,
        (RunningP2p, PreCopy) => Running,
        (RunningP2p, _) => Stop,

        (PreCopy, PreCopy | PreCopyP2p) => to,
        (PreCopy, StopCopy) => PreCopyP2p,
        (PreCopy, _) => Running,

        (PreCopyP2p, PreCopyP2p | PreCopy | StopCopy) => to,
        (PreCopyP2p, _) => RunningP2p,
    }
}
