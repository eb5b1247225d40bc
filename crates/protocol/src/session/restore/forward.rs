//! The way forward: load, validate, and, once the guest was given up, run.

use super::super::group::Member;
use super::super::save::is_free;
use super::super::{Failure, Fault, Hook, Message, Object, Offer};
use super::matching::match_objects;
use super::{Restore, Stage};
use crate::event::{Cause, Phase};
use crate::{CallError, EventKind, Outcome, State};

impl Restore {
    /// Goes on where nothing is outstanding any more; whether it did.
    pub(super) fn step(&mut self) -> bool {
        let settled = self.is_settled();
        match self.stage {
            Stage::New => self.begin(),
            Stage::Reading if settled => self.accept(),
            Stage::Accepted if self.peer.begun => self.enter_resuming(),
            Stage::Entering if settled => self.load(),
            Stage::Loading if self.intake.is_complete() => self.configure(),
            Stage::Configuring if settled => self.validate(),
            Stage::Validating if settled => self.say_loaded(),
            Stage::Loaded => return self.loaded_on(),
            Stage::Leaving if settled => self.enter_grace(),
            Stage::Grace if settled => self.run(),
            Stage::Running if settled => self.hand_over(),
            Stage::TakingOver if settled => self.say_running(),
            Stage::Down(down) if settled => self.step_down(down),
            Stage::Fall(fall) if settled => self.step_fall(fall),
            _ => return false,
        }
        true
    }

    fn begin(&mut self) {
        self.stage = Stage::Waiting;
        self.course.enter(Phase::Checking);
        self.peer.heard_at = self.course.now;
    }

    pub(super) fn opened(&mut self, offer: &Offer) {
        if self.stage != Stage::Waiting {
            return;
        }
        self.peer.opened(self.course.now, offer.mode);
        match match_objects(offer, &self.objects) {
            Ok(places) => {
                self.intake.matched(places);
                self.stage = Stage::Reading;
                self.devices.read_states(&mut self.course);
            }
            Err(failure) => self.fail(failure),
        }
    }

    fn accept(&mut self) {
        if let Some(member) = self.devices.iter().find(|member| !is_free(member.state)) {
            let state = member.state.map_or_else(|| "unreadable".into(), |state| state.to_string());
            let what = format!("it is in {state}: another session has it, or left it so; reset it if that one is gone");
            let failure = Failure { fault: Fault::Device, what, object: Some(member.id.clone()), error: None };
            return self.fail(failure);
        }
        if let Some(member) = self.devices.iter().find(|member| !member.can_reach(State::Resuming)) {
            let failure = member.is_stuck(State::Resuming);
            return self.fail(failure);
        }
        self.stage = Stage::Accepted;
        if self.peer.connected {
            self.course.send(Message::Accepted);
        } else {
            self.peer.begun = true;
        }
    }

    fn enter_resuming(&mut self) {
        self.stage = Stage::Entering;
        self.course.enter(Phase::Preparing);
        self.barrier(|_| Some(State::Resuming));
    }

    /// Asks every device for a state; whether all of them can get there. If not, that is a failure.
    fn barrier(&mut self, to: impl Fn(&Member) -> Option<State>) -> bool {
        match self.devices.request_all(&mut self.course, Cause::Forward, to) {
            Ok(()) => true,
            Err(failure) => {
                self.fail(failure);
                false
            }
        }
    }

    fn load(&mut self) {
        self.stage = Stage::Loading;
        self.course.enter(Phase::Loading);
        while self.stage == Stage::Loading
            && let Some((message, chunk)) = self.intake.next_held()
        {
            self.received(message, chunk);
        }
    }

    fn configure(&mut self) {
        self.stage = Stage::Configuring;
        self.course.enter(Phase::Configuring);
        self.hook.make(&mut self.course, Hook::Configure);
    }

    fn validate(&mut self) {
        self.stage = Stage::Validating;
        // Where there is no such arc (libvfio-user's region), `loaded` says only that everything was written.
        self.barrier(|member| Some(State::Stop).filter(|stop| member.can_reach(*stop)));
    }

    fn say_loaded(&mut self) {
        for member in self.devices.iter_mut() {
            member.validated = Some(member.state == Some(State::Stop));
        }
        self.stage = Stage::Loaded;
        self.course.enter(Phase::Loaded);
        if self.peer.connected {
            self.course.send(Message::Loaded);
        }
    }

    fn loaded_on(&mut self) -> bool {
        let Some(goes_on) = self.peer.end else { return false };
        if self.options.run.unwrap_or(!goes_on) {
            self.take_over();
        } else {
            self.complete();
            self.end();
        }
        true
    }

    /// The guest is ours: devices leave stop, through the barrier. Those that could not leave resuming for stop go first:
    /// what they do with their data shows only now, and that counts as leaving stop.
    pub(super) fn take_over(&mut self) {
        self.stage = Stage::Leaving;
        self.course.enter(Phase::TakingOver);
        for member in self.devices.iter_mut() {
            member.outcome = None;
        }
        let leaves = |member: &Member| {
            let quiet = if member.can_reach(State::RunningP2p) { State::RunningP2p } else { State::Running };
            Some(quiet).filter(|_| member.state == Some(State::Resuming))
        };
        let any = self.devices.iter().any(|member| leaves(member).is_some());
        self.has_left |= self.barrier(leaves) && any;
    }

    fn enter_grace(&mut self) {
        self.stage = Stage::Grace;
        // A device without a P2P state waits for the next step.
        let grace = |member: &Member| Some(State::RunningP2p).filter(|grace| member.table.has(*grace));
        let any = self.devices.iter().any(|member| grace(member).is_some());
        self.has_left |= self.barrier(grace) && any;
    }

    fn run(&mut self) {
        self.stage = Stage::Running;
        self.has_left |= self.barrier(|_| Some(State::Running));
    }

    fn hand_over(&mut self) {
        self.stage = Stage::TakingOver;
        self.has_left = true;
        self.may_have_run = true;
        self.hook.make(&mut self.course, Hook::TakeOver);
    }

    fn say_running(&mut self) {
        self.course.guest_runs = Some(self.course.now);
        self.complete();
        if self.peer.connected && !self.peer.gone {
            self.stage = Stage::Closing;
            self.course.enter(Phase::Finishing);
            self.peer.closing_since = self.course.now;
            self.course.send(Message::Running);
        } else {
            self.end();
        }
    }

    fn complete(&mut self) {
        // What was in doubt is settled, and well.
        self.course.failure = None;
        for member in self.devices.iter_mut() {
            member.outcome = Some(Outcome::Completed);
        }
    }

    pub(super) fn change_failed(&mut self, object: Object, to: State, error: CallError) {
        let member = self.devices.get(object).expect("a device");
        let failure = member.failed(&format!("changing to {to}"), error);
        match self.stage {
            Stage::Down(_) | Stage::Fall(_) => self.course.fail(failure),
            Stage::Validating if to == State::Stop && member.may_stay_in_resuming() => self.tell(&failure),
            _ => self.fail(failure),
        }
    }

    /// A failure that changes nothing about the course.
    pub(super) fn tell(&mut self, failure: &Failure) {
        self.course.emit(EventKind::Failed { object: failure.object.clone(), what: failure.to_string() });
    }

    pub(super) fn hooked(&mut self, hook: Hook, answer: Result<(), String>) {
        self.hook.returns();
        if let Err(why) = answer {
            self.fail(Failure::new(Fault::Hook, format!("the hook {hook} failed: {why}")));
        }
    }
}
