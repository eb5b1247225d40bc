//! What goes wrong, at which call.
//!
//! As text, a fault is `CALL@N:EFFECT`: `read@3:EIO`. CALL is the kind of a call or `any`; N counts from 1, over calls
//! of that kind, or over all calls with `any`; `N+` means from the Nth on. `CALL@N/STATE` counts only the calls that come
//! while the device is in that state: `set-state@1/stop-copy:EIO` is the first request to leave stop-copy. `write@last` is
//! the write that brings the end of the data, however many came before it.
//!
//! | effect | what happens |
//! |---|---|
//! | `EIO` | the call fails with this error (any name or number), nothing was done |
//! | `EIO:2` | so many arcs or bytes are done first |
//! | `error` | the device enters the error state, the call fails with EIO |
//! | `short:7` | at most so many bytes are read or written |
//! | `delay:250ms` | the call takes that long (`us`, `ms`, `s`); the driver waits, the model has no clock |
//! | `unknown`, `zero`, `huge`, `stuck` | an estimate or a register of the region is wrong; `stuck` goes on giving this answer |
//! | `lost-page` | the DMA log loses a page, and the device writes to it once more as it stops |
//! | `discard` | everything from now on is accepted and thrown away, and leaving resuming succeeds |
//! | `flip` | one bit of what is read or written is another |
//! | `rot` | a page is damaged after the device has verified its data |

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use vfio_migration_protocol::{Errno, State};

use crate::calls::CallKind;
use crate::pages::{below, mix};

/// What goes wrong in one run.
///
/// ```
/// use vfio_migration_model::{CallKind, Effect, Fault, FaultPlan};
/// use vfio_migration_protocol::Errno;
/// let fault: Fault = "read@3:EIO".parse()?;
/// assert_eq!(fault, Fault::nth(CallKind::Read, 3, Effect::Fails { errno: Errno::EIO, after: 0 }));
/// assert_eq!(fault.to_string(), "read@3:EIO");
/// assert_eq!(FaultPlan::seeded(7, 20), FaultPlan::seeded(7, 20));
/// # Ok::<(), vfio_migration_model::FaultError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan(Vec<Fault>);

/// One thing that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub at: At,
    /// What.
    pub effect: Effect,
}

/// At which call something goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Which calls are counted; all if `None`.
    pub kind: Option<CallKind>,
    /// Which of those that are counted.
    pub which: Which,
    /// Only calls in this state are counted; all if `None`.
    pub within: Option<State>,
}

/// Which call of those that are counted, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// This one only.
    Nth(u64),
    /// This one, and all later ones.
    From(u64),
    /// The one that brings the end of the data: of [`CallKind::Write`] only, where nobody knows before how many it takes.
    Last,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The call fails.
    Fails {
        /// With this error.
        errno: Errno,
        /// After so many arcs of the path, or bytes of the buffer.
        after: u64,
    },
    /// The device enters [`State::Error`](vfio_migration_protocol::State::Error) and the call fails with EIO; a call
    /// for the state succeeds and says so.
    Error,
    /// A read or write moves at most so many bytes: at least one.
    Short(usize),
    /// The call takes longer: [`Model::take_delay`](crate::Model::take_delay) tells whoever drives the model.
    Delay(Duration),
    /// An estimate is wrong.
    Estimate(Wrong),
    /// The DMA log loses a page for good. When the device stops it writes to that page once more, as a DMA that was
    /// under way would, so that the loss always shows.
    LostPage,
    /// From this write on the device takes everything and keeps nothing; leaving resuming succeeds all the same.
    Discard,
    /// One bit in the middle is flipped, after the session verified what it writes.
    Flip,
    /// When leaving resuming has succeeded, one page is not what was loaded.
    Rot,
}

/// How an estimate is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The device cannot say.
    Unknown,
    /// Nothing is left, it says.
    Zero,
    /// 2^62 bytes, it says.
    Huge,
    /// The answer of this call, from now on.
    Stuck,
}

impl Effect {
    /// Whether the effect means anything for such a call.
    pub const fn fits(self, kind: CallKind) -> bool {
        use CallKind::{
            DataSize, PreCopyInfo, Read, ReadDataOffset, ReadDataSize, ReadPendingBytes, ReadWindow, TrackerReport,
            TrackerStart, TrackerStop, Write, WriteDataSize, WriteWindow,
        };
        match self {
            Self::Fails { .. } | Self::Delay(_) => true,
            Self::Error => !matches!(kind, TrackerStart | TrackerReport | TrackerStop),
            Self::Short(_) | Self::Flip => matches!(kind, Read | Write | ReadWindow | WriteWindow),
            Self::Estimate(_) => {
                matches!(kind, PreCopyInfo | DataSize | ReadPendingBytes | ReadDataOffset | ReadDataSize)
            }
            Self::LostPage => matches!(kind, TrackerReport),
            Self::Discard | Self::Rot => matches!(kind, Write | WriteDataSize),
        }
    }

