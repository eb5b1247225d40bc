use std::time::Duration;

use vfio_migration_protocol::Report;
use vfio_migration_protocol::session::{Command, Ending, Input, NotNow, Output, Restore, Save};

/// Either end's machine: they are driven alike.
#[derive(Debug)]
pub(super) enum Machine {
    Save(Box<Save>),
    Restore(Box<Restore>),
}

impl Machine {
    pub(super) fn handle_input(&mut self, now: Duration, input: Input) {
        match self {
            Self::Save(save) => save.handle_input(now, input),
            Self::Restore(restore) => restore.handle_input(now, input),
        }
    }

    pub(super) fn command(&mut self, now: Duration, command: Command) -> Result<(), NotNow> {
        match self {
            Self::Save(save) => save.command(now, command),
            Self::Restore(restore) => restore.command(now, command),
        }
    }

    pub(super) fn poll_output(&mut self, now: Duration) -> Output {
        match self {
            Self::Save(save) => save.poll_output(now),
            Self::Restore(restore) => restore.poll_output(now),
        }
    }

    pub(super) fn report(&self, now: Duration) -> Report {
        match self {
            Self::Save(save) => save.report(now),
            Self::Restore(restore) => restore.report(now),
        }
    }

    pub(super) fn ending(&self) -> Option<&Ending> {
        match self {
            Self::Save(save) => save.ending(),
            Self::Restore(restore) => restore.ending(),
        }
    }
}
