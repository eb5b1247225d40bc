//! What a run leaves behind: a log to read, numbers, and the rules that were broken.

use core::fmt;
use core::time::Duration;

use vfio_migration_protocol::State;
use vfio_migration_protocol::report::{Outcome, Side};
use vfio_migration_protocol::session::{Ending, NotNow};

use crate::invariants::{Rule, Violation};
use crate::scenario::Scenario;
use crate::step::Step;

/// The course of a simulated migration.
#[derive(Clone, Debug)]
pub struct Course {
    /// What was simulated; its text replays the run.
    pub scenario: Scenario,
    /// What happened, in order.
    pub log: Vec<Line>,
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

/// A line of the log.
#[derive(Clone, Debug)]
pub struct Line {
    /// When.
    pub at: Duration,
    /// Whose line; `None` for the world between them.
    pub side: Option<Side>,
    /// What.
    pub what: String,
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

    /// Resets at both ends, as the reports say.
    pub fn resets(&self) -> u64 {
        self.endings.iter().flatten().map(|ending| ending.report.resets()).sum()
    }
}

/// How much of a long log is worth showing.
const SHOWN: usize = 120;

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = self.log.len().saturating_sub(SHOWN);
        if hidden > 0 {
            writeln!(f, "({hidden} lines before)")?;
        }
        self.log[hidden..].iter().try_for_each(|line| writeln!(f, "{line}"))?;
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

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Some(Side::Save) => "save   ",
            Some(Side::Restore) => "restore",
            None => "       ",
        };
        write!(f, "{:>8} {side} {}", self.at.as_micros(), self.what)
    }
}
