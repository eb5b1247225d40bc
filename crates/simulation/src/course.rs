//! What a run leaves behind: a log to read, numbers, and the rules that were broken.

use core::fmt;
use core::time::Duration;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use vfio_migration_protocol::report::{Outcome, Side};
use vfio_migration_protocol::session::{Ending, NotNow, Protocol};
use vfio_migration_protocol::{Event, Report, State};

use crate::end::device_name;
use crate::invariants::{Rule, Violation};
use crate::moment::{Moment, What, micros};
use crate::scenario::Scenario;
use crate::situation::Situation;
use crate::step::Step;

/// The course of a simulated migration.
#[derive(Clone, Debug)]
pub struct Course {
    /// What was simulated; its text replays the run.
    pub scenario: Scenario,
    /// What happened, in order.
    pub moments: Vec<Moment>,
    /// How things stood, one after the other, each unlike the one before it.
    pub situations: Vec<Situation>,
    /// What the source carried out, and what the destination did. A step's number is its place.
    pub steps: [Vec<Step>; 2],
    /// The names of what was sent forward, and of what was sent back. A message's number is its place.
    pub messages: [Vec<&'static str>; 2],
    /// How the sessions ended, as far as they did.
    pub endings: [Option<Ending>; 2],
    /// Which rules were broken; none, if all is well.
    pub violations: Vec<Violation>,
    /// What was answered to the scenario's wishes, in the order in which they came to be said.
    pub answers: Vec<Result<(), NotNow>>,
    /// Whether the guest works, here and there.
    pub guests: [bool; 2],
    /// Whether the ends were left in doubt.
    pub in_doubt: [bool; 2],
    /// Whether each end waits for a call that never returns.
    pub stuck: [bool; 2],
    /// Whether each end's session started at all: a restore from a file that was never committed does not.
    pub started: [bool; 2],
    /// Where the devices really are, at the source and at the destination; `None` if a device is gone.
    pub states: [Vec<Option<State>>; 2],
    /// Whether what arrived was what left; `None` if it never came to that.
    pub arrived: Option<bool>,
    /// How long it took on the virtual clock.
    pub took: Duration,
    /// Most chunks that the destination held at a time.
    pub most_held: usize,
}

impl Course {
    /// What a session came to; `None` if it has not ended.
    pub fn outcome(&self, side: Side) -> Option<Outcome> {
        self.endings[side as usize].as_ref().map(|ending| ending.report.outcome)
    }

    /// What a session says went wrong first.
    pub fn failure(&self, side: Side) -> Option<String> {
        self.endings[side as usize].as_ref().and_then(|ending| ending.report.failure.clone())
    }

    /// What a session told its observer, in order.
    pub fn events(&self, side: Side) -> impl Iterator<Item = &Event> {
        self.moments.iter().filter(move |moment| moment.side == Some(side)).filter_map(|moment| match &moment.what {
            What::Event { event } => Some(event),
            _ => None,
        })
    }

    /// Whether a rule was broken.
    pub fn broke(&self, rule: Rule) -> bool {
        self.violations.iter().any(|violation| violation.rule == rule)
    }

    /// Panics with the whole course if a rule was broken.
    #[track_caller]
    pub fn expect_sound(&self) -> &Self {
        assert!(self.violations.is_empty(), "{self}");
        self
    }

    fn device(&self, place: usize) -> DeviceWritten {
        let settings = self.scenario.settings_of(Side::Save, place);
        DeviceWritten {
            id: device_name(place),
            protocol: match settings.protocol() {
                Protocol::Region => "region",
                Protocol::Fsm => "fsm",
            },
            capabilities: settings.capabilities.to_string(),
        }
    }

    /// Resets at both ends, as the reports say.
    pub fn resets(&self) -> u64 {
        self.endings.iter().flatten().map(|ending| ending.report.resets()).sum()
    }
}

/// How many moments of a long course are worth showing.
const SHOWN: usize = 240;

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = self.moments.len().saturating_sub(SHOWN);
        if hidden > 0 {
            writeln!(f, "({hidden} moments before)")?;
        }
        self.moments[hidden..].iter().try_for_each(|moment| writeln!(f, "{moment}"))?;
        for side in [Side::Save, Side::Restore] {
            match (self.outcome(side), self.failure(side)) {
                (Some(outcome), Some(failure)) => writeln!(f, "{side:?}: {outcome}: {failure}")?,
                (Some(outcome), None) => writeln!(f, "{side:?}: {outcome}")?,
                (None, _) => writeln!(f, "{side:?}: has not ended")?,
            }
        }
        self.violations.iter().try_for_each(|violation| writeln!(f, "BROKEN {violation}"))?;
        write!(f, "replay: {}", self.scenario)
    }
}

/// With camelCase names and times in microseconds: all that a picture needs.
impl Serialize for Course {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [save, restore] = &self.endings;
        let report = |ending: &'_ Option<Ending>| ending.as_ref().map(|ending| ending.report.clone());
        let reports = Reports { save: report(save), restore: report(restore) };
        let devices: Vec<DeviceWritten> = (0..self.scenario.devices.len()).map(|place| self.device(place)).collect();
        let mut written = serializer.serialize_struct("Course", 8)?;
        written.serialize_field("scenario", &self.scenario.to_string())?;
        written.serialize_field("devices", &devices)?;
        written.serialize_field("tookMicros", &micros(self.took))?;
        written.serialize_field("moments", &self.moments)?;
        written.serialize_field("situations", &self.situations)?;
        written.serialize_field("reports", &reports)?;
        written.serialize_field("broken", &self.violations)?;
        written.serialize_field("arrived", &self.arrived)?;
        written.end()
    }
}

/// A device, the same at both ends.
#[derive(Serialize)]
struct DeviceWritten {
    id: String,
    protocol: &'static str,
    capabilities: String,
}

/// What the sessions report, as far as they have ended.
#[derive(Serialize)]
struct Reports {
    save: Option<Report>,
    restore: Option<Report>,
}
