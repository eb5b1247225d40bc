//! The monitor around a session's machine. Whichever thread has news brings it in and hands out what the machine then
//! asks for: no thread sits in between, so that a chunk costs no more switches than it has stations.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use vfio_migration_protocol::event::Phase;
use vfio_migration_protocol::session::{
    Action, Command, Hook, Input, Message, Mode, Object, Output, TrackerCall, TrackerIndex,
};
use vfio_migration_protocol::{Event, EventKind};

use super::caught::caught;
use super::events::Events;
use super::machine::Machine;
use super::outbox::{Outbox, Parcel, Posting};
use super::pool::Pool;
use super::workers::Task;
use crate::{Code, Error};

/// What all threads of a session share.
pub(super) struct Core {
    state: Mutex<State>,
    /// The clock must look at [`State::due`] or [`State::over`] again.
    changed: Condvar,
    started: Instant,
    mode: Option<Mode>,
    pool: Arc<Pool>,
    pub(super) events: Events,
    /// Makes blocked calls of the transport return.
    interrupt: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
    sending_failed: OnceLock<String>,
}

struct State {
    machine: Machine,
    /// `None` before the threads stand and after the end.
    posts: Option<Posts>,
    due: Option<Duration>,
    phase: Option<Phase>,
    /// The way back has begun, which the clock has not seen yet.
    returning: bool,
    record: Record,
    /// The transport is to be interrupted once the lock is open again: that calls the caller's code.
    interrupt: bool,
    over: bool,
    panic: Option<Box<dyn Any + Send>>,
}

/// The ways to the session's threads.
pub(super) struct Posts {
    pub(super) objects: Vec<Sender<Task>>,
    pub(super) trackers: Vec<Sender<TrackerCall>>,
    pub(super) hooks: Sender<Hook>,
    pub(super) parcels: Posting,
    /// Something was put into it in this turn.
    pub(super) posted: Cell<bool>,
}

/// What came of a turn.
struct Turn<T> {
    /// `None` once the session is over.
    answer: Option<T>,
    /// Something is to be sent: small messages are for the thread whose turn it was, once its locks are open.
    posted: Option<Arc<Outbox>>,
}

/// Events and the report go into the stream as well, so that it can show its own course later.
enum Record {
    /// Not wanted, or no longer possible.
    Off,
    /// The stream was not opened yet.
    Early(Vec<String>),
    On,
}

/// What the clock does next.
pub(super) enum Wake {
    Tick,
    Over,
}

impl Core {
    pub(super) fn new(
        machine: Machine,
        mode: Option<Mode>,
        records: bool,
        pool: Arc<Pool>,
        interrupt: Arc<dyn Fn() + Send + Sync>,
    ) -> Self {
        let record = if records { Record::Early(Vec::new()) } else { Record::Off };
        let state = State {
            machine,
            posts: None,
            due: None,
            phase: None,
            returning: false,
            record,
            interrupt: false,
            over: false,
            panic: None,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            started: Instant::now(),
            mode,
            pool,
            events: Events::new(),
            interrupt: Mutex::new(Some(interrupt)),
            sending_failed: OnceLock::new(),
        }
    }

    /// The threads stand: the machine begins, before anybody has news for it.
    pub(super) fn begin(&self, posts: Posts) {
        let mut state = self.state();
        state.posts = Some(posts);
        // What it has to send at first is not small.
        let _ = self.take_turn(state, |machine, now| machine.handle_input(now, Input::Tick));
        self.changed.notify_all();
    }

    /// Something happened.
    pub(super) fn input(&self, input: Input) {
        if let Some(outbox) = self.turn(|machine, now| machine.handle_input(now, input)).posted {
            outbox.help();
        }
    }

    /// Something happened, and whoever says so will soon say more: what is to be sent may wait until then.
    pub(super) fn input_for_later(&self, input: Input) {
        self.turn(|machine, now| machine.handle_input(now, input));
    }

