//! The way back: through the barrier, then trackers stop, then the guest goes on.

use super::super::group::Member;
use super::super::recovery::{Doing, Remedy, remedy};
use super::super::{Action, Failure, Hook, Message, Object};
use super::{Pause, Save, Stage};
use crate::event::{Cause, Phase};
use crate::report::Side;
use crate::{Estimate, Outcome, State};

/// How far the way back is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// Calls are still outstanding, the pause hook among them.
    Settling,
    /// Devices say where they are.
    Reading,
    /// The guest pauses: a device that works stops on its way back.
    Pausing,
    /// Devices that stopped enter their grace state.
    Grace,
    /// Devices go to where the session found them.
    Running,
    Untracking,
    Unpausing,
}

impl Save {
    /// Whether the guest is still ours and nothing is on its way back yet.
    pub(super) fn owns_the_guest(&self) -> bool {
        !matches!(
            self.stage,
            Stage::Committing
                | Stage::GivenUp
                | Stage::InDoubt
                | Stage::Withdrawing
                | Stage::Finishing
                | Stage::Untracking
                | Stage::Back(_)
                | Stage::Ended
        )
    }

    /// Something of ours failed: while the guest is ours, the way back begins.
    pub(super) fn fail(&mut self, failure: Failure) {
        match self.stage {
            Stage::Back(_) => self.course.fail(failure),
            _ if self.owns_the_guest() => self.go_back(failure),
            // It is in doubt, or has left; that does not change.
            _ => self.tell(&failure),
        }
    }

    /// The guest stays here.
    pub(super) fn go_back(&mut self, failure: Failure) {
        let why = failure.to_string();
        self.course.fail(failure);
        if self.is_connected() && self.peer.opened && !self.peer.is_over() {
            self.course.send(Message::Cancelled(why));
        }
        if !self.is_connected() && self.peer.opened {
            self.course.act(Action::Discard);
        }
        self.walk_back();
    }

    /// All devices return to where they were found.
    pub(super) fn walk_back(&mut self) {
        self.stage = Stage::Back(Back::Settling);
        self.course.enter(Phase::Returning);
        self.flow.dries_up();
        for member in self.devices.iter_mut() {
            member.outcome = None;
        }
    }

    pub(super) fn step_back(&mut self, back: Back, settled: bool) -> bool {
        if !settled || !self.flow.is_settled() {
            return false;
        }
        if self.peer.runs && back != Back::Unpausing {
            self.course.failure = None;
            self.finish(Outcome::Completed);
            return true;
        }
        match back {
            Back::Settling => {
                self.stage = Stage::Back(Back::Reading);
                self.devices.read_states_again(&mut self.course);
            }
            Back::Reading => {
                self.treat_the_broken();
                self.pause_before_a_stop();
            }
            Back::Pausing => {
                if self.pause == Pause::Failed {
                    self.leave_in_pre_copy();
                }
                self.stage = Stage::Back(Back::Grace);
                self.ask_grace();
            }
            Back::Grace => {
                self.stage = Stage::Back(Back::Running);
                self.ask_return();
            }
            Back::Running => {
                self.stage = Stage::Back(Back::Untracking);
                self.trackers.stop(&mut self.course);
            }
            Back::Untracking => {
                self.settle_outcomes();
                self.stage = Stage::Back(Back::Unpausing);
                if self.pause != Pause::No {
                    self.hook.make(&mut self.course, Hook::Unpause(self.devices.outcome()));
                }
            }
            Back::Unpausing if self.sink.committing.is_some() => return false,
            Back::Unpausing => {
                self.course.guest_runs = Some(self.course.now);
                self.end();
            }
        }
        true
    }

    /// Devices whose state no arc leads back from are given up, as the table says. Those to be reset are reset when the
    /// others run again: a reset device runs at once, and the barrier comes first.
    fn treat_the_broken(&mut self) {
        for member in self.devices.iter_mut().filter(|member| member.touched && !member.given_up) {
            match remedy(Side::Save, Doing::Forward, member.state, self.options.unrecoverable) {
                Remedy::Reset => (member.given_up, member.outcome) = (true, Some(Outcome::Reset)),
                Remedy::Leave(outcome) => (member.given_up, member.outcome) = (true, Some(outcome)),
                _ => {}
            }
        }
    }

    /// Where a device that works stops on its way back (libvfio-user's region leaves pre-copy through stop-copy), the
    /// guest pauses before.
    fn pause_before_a_stop(&mut self) {
        self.stage = Stage::Back(Back::Pausing);
        if self.pause == Pause::No && self.devices.iter().any(Member::stops_on_its_way_back) {
            self.pause = Pause::Asked;
            self.hook.make(&mut self.course, Hook::Pause(Estimate::Known(0)));
        }
    }

    /// The guest does not pause, so a device that would stop on its way back works on in pre-copy.
    fn leave_in_pre_copy(&mut self) {
        for member in self.devices.iter_mut().filter(|member| member.stops_on_its_way_back()) {
            (member.given_up, member.outcome) = (true, Some(Outcome::Returned));
        }
    }

    fn ask_grace(&mut self) {
        for member in self.devices.iter_mut().filter(|member| member.touched && !member.given_up) {
            let to = match member.state {
                Some(State::Stop | State::StopCopy) if member.found != Some(State::Stop) => State::RunningP2p,
                Some(State::PreCopyP2p) => State::RunningP2p,
                _ => continue,
            };
            // Without a P2P state there is no path, and the device waits for the next step.
            member.request(&mut self.course, to, Cause::Back);
        }
    }

    fn ask_return(&mut self) {
        for member in self.devices.iter_mut().filter(|member| member.touched) {
            if member.outcome == Some(Outcome::Reset) {
                member.reset(&mut self.course);
            } else if let Some(found) = member.found.filter(|found| Some(*found) != member.state && !member.given_up) {
                member.request(&mut self.course, found, Cause::Back);
            }
        }
    }

    /// A change on the way back failed.
    pub(super) fn change_back_failed(&mut self, back: Back, object: Object, to: State, failure: Failure) {
        let unrecoverable = self.options.unrecoverable;
        let member = self.devices.get_mut(object).expect("a device");
        self.course.fail(failure);
        // In settling it was asked for on the way forward: the way back begins from where it is.
        if back == Back::Settling || member.state == Some(to) {
            return;
        }
        member.given_up = true;
        match remedy(Side::Save, Doing::Back, member.state, unrecoverable) {
            Remedy::Reset if back == Back::Running => member.reset(&mut self.course),
            Remedy::Reset => member.outcome = Some(Outcome::Reset),
            Remedy::Leave(outcome) => member.outcome = Some(outcome),
            other => unreachable!("the table has no {other:?} for a source's way back"),
        }
    }

    pub(super) fn was_reset(&mut self, object: Object, worked: bool) {
        let member = self.devices.get_mut(object).expect("a device");
        member.outcome = Some(if worked { Outcome::Reset } else { Outcome::Lost });
    }

    fn settle_outcomes(&mut self) {
        let verdict = self.verdict;
        for member in self.devices.iter_mut().filter(|member| member.outcome.is_none()) {
            let is_back = member.state == member.found || member.state.is_some_and(State::is_running);
            let back = verdict.unwrap_or(Outcome::Returned);
            member.outcome = Some(if is_back || !member.touched { back } else { Outcome::Lost });
        }
    }
}
