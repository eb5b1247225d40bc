//! The source, as the destination sees it: what it said, and when it was last heard.

use core::time::Duration;

use super::super::{Action, Chunk, Failure, Fault, Message, Mode, alive_interval};
use super::{Restore, Stage};
use crate::event::Phase;
use crate::{EventKind, Outcome};

/// What is known of the source.
#[expect(clippy::struct_excessive_bools, reason = "things that were said or not, in any order")]
#[derive(Debug, Default)]
pub(super) struct Peer {
    pub(super) connected: bool,
    pub(super) begun: bool,
    pub(super) given_up: bool,
    /// One-way: the stream's end was verified; whether the source goes on.
    pub(super) end: Option<bool>,
    pub(super) gone: bool,
    pub(super) asks_to_withdraw: bool,
    /// It was told that the guest will never run here, or it keeps the guest by itself.
    pub(super) answered: bool,
    pub(super) heard_at: Duration,
    /// Since when the source may close.
    pub(super) closing_since: Duration,
    pub(super) said_at: Duration,
}

impl Peer {
    pub(super) fn opened(&mut self, now: Duration, mode: Mode) {
        self.connected = mode == Mode::Connected;
        (self.heard_at, self.said_at) = (now, now);
    }

    /// Whether there is somebody to tell something that matters to him.
    pub(super) fn listens(&self) -> bool {
        self.connected && !self.gone && !self.answered
    }
}

impl Restore {
    pub(super) fn received(&mut self, message: Message, chunk: Option<Chunk>) {
        self.peer.heard_at = self.course.now;
        if let Message::Data { len, .. } = message
            && (len > 0) != chunk.is_some()
        {
            self.release(chunk);
            return self.fail(Failure::new(Fault::Peer, "the source sent data whose length is not its own"));
        }
        let broken = match message {
            Message::Alive | Message::Event(_) | Message::Report(_) => Ok(()),
            Message::Begin if self.stage == Stage::Accepted && !self.peer.begun => {
                self.peer.begun = true;
                Ok(())
            }
            Message::Data { .. } | Message::ObjectEnd(_) | Message::End { .. } if self.may_hold() => {
                self.intake.hold(message, chunk);
                Ok(())
            }
            Message::Data { .. } | Message::ObjectEnd(_) if !self.is_not_ready() => {
                match self.stage {
                    Stage::Loading => self.take(&message, chunk),
                    _ => self.release(chunk),
                }
                Ok(())
            }
            Message::GivenUp if self.peer.connected => match self.stage {
                // The caller had claimed it, and was right.
                _ if self.peer.given_up => Ok(()),
                Stage::Loaded => {
                    self.peer.given_up = true;
                    self.take_over();
                    Ok(())
                }
                // What was refused stays refused.
                Stage::Down(_) | Stage::Ended => {
                    self.peer.given_up = true;
                    Ok(())
                }
                Stage::InDoubt if !self.has_left => {
                    self.peer.given_up = true;
                    self.take_over();
                    Ok(())
                }
                _ => Err("given-up"),
            },
            Message::Withdraw if self.peer.connected => {
                self.withdraw();
                Ok(())
            }
            Message::Cancelled(why) if !self.peer.given_up => {
                self.peer.answered = true;
                let failure = Failure::new(Fault::Cancelled, format!("the source keeps the guest: {why}"));
                if self.stage == Stage::InDoubt {
                    self.course.fail(failure);
                    self.reset_all();
                } else {
                    self.fail(failure);
                }
                Ok(())
            }
            Message::End { goes_on } if !self.peer.connected && self.intake.has_ended() => {
                self.peer.end = Some(goes_on);
                Ok(())
            }
            other => Err(other.name()),
        };
        if let Err(name) = broken {
            self.release(chunk);
            self.fail(Failure::new(Fault::Peer, format!("the source said {name} where that cannot be")));
        }
    }

