//! What a run leaves behind: a value that says how it went.

use core::fmt;
use core::time::Duration;

use serde::Serialize;

use crate::device::Protocol;
use crate::event::micros;
use crate::{Capabilities, Estimate, Event, State};

/// The course of one end of a migration. Serialised with camelCase names, times in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Which end this is.
    pub side: Side,
    /// The worst outcome of all devices; what the session as a whole came to.
    pub outcome: Outcome,
    /// What went wrong first, one sentence.
    pub failure: Option<String>,
    /// From the start of the session to its end.
    #[serde(rename = "totalMicros", serialize_with = "micros")]
    pub total: Duration,
    /// Payload bytes of all objects, those that were sent again included.
    pub bytes: u64,
    /// Payload bytes a second over the time in which data flowed.
    pub rate: Option<u64>,
    /// The switchover; `None` if it never came to one.
    pub downtime: Option<Downtime>,
    /// Why pre-copy ended; `None` if it never began or never ended.
    pub pre_copy_end: Option<PreCopyEnd>,
    /// Ids of the objects that kept pre-copy from converging.
    pub not_converged: Vec<String>,
    /// One line an object, in the order of the stream's table.
    pub objects: Vec<ObjectReport>,
    /// What happened, in order: phases, failures, resets and all else but changes of state, which stand with the objects,
    /// and progress, which `flow` sums up. Phases all, of the rest the first [`Report::MOST_EVENTS`].
    pub course: Vec<Event>,
    /// Payload bytes of all objects over time: from when the first moved until the last had, at most
    /// [`Report::MOST_SAMPLES`] in between.
    pub flow: Vec<Sample>,
}

impl Report {
    /// Most events of [`course`](Self::course) besides phases.
    pub const MOST_EVENTS: usize = 1000;
    /// Most samples of [`flow`](Self::flow).
    pub const MOST_SAMPLES: usize = 256;

    /// Resets of all devices, by us or as the devices count them. 0 unless something failed or a restore was abandoned.
    pub fn resets(&self) -> u64 {
        self.objects.iter().map(|object| object.resets).sum()
    }
}

/// How it went for one object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReport {
    /// Its id.
    pub id: String,
    /// Which protocol it speaks; `None` for memory.
    pub protocol: Option<Protocol>,
    /// What it is capable of, as `stop-copy+p2p`; `None` for memory.
    #[serde(serialize_with = "by_name")]
    pub capabilities: Option<Capabilities>,
    /// How it ended; `None` for memory.
    pub outcome: Option<Outcome>,
    /// What the device says now.
    pub state: Option<State>,
    /// Payload bytes, those that were sent again included.
    pub bytes: u64,
    /// Every state the device was seen in, the one it was found in first.
    pub walked: Vec<Step>,
    /// How often the device was reset during the session.
    pub resets: u64,
    /// Whether the device counted the resets itself; otherwise it is what we asked for.
    pub resets_counted_by_device: bool,
    /// What the device said it would give in stop-copy, when the session began.
    pub expected: Option<Estimate>,
    /// Restore: whether the device had left resuming, which is where drivers validate, when the session said `loaded`.
    /// `false` for a region device that leaves resuming only towards running: `loaded` says of it only that everything
    /// was written. `None` if it never came to that.
    pub validated: Option<bool>,
}

impl ObjectReport {
    /// The line of a piece of guest memory.
    pub(crate) const fn of_memory(id: String, bytes: u64) -> Self {
        Self {
            id,
            protocol: None,
            capabilities: None,
            outcome: None,
            state: None,
            bytes,
            walked: Vec::new(),
            resets: 0,
            resets_counted_by_device: false,
            expected: None,
            validated: None,
        }
    }
}

/// How many bytes had moved by a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Microseconds since the session started.
    #[serde(rename = "atMicros", serialize_with = "micros")]
    pub at: Duration,
    /// Payload bytes of all objects, those that were sent again included.
    pub bytes: u64,
}

/// One state on a device's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The state.
    pub state: State,
    /// Microseconds since the session started at which the call that led here returned.
    #[serde(rename = "atMicros", serialize_with = "micros")]
    pub at: Duration,
}

/// The switchover and its parts. A part that this end cannot see is zero; on a one-way session the end knows only its
/// own part of the whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Downtime {
    /// From the start of `pause` until the destination said running.
    #[serde(rename = "totalMicros", serialize_with = "micros")]
    pub total: Duration,
    /// The pause hook.
    #[serde(rename = "pauseMicros", serialize_with = "micros")]
    pub pause: Duration,
    /// All devices into their grace states.
    #[serde(rename = "graceMicros", serialize_with = "micros")]
    pub grace: Duration,
    /// All devices into stop-copy, and the last read of the trackers.
    #[serde(rename = "stopMicros", serialize_with = "micros")]
    pub stop: Duration,
    /// The rest of the data.
    #[serde(rename = "drainMicros", serialize_with = "micros")]
    pub drain: Duration,
    /// Until the destination had loaded everything.
    #[serde(rename = "loadMicros", serialize_with = "micros")]
    pub load: Duration,
    /// Until the destination said running.
    #[serde(rename = "takeOverMicros", serialize_with = "micros")]
    pub take_over: Duration,
}

/// Which end of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The source.
    Save,
    /// The destination.
    Restore,
}

/// How a session ended for a device, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It has moved.
    Completed,
    /// It is where the session found it, or in the running state that the report names.
    Returned,
    /// It was reset: what was in it is gone.
    Reset,
    /// It cannot be known which end has it.
    InDoubt,
    /// It neither moved nor can be brought back.
    Lost,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Completed => "completed",
            Self::Returned => "returned",
            Self::Reset => "reset",
            Self::InDoubt => "in-doubt",
            Self::Lost => "lost",
        })
    }
}

/// Why pre-copy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreCopyEnd {
    /// What was left fitted the downtime budget.
    Converged,
    /// It took as long as it may.
    MaxPreCopy,
    /// The caller asked for it.
    Requested,
    /// Nothing could be moved while the guest ran.
    NothingToPreCopy,
}

#[expect(clippy::ref_option, reason = "serde asks for a reference to the field")]
fn by_name<S: serde::Serializer>(capabilities: &Option<Capabilities>, serializer: S) -> Result<S::Ok, S::Error> {
    match capabilities {
        Some(capabilities) => serializer.collect_str(capabilities),
        None => serializer.serialize_none(),
    }
}
