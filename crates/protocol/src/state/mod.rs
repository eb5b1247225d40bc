//! Migration states, what a device is capable of, and the arcs between states.

mod capabilities;
mod dialect;
mod table;

pub use capabilities::Capabilities;
pub use dialect::{Acceptance, Dialect, NotADialect};
pub use table::{Refusal, Table};

use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A migration state of a device, of either protocol.
///
/// Region states map onto the same names: running|ndma is `running-p2p`, saving|running is `pre-copy`,
/// saving|running|ndma is `pre-copy-p2p`, saving is `stop-copy`.
///
/// ```
/// use vfio_migration_protocol::State;
/// assert_eq!("stop-copy".parse(), Ok(State::StopCopy));
/// assert_eq!(State::from_fsm(9), State::Unknown(9));
/// assert_eq!(State::Unknown(9).to_string(), "unknown(9)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Only a reset leaves it.
    Error,
    /// Neither DMA nor interrupts nor a change inside.
    Stop,
    /// The device works.
    Running,
    /// Stopped, and its data can be read.
    StopCopy,
    /// Stopped, and data can be written to it.
    Resuming,
    /// Running, but starts no DMA to other devices: the grace state of running devices.
    RunningP2p,
    /// Running, and its data can be read already.
    PreCopy,
    /// Pre-copy without DMA to other devices: the grace state of devices in pre-copy.
    PreCopyP2p,
    /// A number that this version has no name for. Never requested.
    Unknown(u32),
}

impl State {
    /// All states that have a name, in the order of the kernel's numbers.
    pub const ALL: [Self; 8] = [
        Self::Error,
        Self::Stop,
        Self::Running,
        Self::StopCopy,
        Self::Resuming,
        Self::RunningP2p,
        Self::PreCopy,
        Self::PreCopyP2p,
    ];

    /// From `enum vfio_device_mig_state` (linux/vfio.h).
    pub const fn from_fsm(number: u32) -> Self {
        match number {
            0 => Self::Error,
            1 => Self::Stop,
            2 => Self::Running,
            3 => Self::StopCopy,
            4 => Self::Resuming,
            5 => Self::RunningP2p,
            6 => Self::PreCopy,
            7 => Self::PreCopyP2p,
            other => Self::Unknown(other),
        }
    }

    /// The number in `enum vfio_device_mig_state`.
    pub const fn to_fsm(self) -> u32 {
        match self {
            Self::Error => 0,
            Self::Stop => 1,
            Self::Running => 2,
            Self::StopCopy => 3,
            Self::Resuming => 4,
            Self::RunningP2p => 5,
            Self::PreCopy => 6,
            Self::PreCopyP2p => 7,
            Self::Unknown(other) => other,
        }
    }

    /// Whether the guest's work goes on in this state: the running, P2P and pre-copy states.
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::RunningP2p | Self::PreCopy | Self::PreCopyP2p)
    }

    /// Whether data can be read and the device still works.
    pub const fn is_pre_copy(self) -> bool {
        matches!(self, Self::PreCopy | Self::PreCopyP2p)
    }

    /// Whether the device starts no DMA to its peers: the grace states, and every state in which it is stopped.
    pub const fn is_quiet(self) -> bool {
        matches!(self, Self::RunningP2p | Self::PreCopyP2p | Self::Stop | Self::StopCopy | Self::Resuming)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Stop => "stop",
            Self::Running => "running",
            Self::StopCopy => "stop-copy",
            Self::Resuming => "resuming",
            Self::RunningP2p => "running-p2p",
            Self::PreCopy => "pre-copy",
            Self::PreCopyP2p => "pre-copy-p2p",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(number) => write!(f, "unknown({number})"),
            known => f.pad(known.name()),
        }
    }
}

/// The text was no state's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAState;

impl FromStr for State {
    type Err = NotAState;

    fn from_str(text: &str) -> Result<Self, NotAState> {
        if let Some(number) = text.strip_prefix("unknown(").and_then(|rest| rest.strip_suffix(')')) {
            return number.parse().map(Self::from_fsm).map_err(|_| NotAState);
        }
        Self::ALL.into_iter().find(|state| state.name() == text).ok_or(NotAState)
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|NotAState| serde::de::Error::custom(format_args!("'{text}' is no migration state")))
    }
}