    /// Whether data that comes now has to wait until the devices are in resuming.
    fn is_not_ready(&self) -> bool {
        matches!(self.stage, Stage::Reading | Stage::Accepted | Stage::Entering)
    }

    /// Whether that data is kept: it has begun, and there is room.
    fn may_hold(&self) -> bool {
        self.is_not_ready() && (self.peer.begun || !self.peer.connected) && self.intake.has_room()
    }

    fn take(&mut self, message: &Message, chunk: Option<Chunk>) {
        if let Err(what) = self.intake.take(&mut self.course, message, chunk, self.peer.connected) {
            self.release(chunk);
            self.fail(Failure::new(Fault::Peer, format!("the source sent {what}")));
        }
    }

    fn release(&mut self, chunk: Option<Chunk>) {
        if let Some(chunk) = chunk {
            self.course.act(Action::Release(chunk));
        }
    }

    pub(super) fn corrupt(&mut self, failure: Failure) {
        if !self.has_end() {
            self.lose(failure);
        }
    }

    pub(super) fn disconnected(&mut self, why: String) {
        self.peer.gone = true;
        match self.stage {
            Stage::Closing => self.end(),
            _ if !self.has_end() => self.lose(Failure::new(Fault::Transport, why)),
            _ => {}
        }
    }

    /// One-way: whether the stream has come to its end, after which nothing counts.
    fn has_end(&self) -> bool {
        self.peer.end.is_some() || self.intake.holds_end()
    }

    /// Nothing more can be learnt from the source.
    fn lose(&mut self, failure: Failure) {
        match self.stage {
            // With the guest given up, it is ours whatever becomes of the source.
            _ if self.peer.given_up => {}
            Stage::Loaded if self.peer.connected => {
                self.course.fail(failure.clone());
                for member in self.devices.iter_mut() {
                    member.outcome = Some(Outcome::InDoubt);
                }
                self.in_doubt(format!("{failure}; whether it gave the guest up cannot be known"));
            }
            Stage::InDoubt | Stage::Down(_) | Stage::Fall(_) | Stage::Ended => {}
            _ => self.fail(failure),
        }
    }

    pub(super) fn in_doubt(&mut self, why: String) {
        self.stage = Stage::InDoubt;
        self.course.enter(Phase::InDoubt);
        self.course.emit(EventKind::InDoubt { why });
    }

    /// Says that it is still here, and counts the source's silence.
    pub(super) fn watch_the_peer(&mut self) {
        let (now, deadline) = (self.course.now, self.options.deadline);
        if self.says_alive() && now >= self.peer.said_at + alive_interval(deadline) {
            self.peer.said_at = now;
            self.course.send(Message::Alive);
        }
        if self.stage == Stage::Closing && now >= self.peer.closing_since + deadline {
            self.end();
        }
        if self.counts_silence() && now >= self.peer.heard_at + deadline {
            self.peer.heard_at = now;
            let what = format!("the source was silent for {} ms", deadline.as_millis());
            self.lose(Failure::new(Fault::Deadline, what));
        }
    }

    /// In doubt it says nothing: its silence is what tells the source that nobody is taking the guest over.
    fn says_alive(&self) -> bool {
        self.peer.listens() && !matches!(self.stage, Stage::InDoubt | Stage::Ended)
    }

    fn counts_silence(&self) -> bool {
        match self.stage {
            Stage::Waiting => true,
            Stage::New | Stage::InDoubt | Stage::Closing | Stage::Ended | Stage::Down(_) | Stage::Fall(_) => false,
            _ => !self.peer.given_up && !self.has_end(),
        }
    }

    pub(super) fn peer_wake(&self) -> Option<Duration> {
        let deadline = self.options.deadline;
        let says = self.says_alive().then_some(self.peer.said_at + alive_interval(deadline));
        let hears = self.counts_silence().then_some(self.peer.heard_at + deadline);
        let closes = (self.stage == Stage::Closing).then_some(self.peer.closing_since + deadline);
        [says, hears, closes].into_iter().flatten().min()
    }
}
