use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use vfio_migration_protocol::event::Phase;
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{
    Action, Chunk, Command, DeviceCall, Hook, Input, Message, Mode, NotNow, Object, Offer,
};
use vfio_migration_protocol::{EventKind, State};

use super::{Broken, Rule, View, barrier};
use crate::end::{End, Work};
use crate::subject::Subject;

/// What was seen of the destination.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that has happened or not")]
#[derive(Debug, Default)]
pub(crate) struct Destination {
    offer: Option<Offer>,
    begun: bool,
    pub(crate) given_up: bool,
    pub(crate) given_up_at: Option<Duration>,
    /// A one-way stream has ended; whether the source goes on.
    end_heard: Option<bool>,
    cancelled_heard: bool,
    withdraw_heard: bool,
    pub(crate) claimed: bool,
    pub(crate) discarded: bool,
    cancelled: bool,
    pub(crate) refused: bool,
    pub(crate) failed: bool,
    pub(crate) loaded: bool,
    pub(crate) running: bool,
    taken_over: bool,
    configured: Option<bool>,
    damaged: bool,
    disconnected: bool,
    pub(crate) in_doubt: bool,
    pub(crate) announced_overdue: bool,
    /// A device was asked to leave stop towards running.
    pub(crate) has_left: bool,
    ended: BTreeSet<Object>,
    /// Frames that came and were not placed yet: where each lies.
    frames: BTreeMap<Chunk, (Object, u64, u32)>,
    last_said: Option<Duration>,
}

impl Destination {
    /// Whether the guest may run here.
    pub(super) fn may_run(&self, view: View<'_>) -> bool {
        let one_way = match (self.end_heard, view.scenario.restore.run) {
            (None, _) => false,
            (Some(_), Some(run)) => run,
            (Some(goes_on), None) => !goes_on,
        };
        self.given_up || self.claimed || one_way && view.scenario.mode() == Mode::OneWay
    }

    /// Whether the guest is the destination's, as far as it has heard and will have it.
    pub(crate) fn has_the_guest(&self) -> bool {
        let given = self.given_up || self.claimed || self.end_heard == Some(false);
        given && !self.refused && (!self.failed || self.claimed)
    }

