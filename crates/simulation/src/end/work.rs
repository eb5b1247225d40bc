use vfio_migration_protocol::session::{
    Action, Chunk, CommitError, DeviceCall, Hook, Input, Object, TrackerAnswer, TrackerCall, TrackerIndex,
};
use vfio_migration_protocol::{Bitmap, CallError, Errno, Filled, IovaRange, Then, Tracker};

use super::{End, Line, Thing, Watch};
use crate::fault::CallFault;
use crate::guest::PAGE;
use crate::step::Step;

/// An action that takes time and has an answer.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    Call(Object, DeviceCall),
    Track(TrackerIndex, TrackerCall),
    Fill { object: Object, chunk: Chunk, offset: u64, len: u32 },
    Place { object: Object, chunk: Chunk, offset: u64, len: u32, segment_end: bool },
    Hook(Hook),
    Commit,
}

impl Work {
    /// The work of an action, if it has an answer.
    pub(crate) fn of(action: &Action) -> Option<Self> {
        match *action {
            Action::Call(object, call) => Some(Self::Call(object, call)),
            Action::Track(tracker, ref call) => Some(Self::Track(tracker, call.clone())),
            Action::Fill { object, chunk, offset, len } => Some(Self::Fill { object, chunk, offset, len }),
            Action::Place { object, chunk, offset, len, segment_end } => {
                Some(Self::Place { object, chunk, offset, len, segment_end })
            }
            Action::Hook(hook) => Some(Self::Hook(hook)),
            Action::Commit => Some(Self::Commit),
            _ => None,
        }
    }

    pub(super) const fn line(&self) -> Line {
        match self {
            Self::Call(object, _) | Self::Fill { object, .. } | Self::Place { object, .. } => Line::Object(object.0),
            Self::Track(tracker, _) => Line::Tracker(tracker.0),
            Self::Hook(_) => Line::Hooks,
            Self::Commit => Line::Commit,
        }
    }

    /// What it is, for its faults and the log.
    pub(crate) fn step(&self, end: &End) -> Step {
        match self {
            Self::Call(_, DeviceCall::State) => Step::State,
            Self::Call(_, DeviceCall::Reset) => Step::Reset,
            Self::Call(_, DeviceCall::PreCopyInfo) => Step::PreCopyInfo,
            Self::Call(_, DeviceCall::DataSize) => Step::DataSize,
            Self::Call(object, DeviceCall::SetState(to)) => {
                let path = end.device(*object).map(|device| {
                    let from = device.model().current_state();
                    (from, device.table().path(from, *to).map_or(0, |path| path.len()))
                });
                let (from, arcs) = path.unwrap_or((*to, 0));
                Step::SetState { from, to: *to, arcs: u8::try_from(arcs).unwrap_or(u8::MAX) }
            }
            Self::Track(_, TrackerCall::Start { .. }) => Step::TrackerStart,
            Self::Track(_, TrackerCall::Report { .. }) => Step::TrackerReport,
            Self::Track(_, TrackerCall::Stop) => Step::TrackerStop,
            Self::Fill { object, .. } if end.device(*object).is_some() => Step::ReadDevice,
            Self::Fill { .. } => Step::ReadMemory,
            Self::Place { object, .. } if end.device(*object).is_some() => Step::WriteDevice,
            Self::Place { .. } => Step::WriteMemory,
            Self::Hook(Hook::Pause(_)) => Step::Hook("pause"),
            Self::Hook(Hook::Unpause(_)) => Step::Hook("unpause"),
            Self::Hook(Hook::Configure) => Step::Hook("configure"),
            Self::Hook(Hook::TakeOver) => Step::Hook("takeOver"),
            Self::Commit => Step::Commit,
        }
    }

    /// What it is done to.
    pub(crate) fn subject(&self, end: &End) -> Option<String> {
        match self {
            Self::Call(object, _) | Self::Fill { object, .. } | Self::Place { object, .. } => Some(end.name(*object)),
            Self::Track(tracker, _) => Some(tracker_name(*tracker)),
            Self::Hook(_) | Self::Commit => None,
        }
    }
}

impl End {
    /// Does the work, with what goes wrong in it, and makes the answer.
    pub(super) fn perform(&mut self, work: &Work, fault: Option<CallFault>) -> Input {
        match *work {
            Work::Call(object, call) => {
                let answer = match self.thing(object) {
                    Some(Thing::Device(place)) => self.devices[place].call(call, fault),
                    _ => Err(misuse()),
                };
                Input::Called(object, call, answer)
            }
            Work::Track(tracker, ref call) => Input::Tracked(tracker, call.clone(), self.track(tracker, call, fault)),
            Work::Fill { object, chunk, offset, len } => {
                Input::Filled(object, chunk, self.fill(object, chunk, offset, len, fault))
            }
            Work::Place { object, chunk, offset, len, segment_end } => {
                Input::Placed(object, chunk, self.place(object, chunk, offset, len, segment_end, fault))
            }
            Work::Hook(hook) => Input::Hooked(hook, self.hook(hook, fault)),
            Work::Commit => Input::Committed(match fault {
                // Only a file that was not renamed is certainly not there: a pipe has had its last bytes.
                Some(CallFault::Fails(_)) => {
                    Err(CommitError { maybe_given_up: !self.renames, why: "the disk is full".into() })
                }
                Some(CallFault::Maybe) => Err(CommitError { maybe_given_up: true, why: "the disk is gone".into() }),
                _ => Ok(()),
            }),
        }
    }