    /// One effect of every kind that fits such a call, for tests of all of them.
    pub fn all_for(kind: CallKind) -> Vec<Self> {
        let errno = Errno::EIO;
        [
            Self::Fails { errno, after: 0 },
            Self::Fails { errno, after: 1 },
            Self::Error,
            Self::Short(1),
            Self::Delay(Duration::from_millis(100)),
            Self::Estimate(Wrong::Unknown),
            Self::Estimate(Wrong::Zero),
            Self::Estimate(Wrong::Huge),
            Self::Estimate(Wrong::Stuck),
            Self::LostPage,
            Self::Discard,
            Self::Flip,
            Self::Rot,
        ]
        .into_iter()
        .filter(|effect| effect.fits(kind))
        .collect()
    }
}

/// A call as it comes: of which kind, in which state, and whether it brings the end of the data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Came {
    pub(crate) kind: CallKind,
    pub(crate) state: State,
    pub(crate) last: bool,
}

impl Fault {
    /// At one call.
    pub const fn nth(kind: CallKind, number: u64, effect: Effect) -> Self {
        Self { at: At { kind: Some(kind), which: Which::Nth(number), within: None }, effect }
    }

    /// `number` says how many calls there were of a kind, or of all, in a state, or in all.
    fn hits(&self, call: Came, number: impl Fn(Option<CallKind>, Option<State>) -> u64) -> bool {
        let At { kind: of, which, within } = self.at;
        let Came { kind, state, last } = call;
        of.is_none_or(|of| of == kind)
            && within.is_none_or(|within| within == state)
            && match which {
                Which::Nth(nth) => number(of, within) == nth,
                Which::From(first) => number(of, within) >= first,
                Which::Last => last,
            }
            && self.effect.fits(kind)
    }
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// One fault drawn from `seed`, at one of the first `span` calls of some kind of [`CallKind::FSM`].
    pub fn seeded(seed: u64, span: u64) -> Self {
        let draw = |what: u64, count: usize| {
            usize::try_from(below(count as u64, mix(mix(seed) ^ what))).expect("below a count that has an index")
        };
        let kind = CallKind::FSM[draw(1, CallKind::FSM.len())];
        let effects = Effect::all_for(kind);
        let number = 1 + below(span.max(1), mix(mix(seed) ^ 3));
        Self(vec![Fault::nth(kind, number, effects[draw(2, effects.len())])])
    }

    /// Adds a fault.
    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.0.push(fault);
        self
    }

    /// All faults, in the order in which they were added.
    pub fn faults(&self) -> &[Fault] {
        &self.0
    }

    /// What happens to a call, with how many there were.
    pub(crate) fn hits(&self, call: Came, number: impl Fn(Option<CallKind>, Option<State>) -> u64) -> Vec<Effect> {
        self.0.iter().filter(|fault| fault.hits(call, &number)).map(|fault| fault.effect).collect()
    }
}

impl From<Fault> for FaultPlan {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

/// The text was no fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultError {
    /// It has not the form `CALL@N:EFFECT`.
    Form,
    /// No call has this name.
    Call(String),
    /// Not a number from 1 on, with or without `+`, and not `last`.
    Number(String),
    /// No state has this name.
    State(String),
    /// No effect has this name, and no error either.
    Effect(String),
    /// The effect means nothing for such a call.
    Misfit(CallKind),
    /// Of such calls nobody can say which is the last.
    NoLast,
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => f.write_str("a fault is written CALL@N:EFFECT, such as read@3:EIO"),
            Self::Call(text) => {
                write!(f, "'{text}' is no call: any")?;
                CallKind::ALL.iter().try_for_each(|kind| write!(f, ", {kind}"))
            }
            Self::Number(text) => {
                write!(f, "'{text}' is no number of a call: 1, 2, ..., 3+ for all from the third on, or last")
            }
            Self::State(text) => write!(f, "'{text}' is no state that calls could be counted in, such as stop-copy"),
            Self::Effect(text) => write!(
                f,
                "'{text}' is no effect: an error such as EIO or EIO:2, error, short:N, delay:250ms, unknown, zero, huge, \
                 stuck, lost-page, discard, flip, rot"
            ),
            Self::Misfit(kind) => write!(f, "this effect means nothing for {kind}"),
            Self::NoLast => f.write_str("'last' goes with write only: of other calls a device does not know the last"),
        }
    }
}

