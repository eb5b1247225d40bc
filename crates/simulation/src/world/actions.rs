use vfio_migration_protocol::EventKind;
use vfio_migration_protocol::event::Phase;
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{Action, Command, Input, Mode};

use super::{Happening, World};
use crate::end::{self, Work};
use crate::fault::{CallFault, Direction, Fault};
use crate::invariants::View;
use crate::moment::What;
use crate::step::Step;

impl World {
    pub(super) fn carry_out(&mut self, side: Side, action: Action) {
        let view = View { now: self.now, scenario: &self.scenario, ends: &self.ends };
        self.invariants.before(view, side, &action);
        if self.invariants.destination.has_left {
            // Before anything runs there.
            self.snapshot.compare(&self.ends[Side::Restore as usize]);
        }
        match action {
            Action::Emit(event) => {
                if let (Side::Restore, EventKind::Phase { phase: Phase::Returning, .. }) = (side, &event.kind) {
                    // takeOver may be under way, or done: the caller is told, and lets nothing run any more.
                    let end = self.end(side);
                    (end.failed, end.guest.running) = (true, false);
                }
                if let EventKind::Phase { phase, .. } = event.kind {
                    self.phases[side as usize] = Some(phase);
                }
                self.note(Some(side), What::Event { event });
                return;
            }
            Action::Release(chunk) => {
                if side == Side::Restore {
                    self.end(side).free.push(chunk.0);
                    self.take(Direction::Forward);
                }
                return;
            }
            _ => {}
        }
        let work = Work::of(&action);
        let end = &self.ends[side as usize];
        let step = match (&work, &action) {
            (Some(work), _) => work.step(end),
            (None, Action::Open(_)) => Step::Open,
            (None, Action::Send(message, _)) => Step::Send(message.name()),
            (None, Action::Discard) => Step::Discard,
            (None, _) => Step::Disconnect,
        };
        let end = &self.ends[side as usize];
        let number = end.next_number();
        let of = work.as_ref().and_then(|work| work.subject(end));
        self.note(Some(side), What::Step { number, step, of });
        self.note_broken();
        self.end(side).steps.push(step);
        let fault = self.disturb(side, number);
        let orders: Vec<Command> = self.orders(side, number);
        for command in orders {
            let answer = self.command(side, &command);
            self.answers.push(answer);
        }
        if self.end(side).dead {
            return;
        }
        match (work, action) {
            (Some(work), _) => {
                if let Some(line) = self.end(side).queue(work, fault) {
                    self.begin(side, line);
                }
            }
            (None, Action::Open(offer)) => self.open(side, offer),
            (None, Action::Send(message, chunk)) => self.send(side, message, chunk),
            (None, Action::Discard) => self.close(side, "the stream was thrown away"),
            (None, _) => self.close(side, "the peer has closed the connection"),
        }
    }

    fn orders(&self, side: Side, number: u32) -> Vec<Command> {
        let mine = self.scenario.commands.iter().filter(|order| order.side == side && order.number == number);
        mine.map(|order| order.command.clone()).collect()
    }

    /// What goes wrong at a step of an end.
    fn disturb(&mut self, side: Side, number: u32) -> Option<CallFault> {
        let faults: Vec<Fault> = self.end(side).faults_at(number).collect();
        let mut of_call = None;
        for fault in faults {
            self.note(Some(side), What::Fault { fault });
            match fault {
                Fault::Call { what, .. } => of_call = Some(what),
                Fault::Silent { .. } => self.lanes.iter_mut().for_each(|lane| lane.mute = true),
                Fault::Killed { .. } => {
                    self.end(side).die();
                    self.close(side, "the peer has died");
                }
                Fault::Link { .. } => {}
            }
        }
        of_call
    }

    /// The first job of a line begins.
    fn begin(&mut self, side: Side, line: end::Line) {
        let Some(job) = self.ends[side as usize].current(line) else { return };
        let fault = job.fault;
        let deadline = match side {
            Side::Save => self.scenario.save.deadline,
            Side::Restore => self.scenario.restore.deadline,
        };
        // Hooks take longer than calls.
        let usual = if line == end::Line::Hooks { self.scenario.call * 5 } else { self.scenario.call };
        let takes = match fault {
            Some(CallFault::LateAnswer | CallFault::LateEffect) => deadline * 2,
            _ => self.dice.around(usual),
        };
        let at_once = match fault {
            Some(CallFault::LateAnswer) => true,
            Some(CallFault::LateEffect) => false,
            _ => self.dice.flip(),
        };
        if at_once {
            self.effect(side, line);
        }
        if fault == Some(CallFault::Never) {
            self.end(side).stuck += 1;
        } else {
            self.queue.push(self.now + takes, Happening::Returns(side, line));
        }
    }

    fn effect(&mut self, side: Side, line: end::Line) {
        self.end(side).take_effect(line);
        let view = View { now: self.now, scenario: &self.scenario, ends: &self.ends };
        if let Some(job) = self.ends[side as usize].current(line)
            && let Some(answer) = &job.result
        {
            self.invariants.after_effect(view, side, &job.work, answer);
        }
        self.check();
    }

    pub(super) fn returns(&mut self, side: Side, line: end::Line) {
        if self.end(side).dead {
            return;
        }
        self.effect(side, line);
        let Some((job, more)) = self.end(side).done(line) else { return };
        if more {
            self.begin(side, line);
        }
        let Some(answer) = job.result else { return };
        if let (Work::Place { len, .. }, Input::Placed(_, _, Ok(()))) = (&job.work, &answer) {
            self.moved[side as usize] += u64::from(*len);
        }
        if matches!(job.work, Work::Commit) && self.scenario.mode() == Mode::OneWay {
            self.committed(&answer);
        }
        self.hear(side, answer);
    }
}
