//! Both ends on one clock: what happens when.

mod actions;
mod log;
mod transit;

use core::time::Duration;

use vfio_migration_protocol::event::Phase;
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{Command, Input, NotNow, Output};

use crate::dice::Dice;
use crate::end::{self, End};
use crate::fault::{Direction, Fault};
use crate::invariants::{Invariants, Rule, View};
use crate::link::{Lane, Packet};
use crate::moment::{Moment, What};
use crate::queue::Queue;
use crate::run::MOST_MOMENTS;
use crate::scenario::{Scenario, Way};
use crate::situation::Situation;
use crate::snapshot::Snapshot;

/// Most steps that a run may take: in many of them nothing is worth a moment.
const MOST_STEPS: u64 = 200_000;
/// More wakes at one moment than any machine needs.
const MOST_WAKES: u32 = 1_000;
/// More outputs in a row than any machine has.
const MOST_OUTPUTS: u32 = 100_000;
/// Most that a device works between two moments, however far they are apart.
const MOST_TICKS: u32 = 40;

/// Both ends, and what lies between them.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) now: Duration,
    pub(crate) ends: [End; 2],
    pub(crate) lanes: [Lane; 2],
    pub(crate) messages: [Vec<&'static str>; 2],
    pub(crate) invariants: Invariants,
    pub(crate) snapshot: Snapshot,
    pub(crate) moments: Vec<Moment>,
    pub(crate) situations: Vec<Situation>,
    /// How many broken rules stand among the moments.
    noted_broken: usize,
    /// What each end's session says that it is doing.
    phases: [Option<Phase>; 2],
    /// Bytes of payload that the source has sent, and that the destination has written.
    moved: [u64; 2],
    pub(crate) answers: Vec<Result<(), NotNow>>,
    pub(crate) most_held: usize,
    queue: Queue<Happening>,
    dice: Dice,
    steps: u64,
    /// Time in which nobody has worked yet.
    idle: Duration,
    wakes: u32,
}

/// What is going to happen.
#[derive(Debug)]
enum Happening {
    /// The current call of a line returns.
    Returns(Side, end::Line),
    /// A packet has reached the other end.
    Arrives(Direction, Packet),
    /// A chunk has left its sender, one-way.
    Written(Side, vfio_migration_protocol::session::Chunk),
    /// An end learns that the connection is gone.
    Told(Side, &'static str),
    /// A direction has room again.
    Pump(Direction),
}

impl World {
    pub(crate) fn new(scenario: &Scenario, source: End, destination: End) -> Self {
        let lane = |direction: Direction| {
            let mine = |fault: &Fault| match *fault {
                Fault::Link { direction: of, number, what } if of == direction => Some((number, what)),
                _ => None,
            };
            let mut options = scenario.link;
            if scenario.way == Way::File {
                // A file takes everything.
                options.capacity = u32::MAX;
            }
            Lane::new(options, scenario.faults.iter().filter_map(mine).collect())
        };
        Self {
            scenario: scenario.clone(),
            now: Duration::ZERO,
            ends: [source, destination],
            lanes: [lane(Direction::Forward), lane(Direction::Back)],
            messages: [Vec::new(), Vec::new()],
            invariants: Invariants::new(scenario),
            snapshot: Snapshot::default(),
            moments: Vec::new(),
            situations: Vec::new(),
            noted_broken: 0,
            phases: [None, None],
            moved: [0, 0],
            answers: Vec::new(),
            most_held: 0,
            queue: Queue::new(),
            dice: Dice::new(scenario.seed),
            steps: 0,
            idle: Duration::ZERO,
            wakes: 0,
        }
    }

    /// Lets everything happen that happens by itself.
    pub(crate) fn run(&mut self, until: Duration) {
        if self.moments.is_empty() {
            self.note(None, What::Begins);
        }
        self.poll_both();
        while !self.is_too_long() && self.step(until) {
            self.steps += 1;
        }
    }

    /// Whether it has gone on for longer than a run may.
    pub(crate) fn is_too_long(&self) -> bool {
        self.moments.len() >= MOST_MOMENTS || self.steps >= MOST_STEPS
    }

    /// The caller of an end wishes something.
    pub(crate) fn command(&mut self, side: Side, command: &Command) -> Result<(), NotNow> {
        let now = self.now.saturating_sub(self.end(side).epoch);
        let answer = self.end(side).machine.command(now, command.clone());
        let answer = answer.unwrap_or_else(|panic| {
            self.broke(Rule::NoPanic, &format!("{side:?}, at {command:?}: {panic}"));
            Err(NotNow::Ending)
        });
        let view = View { now: self.now, scenario: &self.scenario, ends: &self.ends };
        self.invariants.commanded(view, side, command, answer);
        self.note(Some(side), What::wish(command, answer));
        self.note_broken();
        if (command, answer) == (&Command::Claim, Ok(())) {
            self.end(side).failed = false;
        }
        answer
    }

    /// As [`command`](Self::command), and lets it have its consequences.
    pub(crate) fn command_now(&mut self, side: Side, command: &Command) -> Result<(), NotNow> {
        let answer = self.command(side, command);
        self.poll(side);
        answer
    }

    /// Whether an end waits for nothing but its caller.
    pub(crate) fn is_over(&self, side: Side) -> bool {
        let end = &self.ends[side as usize];
        end.finished || end.dead || !end.started
    }

