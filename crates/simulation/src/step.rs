use core::fmt;

use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::{Estimate, State};

use crate::fault::{CallFault, Fault};

/// What an end carried out, as a kind: which faults fit it depends on this only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A device was asked for its state.
    State,
    /// A device was asked for a state.
    SetState {
        /// Where it was.
        from: State,
        /// What it was asked for.
        to: State,
        /// How many arcs lead there.
        arcs: u8,
    },
    /// A device was reset.
    Reset,
    /// A device was asked how much pre-copy has left.
    PreCopyInfo,
    /// A device was asked how much stop-copy would give.
    DataSize,
    /// A tracker was started.
    TrackerStart,
    /// A tracker was asked for a report.
    TrackerReport,
    /// A tracker was stopped.
    TrackerStop,
    /// A device was read from.
    ReadDevice,
    /// Memory was read from.
    ReadMemory,
    /// A device was written to.
    WriteDevice,
    /// Memory was written to.
    WriteMemory,
    /// The head of the stream was sent.
    Open,
    /// A message was sent.
    Send(&'static str),
    /// A hook was called.
    Hook(&'static str),
    /// A one-way stream was to be made to last.
    Commit,
    /// A one-way stream was thrown away.
    Discard,
    /// The connection was ended.
    Disconnect,
}

const EIO: i32 = 5;
const EMFILE: i32 = 24;

impl Step {
    /// Whether something is called that can answer in more than one way.
    pub const fn is_call(self) -> bool {
        !matches!(self, Self::Open | Self::Send(_) | Self::Discard | Self::Disconnect)
    }

    /// One fault of every kind that fits such a call.
    pub fn call_faults(self) -> Vec<CallFault> {
        use CallFault::{
            Breaks, Ends, Fails, LateAnswer, LateEffect, Maybe, Never, Nothing, Odd, PageSize, Part, Says, Short,
            TooMuch, Vanishes,
        };
        let device = [Fails(EIO), Breaks, Vanishes, Odd, LateAnswer, LateEffect, Never];
        let other = [Fails(EIO), LateAnswer, LateEffect, Never];
        let estimates = [Estimate::Unknown, Estimate::Known(0), Estimate::Known(1 << 62)].map(Says);
        match self {
            Self::State | Self::Reset => device.to_vec(),
            Self::SetState { arcs, .. } => {
                let part = (1..=arcs).map(|arcs| Part(arcs, if arcs == 1 { EMFILE } else { EIO }));
                device.into_iter().chain(part).collect()
            }
            Self::PreCopyInfo | Self::DataSize => device.into_iter().chain(estimates).collect(),
            Self::ReadDevice => device.into_iter().chain([Short, Nothing, TooMuch, Ends]).collect(),
            Self::WriteDevice => device.into_iter().chain([Short, Nothing]).collect(),
            Self::TrackerStart => other.into_iter().chain([0, 3000, 1 << 16, 1 << 63].map(PageSize)).collect(),
            Self::ReadMemory | Self::WriteMemory | Self::TrackerReport | Self::TrackerStop | Self::Hook(_) => {
                other.to_vec()
            }
            Self::Commit => other.into_iter().chain([Maybe]).collect(),
            Self::Open | Self::Send(_) | Self::Discard | Self::Disconnect => Vec::new(),
        }
    }

    /// One fault of every kind that fits this step of an end.
    pub fn faults(self, side: Side, number: u32) -> Vec<Fault> {
        let calls = self.call_faults().into_iter().map(|what| Fault::Call { side, number, what });
        calls.chain([Fault::Silent { side, number }, Fault::Killed { side, number }]).collect()
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State => f.write_str("read state"),
            Self::SetState { from, to, .. } => write!(f, "set state {from} to {to}"),
            Self::Reset => f.write_str("reset"),
            Self::PreCopyInfo => f.write_str("pre-copy info"),
            Self::DataSize => f.write_str("data size"),
            Self::TrackerStart => f.write_str("start tracker"),
            Self::TrackerReport => f.write_str("tracker report"),
            Self::TrackerStop => f.write_str("stop tracker"),
            Self::ReadDevice => f.write_str("read device"),
            Self::ReadMemory => f.write_str("read memory"),
            Self::WriteDevice => f.write_str("write device"),
            Self::WriteMemory => f.write_str("write memory"),
            Self::Open => f.write_str("open"),
            Self::Send(name) => write!(f, "send {name}"),
            Self::Hook(name) => write!(f, "hook {name}"),
            Self::Commit => f.write_str("commit"),
            Self::Discard => f.write_str("discard"),
            Self::Disconnect => f.write_str("disconnect"),
        }
    }
}
