//! The way forward: one barrier after the other.

use super::super::group::Member;
use super::super::{Action, CommitError, DeviceCall, Failure, Fault, Hook, Message, Mode, Object, Then};
use super::{Pause, Save, Stage, is_free};
use crate::event::{Cause, Phase};
use crate::report::PreCopyEnd;
use crate::{CallError, EventKind, Outcome, State};

impl Save {
    /// Goes on where nothing is outstanding any more; whether it did.
    pub(super) fn step(&mut self) -> bool {
        let settled = self.devices.is_idle() && self.trackers.is_idle() && self.hook.is_idle();
        match self.stage {
            Stage::New => self.begin(),
            Stage::Reading if settled => self.ask_sizes(),
            Stage::Sizing if settled => self.make_offer(),
            Stage::Offered if self.peer.accepted || !self.is_connected() => self.start_trackers(),
            Stage::Trackers if settled => self.enter_pre_copy(),
            Stage::Entering if settled => self.start_flow(),
            Stage::PreCopy => return self.flow_on(),
            Stage::Pausing if !self.hook.is_idle() => return self.flow.pump(&mut self.course),
            Stage::Pausing if settled => self.enter_grace(),
            Stage::Grace if settled => self.enter_stop_copy(),
            Stage::Stopping if settled => self.read_trackers_last(),
            Stage::Reports if settled => self.drain(),
            Stage::Draining => return self.drain_on(),
            Stage::Loaded if self.peer.loaded => self.give_up(),
            Stage::Finishing if settled => self.stop_trackers(),
            Stage::Untracking if settled && self.sink.committing.is_none() => self.end(),
            Stage::Back(back) => return self.step_back(back, settled),
            _ => return false,
        }
        true
    }

    fn begin(&mut self) {
        self.stage = Stage::Reading;
        self.course.enter(Phase::Checking);
        self.devices.read_states(&mut self.course);
    }

    fn ask_sizes(&mut self) {
        if let Some(member) = self.devices.iter().find(|member| !is_free(member.state)) {
            let state = member.state.map_or_else(|| "unreadable".into(), |state| state.to_string());
            let mut failure = Failure::new(
                Fault::Device,
                format!("it is in {state}: another session has it, or left it so; reset it if that session is gone"),
            );
            failure.object = Some(member.id.clone());
            return self.go_back(failure);
        }
        if let Some(member) = self.devices.iter().find(|member| !member.can_reach(State::StopCopy)) {
            let failure = member.is_stuck(State::StopCopy);
            return self.go_back(failure);
        }
        self.stage = Stage::Sizing;
        for member in self.devices.iter_mut() {
            member.ask(&mut self.course, DeviceCall::DataSize, Cause::Found);
        }
    }

    fn make_offer(&mut self) {
        self.stage = Stage::Offered;
        if self.options.dry_run && !self.is_connected() {
            return self.end_dry_run();
        }
        self.peer.heard(self.course.now);
        self.peer.said(self.course.now);
        let offer = self.offer();
        self.course.act(Action::Open(offer));
        self.peer.opened = true;
    }

    fn end_dry_run(&mut self) {
        if self.is_connected() {
            self.course.send(Message::Cancelled("a dry run ends here".into()));
        }
        for member in self.devices.iter_mut() {
            member.outcome = Some(Outcome::Returned);
        }
        self.end();
    }

    fn start_trackers(&mut self) {
        if self.options.dry_run {
            return self.end_dry_run();
        }
        if self.is_connected() {
            self.course.send(Message::Begin);
        }
        self.stage = Stage::Trackers;
        self.course.enter(Phase::Preparing);
        if self.options.pre_copy {
            self.trackers.start(&mut self.course);
        }
    }

    fn enter_pre_copy(&mut self) {
        self.stage = Stage::Entering;
        for member in self.devices.iter_mut().filter(|_| self.options.pre_copy) {
            let to = match member.state {
                Some(State::Running) => State::PreCopy,
                Some(State::RunningP2p) => State::PreCopyP2p,
                _ => continue,
            };
            // Without pre-copy there is no path, and the device waits for stop-copy.
            member.request(&mut self.course, to, Cause::Forward);
        }
    }

