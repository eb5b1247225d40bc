//! Threads that make the calls which may block: one for each device, each piece of memory, each tracker, and the hooks.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

use vfio_migration_protocol::device::Then;
use vfio_migration_protocol::session::{
    Chunk, DeviceAnswer, DeviceCall, Hook, Input, Object, TrackerAnswer, TrackerCall, TrackerIndex,
};
use vfio_migration_protocol::stream::payload_crc;
use vfio_migration_protocol::{Bitmap, CallError, Device, Errno, Filled, Memory, Tracker};

use super::caught::caught;
use super::core::Core;
use super::parts::Hooks;
use super::pool::Pool;
use super::under_way::{UnderWay, Wanted};

/// A thread that owns something and serves one task after the other until nobody can ask any more.
pub(super) struct Worker<R, T> {
    resource: Sender<R>,
    tasks: Sender<T>,
    thread: JoinHandle<Option<R>>,
}

impl<R: Send + 'static, T: Send + 'static> Worker<R, T> {
    /// Starts the thread. It gets what it owns with [`own`](Self::own), so that nothing is lost if another thread cannot be
    /// started.
    pub(super) fn start(name: &str, mut serve: impl FnMut(&mut R, T, Haste) + Send + 'static) -> io::Result<Self> {
        let (resource, owned) = channel();
        let (tasks, asked) = channel();
        let thread = Builder::new().name(name.into()).spawn(move || {
            let mut owned = owned.recv().ok()?;
            let mut task = asked.recv().ok();
            while let Some(now) = task {
                task = asked.try_recv().ok();
                serve(&mut owned, now, if task.is_some() { Haste::More } else { Haste::Idle });
                task = task.or_else(|| asked.recv().ok());
            }
            Some(owned)
        })?;
        Ok(Self { resource, tasks, thread })
    }

    /// Hands over what the thread is to own; returns the way to ask it, and the thread, which gives it back at its end.
    pub(super) fn own(self, resource: R) -> (Sender<T>, JoinHandle<Option<R>>) {
        // The thread waits for this; if it is gone its join says so.
        let _ = self.resource.send(resource);
        (self.tasks, self.thread)
    }
}

/// Whether a worker has more to do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    More,
    Idle,
}

/// How many acknowledgements may wait for the next one.
const MOST_PUT_OFF: u32 = 1;

/// What a session moves, in the hands of its worker.
pub(super) enum Moved {
    Device(Box<dyn Device>),
    Memory(Box<dyn Memory>),
}

/// What a worker is asked to do with what it owns.
#[derive(Debug)]
pub(super) enum Task {
    Call(DeviceCall),
    Fill { chunk: Chunk, offset: u64, len: u32 },
    Place { chunk: Chunk, offset: u64, len: u32, segment_end: bool },
}

/// Serves an object's calls.
pub(super) fn object(
    object: Object,
    core: Arc<Core>,
    pool: Arc<Pool>,
    under_way: Arc<UnderWay>,
) -> impl FnMut(&mut Moved, Task, Haste) + Send {
    let mut put_off = 0;
    move |moved, task, haste| {
        let input = match task {
            Task::Call(call) => {
                let answer = under_way.during(Wanted::Always, || guarded(|| make(moved, call)));
                Input::Called(object, call, answer)
            }
            Task::Fill { chunk, offset, len } => {
                let read = || guarded(|| fill(moved, &pool, chunk, offset, len));
                Input::Filled(object, chunk, under_way.during(Wanted::OnTheWayForward, read))
            }
            Task::Place { chunk, offset, len, segment_end } => {
                let write = || guarded(|| place(moved, &pool, chunk, offset, len, segment_end));
                Input::Placed(object, chunk, under_way.during(Wanted::OnTheWayForward, write))
            }
        };
        // An acknowledgement may wait for the next, which is under way: that spares both ends half of the wake-ups.
        if haste == Haste::More && put_off < MOST_PUT_OFF && matches!(input, Input::Placed(..)) {
            put_off += 1;
            core.input_for_later(input);
        } else {
            put_off = 0;
            core.input(input);
        }
    }
}

