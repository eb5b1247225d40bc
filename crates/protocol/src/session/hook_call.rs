//! The caller's hook that was called last.

use core::time::Duration;

use super::course::Course;
use super::{Action, Hook};

/// One hook is called at a time: this one, until it returns.
#[derive(Debug, Default)]
pub(super) struct HookCall(Option<Called>);

#[derive(Debug)]
struct Called {
    hook: Hook,
    since: Duration,
    overdue: bool,
}

impl HookCall {
    pub(super) fn make(&mut self, course: &mut Course, hook: Hook) {
        self.0 = Some(Called { hook, since: course.now, overdue: false });
        course.act(Action::Hook(hook));
    }

    /// It has returned; whether that was too late.
    pub(super) fn returns(&mut self) -> bool {
        self.0.take().is_some_and(|called| called.overdue)
    }

    pub(super) const fn is_idle(&self) -> bool {
        self.0.is_none()
    }

    /// The hook, if it has just passed the deadline.
    pub(super) fn overdue(&mut self, now: Duration, deadline: Duration) -> Option<Hook> {
        let called = self.0.as_mut().filter(|called| !called.overdue && now >= called.since + deadline)?;
        called.overdue = true;
        Some(called.hook)
    }

    /// When it passes the deadline.
    pub(super) fn next_deadline(&self, deadline: Duration) -> Option<Duration> {
        self.0.as_ref().filter(|called| !called.overdue).map(|called| called.since + deadline)
    }
}