    fn fill(
        &mut self,
        object: Object,
        chunk: Chunk,
        offset: u64,
        len: u32,
        fault: Option<CallFault>,
    ) -> Result<Filled, CallError> {
        let thing = self.thing(object).ok_or_else(misuse)?;
        let buffer = self.chunks.get_mut(chunk.0 as usize).ok_or_else(misuse)?;
        let into = buffer.get_mut(..len as usize).ok_or_else(misuse)?;
        match thing {
            Thing::Device(place) => self.devices[place].read(into, fault),
            Thing::Memory(place) => {
                refuse(fault)?;
                self.pieces[place].load(offset, into)?;
                Ok(Filled { len: into.len(), then: Then::More })
            }
        }
    }

    fn place(
        &mut self,
        object: Object,
        chunk: Chunk,
        offset: u64,
        len: u32,
        segment_end: bool,
        fault: Option<CallFault>,
    ) -> Result<(), CallError> {
        let thing = self.thing(object).ok_or_else(misuse)?;
        let from =
            self.chunks.get(chunk.0 as usize).and_then(|buffer| buffer.get(..len as usize)).ok_or_else(misuse)?;
        match thing {
            Thing::Device(place) => self.devices[place].write(from, segment_end, fault),
            Thing::Memory(place) => {
                refuse(fault)?;
                self.pieces[place].store(offset, from)
            }
        }
    }

    fn track(
        &mut self,
        tracker: TrackerIndex,
        call: &TrackerCall,
        fault: Option<CallFault>,
    ) -> Result<TrackerAnswer, CallError> {
        refuse(fault)?;
        let Watch { device, lie } = self.trackers.get_mut(tracker.0 as usize).ok_or_else(misuse)?;
        match call {
            TrackerCall::Start { ranges, page_size } => {
                let chosen = match device {
                    Some(log) => log.start(ranges, *page_size)?,
                    None => self.guest.start_log()?,
                };
                if let Some(CallFault::PageSize(bytes)) = fault {
                    *lie = Some(bytes);
                }
                Ok(TrackerAnswer::Started(lie.unwrap_or(chosen)))
            }
            TrackerCall::Report { range, page_size, .. } => {
                let mut dirty = bitmap(*range, lie.map_or(*page_size, |_| PAGE));
                match device {
                    Some(log) => log.report(*range, &mut dirty)?,
                    None => self.guest.report_log(*range, &mut dirty)?,
                }
                // One that lies about its page size reports by the pages that it claims to have.
                Ok(TrackerAnswer::Dirty(lie.map_or_else(|| dirty.clone(), |bytes| coarse(&dirty, bytes, *range))))
            }
            TrackerCall::Stop => {
                match device {
                    Some(log) => log.stop()?,
                    None => self.guest.stop_log(),
                }
                Ok(TrackerAnswer::Stopped)
            }
        }
    }

    fn hook(&mut self, hook: Hook, fault: Option<CallFault>) -> Result<(), String> {
        refuse(fault).map_err(|_| "the caller's hook does not want to".to_owned())?;
        match hook {
            _ if fault == Some(CallFault::Lies) => {}
            Hook::Pause(_) => self.guest.running = false,
            Hook::Unpause(_) => self.guest.running = self.guest.ran,
            // A caller that was told of the failure meanwhile lets nothing run.
            Hook::TakeOver => self.guest.running = !self.failed,
            Hook::Configure => {}
        }
        Ok(())
    }
}

/// The name of a tracker.
pub(crate) fn tracker_name(tracker: TrackerIndex) -> String {
    format!("tracker{}", tracker.0)
}

fn bitmap(range: IovaRange, page_size: u64) -> Bitmap {
    Bitmap::new(range.length.div_ceil(page_size.max(1)))
}

fn coarse(fine: &Bitmap, page_size: u64, range: IovaRange) -> Bitmap {
    let mut coarse = bitmap(range, page_size);
    let mut at = fine.next(0);
    while let Some(page) = at {
        coarse.set(page * PAGE / page_size.max(1));
        at = fine.next(page + 1);
    }
    coarse
}

fn refuse(fault: Option<CallFault>) -> Result<(), CallError> {
    match fault {
        Some(CallFault::Fails(errno)) => Err(CallError::because(Errno::from_linux(errno), "the scenario says so")),
        _ => Ok(()),
    }
}

/// The machine asked for something that is not there. The call fails, and an invariant says so.
fn misuse() -> CallError {
    CallError::new(Errno::EFAULT)
}
