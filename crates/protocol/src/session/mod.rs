//! The two ends of a migration as machines: a [`Save`] at the source, a [`Restore`] at the destination.
//!
//! Both are driven alike, in the manner of quinn-proto: tell the machine what happened with `handle_input(now, input)`,
//! then call `poll_output(now)` until it answers [`Output::Wait`] or [`Output::Finished`], carrying out each
//! [`Action`]. `now` is the time since the session started. A machine sees lengths, never bytes.
//!
//! # Contract of whoever drives a machine
//! - `poll_output` comes first: a machine that has not begun takes no input.
//! - Every [`Action`] that names an answer gets exactly one, however late; actions without an answer get none.
//! - Calls to one device ([`Action::Call`], [`Action::Fill`], [`Action::Place`]) are made in the order in which they
//!   were asked for, one at a time; so are those to one memory, and those to one tracker.
//! - [`Action::Send`]s go out in order.
//! - After [`Input::Disconnected`] nothing more is received, and what is sent is dropped.
//! - After [`Output::Wait`] with a time, `handle_input(now, Input::Tick)` is due at that time at the latest.

mod course;
mod flowed;
mod group;
mod hook_call;
mod message;
mod objects;
mod options;
mod recovery;
mod restore;
mod save;

pub use crate::device::Protocol;
pub use message::{Message, ObjectDescription, ObjectKind, Offer};
pub use objects::{DeviceObject, RestoreObject, SaveObject};
pub use options::{Mode, RestoreOptions, SaveOptions, Then, Unrecoverable};
pub use restore::Restore;
pub use save::Save;

use core::fmt;
use core::time::Duration;

use crate::report::Outcome;
use crate::{Bitmap, CallError, Estimate, Event, Filled, IovaRange, PreCopyInfo, Report, State};

/// Most objects of a session.
pub const MAX_OBJECTS: usize = 1024;
/// Smallest chunk, in bytes.
pub const MIN_CHUNK: u32 = 4 << 10;
/// Largest chunk, in bytes.
pub const MAX_CHUNK: u32 = 64 << 20;
/// Most chunks in flight on a channel.
pub const MAX_DEPTH: u32 = 1024;

/// Longest wait that means anything: ten years. Longer options are taken for it, so that no sum of times overflows.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How often an end says that it is still here: every third of its deadline, and every second at the least, since the
/// other end may have a shorter deadline.
fn alive_interval(deadline: Duration) -> Duration {
    (deadline / 3).min(Duration::from_secs(1))
}

/// An object's place in the stream's table of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object(pub u32);

/// A tracker's place in the list that the session was made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackerIndex(pub u32);

/// A buffer of one chunk.
///
/// At the source the machine hands them out: numbers 0 to depth - 1, free again once they were sent
/// ([`Action::Release`]); the one that was freed last is used first, so that few are used and stay in caches. At the
/// destination the driver does, in [`Input::Received`], and has them back with [`Action::Release`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Chunk(pub u32);

