//! A call that does not return is interrupted at its deadline; the session then goes on as its table says. One that cannot
//! be interrupted is waited for.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use vfio_migration::{
    Bitmap, CallError, Capabilities, Code, Control, Device, Errno, Estimate, EventKind, Filled, Finished, IovaRange,
    Outcome, Passport, PreCopyInfo, RestoreBuilder, RestoreOptions, SaveBuilder, SaveOptions, Sink, Source, State,
    Tracker, device,
};

use vfio_migration_model::GuestMemory;

use crate::scene::within;

const DEADLINE: Duration = Duration::from_millis(300);
const NEVER: Duration = Duration::from_secs(3600);

/// Which call does not return.
#[derive(Clone, Copy, PartialEq)]
enum Blocks {
    SetState(State),
    Read,
    Write,
}

/// Holds one call of a device, once.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    held: bool,
    interrupted: u32,
    open: bool,
}

impl Gate {
    /// Waits for an interruption, which is an error, or until the gate is opened.
    fn hold(&self) -> Result<(), CallError> {
        let mut state = self.state.lock().unwrap();
        if state.open {
            return Ok(());
        }
        (state.held, state.interrupted) = (true, 0);
        self.changed.notify_all();
        let mut state = self.changed.wait_while(state, |state| state.interrupted == 0 && !state.open).unwrap();
        state.open = true;
        if state.interrupted > 0 { Err(Errno::EINTR.into()) } else { Ok(()) }
    }

    fn until_held(&self) {
        drop(self.changed.wait_while(self.state.lock().unwrap(), |state| !state.held).unwrap());
    }

    fn interrupt(&self) {
        self.state.lock().unwrap().interrupted += 1;
        self.changed.notify_all();
    }

    fn open(&self) {
        self.state.lock().unwrap().open = true;
        self.changed.notify_all();
    }
}

/// A software device of which one call blocks.
struct Blocking {
    device: Box<dyn Device>,
    blocks: Blocks,
    gate: Arc<Gate>,
    interruptible: bool,
}

impl Blocking {
    fn new(device: Box<dyn Device>, blocks: Blocks, interruptible: bool) -> (Box<Self>, Arc<Gate>) {
        let gate = Arc::new(Gate::default());
        (Box::new(Self { device, blocks, gate: Arc::clone(&gate), interruptible }), gate)
    }

    fn hold(&self, call: Blocks) -> Result<(), CallError> {
        if call == self.blocks { self.gate.hold() } else { Ok(()) }
    }
}

impl Device for Blocking {
    fn passport(&self) -> &Passport {
        self.device.passport()
    }

    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn state(&mut self) -> Result<State, CallError> {
        self.device.state()
    }

    fn set_state(&mut self, to: State) -> Result<(), CallError> {
        self.hold(Blocks::SetState(to))?;
        self.device.set_state(to)
    }

    fn reset(&mut self) -> Result<(), CallError> {
        self.device.reset()
    }

    fn read(&mut self, into: &mut [u8]) -> Result<Filled, CallError> {
        self.hold(Blocks::Read)?;
        self.device.read(into)
    }

    fn write(&mut self, data: &[u8], segment_end: bool) -> Result<usize, CallError> {
        self.hold(Blocks::Write)?;
        self.device.write(data, segment_end)
    }

    fn pre_copy_info(&mut self) -> Result<PreCopyInfo, CallError> {
        self.device.pre_copy_info()
    }

    fn data_size(&mut self) -> Result<Estimate, CallError> {
        self.device.data_size()
    }

    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        let gate = Arc::clone(&self.gate);
        self.interruptible.then(|| Arc::new(move || gate.interrupt()) as Arc<dyn Fn() + Send + Sync>)
    }
}

/// A tracker of which a report blocks, or its start.
struct BlockingTracker {
    start: bool,
    gate: Arc<Gate>,
}

impl Tracker for BlockingTracker {
    fn start(&mut self, _ranges: &[IovaRange], page_size: u64) -> Result<u64, CallError> {
        if self.start { self.gate.hold() } else { Ok(()) }.map(|()| page_size)
    }

    fn report(&mut self, _range: IovaRange, _into: &mut Bitmap) -> Result<(), CallError> {
        self.gate.hold()
    }

    fn stop(&mut self) -> Result<(), CallError> {
        Ok(())
    }

    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        let gate = Arc::clone(&self.gate);
        Some(Arc::new(move || gate.interrupt()))
    }
}

/// Saves a device with memory whose tracker blocks.
fn save_tracked(start: bool) -> Finished {
    let gate = Arc::<Gate>::default();
    let memory = GuestMemory::new(0x1_0000_0000, 1 << 20).unwrap();
    let opened = device::open("model:size=1MiB,pre-copy,p2p", Some(memory.clone())).unwrap();
    let mut save = SaveBuilder::new(SaveOptions { deadline: DEADLINE, ..SaveOptions::default() });
    let tracker = save.tracker(Box::new(BlockingTracker { start, gate: Arc::clone(&gate) }));
    save.device("gpu0", opened.device).memory("ram", Box::new(memory), 4096, &[tracker]);
    let saving = save.start(Sink::writer(std::io::sink(), || ())).unwrap();
    within("the save", move || {
        gate.until_held();
        saving.wait()
    })
}

