//! What happens in a run, moment by moment, as values: for the log, and for whoever draws it.

use core::fmt;
use core::time::Duration;

use serde::{Serialize, Serializer};
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{Command, NotNow};
use vfio_migration_protocol::{Event, EventKind, State};

use crate::fault::{Direction, Fault};
use crate::invariants::Rule;
use crate::situation::Place;
use crate::step::Step;

/// One thing that happened, and how things stood then.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// When, on the virtual clock.
    pub at: Duration,
    /// At which end; `None` for the world between them.
    pub side: Option<Side>,
    /// What.
    pub what: What,
    /// How things stood once it had happened: a place in [`Course::situations`](crate::Course::situations).
    pub then: usize,
}

/// What happened. `type` in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum What {
    /// Everything is as the sessions find it.
    Begins,
    /// An end carries out what its session wants.
    Step {
        /// The number that faults and wishes name.
        number: u32,
        /// What it does.
        #[serde(rename = "does", serialize_with = "text")]
        step: Step,
        /// What it is done to: a device, a piece of memory, a tracker.
        of: Option<String>,
    },
    /// A call returns, and the session hears what came of it.
    Answered {
        /// What was called.
        call: String,
        /// What it was done to.
        of: Option<String>,
        /// What came of it, in words.
        answer: String,
        /// Whether it failed.
        failed: bool,
    },
    /// A message goes onto the link.
    Sent {
        /// Which way.
        #[serde(serialize_with = "text")]
        direction: Direction,
        /// Its number in its direction, which faults name.
        number: u32,
        /// Its name.
        message: &'static str,
        /// The object that it is about.
        of: Option<String>,
        /// Bytes of its payload.
        bytes: u64,
    },
    /// A session hears a message.
    Received {
        /// Its name.
        message: &'static str,
        /// The object that it is about.
        of: Option<String>,
        /// Bytes of its payload.
        bytes: u64,
    },
    /// What came is damaged; nothing more is read.
    Damaged {
        /// What is wrong with it.
        why: String,
    },
    /// An end learns that the connection has ended.
    Disconnected {
        /// What it learns.
        why: String,
    },
    /// One-way: a chunk has left its sender.
    Left,
    /// A device is in another state now. Nobody tells its session before it asks.
    Changed {
        /// The device.
        of: String,
        /// Where it was.
        from: Place,
        /// Where it is.
        to: Place,
    },
    /// The guest runs now, or does not any more.
    Guest {
        /// Whether it runs.
        runs: bool,
    },
    /// A session tells its observer something. Its times count from the start of its session.
    Event {
        /// What.
        event: Event,
    },
    /// Something goes wrong, as the scenario says.
    Fault {
        /// The scenario's own words.
        #[serde(serialize_with = "text")]
        fault: Fault,
    },
    /// The caller of an end wishes something.
    Wish {
        /// What, as a scenario says it.
        wish: &'static str,
        /// Why the session does not follow, if it does not.
        refused: Option<&'static str>,
    },
    /// A file has got its name, and a restore starts from it.
    FileThere,
    /// A session is over.
    Finished,
    /// A rule was broken.
    Broken {
        /// The rule.
        #[serde(serialize_with = "text")]
        rule: Rule,
        /// What happened.
        what: String,
    },
}

impl What {
    /// A caller's wish and what was answered.
    pub(crate) const fn wish(command: &Command, answer: Result<(), NotNow>) -> Self {
        let refused = match answer {
            Ok(()) => None,
            Err(NotNow::TooLate) => Some("the guest was given up already"),
            Err(NotNow::NotInDoubt) => Some("it is not in doubt"),
            Err(NotNow::Ending) => Some("the session is already ending"),
        };
        Self::Wish { wish: wish_name(command), refused }
    }
}

