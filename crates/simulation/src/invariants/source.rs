use std::collections::BTreeSet;

use vfio_migration_protocol::event::Phase;
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{
    self, Action, Command, DeviceCall, Hook, Input, Message, Mode, NotNow, Object, TrackerCall, TrackerIndex,
    Unrecoverable,
};
use vfio_migration_protocol::{EventKind, State, Then};

use super::{Broken, Rule, View, barrier};
use crate::end::{End, Thing, Work};

/// What was seen of the source.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that has happened or not")]
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// The pause hook was called; what it answered.
    pub(crate) pause_called: bool,
    pub(crate) pause_settled: Option<bool>,
    pub(crate) unpauses: u32,
    pub(crate) loaded_heard: bool,
    /// The guest was given up: the message was sent, or a one-way stream may be there.
    pub(crate) given_up: bool,
    commits: u32,
    /// The stream's end says that the guest goes on here.
    snapshot: bool,
    /// The destination said who owns the guest, or the caller did.
    settled: bool,
    pub(crate) running_heard: bool,
    pub(crate) discarded: bool,
    pub(crate) taken_back: bool,
    pub(crate) cancelled: bool,
    pub(crate) in_doubt: bool,
    pub(crate) announced_overdue: bool,
    /// Trackers that log, and those whose log is lost.
    logging: BTreeSet<TrackerIndex>,
    stop_asked: BTreeSet<TrackerIndex>,
    lost: BTreeSet<TrackerIndex>,
    /// Every device was seen to have stopped.
    all_stopped: bool,
    /// Reports that came after that.
    reported: BTreeSet<(TrackerIndex, Object)>,
    /// Devices whose data was read to its end.
    drained: BTreeSet<Object>,
    pub(crate) ended: BTreeSet<Object>,
    all_sent: bool,
}

impl Source {
    /// Whether the source owns the guest: it has not given it up, or it is settled that the guest stays.
    pub(crate) const fn keeps_the_guest(&self) -> bool {
        !self.given_up || self.settled && !self.running_heard && !self.discarded
    }

    pub(super) fn before(&mut self, broken: &mut Broken, view: View<'_>, action: &Action) {
        let end = view.end(Side::Save);
        let kept = self.given_up && !self.settled && view.scenario.mode() == Mode::Connected;
        match action {
            Action::Call(object, DeviceCall::SetState(to)) => {
                broken.unless(!kept, Rule::KeepsUntilRunning, || format!("{} is asked for {to}", end.name(*object)));
                self.asks_for(broken, end, *object, *to);
            }
            Action::Call(object, DeviceCall::Reset) => {
                broken.unless(!kept, Rule::KeepsUntilRunning, || format!("{} is reset", end.name(*object)));
                let allowed = view.scenario.save.unrecoverable == Unrecoverable::Reset;
                broken.unless(allowed, Rule::NoReset, || format!("{}, at the source, unasked", end.name(*object)));
            }
            Action::Track(tracker, TrackerCall::Stop) => drop(self.stop_asked.insert(*tracker)),
            Action::Fill { object, .. } => self.fills(broken, end, *object),
            Action::Hook(Hook::Pause(_)) => {
                broken.unless(!self.pause_called, Rule::Order, || "pause is called twice".into());
                self.pause_called = true;
            }
            Action::Hook(Hook::Unpause(_)) => self.unpauses(broken, end),
            Action::Send(Message::ObjectEnd(object), _) => self.ends(broken, end, *object),
            Action::Send(Message::GivenUp, _) => {
                let busy =
                    end.outstanding().any(|work| matches!(work, Work::Call(..) | Work::Hook(_) | Work::Fill { .. }));
                broken.unless(self.loaded_heard && !busy, Rule::GivenAfterLoaded, || {
                    format!("loaded was heard: {}; something is outstanding: {busy}", self.loaded_heard)
                });
                let running = end.devices.iter().find(|device| device.is_running());
                broken.unless(running.is_none(), Rule::GivenAfterLoaded, || {
                    format!("{} still runs", running.map_or("", |device| &device.id))
                });
                self.given_up = true;
            }
            // For a pipe this is where the guest is given up, for a file right after; a snapshot gives nothing up.
            Action::Send(Message::End { goes_on }, _) => (self.snapshot, self.given_up) = (*goes_on, !goes_on),
            Action::Commit => {
                let all = self.ended.len() == end.things.len();
                broken
                    .unless(all && self.commits == 0, Rule::Order, || "the stream is committed before its end".into());
                self.commits += 1;
                self.given_up = !self.snapshot;
            }
            Action::Hook(_) | Action::Place { .. } => {
                broken.unless(false, Rule::Order, || format!("{action:?} at the source"));
            }
            Action::Emit(event) => match event.kind {
                EventKind::InDoubt { .. } => self.in_doubt = true,
                EventKind::Phase { phase, .. } => self.in_doubt = phase == Phase::InDoubt,
                EventKind::Overdue { .. } => self.announced_overdue = true,
                _ => {}
            },
            _ => {}
        }
    }