/// What a machine wants next.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Carry this out.
    Do(Action),
    /// Nothing until an input comes, or until this time since the start of the session.
    Wait(Option<Duration>),
    /// The session is over: no call is outstanding, and no input means anything any more.
    Finished,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Make this call to a device. Answer: [`Input::Called`].
    Call(Object, DeviceCall),
    /// Make this call to a tracker. Answer: [`Input::Tracked`].
    Track(TrackerIndex, TrackerCall),
    /// Read from an object into a chunk: for a device the next bytes of its data, at most `len` (`offset` is only a hint
    /// then); for memory all `len` bytes at `offset`. Answer: [`Input::Filled`].
    Fill {
        /// What to read from.
        object: Object,
        /// The buffer to read into.
        chunk: Chunk,
        /// Where the bytes lie in the object's data or in the memory.
        offset: u64,
        /// How many bytes to read at most, 1 or more.
        len: u32,
    },
    /// Write a verified chunk to an object, all of it (short writes are tried on). Answer: [`Input::Placed`].
    Place {
        /// What to write to.
        object: Object,
        /// The buffer that holds the bytes.
        chunk: Chunk,
        /// Where the bytes lie in the object's data or in the memory.
        offset: u64,
        /// How many bytes.
        len: u32,
        /// A region's segment ends with these bytes.
        segment_end: bool,
    },
    /// Save: start the stream with this head, before anything else is sent.
    Open(Offer),
    /// Send a message, after those before it. `chunk` is the payload of a [`Message::Data`] that has any.
    /// Answer, for data with a payload only: [`Input::Sent`].
    Send(Message, Option<Chunk>),
    /// The chunk's bytes are not needed any more.
    Release(Chunk),
    /// Call a hook of the caller. Answer: [`Input::Hooked`].
    Hook(Hook),
    /// One-way: all has been sent; make it last (for a file: sync, rename, sync the folder). Answer:
    /// [`Input::Committed`].
    Commit,
    /// One-way: what was sent is worth nothing; leave nothing of it behind.
    Discard,
    /// End the connection once everything before has been sent.
    Disconnect,
    /// Tell the observer.
    Emit(Event),
}

/// A call to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceCall {
    /// [`Device::state`](crate::Device::state)
    State,
    /// [`Device::set_state`](crate::Device::set_state)
    SetState(State),
    /// [`Device::reset`](crate::Device::reset)
    Reset,
    /// [`Device::pre_copy_info`](crate::Device::pre_copy_info)
    PreCopyInfo,
    /// [`Device::data_size`](crate::Device::data_size)
    DataSize,
}

impl fmt::Display for DeviceCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::State => f.write_str("read state"),
            Self::SetState(to) => write!(f, "set state {to}"),
            Self::Reset => f.write_str("reset"),
            Self::PreCopyInfo => f.write_str("pre-copy info"),
            Self::DataSize => f.write_str("data size"),
        }
    }
}

/// What a [`DeviceCall`] answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceAnswer {
    /// To [`DeviceCall::State`].
    State {
        /// What the device says.
        state: State,
        /// [`Device::resets`](crate::Device::resets)
        resets: Option<u64>,
    },
    /// To [`DeviceCall::SetState`] and [`DeviceCall::Reset`].
    Done {
        /// [`Device::resets`](crate::Device::resets)
        resets: Option<u64>,
    },
    /// To [`DeviceCall::PreCopyInfo`].
    PreCopyInfo(PreCopyInfo),
    /// To [`DeviceCall::DataSize`].
    DataSize(Estimate),
}

/// A call to a tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackerCall {
    /// [`Tracker::start`](crate::Tracker::start) with the ranges of all memories and this page size in bytes.
    Start {
        /// What to watch.
        ranges: Vec<IovaRange>,
        /// In bytes.
        page_size: u64,
    },
    /// [`Tracker::report`](crate::Tracker::report) for one memory.
    Report {
        /// The memory that the range belongs to.
        memory: Object,
        /// Its range.
        range: IovaRange,
        /// The page size that the tracker chose, in bytes: one bit of the bitmap.
        page_size: u64,
    },
    /// [`Tracker::stop`](crate::Tracker::stop)
    Stop,
}

/// What a [`TrackerCall`] answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackerAnswer {
    /// To [`TrackerCall::Start`]: the page size that the tracker uses.
    Started(u64),
    /// To [`TrackerCall::Report`]: one bit a page of that size.
    Dirty(Bitmap),
    /// To [`TrackerCall::Stop`].
    Stopped,
}

