//! The destination, as the source sees it: what it said, when it was last heard, and who owns the guest.

use core::time::Duration;

use super::super::{Action, Failure, Fault, Message, alive_interval};
use super::back::Back;
use super::flow::Flow;
use super::{Save, Stage};
use crate::event::Phase;
use crate::{EventKind, Outcome};

/// What is known of the destination.
#[expect(clippy::struct_excessive_bools, reason = "things that were said or not, in any order")]
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// The stream was opened, so there is somebody to talk to.
    pub(super) opened: bool,
    pub(super) accepted: bool,
    pub(super) loaded: bool,
    /// It said that it will not run the guest, or that it failed.
    has_refused: bool,
    /// The caller took the guest back without its word.
    forced: bool,
    gone: bool,
    /// It runs the guest, which the caller is taking back by force.
    pub(super) runs: bool,
    heard_at: Duration,
    said_at: Duration,
}

/// Where a one-way stream goes.
#[derive(Debug, Default)]
pub(super) struct Sink {
    /// Since when it is being made to last.
    pub(super) committing: Option<Duration>,
    overdue: bool,
}

impl Sink {
    /// Which call to it has just passed the deadline.
    pub(super) fn overdue(&mut self, now: Duration, deadline: Duration, flow: &Flow) -> Option<String> {
        let late = self.next_deadline(deadline, flow).is_some_and(|at| now >= at);
        self.overdue |= late;
        late.then(|| if self.committing.is_some() { "commit".into() } else { "write".into() })
    }

    pub(super) fn next_deadline(&self, deadline: Duration, flow: &Flow) -> Option<Duration> {
        let since = self.committing.or_else(|| flow.unwritten_since());
        since.filter(|_| !self.overdue).map(|since| since + deadline)
    }
}

impl Peer {
    /// Whether there is nobody to tell anything.
    pub(super) fn is_over(&self) -> bool {
        self.gone || self.has_refused
    }

    pub(super) fn heard(&mut self, now: Duration) {
        self.heard_at = now;
    }

    pub(super) fn said(&mut self, now: Duration) {
        self.said_at = now;
    }
}

impl Save {
    pub(super) fn received(&mut self, message: Message) {
        if !self.is_connected() {
            let what = format!("{} came on a stream that has no way back", message.name());
            return self.peer_failed(Failure::new(Fault::Peer, what));
        }
        self.peer.heard(self.course.now);
        let broken = match message {
            Message::Alive => Ok(()),
            Message::Accepted if self.stage == Stage::Offered && !self.peer.accepted => {
                self.peer.accepted = true;
                Ok(())
            }
            // Sent before it heard that the guest stays here.
            Message::Accepted | Message::Loaded if matches!(self.stage, Stage::Back(_)) => Ok(()),
            Message::Ack(object, end) => self.flow.acknowledged(&mut self.course, object, end),
            Message::InitialLoaded(object, generation) => self.flow.initial_loaded(object, generation),
            Message::Loaded if self.stage == Stage::Loaded => {
                self.peer.loaded = true;
                Ok(())
            }
            Message::Running => {
                self.destination_runs();
                Ok(())
            }
            Message::Refused(why) => {
                self.destination_refuses(&why);
                Ok(())
            }
            Message::Failed(why) => {
                self.destination_failed(&why);
                Ok(())
            }
            other => Err(format!("said {} where that cannot be", other.name())),
        };
        if let Err(what) = broken {
            self.peer_failed(Failure::new(Fault::Peer, format!("the destination {what}")));
        }
    }

    fn destination_runs(&mut self) {
        match self.stage {
            Stage::GivenUp | Stage::InDoubt | Stage::Withdrawing => {
                self.course.guest_runs = Some(self.course.now);
                // What was in doubt is settled, and well.
                self.course.failure = None;
                self.finish(Outcome::Completed);
            }
            Stage::Finishing | Stage::Untracking | Stage::Ended => {}
            // Taken back by force, and it runs there: that settles it, unless the guest was let run here already.
            Stage::Back(back) if self.peer.forced && back != Back::Unpausing => self.peer.runs = true,
            _ => {
                let why = "the destination says that it runs the guest, which is not its own";
                self.peer_failed(Failure::new(Fault::Peer, why));
            }
        }
    }