    pub(crate) const fn end(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    pub(crate) fn broke(&mut self, rule: Rule, what: &str) {
        self.invariants.broke(self.now, rule, what);
        self.note_broken();
    }

    /// What happens next; `false` if nothing does before `until`.
    fn step(&mut self, until: Duration) -> bool {
        let wake = |end: &End| end.wake.filter(|_| !end.finished && !end.dead).map(|wake| wake + end.epoch);
        let wakes = [Side::Save, Side::Restore].map(|side| (wake(&self.ends[side as usize]), side));
        let first =
            wakes.into_iter().filter_map(|(wake, side)| wake.map(|wake| (wake, side))).min_by_key(|(at, _)| *at);
        let next = self.queue.next_at();
        let at = match (first, next) {
            (Some((wake, _)), Some(next)) => wake.min(next),
            (Some((wake, _)), None) => wake,
            (None, Some(next)) => next,
            (None, None) => return false,
        };
        if at > until {
            return false;
        }
        self.pass(at);
        match first {
            Some((wake, side)) if next.is_none_or(|next| wake < next) => {
                self.wakes += 1;
                if self.wakes > MOST_WAKES {
                    self.broke(Rule::Ends, &format!("the {side:?} end wants to be woken again and again"));
                    return false;
                }
                self.hear(side, Input::Tick);
            }
            _ => {
                if let Some(happening) = self.queue.pop() {
                    self.happen(happening);
                }
            }
        }
        self.check();
        true
    }

    /// The clock goes on, and whoever works works.
    fn pass(&mut self, at: Duration) {
        let at = at.max(self.now);
        if at > self.now {
            self.wakes = 0;
        }
        self.idle += at.saturating_sub(self.now);
        self.now = at;
        // A call that takes a second is no reason to simulate a second of work.
        let each = Duration::from_millis(1) / self.scenario.ticks.max(1);
        let passed = u32::try_from(self.idle.as_nanos() / each.as_nanos().max(1)).unwrap_or(u32::MAX);
        if passed == 0 {
            return;
        }
        self.idle = self.idle.saturating_sub(each.saturating_mul(passed));
        let ticks = passed.min(MOST_TICKS);
        let writes = ticks.saturating_mul(self.scenario.writes).div_ceil(self.scenario.ticks.max(1));
        self.ends.iter_mut().for_each(|end| end.advance(ticks, writes));
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Returns(side, line) => self.returns(side, line),
            Happening::Arrives(direction, packet) => self.arrives(direction, packet),
            Happening::Written(side, chunk) => self.hear(side, Input::Sent(chunk)),
            Happening::Told(side, why) => self.disconnected(side, why),
            Happening::Pump(direction) => self.pump(direction),
        }
    }

    /// What must hold at every time.
    fn check(&mut self) {
        let view = View { now: self.now, scenario: &self.scenario, ends: &self.ends };
        self.invariants.now(view);
        self.snapshot.look(&self.ends);
        self.note_changes();
        self.note_broken();
    }

    fn poll_both(&mut self) {
        self.poll(Side::Save);
        self.poll(Side::Restore);
        self.check();
    }

    /// An end hears something and does what follows from it.
    fn hear(&mut self, side: Side, input: Input) {
        let end = &self.ends[side as usize];
        if end.finished || end.dead || !end.started {
            return;
        }
        let view = View { now: self.now, scenario: &self.scenario, ends: &self.ends };
        self.invariants.hears(view, side, &input);
        let now = self.now.saturating_sub(self.ends[side as usize].epoch);
        let heard = self.heard(side, &input);
        let told = heard.as_ref().map_or_else(|| "a tick".to_owned(), What::to_string);
        if let Some(what) = heard {
            self.note(Some(side), what);
        }
        if let Err(panic) = self.end(side).machine.handle_input(now, input) {
            self.broke(Rule::NoPanic, &format!("{side:?}, at {told}: {panic}"));
            self.end(side).finished = true;
            return;
        }
        self.poll(side);
    }

    /// Asks a machine what it wants, until it wants to wait.
    fn poll(&mut self, side: Side) {
        for _ in 0..MOST_OUTPUTS {
            let end = &mut self.ends[side as usize];
            if end.finished || end.dead || !end.started {
                return;
            }
            let now = self.now.saturating_sub(end.epoch);
            match end.machine.poll_output(now) {
                Ok(Output::Do(action)) => self.carry_out(side, action),
                Ok(Output::Wait(wake)) => {
                    end.wake = wake;
                    return;
                }
                Ok(Output::Finished) => {
                    let busy = end.outstanding().next().map(|work| format!("{work:?}"));
                    end.finished = true;
                    end.wake = None;
                    self.note(Some(side), What::Finished);
                    if let Some(busy) = busy {
                        self.broke(
                            Rule::Ends,
                            &format!("the {side:?} end has finished while this is outstanding: {busy}"),
                        );
                    }
                    self.close(side, "the peer has closed the connection");
                    return;
                }
                Err(panic) => {
                    self.broke(Rule::NoPanic, &format!("{side:?}, asked what to do: {panic}"));
                    self.end(side).finished = true;
                    return;
                }
            }
        }
        self.broke(Rule::Ends, &format!("the {side:?} end always wants something more"));
        self.end(side).finished = true;
    }
}
