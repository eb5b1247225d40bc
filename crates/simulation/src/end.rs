//! One end of a migration: its machine, and everything that the machine's actions are carried out on.

mod setup;
mod work;

pub(crate) use setup::device_name;
pub(crate) use work::{Work, tracker_name};

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use vfio_migration_model::{GuestMemory, ModelTracker};
use vfio_migration_protocol::State;
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{DeviceCall, Input, Object};

use crate::codec::Codec;
use crate::fault::{CallFault, Fault};
use crate::guest::Guest;
use crate::machine::Machine;
use crate::step::Step;
use crate::subject::Subject;

/// One end.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that has happened or not")]
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) side: Side,
    pub(crate) machine: Machine,
    /// What the session's objects are, by their numbers in its calls.
    pub(crate) things: Vec<Thing>,
    pub(crate) devices: Vec<Subject>,
    /// The whole guest memory, if it moves.
    pub(crate) memory: Option<GuestMemory>,
    /// The pieces that it moves in.
    pieces: Vec<GuestMemory>,
    trackers: Vec<Watch>,
    pub(crate) guest: Guest,
    pub(crate) codec: Codec,
    /// One buffer for each chunk that may be in flight.
    pub(crate) chunks: Vec<Vec<u8>>,
    /// Destination: buffers that hold nothing.
    pub(crate) free: Vec<u32>,
    /// What was asked of each object and is not answered yet; the first of each line is being done.
    lines: BTreeMap<Line, VecDeque<Job>>,
    /// Everything that it carried out, by number.
    pub(crate) steps: Vec<Step>,
    faults: Vec<Fault>,
    /// When its session started.
    pub(crate) epoch: Duration,
    /// When the machine wants to be called at the latest.
    pub(crate) wake: Option<Duration>,
    /// Whether its session has started: a restore from a file starts late, or never.
    pub(crate) started: bool,
    pub(crate) finished: bool,
    pub(crate) dead: bool,
    /// It has closed the connection, or heard that it is closed.
    pub(crate) closed: bool,
    /// What came was damaged: nothing more is read.
    pub(crate) deaf: bool,
    /// Destination: the session has failed, and the caller lets no guest run.
    pub(crate) failed: bool,
    /// One-way: whether the stream lasts only from its commit on.
    renames: bool,
    /// Calls that will never return.
    pub(crate) stuck: u32,
}

/// What an object is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    Device(usize),
    Memory(usize),
}

/// Who reports what was written: a device its DMA, the host what vCPUs write.
#[derive(Debug)]
struct Watch {
    device: Option<ModelTracker>,
    /// The page size that it claims to use, where that is a lie.
    lie: Option<u64>,
}

/// What is done one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Line {
    Object(u32),
    Tracker(u32),
    Hooks,
    Commit,
}

/// Something that was asked for.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) work: Work,
    pub(crate) fault: Option<CallFault>,
    /// What came of it, once it has taken effect.
    pub(crate) result: Option<Input>,
}

impl End {
    /// Puts work into its line. Answers the line if nothing is being done in it.
    pub(crate) fn queue(&mut self, work: Work, fault: Option<CallFault>) -> Option<Line> {
        let line = work.line();
        let jobs = self.lines.entry(line).or_default();
        jobs.push_back(Job { work, fault, result: None });
        (jobs.len() == 1).then_some(line)
    }

    /// What is being done in a line.
    pub(crate) fn current(&self, line: Line) -> Option<&Job> {
        self.lines.get(&line)?.front()
    }

    /// Makes the current job of a line take effect.
    pub(crate) fn take_effect(&mut self, line: Line) {
        let Some(mut job) = self.lines.get_mut(&line).and_then(VecDeque::pop_front) else { return };
        if job.result.is_none() {
            job.result = Some(self.perform(&job.work, job.fault));
        }
        self.lines.entry(line).or_default().push_front(job);
    }

    /// The current job of a line is done. Answers what came of it, and whether another one waits.
    pub(crate) fn done(&mut self, line: Line) -> Option<(Job, bool)> {
        let jobs = self.lines.get_mut(&line)?;
        let job = jobs.pop_front()?;
        let more = !jobs.is_empty();
        self.told(job.result.as_ref());
        Some((job, more))
    }

    /// The session is about to hear an answer, and knows then what has become of the device.
    fn told(&mut self, answer: Option<&Input>) {
        let of = match answer {
            Some(
                Input::Called(object, _, Err(_))
                | Input::Called(object, DeviceCall::State, Ok(_))
                | Input::Filled(object, _, Err(_))
                | Input::Placed(object, _, Err(_)),
            ) => self.thing(*object),
            _ => None,
        };
        if let Some(Thing::Device(place)) = of {
            self.devices[place].unheard = false;
        }
    }

    /// How many trackers there are.
    pub(crate) fn trackers(&self) -> usize {
        self.trackers.len()
    }

    /// What was asked for and is not answered.
    pub(crate) fn outstanding(&self) -> impl Iterator<Item = &Work> {
        self.lines.values().flatten().map(|job| &job.work)
    }

    /// The number of the step that comes next.
    pub(crate) fn next_number(&self) -> u32 {
        u32::try_from(self.steps.len()).unwrap_or(u32::MAX)
    }

    /// What goes wrong at a step.
    pub(crate) fn faults_at(&self, at: u32) -> impl Iterator<Item = Fault> {
        let mine = move |fault: &&Fault| match fault {
            Fault::Call { side, number, .. } | Fault::Silent { side, number } | Fault::Killed { side, number } => {
                *side == self.side && *number == at
            }
            Fault::Link { .. } => false,
        };
        self.faults.iter().filter(mine).copied()
    }

    pub(crate) fn device(&self, object: Object) -> Option<&Subject> {
        match self.thing(object)? {
            Thing::Device(place) => self.devices.get(place),
            Thing::Memory(_) => None,
        }
    }

    /// Lets time pass for the devices and the guest.
    pub(crate) fn advance(&mut self, ticks: u32, writes: u32) {
        if self.dead {
            return;
        }
        self.devices.iter_mut().for_each(|device| device.advance(ticks));
        self.guest.work(writes);
        if self.guest.running {
            // The guest uses its devices; where it must not, the model counts it.
            self.devices.iter_mut().for_each(|device| device.touch(ticks));
        }
    }

    /// Whether anything here works for the guest.
    pub(crate) fn works(&self) -> bool {
        match self.side {
            Side::Save => self.guest.running || self.devices.iter().any(Subject::is_running),
            Side::Restore => self.guest.running || self.devices.iter().any(Subject::runs_what_came),
        }
    }

    /// The process and its devices are no more.
    pub(crate) fn die(&mut self) {
        self.dead = true;
        self.guest.running = false;
        self.devices.iter_mut().for_each(Subject::die);
        self.lines.clear();
        self.wake = None;
    }

    /// Whether the devices' P2P DMA is to be quiesced: several devices, all of which can be.
    pub(crate) fn has_barrier(&self) -> bool {
        self.devices.len() > 1 && self.devices.iter().all(|device| device.table().grace(State::Running).is_some())
    }

    /// An object's name.
    pub(crate) fn name(&self, object: Object) -> String {
        match self.thing(object) {
            Some(Thing::Device(place)) => self.devices[place].id.clone(),
            Some(Thing::Memory(place)) => setup::piece_name(place),
            None => format!("no object {}", object.0),
        }
    }

    pub(crate) fn thing(&self, object: Object) -> Option<Thing> {
        self.things.get(object.0 as usize).copied()
    }
}
