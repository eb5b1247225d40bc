//! Live migration of VFIO devices as state machines without I/O, threads, clock or `unsafe`.
//!
//! Time, bytes and random numbers come in as arguments, so that the same machines run against the kernel, against the
//! software device on a virtual clock, and in a browser.
//!
//! | module | what lives there |
//! |---|---|
//! | [`state`] | migration states, capabilities, the [`Table`] of arcs |
//! | [`region`] | the migration region (v1): its registers and bits, and the loops that move data through its window |
//! | [`device`] | what a session moves: [`Device`], [`Memory`], [`Tracker`] and their errors |
//! | [`session`] | the [`Save`](session::Save) and the [`Restore`](session::Restore) machine: order, ownership, failure |
//! | [`stream`] | the container: preamble, frames, checksums |
//! | [`passport`] | what a device is and what its state needs from a destination |
//! | [`estimate`] | sizes and rates, of which some are unknown |
//! | [`event`], [`report`] | what happened in a run |
//! | [`inspect`] | what is in a file: its parts, its devices, where it is damaged |
//! | [`trace`] | what was done to a device, call by call, as text |
#![forbid(unsafe_code)]

pub mod device;
pub mod estimate;
pub mod event;
pub mod inspect;
pub mod passport;
pub mod region;
pub mod report;
pub mod session;
pub mod state;
pub mod stream;
pub mod trace;

pub use device::{
    Bitmap, CallError, Companions, Device, Errno, Filled, IovaRange, Memory, PreCopyInfo, Protocol, Runs, Then, Tracker,
};
pub use estimate::Estimate;
pub use event::{Event, EventKind};
pub use passport::Passport;
pub use report::{Outcome, Report};
pub use state::{Capabilities, State, Table};
