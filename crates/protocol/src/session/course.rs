use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;

use super::flowed::Flowed;
use super::{Action, Failure, Fault, Message};
use crate::event::Phase;
use crate::report::{Downtime, ObjectReport, Outcome, PreCopyEnd, Report, Side};
use crate::{CallError, Event, EventKind};

/// Shortest time between two progress events of an object.
pub(super) const PROGRESS: Duration = Duration::from_millis(100);

/// The course of a session so far: what it wants done, and what its report will say.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) now: Duration,
    side: Side,
    out: VecDeque<Action>,
    /// When each phase was entered, in order.
    marks: Vec<(Phase, Duration)>,
    pub(super) failure: Option<Failure>,
    pub(super) pre_copy_end: Option<PreCopyEnd>,
    pub(super) not_converged: Vec<String>,
    /// When the guest ran again, here or there.
    pub(super) guest_runs: Option<Duration>,
    flow: Flowed,
    pub(super) bytes: u64,
    /// What the report tells of what happened.
    told: Vec<Event>,
}

impl Course {
    pub(super) const fn new(side: Side) -> Self {
        Self {
            now: Duration::ZERO,
            side,
            out: VecDeque::new(),
            marks: Vec::new(),
            failure: None,
            pre_copy_end: None,
            not_converged: Vec::new(),
            guest_runs: None,
            flow: Flowed::new(),
            bytes: 0,
            told: Vec::new(),
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        self.out.push_back(action);
    }

    pub(super) fn send(&mut self, message: Message) {
        self.act(Action::Send(message, None));
    }

    pub(super) fn next_action(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    pub(super) fn emit(&mut self, kind: EventKind) {
        let event = Event { at: self.now, kind };
        self.keep(&event);
        self.act(Action::Emit(event));
    }

    /// Keeps an event for the report, unless that says it in another way.
    fn keep(&mut self, event: &Event) {
        let kept = match event.kind {
            EventKind::Phase { .. } => true,
            EventKind::State { .. } | EventKind::Progress { .. } | EventKind::Ended { .. } => false,
            // All phases are kept, and each has a mark.
            _ => self.told.len().saturating_sub(self.marks.len()) < Report::MOST_EVENTS,
        };
        if kept {
            self.told.push(event.clone());
        }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.marks.push((phase, self.now));
        self.emit(EventKind::Phase { side: self.side, phase });
    }

    /// Takes note of a failure. The first one is the session's; all are told to the observer.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.emit(EventKind::Failed { object: failure.object.clone(), what: failure.to_string() });
        self.failure.get_or_insert(failure);
    }

    /// Bytes have moved.
    pub(super) fn count(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.flow.count(self.now, self.bytes);
    }

    /// When the first byte moved, or will have.
    pub(super) fn flow_starts(&mut self) {
        self.flow.starts(self.now);
    }

    /// Bytes a second over the time in which data flowed.
    pub(super) fn rate(&self) -> Option<u64> {
        let (first, last) = self.flow.extent().filter(|_| self.bytes > 0)?;
        let micros = last.saturating_sub(first).as_micros();
        u64::try_from((u128::from(self.bytes) * 1_000_000).checked_div(micros)?).ok()
    }

    /// When a phase was entered first.
    pub(super) fn entered(&self, phase: Phase) -> Option<Duration> {
        self.marks.iter().find(|(one, _)| *one == phase).map(|(_, at)| *at)
    }

    /// The report as of `now`.
    pub(super) fn report(&self, now: Duration, outcome: Outcome, objects: Vec<ObjectReport>) -> Report {
        Report {
            side: self.side,
            outcome,
            failure: self.failure.as_ref().map(Failure::to_string),
            total: self.now.max(now),
            bytes: self.bytes,
            rate: self.rate(),
            downtime: self.downtime(),
            pre_copy_end: self.pre_copy_end,
            not_converged: self.not_converged.clone(),
            objects,
            course: self.told.clone(),
            flow: self.flow.samples().to_vec(),
        }
    }

    /// The switchover, from the phases that were entered.
    pub(super) fn downtime(&self) -> Option<Downtime> {
        let start = match self.side {
            Side::Save => self.entered(Phase::Pausing)?,
            Side::Restore => self.entered(Phase::Configuring)?,
        };
        let end = self.guest_runs.unwrap_or(self.now);
        // A phase lasts until the next one is entered, or until the guest runs.
        let took = |phase: Phase| {
            let Some(place) = self.marks.iter().position(|(one, _)| *one == phase) else { return Duration::ZERO };
            let until = self.marks.get(place + 1).map_or(end, |(_, at)| *at);
            until.min(end).saturating_sub(self.marks[place].1)
        };
        let load = match self.side {
            Side::Save => took(Phase::Loaded),
            Side::Restore => took(Phase::Configuring),
        };
        Some(Downtime {
            total: end.saturating_sub(start),
            pause: took(Phase::Pausing),
            grace: took(Phase::Grace),
            stop: took(Phase::Stopping),
            drain: took(Phase::Draining),
            load,
            take_over: took(Phase::TakingOver),
        })
    }
}

impl Failure {
    /// A failure of no object in particular.
    pub(super) fn new(fault: Fault, what: impl Into<String>) -> Self {
        Self { fault, what: what.into(), object: None, error: None }
    }

    /// A call to an object that failed.
    pub(super) fn of(fault: Fault, object: &str, what: impl Into<String>, error: CallError) -> Self {
        Self { fault, what: what.into(), object: Some(object.into()), error: Some(error) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        f.write_str(&self.what)?;
        match &self.error {
            Some(error) => write!(f, ": {error}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for Failure {}
