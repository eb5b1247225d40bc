use core::fmt;
use core::str::FromStr;

use super::{Capabilities, State, Table};

/// Whose reading of the region protocol a device follows. Nobody ever settled it: the text left most changes of state
/// open, and what was deployed differs.
///
/// ```
/// use vfio_migration_protocol::state::{Acceptance, Dialect};
/// use vfio_migration_protocol::{State, Table};
/// // Cancelling pre-copy: one write for most devices, a detour through a stop for libvfio-user.
/// assert_eq!(Dialect::Thread.accepts(State::PreCopy, State::Running, false), Acceptance::May);
/// assert_eq!(Dialect::LibvfioUser.accepts(State::PreCopy, State::Running, false), Acceptance::Never);
/// let path = Table::region(Dialect::LibvfioUser, false).path(State::PreCopy, State::Running).unwrap();
/// assert_eq!(path, [State::StopCopy, State::Running]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The text as the thread clarified it: "vfio: Update/Clarify migration uAPI, add NDMA state", 9 December 2021. Any
    /// valid state may be asked for from any other; a device "should attempt" it. Those changes that linux/vfio.h (5.15)
    /// and the thread's reference flows spell out have to work.
    Thread,
    /// What QEMU did until 7.2 and no more: a device that was written for it need not know anything else.
    Qemu,
    /// The region of libvfio-user's server (until 2023, and SPDK's branch), which refuses whatever is not in its
    /// specification's table.
    LibvfioUser,
}

/// What a device does when it is asked for a change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Acceptance {
    /// It has to be able to carry it out.
    Must,
    /// It may carry it out, or refuse and stay where it is.
    May,
    /// It refuses, and nobody may ask for it.
    Never,
}

use State::{PreCopy, PreCopyP2p, Resuming, Running, RunningP2p, Stop, StopCopy};

/// The changes that linux/vfio.h describes, and below them those of the thread's flows for devices with NDMA.
const THREAD: &[(State, State)] = &[
    (Running, Stop),
    (Running, StopCopy),
    (Running, PreCopy),
    (PreCopy, StopCopy),
    (StopCopy, Stop),
    (Running, Resuming),
    (Resuming, Running),
    (PreCopy, PreCopyP2p),
    (PreCopyP2p, StopCopy),
    (Resuming, RunningP2p),
    (RunningP2p, Running),
];

/// QEMU 7.2, hw/vfio/migration.c: a live save, savevm, a paused machine, cancelling at any time, and a load. The last two
/// are writes of the state that the device is in, which it makes when pre-copy is over and after a failure.
const QEMU: &[(State, State)] = &[
    (Running, PreCopy),
    (PreCopy, StopCopy),
    (Running, Stop),
    (Running, StopCopy),
    (Stop, StopCopy),
    (StopCopy, Stop),
    (PreCopy, Running),
    (StopCopy, Running),
    (Stop, Running),
    (Running, Resuming),
    (Resuming, Running),
    (StopCopy, StopCopy),
    (Running, Running),
];

/// What libvfio-user's server accepted when it was asked for everything.
const LIBVFIO_USER: &[(State, State)] = &[
    (Running, Stop),
    (Running, StopCopy),
    (Running, PreCopy),
    (Running, Resuming),
    (PreCopy, StopCopy),
    (PreCopy, Stop),
    (StopCopy, Stop),
    (StopCopy, Running),
    (Stop, Running),
    (Resuming, Running),
    (StopCopy, StopCopy),
];

impl Dialect {
    /// All dialects.
    pub const ALL: [Self; 3] = [Self::Thread, Self::Qemu, Self::LibvfioUser];

    /// What a region device of this dialect is capable of. Pre-copy is never missing: a device may give no data there,
    /// and has to have the state. `ndma` says whether the region announces NDMA, which only the thread's text knows.
    pub fn capabilities(self, ndma: bool) -> Capabilities {
        let plain = Capabilities::STOP_COPY | Capabilities::PRE_COPY;
        if self.has_ndma(ndma) { plain | Capabilities::P2P } else { plain }
    }

    /// Whether a device does what it is asked to, in one write of `device_state`. Writing the state that it is in changes
    /// nothing and counts as a change here: some devices refuse it.
    pub fn accepts(self, from: State, to: State, ndma: bool) -> Acceptance {
        let has = |state| match state {
            RunningP2p | PreCopyP2p => self.has_ndma(ndma),
            State::Error | State::Unknown(_) => false,
            _ => true,
        };
        let must = match self {
            Self::Thread => THREAD,
            Self::Qemu => QEMU,
            Self::LibvfioUser => LIBVFIO_USER,
        };
        if !has(from) || !has(to) {
            Acceptance::Never
        } else if must.contains(&(from, to)) {
            Acceptance::Must
        } else if self == Self::Thread && from != to {
            Acceptance::May
        } else {
            Acceptance::Never
        }
    }

    const fn has_ndma(self, ndma: bool) -> bool {
        ndma && matches!(self, Self::Thread)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Qemu => "qemu",
            Self::LibvfioUser => "libvfio-user",
        }
    }
}

impl Table {
    /// The table of a region device. Every step of a path is one write of `device_state`; where a dialect refuses the
    /// direct one, the path makes a detour through one state:
    /// - that is stop-copy or stop, or running if the path ends in a running state: a device that is stopped, and is to be
    ///   so, does not run in between, and one that is resuming is not left and entered again;
    /// - from stop-copy none leads back to pre-copy, which would begin another stream in the middle of this one.
    pub fn region(dialect: Dialect, ndma: bool) -> Self {
        let accepts = |from, to| dialect.accepts(from, to, ndma);
        let mut table = Self::EMPTY;
        for from in State::ALL {
            for to in State::ALL {
                if accepts(from, to) == Acceptance::Must {
                    table.needs(from, to);
                }
                if let Some(step) = first_step(from, to, &|from, to| accepts(from, to) != Acceptance::Never) {
                    table.leads(from, to, step);
                }
            }
        }
        // Being there already needs no write, so it does not matter whether one is refused.
        let states = dialect.capabilities(ndma);
        let known = |state: &State| Table::fsm(states).has(*state);
        State::ALL.into_iter().filter(known).for_each(|state| table.leads(state, state, state));
        table
    }
}

/// The first step of the way: the whole of it, or a detour through one state.
fn first_step(from: State, to: State, accepts: &impl Fn(State, State) -> bool) -> Option<State> {
    if accepts(from, to) {
        return Some(to);
    }
    if from == to || from == StopCopy && to.is_pre_copy() {
        return None;
    }
    let through: &[State] = if to.is_running() { &[StopCopy, Stop, Running] } else { &[StopCopy, Stop] };
    through.iter().copied().find(|state| accepts(from, *state) && accepts(*state, to))
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text was no dialect's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotADialect;

impl FromStr for Dialect {
    type Err = NotADialect;

    fn from_str(text: &str) -> Result<Self, NotADialect> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == text).ok_or(NotADialect)
    }
}