struct Ended {
    saved: Finished,
    took: Duration,
    /// Which calls were overdue.
    overdue: Vec<String>,
}

/// Saves a device of which one call blocks, and lets `act` do something once it does.
fn save(
    blocks: Blocks,
    interruptible: bool,
    deadline: Duration,
    act: impl FnOnce(&Control, &Gate) + Send + 'static,
) -> Ended {
    let opened = device::open("model:size=1MiB,pre-copy,p2p", None).unwrap();
    let (device, gate) = Blocking::new(opened.device, blocks, interruptible);
    let mut save = SaveBuilder::new(SaveOptions { deadline, ..SaveOptions::default() });
    save.device("gpu0", device);
    let saving = save.start(Sink::writer(std::io::sink(), || ())).unwrap();
    let ended = within("the save", move || {
        gate.until_held();
        let begun = Instant::now();
        act(&saving, &gate);
        let events = saving.events();
        let saved = saving.wait();
        let overdue = events.filter_map(|event| match event.kind {
            EventKind::Overdue { call, .. } => Some(call),
            _ => None,
        });
        Ended { saved, took: begun.elapsed(), overdue: overdue.collect() }
    });
    let device = &ended.saved.devices[0];
    assert_eq!((device.outcome, device.state), (Outcome::Returned, Some(State::Running)));
    assert_eq!(ended.saved.report.resets(), 0);
    ended
}

fn code(finished: &Finished) -> Option<Code> {
    finished.failure.as_ref().map(|failure| failure.code)
}

#[test]
fn a_change_of_state_at_its_deadline() {
    for state in [State::PreCopy, State::PreCopyP2p, State::StopCopy] {
        let Ended { saved, took, overdue } = save(Blocks::SetState(state), true, DEADLINE, |_, _| ());
        assert_eq!(code(&saved), Some(Code::Deadline), "{state}");
        assert_eq!(overdue, [format!("set state {state}")]);
        assert!(took >= DEADLINE * 9 / 10, "{state}: not before {took:?}");
    }
}

#[test]
fn a_read_at_its_deadline() {
    let Ended { saved, overdue, .. } = save(Blocks::Read, true, DEADLINE, |_, _| ());
    assert_eq!(code(&saved), Some(Code::Deadline));
    // On a machine that is very busy another call may be late as well.
    assert!(overdue.contains(&"read".to_owned()), "{overdue:?}");
}

#[test]
fn a_read_soon_after_the_session_was_cancelled() {
    let Ended { saved, overdue, .. } = save(Blocks::Read, true, NEVER, |saving, _| saving.cancel("enough").unwrap());
    assert_eq!((code(&saved), overdue), (Some(Code::Cancelled), vec![]));
}

#[test]
fn a_write_at_its_deadline() {
    let opened = device::open("model:size=1MiB", None).unwrap();
    let model = opened.model.unwrap();
    let (device, gate) = Blocking::new(opened.device, Blocks::Write, true);
    let mut restore = RestoreBuilder::new(RestoreOptions { deadline: DEADLINE, ..RestoreOptions::default() });
    restore.device("gpu0", device);
    let mut save = SaveBuilder::new(SaveOptions::default());
    save.device("gpu0", device::open("model:size=1MiB", None).unwrap().device);
    let (near, far) = UnixStream::pair().unwrap();
    let restoring = restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let saving = save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    gate.until_held();
    assert_eq!((code(&saved), code(&restored)), (Some(Code::Refused), Some(Code::Deadline)));
    assert_eq!((saved.devices[0].outcome, saved.devices[0].state), (Outcome::Returned, Some(State::Running)));
    assert_eq!((restored.devices[0].outcome, restored.devices[0].state), (Outcome::Reset, Some(State::Running)));
    assert_eq!(model.resets(), 1);
}

#[test]
fn one_that_cannot_be_is_waited_for() {
    let begun = Instant::now();
    let blocks = Blocks::SetState(State::StopCopy);
    let Ended { saved, overdue, .. } = save(blocks, false, DEADLINE, |saving, gate| {
        std::thread::sleep(DEADLINE * 3);
        assert!(!saving.is_finished(), "its thread keeps the device");
        gate.open();
    });
    assert_eq!((code(&saved), overdue), (Some(Code::Deadline), vec!["set state stop-copy".to_owned()]));
    assert!(begun.elapsed() >= DEADLINE * 3);
}

#[test]
fn a_tracker_that_does_not_start_at_its_deadline() {
    let saved = save_tracked(true);
    assert_eq!(code(&saved), Some(Code::Deadline));
    assert_eq!((saved.devices[0].outcome, saved.devices[0].state), (Outcome::Returned, Some(State::Running)));
}

#[test]
fn a_tracker_that_does_not_report_at_its_deadline() {
    let saved = save_tracked(false);
    assert_eq!(code(&saved), Some(Code::Deadline));
    assert_eq!((saved.devices[0].outcome, saved.devices[0].state), (Outcome::Returned, Some(State::Running)));
}
