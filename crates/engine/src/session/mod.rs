//! A session that runs: its threads, and the caller's hand on it.

mod control;
mod events;
mod parts;

pub use control::{Control, Finished, FinishedDevice, Session};
pub use events::Events;
pub(crate) use parts::{Hooks, Parts};

use vfio_migration_protocol::session::{RestoreOptions, SaveOptions};

use crate::{Error, RestoreSettings, Sink, Source};

pub(crate) fn start_save(
    options: SaveOptions,
    parts: &mut Parts,
    hooks: &mut Hooks,
    sink: Sink,
) -> Result<Session, Error> {
    let _ = (options, parts, hooks, sink);
    Err(Error::usage("not yet"))
}

pub(crate) fn start_restore(
    options: RestoreOptions,
    settings: &RestoreSettings,
    parts: &mut Parts,
    hooks: &mut Hooks,
    source: Source,
) -> Result<Session, Error> {
    let _ = (options, settings, parts, hooks, source);
    Err(Error::usage("not yet"))
}
