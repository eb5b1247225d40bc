//! What must hold after every step of every run, whatever goes wrong: the rules of a session, checked from outside, on
//! what really happens to devices and guests.

mod barrier;
mod chunks;
mod destination;
mod owners;
mod source;
#[cfg(test)]
mod tests;

use core::fmt;
use core::time::Duration;

use serde::{Serialize, Serializer};
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{Action, Command, Input, NotNow};

use crate::end::{End, Work};
use crate::moment::{micros, text};
use crate::scenario::Scenario;

use chunks::Chunks;
use destination::Destination;
use owners::Owners;
use source::Source;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// When, on the virtual clock.
    #[serde(rename = "atMicros", serialize_with = "clock")]
    pub at: Duration,
    /// Which rule.
    #[serde(serialize_with = "text")]
    pub rule: Rule,
    /// What happened.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} us: {}: {}", self.at.as_micros(), self.rule, self.what)
    }
}

fn clock<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(micros(*time))
}

/// Declares [`Rule`], each with its sentence.
macro_rules! rules {
    ($($name:ident = $sentence:literal,)*) => {
        /// What must hold in every run.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $sentence] $name,)*
        }

        impl Rule {
            /// All rules.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }

        impl fmt::Display for Rule {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $sentence,)* })
            }
        }
    };
}

rules! {
    OneOwner = "never two owners: nothing works at the source while a guest's devices or the guest work at the destination",
    GivenFirst = "the destination runs nothing before the guest was given up to it",
    RefusedNeverRuns = "who said refused never runs",
    FailedStays = "after failed the destination never goes on by itself",
    PauseFirst = "the guest is paused before a device leaves its running group",
    Barrier = "all devices are in grace before any goes on, on every way",
    LastReport = "the last read of every tracker comes after the last device stopped",
    TrackersFirst = "memory is read only once its trackers log, or nothing works any more",
    NoReset = "no reset but those that the rules name",
    LegalArcs = "only requests that the table has a path for",
    Unpause = "unpause is called once if pause was started and the guest stays, after pause has settled, never in doubt",
    NothingAfterDamage = "nothing is placed after a damaged frame",
    Chunks = "a chunk is used for one thing at a time, and never more than the depth",
    GivenAfterLoaded = "given-up is sent only after loaded, with no call outstanding",
    KeepsUntilRunning = "after given-up the source keeps its devices as they are until it is settled who owns the guest",
    LoadedAfterAll = "loaded is said only when all was placed, configured, and has left resuming",
    RefusedAtRest = "refused is said only when no change is outstanding and every device reads stop or resuming",
    RunningAfterTakeOver = "running is said only when the guest was taken over",
    Alive = "after given-up the destination says something at least every third of the deadline",
    KeepsInDoubt = "in doubt everything is kept",
    BeginFirst = "nothing changes at the destination before the source begins",
    Commands = "cancelling works in every phase before the guest is given up, and says why not after it",
    Order = "what is done comes in the order of a migration",
    NoPanic = "nothing from outside makes a machine panic",
    Ends = "everything ends, in bounded steps and bounded time",
    Named = "every end has a named outcome, and its report says what is so",
    NeverNobody = "never nobody: the guest is somewhere, or in doubt with everything kept",
    Arrived = "what runs at the destination is what stopped at the source",
    GoesOn = "what the source keeps goes on working, in the states in which it was found",
    Clean = "where nothing goes wrong nothing fails, and nothing is reset",
    HandsOff = "nobody touches a device in a quiet state, and no peer writes to one that has stopped",
}

/// What was seen so far, and which rules it broke.
#[derive(Debug)]
pub(crate) struct Invariants {
    pub(crate) violations: Vec<Violation>,
    pub(crate) source: Source,
    pub(crate) destination: Destination,
    pub(crate) owners: Owners,
    chunks: [Chunks; 2],
}

/// What a check may look at.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) now: Duration,
    pub(crate) scenario: &'a Scenario,
    pub(crate) ends: &'a [End; 2],
}

impl<'a> View<'a> {
    pub(crate) const fn end(&self, side: Side) -> &'a End {
        &self.ends[side as usize]
    }
}

impl Invariants {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            violations: Vec::new(),
            source: Source::default(),
            destination: Destination::default(),
            owners: Owners::default(),
            chunks: [Chunks::new(scenario.save.depth), Chunks::new(scenario.save.depth)],
        }
    }

    /// An end is about to carry out an action.
    pub(crate) fn before(&mut self, view: View<'_>, side: Side, action: &Action) {
        let mut broken = Broken::default();
        self.chunks[side as usize].before(&mut broken, action);
        match side {
            Side::Save => self.source.before(&mut broken, view, action),
            Side::Restore => self.destination.before(&mut broken, view, action),
        }
        self.note(view.now, broken);
    }

    /// Some work of an end has just taken effect.
    pub(crate) fn after_effect(&mut self, view: View<'_>, side: Side, work: &Work, answer: &Input) {
        match side {
            Side::Save => self.source.after_effect(view, work, answer),
            Side::Restore => self.destination.after_effect(work, answer),
        }
    }

    /// An end is about to hear something.
    pub(crate) fn hears(&mut self, view: View<'_>, side: Side, input: &Input) {
        self.chunks[side as usize].hears(input);
        match side {
            Side::Save => self.source.hears(view, input),
            Side::Restore => self.destination.hears(view, input),
        }
    }

    /// The caller of an end said what it wishes, and this was the answer.
    pub(crate) fn commanded(&mut self, view: View<'_>, side: Side, command: &Command, answer: Result<(), NotNow>) {
        let mut broken = Broken::default();
        match side {
            Side::Save => self.source.commanded(&mut broken, command, answer),
            Side::Restore => self.destination.commanded(&mut broken, command, answer),
        }
        if answer.is_ok() {
            self.owners.commanded(view, side, command, &self.destination);
        }
        self.note(view.now, broken);
    }

    /// Something has happened: what must hold at every time.
    pub(crate) fn now(&mut self, view: View<'_>) {
        let mut broken = Broken::default();
        self.owners.now(&mut broken, view, &self.destination);
        self.source.now(&mut broken, view);
        self.destination.now(&mut broken, view);
        self.note(view.now, broken);
    }

    /// A rule was broken.
    pub(crate) fn broke(&mut self, now: Duration, rule: Rule, what: impl Into<String>) {
        // The same again says nothing new.
        if !self.violations.iter().any(|violation| violation.rule == rule) {
            self.violations.push(Violation { at: now, rule, what: what.into() });
        }
    }

    fn note(&mut self, now: Duration, broken: Broken) {
        broken.0.into_iter().for_each(|(rule, what)| self.broke(now, rule, what));
    }
}

/// What a check found broken.
#[derive(Debug, Default)]
pub(crate) struct Broken(Vec<(Rule, String)>);

impl Broken {
    /// Notes a broken rule unless `holds`.
    pub(crate) fn unless(&mut self, holds: bool, rule: Rule, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push((rule, what()));
        }
    }
}
