//! The failure table: what was being done, and what the device then says, decide what is asked of it next.

use super::options::Unrecoverable;
use crate::State;
use crate::report::{Outcome, Side};

/// What was being done with a device when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// The way forward, in which a destination has not yet asked any device to leave stop.
    Forward,
    /// A destination's devices are leaving stop towards running.
    Running,
    /// The way back.
    Back,
}

/// What the device says after the failure, in groups that are treated alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reads {
    /// Running, with or without pre-copy: the guest's work goes on.
    Works,
    /// Stop, stop-copy.
    Stopped,
    /// Resuming.
    Resuming,
    /// Error, a state without a name, or unreadable.
    Broken,
}

impl From<Option<State>> for Reads {
    fn from(state: Option<State>) -> Self {
        match state {
            Some(State::Running | State::RunningP2p | State::PreCopy | State::PreCopyP2p) => Self::Works,
            Some(State::Stop | State::StopCopy) => Self::Stopped,
            Some(State::Resuming) => Self::Resuming,
            Some(State::Error | State::Unknown(_)) | None => Self::Broken,
        }
    }
}

/// What is asked of the device next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Walk it back to where it came from, through the barrier.
    WalkBack,
    /// Ask nothing more of it.
    Leave(Outcome),
    /// Reset it if the caller said that this may be ([`Unrecoverable::Reset`]); else leave it.
    ResetIfAllowed,
    /// Reset it.
    Reset,
    /// Bring it to stop through the barrier, and keep it.
    Stop,
}

struct Row {
    side: Side,
    doing: Doing,
    reads: &'static [Reads],
    remedy: Remedy,
}

/// The rule is "back to where it came from, else reset"; rows that differ say why.
const TABLE: &[Row] = {
    use Doing::{Back, Forward, Running};
    use Reads::{Broken, Resuming, Stopped, Works};
    use Remedy::{Leave, Reset, ResetIfAllowed, Stop, WalkBack};
    use Side::{Restore, Save};
    &[
        Row { side: Save, doing: Forward, reads: &[Works, Stopped], remedy: WalkBack },
        // The guest still needs what is in it, so a reset is the caller's decision.
        Row { side: Save, doing: Forward, reads: &[Resuming, Broken], remedy: ResetIfAllowed },
        // A device that cannot leave pre-copy still works for the guest.
        Row { side: Save, doing: Back, reads: &[Works], remedy: Leave(Outcome::Returned) },
        // As above: only the caller may wipe it.
        Row { side: Save, doing: Back, reads: &[Stopped, Resuming, Broken], remedy: ResetIfAllowed },
        // It never took a byte and is the fresh device that it was.
        Row { side: Restore, doing: Forward, reads: &[Works], remedy: Leave(Outcome::Returned) },
        // Not back by an arc: that would run the guest's device twice.
        Row { side: Restore, doing: Forward, reads: &[Stopped, Resuming, Broken], remedy: Reset },
        // The guest may be half here: kept until the two ends have settled who owns it.
        Row { side: Restore, doing: Running, reads: &[Works, Stopped], remedy: Stop },
        Row { side: Restore, doing: Running, reads: &[Resuming, Broken], remedy: Leave(Outcome::InDoubt) },
        Row { side: Restore, doing: Back, reads: &[Works, Stopped, Resuming, Broken], remedy: Leave(Outcome::InDoubt) },
    ]
};

/// What to do with a device that failed.
pub(super) fn remedy(side: Side, doing: Doing, state: Option<State>, unrecoverable: Unrecoverable) -> Remedy {
    let reads = Reads::from(state);
    let row = TABLE.iter().find(|row| row.side == side && row.doing == doing && row.reads.contains(&reads));
    match (row.map(|row| row.remedy), unrecoverable) {
        (Some(Remedy::ResetIfAllowed), Unrecoverable::Reset) => Remedy::Reset,
        // A source that is not running anything towards the guest has no row: nothing is asked of it.
        (Some(Remedy::ResetIfAllowed) | None, _) => Remedy::Leave(Outcome::Lost),
        (Some(remedy), _) => remedy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every side, activity and reading has exactly one row.
    #[test]
    fn the_table_is_complete_and_unambiguous() {
        let all = [Reads::Works, Reads::Stopped, Reads::Resuming, Reads::Broken];
        let doings = [(Side::Save, Doing::Forward), (Side::Save, Doing::Back)]
            .into_iter()
            .chain([Doing::Forward, Doing::Running, Doing::Back].map(|doing| (Side::Restore, doing)));
        for (side, doing) in doings {
            for reads in all {
                let rows =
                    TABLE.iter().filter(|row| row.side == side && row.doing == doing && row.reads.contains(&reads));
                assert_eq!(rows.count(), 1, "{side:?} {doing:?} {reads:?}");
            }
        }
    }

    #[test]
    fn a_source_is_reset_only_by_the_callers_word() {
        for doing in [Doing::Forward, Doing::Back] {
            for state in State::ALL.into_iter().map(Some).chain([None, Some(State::Unknown(9))]) {
                assert_ne!(remedy(Side::Save, doing, state, Unrecoverable::Leave), Remedy::Reset);
            }
        }
        assert_eq!(remedy(Side::Save, Doing::Back, Some(State::Error), Unrecoverable::Reset), Remedy::Reset);
    }
}