    /// The caller wants something.
    pub(super) fn command(&self, command: Command) -> Result<(), Error> {
        let Turn { answer, posted } = self.turn(|machine, now| machine.command(now, command));
        if let Some(outbox) = posted {
            outbox.help();
        }
        match answer {
            Some(answer) => Ok(answer?),
            None => Err(Error::new(Code::Usage, "the session is over")),
        }
    }

    /// Lets the machine do something, and carries out what it asks for.
    fn turn<T>(&self, act: impl FnOnce(&mut Machine, Duration) -> T) -> Turn<T> {
        let mut state = self.state();
        // The receiving thread may have news before the last thread stands.
        while state.posts.is_none() && !state.over {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.over {
            return Turn { answer: None, posted: None };
        }
        self.take_turn(state, act)
    }

    fn take_turn<T>(&self, mut state: MutexGuard<'_, State>, act: impl FnOnce(&mut Machine, Duration) -> T) -> Turn<T> {
        // A machine that panics has a bug: the session ends, and whoever waits for it is told.
        let turned = catch_unwind(AssertUnwindSafe(|| {
            let answer = act(&mut state.machine, self.started.elapsed());
            self.carry_out(&mut state);
            answer
        }));
        let answer = match turned {
            Ok(answer) => Some(answer),
            Err(panic) => {
                state.panic = Some(panic);
                self.end(&mut state);
                None
            }
        };
        let interrupt = std::mem::take(&mut state.interrupt);
        let posted = state.posts.as_ref().filter(|posts| posts.posted.take()).map(|posts| Arc::clone(&posts.parcels.0));
        drop(state);
        if interrupt {
            self.interrupt();
        }
        Turn { answer, posted }
    }

    fn carry_out(&self, state: &mut State) {
        loop {
            match state.machine.poll_output(self.started.elapsed()) {
                Output::Do(action) => self.dispatch(state, action),
                Output::Wait(due) => {
                    // A clock that sleeps too short looks again; one that sleeps too long must be woken.
                    let earlier = due.is_some_and(|due| state.due.is_none_or(|known| due < known));
                    state.due = due;
                    if earlier {
                        self.changed.notify_all();
                    }
                    return;
                }
                Output::Finished => return self.end(state),
            }
        }
    }

    fn end(&self, state: &mut State) {
        state.over = true;
        state.posts = None;
        self.pool.close();
        self.changed.notify_all();
    }

    fn dispatch(&self, state: &mut State, action: Action) {
        let State { posts: Some(posts), record, phase, returning, machine, interrupt, .. } = state else { return };
        // A thread that is gone has panicked, which is told when it is joined.
        match action {
            Action::Call(object, call) => posts.object(object, Task::Call(call)),
            Action::Fill { object, chunk, offset, len } => posts.object(object, Task::Fill { chunk, offset, len }),
            Action::Place { object, chunk, offset, len, segment_end } => {
                posts.object(object, Task::Place { chunk, offset, len, segment_end });
            }
            Action::Track(TrackerIndex(index), call) => {
                if let Some(tracker) = posts.trackers.get(index as usize) {
                    let _ = tracker.send(call);
                }
            }
            Action::Open(offer) => {
                posts.parcel(Parcel::Open(offer));
                if let Record::Early(events) = std::mem::replace(record, Record::On) {
                    for event in events {
                        posts.parcel(Parcel::Message(Message::Event(event), None));
                    }
                } else {
                    *record = Record::Off;
                }
            }
            Action::Send(message, chunk) => {
                let last = matches!(message, Message::End { .. } | Message::Cancelled(_));
                let gives_up = matches!(message, Message::End { .. } | Message::GivenUp);
                if gives_up && matches!(record, Record::On) {
                    let report = machine.report(self.started.elapsed());
                    if let Ok(report) = serde_json::to_string(&report) {
                        posts.parcel(Parcel::Message(Message::Report(report), None));
                    }
                }
                if last {
                    *record = Record::Off;
                }
                posts.parcel(Parcel::Message(message, chunk));
            }
            Action::Release(chunk) => {
                // At the source the machine itself knows which buffers are free.
                if matches!(machine, Machine::Restore(_)) {
                    self.pool.give(chunk);
                }
            }
            Action::Hook(hook) => {
                let _ = posts.hooks.send(hook);
            }
            Action::Commit => posts.parcel(Parcel::Commit),
            Action::Discard => {
                *record = Record::Off;
                posts.parcel(Parcel::Discard);
                // What was sent is worth nothing: a reader that has stopped reading must not hold the devices back.
                *interrupt = true;
            }
            Action::Disconnect => {
                *record = Record::Off;
                posts.parcel(Parcel::Disconnect);
                // What still arrives is not wanted: a receiving thread that waits for a buffer goes on without one.
                self.pool.close();
            }
            Action::Emit(event) => {
                if let EventKind::Phase { phase: entered, .. } = &event.kind {
                    *phase = Some(*entered);
                    if *entered == Phase::Returning {
                        *returning = true;
                        self.changed.notify_all();
                    }
                }
                self.emit(record, posts, event);
            }
        }
    }

    fn emit(&self, record: &mut Record, posts: &Posts, event: Event) {
        let at = event.at;
        if let EventKind::Progress { .. } = event.kind {
            tracing::trace!(?at, event = ?event.kind);
        } else {
            tracing::info!(?at, event = ?event.kind);
            if !matches!(record, Record::Off)
                && let Ok(json) = serde_json::to_string(&event)
            {
                match record {
                    Record::Off => {}
                    Record::Early(events) => events.push(json),
                    Record::On => posts.parcel(Parcel::Message(Message::Event(json), None)),
                }
            }
        }
        self.events.push(event);
    }

    /// Makes blocked calls of the transport return.
    pub(super) fn interrupt(&self) {
        let interrupt = self.interrupt.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(interrupt) = interrupt {
            // An interrupt that panics has done what it could.
            let _ = caught(|| interrupt());
        }
    }

    /// The transport is closed: nothing of it may stay open because somebody still holds a [`Control`](super::Control).
    pub(super) fn forget_transport(&self) {
        self.interrupt.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// A write failed. On a connection the receiving thread says so after it has read what the other end had sent, which
    /// may be the reason.
    pub(super) fn sending_failed(&self, error: &io::Error) {
        let _ = self.sending_failed.set(format!("cannot send: {error}"));
        self.interrupt();
        if self.mode == Some(Mode::OneWay) {
            self.input(Input::Disconnected(self.why_sending_failed()));
        }
    }

    pub(super) fn why_sending_failed(&self) -> String {
        self.why_sending_failed_or("the connection is closed".into())
    }

    pub(super) fn why_sending_failed_or(&self, otherwise: String) -> String {
        self.sending_failed.get().cloned().unwrap_or(otherwise)
    }

    /// Waits until the machine is due, or `until`, or the way back has begun, or the session is over.
    pub(super) fn sleep(&self, until: Option<Instant>) -> Wake {
        let until = until.map(|until| until.saturating_duration_since(self.started));
        let mut state = self.state();
        loop {
            if state.over {
                return Wake::Over;
            }
            if std::mem::take(&mut state.returning) {
                return Wake::Tick;
            }
            let Some(due) = state.due.into_iter().chain(until).min() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let Some(left) = due.checked_sub(self.started.elapsed()).filter(|left| !left.is_zero()) else {
                return Wake::Tick;
            };
            (state, _) = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.state().over
    }

    pub(super) fn phase(&self) -> Option<Phase> {
        self.state().phase
    }

    /// What the machine leaves behind, or the panic that ended it. Called once, after the end.
    pub(super) fn ending(&self) -> Result<vfio_migration_protocol::session::Ending, Box<dyn Any + Send>> {
        let mut state = self.state();
        if let Some(panic) = state.panic.take() {
            return Err(panic);
        }
        Ok(state.machine.ending().expect("a machine that has finished knows how it ended").clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Posts {
    fn object(&self, Object(index): Object, task: Task) {
        if let Some(object) = self.objects.get(index as usize) {
            let _ = object.send(task);
        }
    }

    fn parcel(&self, parcel: Parcel) {
        self.posted.set(true);
        self.parcels.post(parcel);
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("mode", &self.mode).finish_non_exhaustive()
    }
}
