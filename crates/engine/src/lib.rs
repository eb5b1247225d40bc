//! Live migration of VFIO devices at full speed: sessions with their own threads over files, sockets, pipes, or streams
//! of the caller's. No runtime is needed or forced on anyone.
//!
//! A **save** on the source and a **restore** on the destination move a group of objects: devices, and pieces of guest
//! memory. Build one with [`SaveBuilder`] or [`RestoreBuilder`], start it on a [`Sink`] or a [`Source`], watch its
//! [`Events`], and [`wait`](Session::wait) for its end. Rules, order and ownership are the machines' in
//! [`protocol::session`]; this crate carries them out.
//!
//! | module | what lives there |
//! |---|---|
//! | [`SaveBuilder`], [`RestoreBuilder`] | what to move, with which options and hooks |
//! | [`Session`], [`Control`], [`Finished`] | a session that runs, the hand on it, and what it leaves behind; [`Unstarted`] what one had that did not start |
//! | [`Sink`], [`Source`], [`Listener`], [`Address`] | where bytes go and come from |
//! | [`FrameSink`], [`FrameSource`], [`Duplex`] | the caller's own streams, with or without our container |
//! | [`Recording`] | every call of devices and trackers, written down to be compared |
//! | [`Error`], [`Code`] | what went wrong and what to do about it |
//! | [`device`], [`protocol`] | the floors below |
//!
//! ```no_run
//! use vfio_migration::{Address, SaveBuilder, SaveOptions, Sink, TransportOptions, device};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let address: Address = "unix:/run/migration.sock".parse()?;
//! let sink = Sink::connect(&address, &TransportOptions::default())?;
//! let mut save = SaveBuilder::new(SaveOptions::default());
//! save.device("gpu0", device::open("model:size=256MiB,pre-copy,p2p,seed=7", None)?.device);
//! save.on_pause(|_left| { /* stop the vCPUs */ Ok(()) });
//! let session = save.start(sink)?;
//! for event in session.events() {
//!     println!("{event:?}");
//! }
//! let finished = session.wait();
//! println!("{}", serde_json::to_string_pretty(&finished.report)?);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod error;
mod recording;
mod restore;
mod save;
mod session;
mod transport;

pub use error::{Code, Error};
pub use recording::Recording;
pub use restore::{RestoreBuilder, RestoreSettings};
pub use save::SaveBuilder;
pub use session::{Control, Events, Finished, FinishedDevice, Session, Unstarted};
pub use transport::{Address, Duplex, FrameSink, FrameSource, Interrupt, Listener, Sink, Source, TransportOptions};

pub use vfio_migration_device as device;
pub use vfio_migration_protocol as protocol;
pub use vfio_migration_protocol::session::{Mode, RestoreOptions, SaveOptions, Then, TrackerIndex, Unrecoverable};
pub use vfio_migration_protocol::{
    Bitmap, CallError, Capabilities, Device, Errno, Estimate, Event, EventKind, Filled, IovaRange, Memory, Outcome,
    Passport, PreCopyInfo, Report, State, Table, Tracker,
};

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
