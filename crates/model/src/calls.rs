//! Which calls a model received: counted always, kept in order if the settings say `trace`.

use core::fmt;
use core::str::FromStr;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vfio_migration_protocol::{CallError, Errno, State};

use crate::fault::{Came, Effect, FaultPlan};

/// What was called: the methods of `Device` and `Tracker`, or, of a device with a region, how it was accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CallKind {
    /// `Device::state`
    State,
    /// `Device::set_state`
    SetState,
    /// `Device::reset`
    Reset,
    /// `Device::read`
    Read,
    /// `Device::write`
    Write,
    /// `Device::pre_copy_info`
    PreCopyInfo,
    /// `Device::data_size`
    DataSize,
    /// `Tracker::start`
    TrackerStart,
    /// `Tracker::report`
    TrackerReport,
    /// `Tracker::stop`
    TrackerStop,
    /// `device_state` was read.
    ReadDeviceState,
    /// `device_state` was written.
    WriteDeviceState,
    /// `pending_bytes` was read.
    ReadPendingBytes,
    /// `data_offset` was read.
    ReadDataOffset,
    /// `data_size` was read.
    ReadDataSize,
    /// `data_size` was written.
    WriteDataSize,
    /// Bytes of the window were read. What is mapped goes unseen.
    ReadWindow,
    /// Bytes of the window were written.
    WriteWindow,
    /// Any other access to the region: no register is there, or not so wide a one, or it is not for that.
    Misaccess,
}

impl CallKind {
    /// All kinds: first those of [`FSM`](Self::FSM).
    pub const ALL: [Self; 19] = [
        Self::State,
        Self::SetState,
        Self::Reset,
        Self::Read,
        Self::Write,
        Self::PreCopyInfo,
        Self::DataSize,
        Self::TrackerStart,
        Self::TrackerReport,
        Self::TrackerStop,
        Self::ReadDeviceState,
        Self::WriteDeviceState,
        Self::ReadPendingBytes,
        Self::ReadDataOffset,
        Self::ReadDataSize,
        Self::WriteDataSize,
        Self::ReadWindow,
        Self::WriteWindow,
        Self::Misaccess,
    ];

    /// Those that a device with a data fd, and its tracker, can receive.
    pub const FSM: [Self; 10] = *Self::ALL.first_chunk().expect("they are the first of all");

    const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::SetState => "set-state",
            Self::Reset => "reset",
            Self::Read => "read",
            Self::Write => "write",
            Self::PreCopyInfo => "pre-copy-info",
            Self::DataSize => "data-size",
            Self::TrackerStart => "tracker-start",
            Self::TrackerReport => "tracker-report",
            Self::TrackerStop => "tracker-stop",
            Self::ReadDeviceState => "read-device-state",
            Self::WriteDeviceState => "write-device-state",
            Self::ReadPendingBytes => "read-pending-bytes",
            Self::ReadDataOffset => "read-data-offset",
            Self::ReadDataSize => "read-data-size",
            Self::WriteDataSize => "write-data-size",
            Self::ReadWindow => "read-window",
            Self::WriteWindow => "write-window",
            Self::Misaccess => "misaccess",
        }
    }
}

impl fmt::Display for CallKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text was no call's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotACall;

impl FromStr for CallKind {
    type Err = NotACall;

    fn from_str(text: &str) -> Result<Self, NotACall> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(NotACall)
    }
}

/// One call that the model received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was called.
    pub kind: CallKind,
    /// Which state was asked for, with [`CallKind::SetState`] and [`CallKind::WriteDeviceState`].
    pub to: Option<State>,
    /// What was read from a register or written to it, or how many bytes of the window.
    pub value: Option<u64>,
    /// What it was answered.
    pub answer: Result<(), Errno>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        if let Some(to) = self.to {
            write!(f, " {to}")?;
        }
        if let Some(value) = self.value {
            write!(f, " {value}")?;
        }
        match self.answer {
            Ok(()) => Ok(()),
            Err(errno) => write!(f, " -> {errno}"),
        }
    }
}

/// Counts calls and says which of them a fault hits. Shared by a model and its tracker.
#[derive(Clone, Debug)]
pub(crate) struct Recorder(Arc<Mutex<Record>>);

#[derive(Debug)]
struct Record {
    counts: [u64; CallKind::ALL.len()],
    /// The same for each state, in which calls came.
    counts_within: BTreeMap<State, [u64; CallKind::ALL.len()]>,
    /// Where the device is now.
    state: State,
    plan: FaultPlan,
    trace: Option<Vec<Call>>,
}

impl Recorder {
    pub(crate) fn new(plan: FaultPlan, trace: bool) -> Self {
        let record = Record {
            counts: [0; CallKind::ALL.len()],
            counts_within: BTreeMap::new(),
            state: State::Running,
            plan,
            trace: trace.then(Vec::new),
        };
        Self(Arc::new(Mutex::new(record)))
    }

    /// Counts a call; returns what the plan does to it. `last` says whether it brings the end of the data.
    pub(crate) fn begin(&self, kind: CallKind, last: bool) -> Vec<Effect> {
        let mut record = self.lock();
        record.counts[kind as usize] += 1;
        let state = record.state;
        record.counts_within.entry(state).or_insert([0; CallKind::ALL.len()])[kind as usize] += 1;
        record.plan.hits(Came { kind, state, last }, |of, within| {
            let counts = within.map_or(Some(&record.counts), |state| record.counts_within.get(&state));
            counts.map_or(0, |counts| of.map_or_else(|| counts.iter().sum(), |kind| counts[kind as usize]))
        })
    }

    /// The device is in another state now.
    pub(crate) fn enter(&self, state: State) {
        self.lock().state = state;
    }

    pub(crate) fn end<T>(&self, kind: CallKind, to: Option<State>, answer: &Result<T, CallError>) {
        self.keep(kind, to, None, answer);
    }

    /// An access to the region is over.
    pub(crate) fn accessed<T>(&self, kind: CallKind, to: Option<State>, value: u64, answer: &Result<T, CallError>) {
        self.keep(kind, to, Some(value), answer);
    }

    fn keep<T>(&self, kind: CallKind, to: Option<State>, value: Option<u64>, answer: &Result<T, CallError>) {
        if let Some(trace) = &mut self.lock().trace {
            let answer = answer.as_ref().map(|_| ()).map_err(|error| error.errno);
            trace.push(Call { kind, to, value, answer });
        }
    }

    pub(crate) fn count(&self, kind: CallKind) -> u64 {
        self.lock().counts[kind as usize]
    }

    pub(crate) fn trace(&self) -> Vec<Call> {
        self.lock().trace.clone().unwrap_or_default()
    }

    pub(crate) fn set_plan(&self, plan: FaultPlan) {
        self.lock().plan = plan;
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
