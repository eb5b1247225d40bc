//! The save's clock: whose deadline has passed, and when to look again.

use core::time::Duration;

use super::{Save, Stage, Then};
use crate::EventKind;
use crate::session::{Failure, Fault};

impl Save {
    /// Deadlines of calls and of the peer.
    pub(super) fn watch_the_clock(&mut self) {
        let (now, deadline) = (self.course.now, self.options.deadline);
        let mut late: Vec<(String, String)> = Vec::new();
        late.extend(self.devices.overdue(now, deadline).into_iter().map(|(id, call)| (id, call.to_string())));
        late.extend(self.flow.overdue(now, deadline).into_iter().map(|id| (id, "read".into())));
        late.extend(self.trackers.overdue(now, deadline).into_iter().map(|id| (id, "call".into())));
        late.extend(self.sink.overdue(now, deadline, &self.flow).map(|call| ("the stream".into(), call)));
        late.extend(self.hook.overdue(now, deadline).map(|hook| (hook.to_string(), "hook".into())));
        for (object, call) in late {
            let what = format!("{object}: {call} has not returned within {} ms", deadline.as_millis());
            self.course.emit(EventKind::Overdue { object, call });
            if self.owns_the_guest() {
                self.go_back(Failure::new(Fault::Deadline, what));
            } else if self.stage == Stage::Committing && self.options.then == Then::Stop {
                // Its answer settles it, if one ever comes.
                self.in_doubt(what);
            } else if self.stage == Stage::Committing {
                // A snapshot: the guest need not wait for it.
                self.course.fail(Failure::new(Fault::Deadline, what));
                self.walk_back();
            }
        }
        self.watch_the_peer();
    }

    /// When time alone changes something.
    pub(super) fn next_wake(&self) -> Option<Duration> {
        let deadline = self.options.deadline;
        let asks = self.stage == Stage::PreCopy;
        let flows = asks || self.stage == Stage::Draining || (self.stage == Stage::Pausing && !self.hook.is_idle());
        let max_pre_copy = asks.then(|| self.pre_copy_since.saturating_add(self.options.max_pre_copy));
        let deadlines = [
            self.devices.next_deadline(deadline),
            self.flow.next_deadline(deadline),
            self.trackers.next_deadline(deadline),
            self.sink.next_deadline(deadline, &self.flow),
            self.hook.next_deadline(deadline),
            asks.then(|| self.flow.next_ask()).flatten(),
            flows.then(|| self.flow.next_read()).flatten(),
            max_pre_copy,
            self.peer_wake(),
        ];
        deadlines.into_iter().flatten().min()
    }
}