    fn destination_refuses(&mut self, why: &str) {
        self.peer.has_refused = true;
        match self.stage {
            Stage::Finishing | Stage::Untracking | Stage::Ended | Stage::Back(_) => {}
            _ => self.go_back(Failure::new(Fault::Refused, format!("the destination refused: {why}"))),
        }
    }

    fn destination_failed(&mut self, why: &str) {
        let failure = Failure::new(Fault::Refused, format!("the destination failed: {why}"));
        match self.stage {
            Stage::GivenUp => {
                self.course.fail(failure.clone());
                self.in_doubt(failure.to_string());
            }
            Stage::Withdrawing => {
                self.course.fail(failure.clone());
                self.in_doubt(format!("{failure}; it does not withdraw"));
            }
            Stage::InDoubt | Stage::Finishing | Stage::Untracking | Stage::Ended | Stage::Back(_) => {
                self.tell(&failure);
            }
            _ => {
                self.peer.has_refused = true;
                self.go_back(failure);
            }
        }
    }

    /// The peer broke the rules or fell silent, or the connection failed.
    pub(super) fn peer_failed(&mut self, failure: Failure) {
        match self.stage {
            Stage::GivenUp | Stage::Withdrawing => {
                self.course.fail(failure.clone());
                self.in_doubt(failure.to_string());
            }
            Stage::Committing | Stage::InDoubt | Stage::Finishing | Stage::Untracking | Stage::Ended => {}
            Stage::Back(_) => self.tell(&failure),
            _ => self.go_back(failure),
        }
    }

    pub(super) fn disconnected(&mut self, why: String) {
        self.peer.gone = true;
        self.peer_failed(Failure::new(Fault::Transport, why));
    }

    pub(super) fn in_doubt(&mut self, why: String) {
        let again = self.stage == Stage::InDoubt;
        self.stage = Stage::InDoubt;
        self.flow.dries_up();
        for member in self.devices.iter_mut() {
            member.outcome = Some(Outcome::InDoubt);
        }
        if !again {
            self.course.enter(Phase::InDoubt);
        }
        self.course.emit(EventKind::InDoubt { why });
    }

    pub(super) fn take_back(&mut self, force: bool) {
        let somebody = self.is_connected() && !self.peer.is_over();
        if force {
            self.peer.forced = true;
            if somebody {
                self.course.send(Message::Withdraw);
            }
            if !self.is_connected() {
                // Nobody may find it and run it as well.
                self.course.act(Action::Discard);
            }
            self.walk_back();
        } else if somebody {
            self.stage = Stage::Withdrawing;
            self.peer.heard(self.course.now);
            self.course.send(Message::Withdraw);
        } else {
            self.in_doubt("there is nobody to ask: take it back by force if the destination does not run".into());
        }
    }

    /// Says that it is still here, and counts the peer's silence.
    pub(super) fn watch_the_peer(&mut self) {
        let (now, deadline) = (self.course.now, self.options.deadline);
        if self.says_alive() && now >= self.peer.said_at + alive_interval(deadline) {
            self.peer.said(now);
            self.course.send(Message::Alive);
        }
        if self.listens() && now >= self.peer.heard_at + deadline {
            self.peer.heard(now);
            let millis = deadline.as_millis();
            self.peer_failed(Failure::new(Fault::Deadline, format!("the destination was silent for {millis} ms")));
        }
    }

    /// A one-way stream too tells its reader that more is to come, until its end.
    fn says_alive(&self) -> bool {
        let anyone = self.peer.opened && !self.peer.is_over();
        anyone && (self.owns_the_guest() || (self.is_connected() && self.stage != Stage::Ended))
    }

    fn listens(&self) -> bool {
        let waits = self.owns_the_guest() || matches!(self.stage, Stage::GivenUp | Stage::Withdrawing);
        waits && self.is_connected() && self.peer.opened && !self.peer.gone
    }

    pub(super) fn peer_wake(&self) -> Option<Duration> {
        let deadline = self.options.deadline;
        let says = self.says_alive().then_some(self.peer.said_at + alive_interval(deadline));
        let hears = self.listens().then_some(self.peer.heard_at + deadline);
        says.into_iter().chain(hears).min()
    }
}