/// Serves a tracker's calls.
pub(super) fn tracker(
    index: TrackerIndex,
    core: Arc<Core>,
    under_way: Arc<UnderWay>,
) -> impl FnMut(&mut Box<dyn Tracker>, TrackerCall, Haste) + Send {
    move |tracker, call, _haste| {
        let mut ask = || match &call {
            TrackerCall::Start { ranges, page_size } => tracker.start(ranges, *page_size).map(TrackerAnswer::Started),
            TrackerCall::Report { range, page_size, .. } => {
                let mut dirty = Bitmap::new(range.length.div_ceil((*page_size).max(1)));
                tracker.report(*range, &mut dirty).map(|()| TrackerAnswer::Dirty(dirty))
            }
            TrackerCall::Stop => tracker.stop().map(|()| TrackerAnswer::Stopped),
        };
        let answer = under_way.during(Wanted::Always, || guarded(&mut ask));
        core.input(Input::Tracked(index, call, answer));
    }
}

/// Calls the caller's hooks.
pub(super) fn hooks(core: Arc<Core>) -> impl FnMut(&mut Hooks, Hook, Haste) + Send {
    move |hooks, hook, _haste| {
        let answer = caught(|| match hook {
            Hook::Pause(estimate) => (hooks.pause)(estimate),
            Hook::Unpause(outcome) => (hooks.unpause)(outcome),
            Hook::Configure => (hooks.configure)(),
            Hook::TakeOver => (hooks.take_over)(),
        });
        let answer = answer.unwrap_or_else(|words| Err(format!("the hook panicked: {words}")));
        core.input(Input::Hooked(hook, answer));
    }
}

fn make(moved: &mut Moved, call: DeviceCall) -> Result<DeviceAnswer, CallError> {
    let Moved::Device(device) = moved else {
        return Err(CallError::because(Errno::ENOTTY, "memory has no states"));
    };
    match call {
        DeviceCall::State => device.state().map(|state| DeviceAnswer::State { state, resets: device.resets() }),
        DeviceCall::SetState(to) => device.set_state(to).map(|()| DeviceAnswer::Done { resets: device.resets() }),
        DeviceCall::Reset => device.reset().map(|()| DeviceAnswer::Done { resets: device.resets() }),
        DeviceCall::PreCopyInfo => device.pre_copy_info().map(DeviceAnswer::PreCopyInfo),
        DeviceCall::DataSize => device.data_size().map(DeviceAnswer::DataSize),
    }
}

fn fill(moved: &mut Moved, pool: &Pool, chunk: Chunk, offset: u64, len: u32) -> Result<Filled, CallError> {
    let mut slot = pool.slot(chunk);
    let room = slot.room(bytes(len));
    let filled = match moved {
        Moved::Device(device) => device.read(room)?,
        Moved::Memory(memory) => {
            memory.read(offset, room)?;
            Filled { len: room.len(), then: Then::More }
        }
    };
    let Some(filled_bytes) = room.get(..filled.len) else {
        return Err(CallError::because(
            Errno::EOVERFLOW,
            "the device claims to have read more than it was given room for",
        ));
    };
    slot.crc = payload_crc(filled_bytes);
    Ok(filled)
}

fn place(
    moved: &mut Moved,
    pool: &Pool,
    chunk: Chunk,
    offset: u64,
    len: u32,
    segment_end: bool,
) -> Result<(), CallError> {
    let slot = pool.slot(chunk);
    let mut rest = slot.bytes(bytes(len));
    match moved {
        Moved::Memory(memory) => memory.write(offset, rest),
        Moved::Device(device) => loop {
            let taken = device.write(rest, segment_end)?;
            rest = match rest.get(taken..) {
                Some([]) => return Ok(()),
                Some(_) if taken == 0 => {
                    return Err(CallError::because(Errno::EIO, "the device took none of the data"));
                }
                Some(rest) => rest,
                None => {
                    return Err(CallError::because(
                        Errno::EOVERFLOW,
                        "the device claims to have taken more than it got",
                    ));
                }
            };
        },
    }
}

/// A backend that panics has failed, and nothing else has.
fn guarded<T>(call: impl FnOnce() -> Result<T, CallError>) -> Result<T, CallError> {
    caught(call).unwrap_or_else(|words| Err(CallError::because(Errno::EIO, format!("the backend panicked: {words}"))))
}

fn bytes(len: u32) -> usize {
    usize::try_from(len).expect("a chunk fits into memory")
}

impl<R, T> fmt::Debug for Worker<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("thread", &self.thread.thread().name()).finish_non_exhaustive()
    }
}
