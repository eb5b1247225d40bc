//! How things stand at a moment: at both ends, as they really are.

use core::fmt;

use serde::{Serialize, Serializer};
use vfio_migration_protocol::State;
use vfio_migration_protocol::event::Phase;
use vfio_migration_protocol::report::Side;

/// How things stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Situation {
    /// Who owns the guest.
    pub owner: Owner,
    /// The source.
    pub save: EndSituation,
    /// The destination.
    pub restore: EndSituation,
}

impl Situation {
    /// How things stand at one end.
    pub const fn at(&self, side: Side) -> &EndSituation {
        match side {
            Side::Save => &self.save,
            Side::Restore => &self.restore,
        }
    }
}

/// Who owns the guest by the rules of a session, known to whoever sees both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// The source: it has not given the guest up, or has it back.
    Save,
    /// The destination: it has heard that the guest was given up, or its caller has claimed it.
    Restore,
    /// The guest was given up, and the destination does not have it: the word is on its way, was lost, or was no use.
    Open,
}

/// How things stand at one end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndSituation {
    /// What its session is doing; `None` before it has said anything.
    pub phase: Option<Phase>,
    /// Whether the guest runs here.
    pub guest: bool,
    /// Where each device really is, in the scenario's order.
    pub devices: Vec<Place>,
    /// Bytes of payload: at the source those that were sent, at the destination those that were written to an object.
    pub bytes: u64,
    /// Whether it has said that it is in doubt, and is.
    pub in_doubt: bool,
    /// Whether its session is over, or its host died.
    pub over: bool,
}

/// Where a device really is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this state.
    In(State),
    /// It is gone: it does not answer, and never will.
    Gone,
}

impl From<Option<State>> for Place {
    fn from(state: Option<State>) -> Self {
        state.map_or(Self::Gone, Self::In)
    }
}

/// The state's name, or `gone`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(state) => state.fmt(f),
            Self::Gone => f.write_str("gone"),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