    fn start_flow(&mut self) {
        self.stage = Stage::PreCopy;
        self.pre_copy_since = self.course.now;
        self.course.enter(Phase::PreCopy);
        self.flow.tracked_memory_flows(self.course.now, |tracker| self.trackers.is_logging(tracker));
    }

    fn flow_on(&mut self) -> bool {
        let now = self.course.now;
        if let Some(reason) = self.pre_copy_end() {
            self.switch_over(reason);
            return true;
        }
        let mut asked = false;
        for object in self.flow.infos_due(now) {
            let member = self.devices.get_mut(object).expect("pre-copy info is asked of a device");
            member.ask(&mut self.course, DeviceCall::PreCopyInfo, Cause::Forward);
            asked = true;
        }
        for (tracker, memory, range) in self.flow.reports_due(now, false) {
            self.trackers.report(&mut self.course, tracker, memory, range);
            asked = true;
        }
        self.flow.pump(&mut self.course) || asked
    }

    fn pre_copy_end(&self) -> Option<PreCopyEnd> {
        let spent = self.course.now.saturating_sub(self.pre_copy_since);
        if self.requested {
            Some(PreCopyEnd::Requested)
        } else if !self.flow.has_pre_copy() {
            Some(PreCopyEnd::NothingToPreCopy)
        } else if self.flow.has_converged(self.options.downtime_budget) {
            Some(PreCopyEnd::Converged)
        } else {
            (spent >= self.options.max_pre_copy).then_some(PreCopyEnd::MaxPreCopy)
        }
    }

    fn switch_over(&mut self, reason: PreCopyEnd) {
        let left = self.flow.left();
        self.course.pre_copy_end = Some(reason);
        if reason == PreCopyEnd::MaxPreCopy {
            self.course.not_converged = self.flow.not_converged(self.options.downtime_budget);
        }
        self.course.emit(EventKind::Switchover { reason, left });
        self.stage = Stage::Pausing;
        self.course.enter(Phase::Pausing);
        self.pause = Pause::Asked;
        self.hook.make(&mut self.course, Hook::Pause(left));
    }

    fn enter_grace(&mut self) {
        self.stage = Stage::Grace;
        self.course.enter(Phase::Grace);
        let grace = |member: &Member| member.state.and_then(|state| member.table.grace(state));
        self.barrier(grace);
    }

    /// Asks every device for a state; if one cannot get there, the guest stays here.
    fn barrier(&mut self, to: impl Fn(&Member) -> Option<State>) {
        if let Err(failure) = self.devices.request_all(&mut self.course, Cause::Forward, to) {
            self.fail(failure);
        }
    }

    fn enter_stop_copy(&mut self) {
        self.stage = Stage::Stopping;
        self.course.enter(Phase::Stopping);
        self.barrier(|_| Some(State::StopCopy));
    }

    fn read_trackers_last(&mut self) {
        self.stage = Stage::Reports;
        for (tracker, memory, range) in self.flow.reports_due(self.course.now, true) {
            self.trackers.report(&mut self.course, tracker, memory, range);
        }
    }

    fn drain(&mut self) {
        self.stage = Stage::Draining;
        self.course.enter(Phase::Draining);
        self.flow.rest_flows();
    }

    fn drain_on(&mut self) -> bool {
        let ended = self.flow.end_objects(&mut self.course);
        if !self.flow.has_ended() {
            return self.flow.pump(&mut self.course) || ended;
        }
        match self.options.mode {
            Mode::Connected => {
                self.stage = Stage::Loaded;
                self.course.enter(Phase::Loaded);
            }
            // What gives up is the end's first byte, so nothing may be unwritten before it.
            Mode::OneWay if !self.flow.has_arrived() => return ended,
            Mode::OneWay => {
                self.stage = Stage::Committing;
                self.course.enter(Phase::Loaded);
                self.sink.committing = Some(self.course.now);
                self.course.send(Message::End { goes_on: self.options.then == Then::Resume });
                self.course.act(Action::Commit);
            }
        }
        true
    }