impl core::error::Error for FaultError {}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (at, effect) = text.split_once(':').ok_or(FaultError::Form)?;
        let (kind, number) = at.split_once('@').ok_or(FaultError::Form)?;
        let kind = match kind {
            "any" => None,
            name => Some(name.parse().map_err(|_| FaultError::Call(name.to_owned()))?),
        };
        let (number, within) = match number.split_once('/') {
            Some((number, state)) => (number, Some(state.parse().map_err(|_| FaultError::State(state.to_owned()))?)),
            None => (number, None),
        };
        let which = parse_which(number).ok_or_else(|| FaultError::Number(number.to_owned()))?;
        let effect = parse_effect(effect).ok_or_else(|| FaultError::Effect(effect.to_owned()))?;
        match kind {
            Some(kind) if !effect.fits(kind) => Err(FaultError::Misfit(kind)),
            kind if which == Which::Last && kind != Some(CallKind::Write) => Err(FaultError::NoLast),
            kind => Ok(Self { at: At { kind, which, within }, effect }),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let At { kind, which, within } = self.at;
        match kind {
            Some(kind) => write!(f, "{kind}@")?,
            None => f.write_str("any@")?,
        }
        match which {
            Which::Nth(number) => write!(f, "{number}")?,
            Which::From(number) => write!(f, "{number}+")?,
            Which::Last => f.write_str("last")?,
        }
        if let Some(state) = within {
            write!(f, "/{state}")?;
        }
        write!(f, ":{}", self.effect)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fails { errno, after } => {
                match errno {
                    Errno::Other(number) => write!(f, "{number}")?,
                    named => write!(f, "{named}")?,
                }
                if *after > 0 { write!(f, ":{after}") } else { Ok(()) }
            }
            Self::Error => f.write_str("error"),
            Self::Short(bytes) => write!(f, "short:{bytes}"),
            Self::Delay(time) => write!(f, "delay:{}us", time.as_micros()),
            Self::Estimate(Wrong::Unknown) => f.write_str("unknown"),
            Self::Estimate(Wrong::Zero) => f.write_str("zero"),
            Self::Estimate(Wrong::Huge) => f.write_str("huge"),
            Self::Estimate(Wrong::Stuck) => f.write_str("stuck"),
            Self::LostPage => f.write_str("lost-page"),
            Self::Discard => f.write_str("discard"),
            Self::Flip => f.write_str("flip"),
            Self::Rot => f.write_str("rot"),
        }
    }
}

fn parse_which(text: &str) -> Option<Which> {
    if text == "last" {
        return Some(Which::Last);
    }
    let digits = text.strip_suffix('+').unwrap_or(text);
    let number = digits.parse().ok().filter(|number| *number > 0)?;
    Some(if digits == text { Which::Nth(number) } else { Which::From(number) })
}

fn parse_effect(text: &str) -> Option<Effect> {
    let (name, argument) = text.split_once(':').map_or((text, None), |(name, argument)| (name, Some(argument)));
    let effect = match (name, argument) {
        ("error", None) => Effect::Error,
        ("short", Some(bytes)) => Effect::Short(bytes.parse().ok().filter(|bytes| *bytes > 0)?),
        ("delay", Some(time)) => Effect::Delay(parse_time(time)?),
        ("unknown", None) => Effect::Estimate(Wrong::Unknown),
        ("zero", None) => Effect::Estimate(Wrong::Zero),
        ("huge", None) => Effect::Estimate(Wrong::Huge),
        ("stuck", None) => Effect::Estimate(Wrong::Stuck),
        ("lost-page", None) => Effect::LostPage,
        ("discard", None) => Effect::Discard,
        ("flip", None) => Effect::Flip,
        ("rot", None) => Effect::Rot,
        (errno, after) => {
            let after = after.map_or(Some(0), |after| after.parse().ok())?;
            Effect::Fails { errno: parse_errno(errno)?, after }
        }
    };
    Some(effect)
}

/// The kernel's errors go up to 4095 (`MAX_ERRNO`).
fn parse_errno(text: &str) -> Option<Errno> {
    let number = text.parse().ok().filter(|number| (1..=4095).contains(number)).map(Errno::from_linux);
    let named = || (1..=4095).map(Errno::from_linux).find(|errno| errno.to_string() == text);
    number.or_else(named)
}

/// A time such as `250ms`; at most a day.
pub(crate) fn parse_time(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|one: char| one.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let micros = match &text[digits.len()..] {
        "us" => Some(number),
        "ms" => number.checked_mul(1_000),
        "s" => number.checked_mul(1_000_000),
        _ => None,
    };
    micros.filter(|micros| *micros <= 86_400_000_000).map(Duration::from_micros)
}