/// A hook of the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Source: stop the guest. When it returns, no vCPU runs and nobody touches the devices. The estimate is of what
    /// pre-copy left to do; 0 where the guest stays and a device has to stop on its way back.
    Pause(Estimate),
    /// Source: the guest stays here after all; let it run.
    Unpause(Outcome),
    /// Destination: all is loaded, nothing has left resuming; restore PCI config and interrupts.
    Configure,
    /// Destination: the devices run; let the guest run. Once it was called the guest may have run here; if it fails or
    /// is overdue, the session has failed and the devices stop, so it must leave nothing running then.
    TakeOver,
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause(_) => "pause",
            Self::Unpause(_) => "unpause",
            Self::Configure => "configure",
            Self::TakeOver => "takeOver",
        })
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// Answer to [`Action::Call`].
    Called(Object, DeviceCall, Result<DeviceAnswer, CallError>),
    /// Answer to [`Action::Track`].
    Tracked(TrackerIndex, TrackerCall, Result<TrackerAnswer, CallError>),
    /// Answer to [`Action::Fill`]. A memory fills all that was asked for, [`Then::More`](crate::Then::More) after it.
    Filled(Object, Chunk, Result<Filled, CallError>),
    /// Answer to [`Action::Place`].
    Placed(Object, Chunk, Result<(), CallError>),
    /// Answer to [`Action::Send`] of data with a payload: it is written, or never will be since the connection has failed;
    /// the chunk may be used again.
    Sent(Chunk),
    /// Answer to [`Action::Hook`]; the error is the caller's own words.
    Hooked(Hook, Result<(), String>),
    /// Answer to [`Action::Commit`].
    Committed(Result<(), CommitError>),
    /// Restore: the stream's preamble and table of objects were verified.
    Opened(Offer),
    /// A message came from the peer, verified. `chunk` holds the payload of a [`Message::Data`] that has any, and is
    /// the machine's until it says [`Action::Release`].
    Received(Message, Option<Chunk>),
    /// The stream is not what it should be; nothing of it after this is believed. The fault is [`Fault::Corrupt`],
    /// [`Fault::Truncated`], [`Fault::Incompatible`] or [`Fault::Peer`].
    Corrupt(Fault, String),
    /// The connection or the stream has ended: the peer closed it, or it failed. After this nothing can be sent.
    Disconnected(String),
}

/// Why a one-way session could not make its stream last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitError {
    /// Whether the stream may stand under its final name all the same.
    pub maybe_given_up: bool,
    /// What the operating system says.
    pub why: String,
}

/// A wish of the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// End the session and bring everything back; too late after the guest was given up.
    Cancel(String),
    /// Save: end pre-copy now.
    Switchover,
    /// Save, in doubt: ask the destination to withdraw and take the guest back; with `force` without its answer,
    /// because the caller knows that the destination does not run.
    TakeBack {
        /// Go on without the destination's word.
        force: bool,
    },
    /// In doubt: the other end has the guest; give up what is kept here.
    Discard,
    /// Restore, in doubt: the source does not run; take the guest over.
    Claim,
}

/// Why the caller's [`Command`] was not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotNow {
    /// The guest was given up already.
    TooLate,
    /// Only while in doubt.
    NotInDoubt,
    /// The session is already ending.
    Ending,
}

/// How a session ended, for its caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// What went wrong first, if anything did.
    pub failure: Option<Failure>,
    /// The whole course.
    pub report: Report,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who must act.
    pub fault: Fault,
    /// What was being done and what came of it: one sentence.
    pub what: String,
    /// The object it happened to, by its id.
    pub object: Option<String>,
    /// What the call answered, where there was one.
    pub error: Option<CallError>,
}

/// Whose fault a [`Failure`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A device refused or failed.
    Device,
    /// Guest memory or a tracker failed.
    Memory,
    /// The peer broke the rules or fell silent.
    Peer,
    /// The peer said that it cannot go on.
    Refused,
    /// The stream is damaged or out of order.
    Corrupt,
    /// The stream ends before its end.
    Truncated,
    /// The stream does not fit what is here: other objects, other passports, another version.
    Incompatible,
    /// The connection or the file failed.
    Transport,
    /// A hook of the caller failed.
    Hook,
    /// The caller asked for something that cannot be.
    Usage,
    /// The caller cancelled.
    Cancelled,
    /// A wait passed its deadline.
    Deadline,
}