/// A wish's name in a scenario.
pub(crate) const fn wish_name(command: &Command) -> &'static str {
    match command {
        Command::Cancel(_) => "cancel",
        Command::Switchover => "switchover",
        Command::TakeBack { force: false } => "take-back",
        Command::TakeBack { force: true } => "force",
        Command::Discard => "discard",
        Command::Claim => "claim",
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = |of: &Option<String>| of.as_ref().map_or_else(String::new, |of| format!(" {of}"));
        let size = |bytes: u64| if bytes > 0 { format!(", {bytes} bytes") } else { String::new() };
        match self {
            Self::Begins => f.write_str("everything is as the sessions find it"),
            Self::Step { number, step, of } => write!(f, "{number}: {step}{}", about(of)),
            Self::Answered { call, of, answer, .. } => write!(f, "= {call}{}: {answer}", about(of)),
            Self::Sent { direction, number, message, of, bytes } => {
                write!(f, "-> {message}{}{} ({direction}:{number})", about(of), size(*bytes))
            }
            Self::Received { message, of, bytes } => write!(f, "<- {message}{}{}", about(of), size(*bytes)),
            Self::Damaged { why } => write!(f, "<- damaged: {why}"),
            Self::Disconnected { why } => write!(f, "<- disconnected: {why}"),
            Self::Left => f.write_str("= a chunk has left"),
            Self::Changed { of, to, .. } => write!(f, "{of} is {}{to}", if *to == Place::Gone { "" } else { "in " }),
            Self::Guest { runs: true } => f.write_str("the guest runs"),
            Self::Guest { runs: false } => f.write_str("the guest is paused"),
            Self::Event { event } => write!(f, "event {}", told(&event.kind)),
            Self::Fault { fault } => write!(f, "FAULT {fault}"),
            Self::Wish { wish, refused: None } => write!(f, "the caller wishes {wish}"),
            Self::Wish { wish, refused: Some(why) } => write!(f, "the caller wishes {wish}: no, {why}"),
            Self::FileThere => f.write_str("the file is there, and a restore starts from it"),
            Self::Finished => f.write_str("finished"),
            Self::Broken { rule, what } => write!(f, "BROKEN {rule}: {what}"),
        }
    }
}

/// An event in words.
fn told(kind: &EventKind) -> String {
    let state = |state: Option<State>| state.map_or_else(|| "unknown".to_owned(), |state| state.to_string());
    match kind {
        EventKind::Phase { phase, .. } => format!("phase {}", word(phase)),
        EventKind::State { device, from: None, to, .. } => format!("{device} found in {to}"),
        EventKind::State { device, from: Some(from), to, .. } => format!("{device} from {from} to {to}"),
        EventKind::Reset { device, now } => format!("{device} reset, now {}", state(*now)),
        EventKind::Progress { object, bytes, left, .. } => format!("progress {object}: {bytes} bytes, left {left}"),
        EventKind::Switchover { reason, left } => format!("switchover {}, left {left}", word(reason)),
        EventKind::Reinit { device, generation } => format!("new initial data of {device}, generation {generation}"),
        EventKind::TrackerLost { tracker, why } => format!("tracker{tracker} lost its log: {why}"),
        EventKind::Overdue { object, call } => format!("overdue: {call} of {object}"),
        EventKind::Failed { object, what } => {
            format!("failed{}: {what}", object.as_ref().map_or_else(String::new, |object| format!(" {object}")))
        }
        EventKind::GivenUp => "given up".to_owned(),
        EventKind::InDoubt { why } => format!("in doubt: {why}"),
        EventKind::Ended { device, outcome, state: now } => format!("{device} {outcome}, in {}", state(*now)),
    }
}

/// The name of a variant as it stands in JSON.
fn word(value: &impl fmt::Debug) -> String {
    let name = format!("{value:?}");
    let mut word = String::new();
    for sign in name.chars() {
        if sign.is_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.extend(sign.to_lowercase());
    }
    word
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Some(Side::Save) => "save   ",
            Some(Side::Restore) => "restore",
            None => "       ",
        };
        write!(f, "{:>8} {side} {}", self.at.as_micros(), self.what)
    }
}

/// With camelCase names, the time in microseconds, and the moment's words beside its values.
impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Written<'a> {
            at_micros: u64,
            side: Option<Side>,
            text: String,
            then: usize,
            #[serde(flatten)]
            what: &'a What,
        }
        let at_micros = micros(self.at);
        Written { at_micros, side: self.side, text: self.what.to_string(), then: self.then, what: &self.what }
            .serialize(serializer)
    }
}

/// A time on the virtual clock, as JSON has it.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Something that is serialised as its text.
pub(crate) fn text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
