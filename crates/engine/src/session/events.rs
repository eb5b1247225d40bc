use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vfio_migration_protocol::{Event, EventKind};

/// A session's events, read at the reader's speed: an iterator that blocks until the next one and ends with the session.
///
/// Memory is bounded: what says it all with its newest event (progress, and other things that can repeat for as long as
/// pre-copy lasts) replaces the older one that nobody has read yet. Changes of state are never dropped.
#[derive(Clone, Debug)]
pub struct Events {
    log: Arc<Log>,
}

#[derive(Debug)]
struct Log {
    queue: Mutex<Queue>,
    news: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Event>,
    over: bool,
}

impl Events {
    pub(crate) fn new() -> Self {
        Self { log: Arc::new(Log { queue: Mutex::default(), news: Condvar::new() }) }
    }

    /// The next event if one is there already.
    pub fn try_next(&self) -> Option<Event> {
        self.queue().waiting.pop_front()
    }

    /// The next event, if one comes within this time. `None` at the end of the session as well;
    /// [`is_over`](Self::is_over) tells the two apart.
    pub fn next_within(&self, time: Duration) -> Option<Event> {
        let until = Instant::now() + time;
        let mut queue = self.queue();
        while queue.waiting.is_empty() && !queue.over {
            let left = until.checked_duration_since(Instant::now())?;
            (queue, _) = self.log.news.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner);
        }
        queue.waiting.pop_front()
    }

    /// Whether the session is over and every event was read.
    pub fn is_over(&self) -> bool {
        let queue = self.queue();
        queue.over && queue.waiting.is_empty()
    }

    pub(crate) fn push(&self, event: Event) {
        let mut queue = self.queue();
        if let Some(older) = queue.waiting.iter().position(|older| is_said_by(&older.kind, &event.kind)) {
            queue.waiting.remove(older);
        }
        queue.waiting.push_back(event);
        drop(queue);
        self.log.news.notify_one();
    }

    pub(crate) fn end(&self) {
        self.queue().over = true;
        self.log.news.notify_all();
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.log.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Iterator for Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let mut queue = self.queue();
        while queue.waiting.is_empty() && !queue.over {
            queue = self.log.news.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.waiting.pop_front()
    }
}

/// Whether nothing is lost if `newer` takes the place of `older`.
fn is_said_by(older: &EventKind, newer: &EventKind) -> bool {
    match (older, newer) {
        (EventKind::Progress { object: a, .. }, EventKind::Progress { object: b, .. })
        | (EventKind::Reinit { device: a, .. }, EventKind::Reinit { device: b, .. }) => a == b,
        (EventKind::TrackerLost { tracker: a, .. }, EventKind::TrackerLost { tracker: b, .. }) => a == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use vfio_migration_protocol::{Estimate, State, event::Cause};

    use super::*;

    fn progress(object: &str, bytes: u64) -> Event {
        let object = object.into();
        let kind = EventKind::Progress { object, bytes, left: Estimate::Unknown, rate: None };
        Event { at: Duration::ZERO, kind }
    }

    fn state(to: State) -> Event {
        let (device, took) = ("gpu0".into(), Duration::ZERO);
        Event { at: Duration::ZERO, kind: EventKind::State { device, from: None, to, took, cause: Cause::Forward } }
    }

    #[test]
    fn merges_progress_and_keeps_every_state() {
        let events = Events::new();
        for round in 0..1000 {
            events.push(progress("gpu0", round));
            events.push(progress("ram", round));
        }
        events.push(state(State::Stop));
        events.push(state(State::StopCopy));
        events.push(progress("gpu0", 1000));
        events.end();
        let all: Vec<_> = events.collect();
        assert_eq!(
            all,
            [progress("ram", 999), state(State::Stop), state(State::StopCopy), progress("gpu0", 1000)],
            "the newest progress of each object, and both states"
        );
    }
}