    fn asks_for(&self, broken: &mut Broken, end: &End, object: Object, to: State) {
        let path = barrier::request(broken, end, object, to);
        let Some(device) = end.device(object) else { return };
        // Only a device that works can be taken from the guest.
        let works = device.truth().is_some_and(|state| state.is_running() && !state.is_quiet());
        let leaves = works && path.iter().any(|state| state.is_quiet()) && to != device.found;
        // Even on the way back to where it was.
        let stops = device.is_running() && path.iter().any(|state| !state.is_running());
        let paused = self.pause_settled == Some(true) && self.unpauses == 0;
        // A hook that lies shows where nothing else would: the device runs again at once.
        let paused = paused && !(stops && end.guest.running);
        broken.unless(!leaves && !stops || paused, Rule::PauseFirst, || {
            format!("{} is asked for {to}; pause has answered {:?}", device.id, self.pause_settled)
        });
    }

    fn fills(&self, broken: &mut Broken, end: &End, object: Object) {
        let Some(Thing::Memory(_)) = end.thing(object) else { return };
        let log = end.trackers();
        let all = log > 0 && self.logging.len() + self.lost.len() >= log && self.lost.is_empty();
        broken.unless(all || self.all_stopped, Rule::TrackersFirst, || {
            format!("{} is read while {} of {log} trackers log", end.name(object), self.logging.len())
        });
    }

    fn ends(&mut self, broken: &mut Broken, end: &End, object: Object) {
        broken.unless(self.ended.insert(object), Rule::Order, || format!("{} ends twice", end.name(object)));
        self.all_sent = self.ended.len() == end.things.len();
        broken.unless(self.all_stopped, Rule::Order, || format!("{} ends while something works", end.name(object)));
        match end.thing(object) {
            Some(Thing::Device(_)) => {
                broken.unless(self.drained.contains(&object), Rule::Order, || {
                    format!("{} ends before its data", end.name(object))
                });
            }
            _ => {
                // With one log lost all of the memory counts as dirty, and no report is needed.
                for tracker in self.logging.iter().filter(|_| self.lost.is_empty()) {
                    broken.unless(self.reported.contains(&(*tracker, object)), Rule::LastReport, || {
                        format!("{} ends without a last report of tracker {}", end.name(object), tracker.0)
                    });
                }
            }
        }
    }

    fn unpauses(&mut self, broken: &mut Broken, end: &End) {
        self.unpauses += 1;
        let settled = self.pause_settled.is_some();
        let stays = !self.given_up || self.settled;
        broken.unless(settled && stays && self.unpauses == 1 && !self.running_heard, Rule::Unpause, || {
            format!(
                "pause has settled: {settled}; the guest stays: {stays}; running was heard: {}; this is call {}",
                self.running_heard, self.unpauses
            )
        });
        // A commit that never returns is what the caller's force is for, and it does not hold a snapshot's guest.
        let forced = |work: &&Work| matches!(work, Work::Commit) && (self.taken_back || self.snapshot);
        let busy = end.outstanding().find(|work| !matches!(work, Work::Hook(_)) && !forced(work));
        broken.unless(busy.is_none(), Rule::Unpause, || format!("while this is outstanding: {busy:?}"));
        let still = self.logging.difference(&self.lost).find(|tracker| !self.stop_asked.contains(tracker));
        broken.unless(still.is_none(), Rule::Order, || format!("unpause while {still:?} still logs"));
    }

