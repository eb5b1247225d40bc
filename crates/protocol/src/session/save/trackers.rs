//! The trackers of a save session: what each was asked and whether it logs.

use core::time::Duration;

use super::super::course::Course;
use super::super::{Action, Object, TrackerCall, TrackerIndex};
use crate::IovaRange;

/// All trackers, numbered as the caller gave them.
#[derive(Debug, Default)]
pub(super) struct Trackers {
    slots: Vec<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    /// What it is to watch.
    ranges: Vec<IovaRange>,
    /// The smallest page size of its memories, in bytes.
    wanted: u64,
    /// The page size that it logs with, while it does.
    logs: Option<u64>,
    /// Whether it was ever asked to start, so that it has to be stopped.
    started: bool,
    outstanding: u32,
    since: Duration,
    overdue: bool,
}

impl Trackers {
    /// Notes that a tracker watches a range.
    pub(super) fn watch(&mut self, tracker: TrackerIndex, range: IovaRange, page_size: u64) {
        let place = tracker.0 as usize;
        if self.slots.len() <= place {
            self.slots.resize_with(place + 1, Slot::default);
        }
        let slot = &mut self.slots[place];
        slot.ranges.push(range);
        slot.wanted = if slot.wanted == 0 { page_size } else { slot.wanted.min(page_size) };
    }

    pub(super) fn start(&mut self, course: &mut Course) {
        for place in 0..self.slots.len() {
            let slot = &mut self.slots[place];
            if !slot.ranges.is_empty() {
                slot.started = true;
                let call = TrackerCall::Start { ranges: slot.ranges.clone(), page_size: slot.wanted };
                self.ask(course, place, call);
            }
        }
    }

    pub(super) fn report(&mut self, course: &mut Course, tracker: TrackerIndex, memory: Object, range: IovaRange) {
        let place = tracker.0 as usize;
        if let Some(page_size) = self.slots[place].logs {
            self.ask(course, place, TrackerCall::Report { memory, range, page_size });
        }
    }

    pub(super) fn stop(&mut self, course: &mut Course) {
        for place in 0..self.slots.len() {
            if core::mem::take(&mut self.slots[place].started) {
                self.slots[place].logs = None;
                self.ask(course, place, TrackerCall::Stop);
            }
        }
    }

    fn ask(&mut self, course: &mut Course, place: usize, call: TrackerCall) {
        let slot = &mut self.slots[place];
        if slot.outstanding == 0 {
            (slot.since, slot.overdue) = (course.now, false);
        }
        slot.outstanding += 1;
        let index = u32::try_from(place).expect("trackers are numbered with 32 bits");
        course.act(Action::Track(TrackerIndex(index), call));
    }

    /// Takes note that a call was answered.
    pub(super) fn answered(&mut self, now: Duration, tracker: TrackerIndex) {
        let slot = &mut self.slots[tracker.0 as usize];
        slot.outstanding = slot.outstanding.saturating_sub(1);
        (slot.since, slot.overdue) = (now, false);
    }

    pub(super) fn logs(&mut self, tracker: TrackerIndex, page_size: Option<u64>) {
        self.slots[tracker.0 as usize].logs = page_size;
    }

    /// Whether it logs: it started, and has not failed since.
    pub(super) fn is_logging(&self, tracker: TrackerIndex) -> bool {
        self.slots.get(tracker.0 as usize).is_some_and(|slot| slot.logs.is_some())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.slots.iter().all(|slot| slot.outstanding == 0)
    }

    pub(super) fn overdue(&mut self, now: Duration, deadline: Duration) -> Vec<String> {
        let mut late = Vec::new();
        for (place, slot) in self.slots.iter_mut().enumerate() {
            if slot.outstanding > 0 && !slot.overdue && now >= slot.since + deadline {
                slot.overdue = true;
                late.push(format!("tracker {place}"));
            }
        }
        late
    }

    pub(super) fn next_deadline(&self, deadline: Duration) -> Option<Duration> {
        let waiting = self.slots.iter().filter(|slot| slot.outstanding > 0 && !slot.overdue);
        waiting.map(|slot| slot.since + deadline).min()
    }
}
