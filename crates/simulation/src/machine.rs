use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

use vfio_migration_protocol::session::{Command, Ending, Input, NotNow, Output, Restore, Save};

/// A session's machine of either end. A panic of the machine is caught and told, so that the run can say what led there.
#[derive(Debug)]
pub(crate) enum Machine {
    Save(Box<Save>),
    Restore(Box<Restore>),
}

impl Machine {
    pub(crate) fn handle_input(&mut self, now: Duration, input: Input) -> Result<(), String> {
        caught(|| match self {
            Self::Save(save) => save.handle_input(now, input),
            Self::Restore(restore) => restore.handle_input(now, input),
        })
    }

    pub(crate) fn command(&mut self, now: Duration, command: Command) -> Result<Result<(), NotNow>, String> {
        caught(|| match self {
            Self::Save(save) => save.command(now, command),
            Self::Restore(restore) => restore.command(now, command),
        })
    }

    pub(crate) fn poll_output(&mut self, now: Duration) -> Result<Output, String> {
        caught(|| match self {
            Self::Save(save) => save.poll_output(now),
            Self::Restore(restore) => restore.poll_output(now),
        })
    }

    pub(crate) fn ending(&self) -> Option<&Ending> {
        match self {
            Self::Save(save) => save.ending(),
            Self::Restore(restore) => restore.ending(),
        }
    }
}

/// Runs something that must not panic; its panic's words otherwise.
pub(crate) fn caught<T>(what: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(what)).map_err(|panic| {
        let words =
            panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        words.unwrap_or("without words").to_owned()
    })
}