    pub(super) fn after_effect(&mut self, view: View<'_>, work: &Work, answer: &Input) {
        if let (Work::Track(tracker, TrackerCall::Report { memory, .. }), Input::Tracked(_, _, Ok(_))) = (work, answer)
            && self.all_stopped
        {
            self.reported.insert((*tracker, *memory));
        }
        self.look(view);
    }

    /// A tracker that was started and never stopped.
    pub(crate) fn left_logging(&self) -> Option<TrackerIndex> {
        self.logging.difference(&self.stop_asked).next().copied()
    }

    fn look(&mut self, view: View<'_>) {
        // A device that is broken or gone has stopped for all that anybody knows.
        let end = view.end(Side::Save);
        self.all_stopped |= !end.works() && self.pause_settled == Some(true)
            || !end.works() && end.devices.iter().all(|device| !device.found.is_running());
    }

    pub(super) fn hears(&mut self, view: View<'_>, input: &Input) {
        match input {
            Input::Committed(Err(error)) if !error.maybe_given_up => self.given_up = false,
            // After a snapshot the guest goes on here, whatever became of the snapshot.
            Input::Committed(_) => self.settled |= view.scenario.save.then == session::Then::Resume,
            Input::Hooked(Hook::Pause(_), answer) => self.pause_settled = Some(answer.is_ok()),
            Input::Tracked(tracker, TrackerCall::Start { .. }, Ok(_)) => drop(self.logging.insert(*tracker)),
            Input::Tracked(tracker, TrackerCall::Report { .. }, Err(_)) => drop(self.lost.insert(*tracker)),
            Input::Filled(object, _, Ok(filled)) if filled.then == Then::End => drop(self.drained.insert(*object)),
            Input::Received(message, _) => match message {
                Message::Loaded => self.loaded_heard = true,
                // A peer that says so out of turn is not believed.
                Message::Running if self.given_up => (self.running_heard, self.settled) = (true, true),
                Message::Refused(_) => self.settled = true,
                _ => {}
            },
            _ => {}
        }
    }

    pub(super) fn commanded(&mut self, broken: &mut Broken, command: &Command, answer: Result<(), NotNow>) {
        match (command, answer) {
            (Command::Cancel(_), Ok(())) => {
                broken.unless(!self.given_up, Rule::Commands, || "cancelled after the guest was given up".into());
                self.cancelled = true;
            }
            (Command::Cancel(_), Err(NotNow::TooLate)) => {
                // What follows from the last word before it may be on its way already.
                let late = self.given_up || self.loaded_heard || self.all_sent;
                broken.unless(late, Rule::Commands, || "too late, though the guest was not given up".into());
            }
            (Command::TakeBack { force }, Ok(())) => {
                broken.unless(self.in_doubt, Rule::Commands, || "taken back without doubt".into());
                self.taken_back |= *force;
                self.settled |= *force;
                self.in_doubt &= !*force;
            }
            (Command::Discard, Ok(())) => {
                broken.unless(self.in_doubt, Rule::Commands, || "discarded without doubt".into());
                (self.discarded, self.settled, self.in_doubt) = (true, true, false);
            }
            (Command::Claim, Ok(())) => {
                broken.unless(false, Rule::Commands, || "the source claimed".into());
            }
            _ => {}
        }
    }

    pub(super) fn now(&mut self, broken: &mut Broken, view: View<'_>) {
        self.look(view);
        let end = view.end(Side::Save);
        if self.in_doubt && !self.settled && !end.dead {
            let moved = end.devices.iter().find(|device| device.is_running() && !device.excused);
            broken.unless(moved.is_none() && self.unpauses == 0, Rule::KeepsInDoubt, || {
                format!("{} runs at the source", moved.map_or("the guest", |device| &device.id))
            });
        }
    }
}
