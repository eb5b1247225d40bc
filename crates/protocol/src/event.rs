//! What happens in a run, as it happens.

use core::time::Duration;

use serde::Serialize;

use crate::report::{Outcome, PreCopyEnd, Side};
use crate::{Estimate, State};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Microseconds since the session started.
    #[serde(rename = "atMicros", serialize_with = "micros")]
    pub at: Duration,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened. `type` in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum EventKind {
    /// A session entered a phase.
    Phase {
        /// Which end.
        side: Side,
        /// Which phase.
        phase: Phase,
    },
    /// A device changed its state, or was found in it.
    State {
        /// The device's id.
        device: String,
        /// Where it was, unless this is how it was found.
        from: Option<State>,
        /// Where it is.
        to: State,
        /// How long the call took, in microseconds.
        #[serde(rename = "tookMicros", serialize_with = "micros")]
        took: Duration,
        /// What it was done for.
        cause: Cause,
    },
    /// A device was reset.
    Reset {
        /// The device's id.
        device: String,
        /// What the device says now; `None` if the reset failed.
        now: Option<State>,
    },
    /// Bytes have arrived. May be merged: the newest one says it all.
    Progress {
        /// The object's id.
        object: String,
        /// Bytes of it that have arrived so far, those that were sent again included.
        bytes: u64,
        /// What pre-copy has left of it, or what is left in all after that.
        left: Estimate,
        /// Bytes a second, all objects together.
        rate: Option<u64>,
    },
    /// Pre-copy has ended.
    Switchover {
        /// Why.
        reason: PreCopyEnd,
        /// What was left to do.
        left: Estimate,
    },
    /// A device has new initial data (`VFIO_PRECOPY_INFO_REINIT`).
    Reinit {
        /// The device's id.
        device: String,
        /// The number of the new generation.
        generation: u32,
    },
    /// A tracker lost its log: all of guest memory counts as dirty.
    TrackerLost {
        /// Its place in the caller's list.
        tracker: u32,
        /// What it said.
        why: String,
    },
    /// A call will not end.
    Overdue {
        /// The device's id, or the hook's name.
        object: String,
        /// Which call.
        call: String,
    },
    /// Something failed.
    Failed {
        /// The object's id, if it was one.
        object: Option<String>,
        /// One sentence.
        what: String,
    },
    /// The guest was given up: from here on the destination owns it.
    GivenUp,
    /// It cannot be known who owns the guest; everything is kept until the caller decides.
    InDoubt {
        /// Why.
        why: String,
    },
    /// How it ended for a device.
    Ended {
        /// The device's id.
        device: String,
        /// How.
        outcome: Outcome,
        /// What the device says now, if it says anything.
        state: Option<State>,
    },
}

/// What a session is doing. Save and restore share the names; the order is that of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Passports are compared; nothing has changed yet.
    Checking,
    /// Save: trackers start and devices enter pre-copy. Restore: devices enter resuming.
    Preparing,
    /// Data flows while the guest runs.
    PreCopy,
    /// Restore: data is loaded.
    Loading,
    /// The pause hook runs.
    Pausing,
    /// Devices enter their grace states.
    Grace,
    /// Devices enter stop-copy.
    Stopping,
    /// The rest of the data flows.
    Draining,
    /// Restore: the configure hook runs, then devices leave resuming.
    Configuring,
    /// Save: everything was sent; the destination loads it. Restore: everything is loaded; the source has not given up.
    Loaded,
    /// The destination is taking the guest over.
    TakingOver,
    /// Devices and trackers are put to rest.
    Finishing,
    /// Everything goes back to where it came from.
    Returning,
    /// It cannot be known who owns the guest.
    InDoubt,
    /// Over.
    Ended,
}

/// What a change of state was done for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// This is how the session found the device.
    Found,
    /// The way forward.
    Forward,
    /// The way back.
    Back,
    /// A request failed, and this is where the device says it is.
    Failure,
}

pub(crate) fn micros<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