    pub(super) fn before(&mut self, broken: &mut Broken, view: View<'_>, action: &Action) {
        let end = view.end(Side::Restore);
        let changes =
            matches!(action, Action::Call(_, DeviceCall::SetState(_) | DeviceCall::Reset) | Action::Place { .. });
        let may_begin = self.begun || view.scenario.mode() == Mode::OneWay && self.offer.is_some();
        broken.unless(!changes || may_begin, Rule::BeginFirst, || format!("{action:?}"));
        match action {
            Action::Call(object, DeviceCall::SetState(to)) => self.asks_for(broken, view, *object, *to),
            Action::Call(object, DeviceCall::Reset) => self.resets(broken, end, *object),
            Action::Place { object, chunk, offset, len, .. } => {
                broken.unless(!self.damaged, Rule::NothingAfterDamage, || format!("{action:?}"));
                let came = self.frames.remove(chunk);
                broken
                    .unless(came == Some((*object, *offset, *len)), Rule::Order, || format!("{action:?} of {came:?}"));
                let state = end.device(*object).and_then(Subject::truth);
                let open = state.is_none_or(|state| state == State::Resuming)
                    || end.device(*object).is_some_and(|device| device.excused);
                broken.unless(open, Rule::Order, || format!("{action:?} to a device in {state:?}"));
            }
            Action::Hook(Hook::Configure) => {
                let all = self.ended.len() == end.things.len();
                let busy = end.outstanding().any(|work| matches!(work, Work::Place { .. }));
                broken.unless(all && !busy && !self.damaged, Rule::Order, || "configure before all is loaded".into());
                let left = end.devices.iter().find(|device| device.truth() != Some(State::Resuming) && !device.excused);
                broken.unless(left.is_none(), Rule::Order, || {
                    format!("configure after {} has left resuming", left.map_or("", |device| &device.id))
                });
            }
            Action::Hook(Hook::TakeOver) => {
                let idle = end.devices.iter().find(|device| !device.is_running());
                broken.unless(idle.is_none(), Rule::Order, || {
                    format!("takeOver while {} does not run", idle.map_or("", |device| &device.id))
                });
                broken.unless(!self.refused, Rule::RefusedNeverRuns, || "takeOver".into());
                broken.unless(!self.failed || self.claimed, Rule::FailedStays, || "takeOver".into());
                broken.unless(self.may_run(view), Rule::GivenFirst, || "takeOver".into());
            }
            Action::Hook(_) | Action::Fill { .. } | Action::Open(_) | Action::Commit | Action::Track(..) => {
                broken.unless(false, Rule::Order, || format!("{action:?} at the destination"));
            }
            Action::Send(message, _) => {
                self.last_said = Some(view.now);
                self.says(broken, end, message);
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

    fn asks_for(&mut self, broken: &mut Broken, view: View<'_>, object: Object, to: State) {
        let end = view.end(Side::Restore);
        let path = barrier::request(broken, end, object, to);
        let Some(device) = end.device(object) else { return };
        let name = &device.id;
        let stopped = device.truth().is_some_and(|state| !state.is_running());
        if device.truth() == Some(State::Resuming) && !path.is_empty() {
            broken.unless(self.configured == Some(true), Rule::Order, || format!("{name} leaves resuming too early"));
            broken.unless(!self.refused, Rule::RefusedNeverRuns, || format!("{name} leaves resuming"));
        }
        // Entering resuming walks a fresh device through a stop; only what carries a guest's device can run it.
        if device.carries && stopped && path.iter().any(|state| state.is_running()) {
            self.has_left = true;
            broken.unless(self.may_run(view), Rule::GivenFirst, || format!("{name} is asked for {to}"));
            broken.unless(!self.refused, Rule::RefusedNeverRuns, || format!("{name} is asked for {to}"));
            broken.unless(!self.failed || self.claimed, Rule::FailedStays, || format!("{name} is asked for {to}"));
            // Damage after loaded is as good as a lost connection: its caller may still claim.
            broken.unless(!self.damaged || self.claimed, Rule::NothingAfterDamage, || {
                format!("{name} is asked for {to}")
            });
        }
    }

    fn resets(&self, broken: &mut Broken, end: &End, object: Object) {
        let Some(device) = end.device(object) else { return };
        let entered = device.carries || device.excused;
        broken.unless(entered, Rule::NoReset, || format!("{} at the destination, which took nothing", device.id));
        // A source that asked for the guest has it all; without a connection it cannot be told.
        let abandoned = self.refused || self.discarded || self.withdraw_heard && self.disconnected;
        // Failed before loaded is as good as refused: nothing can have been given up yet.
        let kept = self.given_up || self.claimed || self.has_left || self.failed && self.loaded;
        broken.unless(!kept || abandoned, Rule::NoReset, || {
            format!("{} at the destination, to which the guest was given up", device.id)
        });
        let doubtful = self.loaded && !abandoned && !self.cancelled_heard && !self.withdraw_heard && !self.cancelled;
        broken.unless(!doubtful, Rule::KeepsInDoubt, || format!("{} is reset after loaded", device.id));
    }

    fn says(&mut self, broken: &mut Broken, end: &End, message: &Message) {
        let changing = end.outstanding().any(|work| matches!(work, Work::Call(_, DeviceCall::SetState(_))));
        match message {
            Message::Loaded => {
                let all = self.ended.len() == end.things.len() && self.configured == Some(true);
                let early = end
                    .devices
                    .iter()
                    .find(|device| device.truth() != Some(State::Stop) && !device.waits_in_resuming());
                broken.unless(all && early.is_none() && !self.damaged && !changing, Rule::LoadedAfterAll, || {
                    format!("all has come: {all}; has not left resuming: {:?}", early.map(|device| &device.id))
                });
                self.loaded = true;
            }
            Message::Running => {
                let may = !self.refused && (!self.failed || self.claimed);
                broken.unless(self.taken_over && may, Rule::RunningAfterTakeOver, || {
                    format!("taken over: {}; refused: {}; failed: {}", self.taken_over, self.refused, self.failed)
                });
                self.running = true;
            }
            Message::Refused(_) => {
                // Later it is only the answer to the source's withdraw, or its caller's word.
                let still = !self.has_left || self.withdraw_heard || self.discarded;
                broken.unless(still, Rule::RefusedAtRest, || "a device was asked to run already".into());
                let loose = end.devices.iter().find(|device| device.runs_what_came());
                broken.unless(!changing && loose.is_none(), Rule::RefusedAtRest, || {
                    format!("a change is outstanding: {changing}; running: {:?}", loose.map(|device| &device.id))
                });
                // After given-up nobody knows what a broken device has done.
                let broke = end.devices.iter().find(|device| device.is_broken() && device.carries && self.given_up);
                broken.unless(broke.is_none_or(|device| device.unheard), Rule::RefusedAtRest, || {
                    format!("{} is broken after given-up", broke.map_or("", |device| &device.id))
                });
                (self.refused, self.in_doubt) = (true, false);
            }
            Message::Failed(_) => self.failed = true,
            _ => {}
        }
    }

    pub(super) fn after_effect(&mut self, work: &Work, answer: &Input) {
        if let (Work::Hook(Hook::TakeOver), Input::Hooked(_, Ok(()))) = (work, answer) {
            self.taken_over = true;
        }
    }

    pub(super) fn hears(&mut self, view: View<'_>, input: &Input) {
        match input {
            Input::Opened(offer) => self.offer = Some(offer.clone()),
            Input::Hooked(Hook::Configure, answer) => self.configured = Some(answer.is_ok()),
            Input::Corrupt(..) => self.damaged = true,
            Input::Disconnected(_) => self.disconnected = true,
            Input::Received(message, chunk) => match message {
                Message::Begin => self.begun = true,
                // A peer that says so out of turn is not believed.
                Message::GivenUp if self.loaded => {
                    self.given_up = true;
                    self.given_up_at.get_or_insert(view.now);
                    self.last_said = self.last_said.max(Some(view.now));
                }
                Message::End { goes_on } => self.end_heard = Some(*goes_on),
                Message::Cancelled(_) => self.cancelled_heard = true,
                Message::Withdraw => self.withdraw_heard = true,
                Message::ObjectEnd(object) => {
                    self.ended.extend(self.here(view.end(Side::Restore), *object));
                }
                Message::Data { object, offset, len, .. } => {
                    let here = self.here(view.end(Side::Restore), *object);
                    if let (Some(chunk), Some(here)) = (chunk, here) {
                        self.frames.insert(*chunk, (here, *offset, *len));
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// The number that an object of the stream has in the destination's calls.
    fn here(&self, end: &End, object: Object) -> Option<Object> {
        let id = &self.offer.as_ref()?.objects.get(object.0 as usize)?.id;
        (0..).map(Object).take(end.things.len()).find(|here| end.name(*here) == *id)
    }

    pub(super) fn commanded(&mut self, broken: &mut Broken, command: &Command, answer: Result<(), NotNow>) {
        match (command, answer) {
            (Command::Cancel(_), Ok(())) => {
                broken.unless(!self.has_left, Rule::Commands, || "cancelled after a device was asked to run".into());
                self.cancelled = true;
            }
            (Command::Claim, Ok(())) => {
                broken.unless(self.in_doubt, Rule::Commands, || "claimed without doubt".into());
                (self.claimed, self.in_doubt) = (true, false);
            }
            (Command::Discard, Ok(())) => {
                broken.unless(self.in_doubt, Rule::Commands, || "discarded without doubt".into());
                (self.discarded, self.in_doubt) = (true, false);
            }
            (Command::TakeBack { .. } | Command::Switchover, Ok(())) => {
                broken.unless(false, Rule::Commands, || format!("the destination followed {command:?}"));
            }
            _ => {}
        }
    }

    pub(super) fn now(&mut self, broken: &mut Broken, view: View<'_>) {
        let end = view.end(Side::Restore);
        let over = self.running || self.failed || self.refused || self.disconnected || self.discarded;
        if view.scenario.mode() == Mode::Connected && self.given_up && !over && !end.dead && !end.finished {
            let said = self.last_said.unwrap_or_default();
            // The clock is checked after the fact, so a little more than a third has passed when it is on time.
            let most = view.scenario.restore.deadline / 3 + Duration::from_millis(1);
            broken.unless(view.now <= said + most, Rule::Alive, || {
                format!("silent for {} us after given-up", view.now.saturating_sub(said).as_micros())
            });
        }
    }
}