    fn give_up(&mut self) {
        self.stage = Stage::GivenUp;
        self.course.emit(EventKind::GivenUp);
        self.course.enter(Phase::TakingOver);
        self.course.send(Message::GivenUp);
        self.peer.heard(self.course.now);
    }

    pub(super) fn committed(&mut self, answer: Result<(), CommitError>) {
        let snapshot = self.options.then == Then::Resume;
        match (self.stage, &answer) {
            (Stage::Committing | Stage::InDoubt, _) => {}
            (Stage::Back(_), Err(error)) => {
                let what = format!("the stream could not be kept: {}", error.why);
                return self.course.fail(Failure::new(Fault::Transport, what));
            }
            // The guest went back, or left, by the caller's word or after a snapshot's deadline.
            _ => return,
        }
        match answer {
            Ok(()) if snapshot => {
                self.verdict = Some(Outcome::Completed);
                self.walk_back();
            }
            Ok(()) => {
                // It may have been in doubt for a while.
                self.course.failure = None;
                self.course.emit(EventKind::GivenUp);
                self.course.guest_runs = Some(self.course.now);
                self.finish(Outcome::Completed);
            }
            Err(error) => {
                let failure = Failure::new(Fault::Transport, format!("the stream could not be kept: {}", error.why));
                if error.maybe_given_up && !snapshot {
                    self.course.fail(failure.clone());
                    self.in_doubt(failure.to_string());
                } else {
                    self.go_back(failure);
                }
            }
        }
    }

    /// The guest has left: devices go to stop.
    pub(super) fn finish(&mut self, outcome: Outcome) {
        self.stage = Stage::Finishing;
        self.course.enter(Phase::Finishing);
        self.flow.dries_up();
        for member in self.devices.iter_mut() {
            member.outcome = Some(outcome);
            member.request(&mut self.course, State::Stop, Cause::Forward);
        }
    }

    fn stop_trackers(&mut self) {
        self.stage = Stage::Untracking;
        self.trackers.stop(&mut self.course);
    }

    /// A device was asked for a state and refused; where it is was read back.
    pub(super) fn change_failed(&mut self, object: Object, to: State, error: CallError) {
        let member = self.devices.get(object).expect("a device");
        let failure = member.failed(&format!("changing to {to}"), error);
        match self.stage {
            Stage::Back(back) => self.change_back_failed(back, object, to, failure),
            // If the guest has left, what this device does now is worth a word and no more.
            _ => self.fail(failure),
        }
    }

    pub(super) fn read_failed(&mut self, object: Object, error: CallError) {
        let id = self.flow.objects[object.0 as usize].id.clone();
        let fault = if self.devices.get(object).is_some() { Fault::Device } else { Fault::Memory };
        let failure = Failure::of(fault, &id, "reading its data failed", error);
        if self.flow.has_ended() { self.tell(&failure) } else { self.fail(failure) }
    }

    pub(super) fn unreadable(&mut self, object: Object, error: CallError) {
        let id = self.devices.get(object).expect("a device").id.clone();
        self.fail(Failure::of(Fault::Device, &id, "its state cannot be read", error));
    }

    /// A failure that changes nothing about the course.
    pub(super) fn tell(&mut self, failure: &Failure) {
        self.course.emit(EventKind::Failed { object: failure.object.clone(), what: failure.to_string() });
    }

    pub(super) fn hooked(&mut self, hook: Hook, answer: Result<(), String>) {
        let overdue = self.hook.returns();
        if matches!(hook, Hook::Pause(_)) {
            self.pause = if answer.is_ok() { Pause::Done } else { Pause::Failed };
        }
        let Err(why) = answer else { return };
        let failure = Failure::new(Fault::Hook, format!("the hook {hook} failed: {why}"));
        if overdue { self.tell(&failure) } else { self.fail(failure) }
    }
}
