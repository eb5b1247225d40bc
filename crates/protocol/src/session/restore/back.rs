//! The ways back: refused (devices are reset) and failed (devices go back to stop and are kept).

use super::super::group::Member;
use super::super::options::Unrecoverable;
use super::super::recovery::{Doing, Remedy, remedy};
use super::super::{Failure, Fault, Message, Object};
use super::{Restore, Stage};
use crate::event::{Cause, Phase};
use crate::report::Side;
use crate::{CallError, Outcome, State};

/// How far a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Down {
    /// Calls are still outstanding: `refused` is not said before they have returned.
    Settling,
    /// Devices say where they are.
    Reading,
    Resetting,
}

/// How far a failure is after devices have left stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fall {
    /// Calls are still outstanding.
    Settling,
    /// Devices say where they are.
    Reading,
    /// Devices that run enter their grace state.
    Grace,
    /// Devices go to stop.
    Stopping,
}

impl Restore {
    /// Something failed. What that means depends on whether a device was asked to leave stop.
    pub(super) fn fail(&mut self, failure: Failure) {
        match self.stage {
            // The guest runs here; what is odd now is worth a word and no more.
            Stage::Closing => self.tell(&failure),
            Stage::Ended | Stage::Down(_) | Stage::Fall(_) | Stage::InDoubt => self.course.fail(failure),
            _ if self.has_left => self.fall(failure),
            _ => {
                self.course.fail(failure);
                self.go_down();
            }
        }
    }

    /// A call passed its deadline. What waits for its answer does not keep the source waiting.
    pub(super) fn is_overdue(&mut self, failure: Failure) {
        let why = failure.to_string();
        match self.stage {
            Stage::Down(_) | Stage::Fall(_) => {}
            // Whether the device has left cannot be known before the call returns.
            _ if self.peer.given_up && !self.has_left => return self.fall(failure),
            _ => self.fail(failure),
        }
        // `refused` may be said only once all has settled, and follows then. Until then the source owns the guest as
        // well, or, if it has given it up, is in doubt.
        if matches!(self.stage, Stage::Down(_)) && self.peer.listens() {
            self.course.send(Message::Failed(why));
        }
    }

    fn go_down(&mut self) {
        self.stage = Stage::Down(Down::Settling);
        self.course.enter(Phase::Returning);
        self.intake.let_go(&mut self.course);
    }

    pub(super) fn step_down(&mut self, down: Down) {
        match down {
            Down::Settling => {
                self.stage = Stage::Down(Down::Reading);
                self.devices.read_states_again(&mut self.course);
            }
            Down::Reading => {
                let rests = self.devices.iter().all(|member| !member.touched || member.is_at_rest());
                if self.peer.given_up && !rests {
                    // It cannot be said of a broken device that it never runs.
                    let why = self.why();
                    return self.fall(Failure::new(Fault::Device, why));
                }
                self.refuse();
                self.reset_all();
            }
            Down::Resetting => self.end(),
        }
    }

    /// Says that the guest will never run here. No state change is outstanding.
    fn refuse(&mut self) {
        if self.peer.listens() {
            self.course.send(Message::Refused(self.why()));
            self.peer.answered = true;
        }
    }

    fn why(&self) -> String {
        self.course.failure.as_ref().map_or_else(|| "it was discarded".into(), Failure::to_string)
    }

    /// Devices that entered resuming are reset; the others are as they were found.
    pub(super) fn reset_all(&mut self) {
        self.stage = Stage::Down(Down::Resetting);
        for member in self.devices.iter_mut() {
            if !member.touched {
                member.outcome = Some(Outcome::Returned);
                continue;
            }
            match remedy(Side::Restore, Doing::Forward, member.state, Unrecoverable::Leave) {
                // It runs because it never left running, unless it was on its way to the guest.
                Remedy::Leave(outcome) if !self.has_left => member.outcome = Some(outcome),
                _ => member.reset(&mut self.course),
            }
        }
    }

    pub(super) fn was_reset(&mut self, object: Object, answer: Result<(), CallError>) {
        let member = self.devices.get_mut(object).expect("a device");
        member.outcome = Some(if answer.is_ok() { Outcome::Reset } else { Outcome::Lost });
        if let Err(error) = answer {
            let failure = member.failed("the reset", error);
            self.course.fail(failure);
        }
    }

    /// A failure after a device was asked to leave stop: say so at once, bring all back to stop, keep them.
    fn fall(&mut self, failure: Failure) {
        let why = failure.to_string();
        self.course.fail(failure);
        if self.peer.listens() {
            self.course.send(Message::Failed(why));
        }
        self.stage = Stage::Fall(Fall::Settling);
        self.course.enter(Phase::Returning);
    }

    pub(super) fn step_fall(&mut self, fall: Fall) {
        match fall {
            Fall::Settling => {
                self.stage = Stage::Fall(Fall::Reading);
                self.devices.read_states_again(&mut self.course);
            }
            Fall::Reading => {
                self.stage = Stage::Fall(Fall::Grace);
                for member in self.devices.iter_mut() {
                    let treated = remedy(Side::Restore, Doing::Running, member.state, Unrecoverable::Leave);
                    if treated == Remedy::Stop && member.state == Some(State::Running) {
                        member.request(&mut self.course, State::RunningP2p, Cause::Back);
                    }
                }
            }
            Fall::Grace => {
                self.stage = Stage::Fall(Fall::Stopping);
                for member in self.devices.iter_mut().filter(|member| member.state.is_some_and(State::is_running)) {
                    member.request(&mut self.course, State::Stop, Cause::Back);
                }
            }
            Fall::Stopping => {
                for member in self.devices.iter_mut() {
                    member.outcome = Some(Outcome::InDoubt);
                }
                self.in_doubt(self.why());
                if core::mem::take(&mut self.peer.asks_to_withdraw) {
                    self.withdraw();
                }
            }
        }
    }

    /// The source wants the guest back. Only who has surely not run it can say so.
    pub(super) fn withdraw(&mut self) {
        let rests = self.devices.iter().all(Member::is_at_rest);
        match self.stage {
            // It runs: that settles it.
            Stage::Closing => self.course.send(Message::Running),
            Stage::Down(_) | Stage::Ended => {}
            Stage::Fall(_) => self.peer.asks_to_withdraw = true,
            Stage::InDoubt if self.may_have_run || !rests => {
                self.course.send(Message::Failed(format!("{}; the guest may have run here", self.why())));
            }
            Stage::InDoubt => {
                self.refuse();
                self.reset_all();
            }
            _ => {
                self.peer.asks_to_withdraw = true;
                self.fail(Failure::new(Fault::Refused, "the source takes the guest back"));
            }
        }
    }

    /// The caller knows that the source has the guest.
    pub(super) fn discard(&mut self) {
        if !self.may_have_run && self.devices.iter().all(Member::is_at_rest) {
            self.refuse();
        }
        self.reset_all();
    }
}
