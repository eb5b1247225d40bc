//! What is written down of a run while it goes on.

use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{DeviceAnswer, Input, Message, TrackerAnswer, TrackerCall};
use vfio_migration_protocol::{Filled, Then};

use super::World;
use super::transit::Label;
use crate::end::{End, tracker_name};
use crate::moment::{Moment, What};
use crate::situation::{EndSituation, Owner, Situation};

impl World {
    pub(crate) fn note(&mut self, side: Option<Side>, what: What) {
        let situation = self.situation();
        if self.situations.last() != Some(&situation) {
            self.situations.push(situation);
        }
        self.moments.push(Moment { at: self.now, side, what, then: self.situations.len() - 1 });
    }

    /// Writes down which devices and guests are not as they were when something was written down last.
    pub(super) fn note_changes(&mut self) {
        for side in [Side::Save, Side::Restore] {
            let Some(before) = self.situations.last().map(|situation| situation.at(side)) else { return };
            let end = &self.ends[side as usize];
            let mut changes = Vec::new();
            for (device, from) in end.devices.iter().zip(&before.devices) {
                let to = device.truth().into();
                if to != *from {
                    changes.push(What::Changed { of: device.id.clone(), from: *from, to });
                }
            }
            if end.guest.running != before.guest {
                changes.push(What::Guest { runs: end.guest.running });
            }
            for what in changes {
                self.note(Some(side), what);
            }
        }
    }

    /// Writes down which rules were found broken since the last time.
    pub(super) fn note_broken(&mut self) {
        while let Some(violation) = self.invariants.violations.get(self.noted_broken).cloned() {
            self.noted_broken += 1;
            self.note(None, What::Broken { rule: violation.rule, what: violation.what });
        }
    }

    /// What an end hears, as a moment; nothing if only time has passed.
    pub(super) fn heard(&self, side: Side, input: &Input) -> Option<What> {
        let end = &self.ends[side as usize];
        let answered = |call: String, of: Option<String>, answer: Result<String, String>| What::Answered {
            call,
            of,
            failed: answer.is_err(),
            answer: answer.unwrap_or_else(|why| format!("failed: {why}")),
        };
        Some(match input {
            Input::Tick => return None,
            Input::Called(object, call, answer) => {
                let answer = answer.as_ref().map(answer_text).map_err(ToString::to_string);
                answered(call.to_string(), Some(end.name(*object)), answer)
            }
            Input::Tracked(tracker, call, answer) => {
                let answer = answer.as_ref().map(tracked_text).map_err(ToString::to_string);
                answered(tracker_call(call).into(), Some(tracker_name(*tracker)), answer)
            }
            Input::Filled(object, _, answer) => {
                let answer = answer.as_ref().map(filled_text).map_err(ToString::to_string);
                answered("read".into(), Some(end.name(*object)), answer)
            }
            Input::Placed(object, _, answer) => {
                let answer = answer.as_ref().map(|()| DONE.to_owned()).map_err(ToString::to_string);
                answered("write".into(), Some(end.name(*object)), answer)
            }
            Input::Hooked(hook, answer) => {
                answered(format!("hook {hook}"), None, answer.clone().map(|()| DONE.to_owned()))
            }
            Input::Committed(answer) => {
                let answer = answer.as_ref().map(|()| DONE.to_owned()).map_err(|error| error.why.clone());
                answered("commit".into(), None, answer)
            }
            Input::Sent(_) => What::Left,
            Input::Opened(_) => What::Received { message: HEAD, of: None, bytes: 0 },
            Input::Received(message, _) => {
                let Label { name, of, bytes } = self.label(message);
                What::Received { message: name, of, bytes }
            }
            Input::Corrupt(_, why) => What::Damaged { why: why.clone() },
            Input::Disconnected(why) => What::Disconnected { why: why.clone() },
        })
    }

    /// A message, for whoever watches. Objects have the numbers of the stream, which the source gave them.
    pub(super) fn label(&self, message: &Message) -> Label {
        let (of, bytes) = match message {
            Message::Data { object, len, .. } => (Some(*object), u64::from(*len)),
            Message::ObjectEnd(object) | Message::Ack(object, _) | Message::InitialLoaded(object, _) => {
                (Some(*object), 0)
            }
            _ => (None, 0),
        };
        Label { name: message.name(), of: of.map(|object| self.ends[Side::Save as usize].name(object)), bytes }
    }

    fn situation(&self) -> Situation {
        let seen = &self.invariants;
        let in_doubt = [seen.source.in_doubt, seen.destination.in_doubt];
        let end = |side: Side| {
            let at = side as usize;
            let end: &End = &self.ends[at];
            EndSituation {
                phase: self.phases[at],
                guest: end.guest.running,
                devices: end.devices.iter().map(|device| device.truth().into()).collect(),
                bytes: self.moved[at],
                in_doubt: in_doubt[at] && !end.finished && !end.dead,
                over: end.finished || end.dead,
            }
        };
        Situation { owner: self.owner(), save: end(Side::Save), restore: end(Side::Restore) }
    }

    fn owner(&self) -> Owner {
        let (source, destination) = (&self.invariants.source, &self.invariants.destination);
        if source.keeps_the_guest() {
            return Owner::Save;
        }
        let alive = !self.ends[Side::Restore as usize].dead;
        if destination.has_the_guest() && alive { Owner::Restore } else { Owner::Open }
    }
}

/// The name of a stream's head, which is no message.
pub(super) const HEAD: &str = "head";
const DONE: &str = "done";

fn answer_text(answer: &DeviceAnswer) -> String {
    match answer {
        DeviceAnswer::State { state, .. } => state.to_string(),
        DeviceAnswer::Done { .. } => DONE.to_owned(),
        DeviceAnswer::PreCopyInfo(info) => {
            let again = if info.reinit { ", new initial data" } else { "" };
            format!("initial {}, dirty {}{again}", info.initial, info.dirty)
        }
        DeviceAnswer::DataSize(size) => size.to_string(),
    }
}

fn filled_text(filled: &Filled) -> String {
    let then = match filled.then {
        Then::More => "",
        Then::SegmentEnd => ", the segment ends",
        Then::Pause => ", nothing more for now",
        Then::End => ", the end",
    };
    format!("{} bytes{then}", filled.len)
}

fn tracked_text(answer: &TrackerAnswer) -> String {
    match answer {
        TrackerAnswer::Started(page_size) => format!("pages of {page_size} bytes"),
        TrackerAnswer::Dirty(dirty) => format!("{} dirty", dirty.count()),
        TrackerAnswer::Stopped => DONE.to_owned(),
    }
}

const fn tracker_call(call: &TrackerCall) -> &'static str {
    match call {
        TrackerCall::Start { .. } => "start",
        TrackerCall::Report { .. } => "report",
        TrackerCall::Stop => "stop",
    }
}
