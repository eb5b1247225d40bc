//! A session that runs: its threads, and the caller's hand on it.
//!
//! ```text
//!            ┌────────────────────────── core: the machine under a lock ──────────────────────────┐
//!            │  inputs come in on any thread, which then hands out the actions that follow        │
//!            └───┬───────────┬──────────────┬────────────────┬──────────────┬─────────────┬───────┘
//!             workers     trackers        hooks          outgoing        incoming       crew
//!          (one a device  (one each)   (the caller's)  (one vectored   (into a pool   (keeps time,
//!           or a memory)                               write a chunk)    buffer)     joins everybody)
//! ```

mod caught;
mod control;
mod core;
mod crew;
mod events;
mod incoming;
mod launch;
mod machine;
mod outbox;
mod outgoing;
mod parts;
mod pool;
mod under_way;
mod workers;

pub use control::{Control, Finished, FinishedDevice, Session};
pub use events::Events;
pub(crate) use launch::{start_restore, start_save};
pub use parts::Unstarted;
pub(crate) use parts::{Hooks, Parts, words};
