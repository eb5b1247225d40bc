//! Both ends in one thread: every call is answered at once, every message arrives at once.

use core::fmt::Write as _;
use core::time::Duration;
use std::collections::VecDeque;

use vfio_migration_protocol::session::{
    Action, Chunk, DeviceAnswer, DeviceCall, DeviceObject, Input, Message, Mode, Output, Protocol, Restore,
    RestoreObject, RestoreOptions, Save, SaveObject, SaveOptions, Then, TrackerAnswer, TrackerCall, TrackerIndex,
};
use vfio_migration_protocol::{
    Bitmap, Capabilities, Estimate, Filled, IovaRange, Outcome, Passport, PreCopyInfo, State, Table, Then as Follows,
};

pub(crate) struct Setup {
    pub(crate) devices: Vec<Capabilities>,
    pub(crate) memory: bool,
    pub(crate) mode: Mode,
    pub(crate) then: Then,
    pub(crate) dry_run: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self { devices: Vec::new(), memory: false, mode: Mode::Connected, then: Then::Stop, dry_run: false }
    }
}

const RANGE: IovaRange = IovaRange { iova: 0x10_0000, length: 8 * 4096 };
/// Bytes of a device's data: in pre-copy, and after it.
const DATA: [u32; 2] = [6000, 3000];

/// A device that does as it is told.
#[derive(Default)]
struct Obedient {
    state: Option<State>,
    left: [u32; 2],
}

pub(crate) struct Pair {
    save: Save,
    restore: Restore,
    source: Vec<Obedient>,
    destination: Vec<Obedient>,
    now: Duration,
    to_source: VecDeque<Input>,
    to_destination: VecDeque<Input>,
    chunks: u32,
    trace: String,
}

impl Pair {
    pub(crate) fn new(setup: &Setup) -> Self {
        let id = |place: usize| format!("dev{place}");
        let ids = || setup.devices.iter().copied().enumerate().map(move |(place, caps)| (id(place), caps));
        let device = |(id, capabilities)| DeviceObject {
            id,
            protocol: Protocol::Fsm,
            capabilities,
            table: Table::fsm(capabilities),
            passport: Passport::new(),
            companions: None,
        };
        let mut from: Vec<_> = ids().map(|of| SaveObject::Device(device(of))).collect();
        let mut to: Vec<_> = ids().map(|of| RestoreObject::Device(device(of))).collect();
        if setup.memory {
            let trackers = vec![TrackerIndex(0)];
            from.push(SaveObject::Memory { id: "ram".into(), range: RANGE, page_size: 4096, trackers });
            to.push(RestoreObject::Memory { id: "ram".into(), range: RANGE });
        }
        let options = SaveOptions {
            mode: setup.mode,
            then: setup.then,
            dry_run: setup.dry_run,
            chunk: 4096,
            ..SaveOptions::default()
        };
        let fresh = |_| Obedient { state: Some(State::Running), left: DATA };
        Self {
            save: Save::new(options, [7; 16], from).expect("the options fit"),
            restore: Restore::new(RestoreOptions::default(), to).expect("the options fit"),
            source: (0..setup.devices.len()).map(fresh).collect(),
            destination: (0..setup.devices.len()).map(fresh).collect(),
            now: Duration::ZERO,
            to_source: VecDeque::new(),
            to_destination: VecDeque::new(),
            chunks: 0,
            trace: String::new(),
        }
    }

    pub(crate) fn trace(&self) -> &str {
        &self.trace
    }

    pub(crate) fn outcomes(&self) -> (Outcome, Outcome) {
        let save = self.save.ending().expect("the save has ended");
        let restore = self.restore.ending().expect("the restore has ended");
        (save.report.outcome, restore.report.outcome)
    }

    /// Runs both ends until they have ended.
    pub(crate) fn run(&mut self) {
        for _ in 0..100_000 {
            let save = self.save.poll_output(self.now);
            let restore = if let Output::Do(_) = save { None } else { Some(self.restore.poll_output(self.now)) };
            let waits = match (save, restore) {
                (Output::Do(action), _) => {
                    self.source_does(action);
                    continue;
                }
                (_, Some(Output::Do(action))) => {
                    self.destination_does(action);
                    continue;
                }
                (Output::Finished, Some(Output::Finished)) => return,
                (save, restore) => [Some(save), restore],
            };
            if let Some(input) = self.to_source.pop_front() {
                self.save.handle_input(self.now, input);
            } else if let Some(input) = self.to_destination.pop_front() {
                self.restore.handle_input(self.now, input);
            } else {
                let until = |output| if let Some(Output::Wait(until)) = output { until } else { None };
                self.now = waits.into_iter().filter_map(until).min().expect("somebody waits for something");
                self.save.handle_input(self.now, Input::Tick);
                self.restore.handle_input(self.now, Input::Tick);
            }
        }
        panic!("no end:\n{}", self.trace);
    }

    fn note(&mut self, end: &str, what: &str) {
        // Repetitions of data and of questions say nothing about the order.
        let line = format!("{end} {what}\n");
        if self.trace.lines().last() != Some(line.trim_end()) {
            let _ = write!(self.trace, "{line}");
        }
    }

    fn source_does(&mut self, action: Action) {
        match action {
            Action::Call(object, call) => {
                if !matches!(call, DeviceCall::PreCopyInfo) {
                    self.note("source", &format!("dev{}: {call}", object.0));
                }
                let answer = self.source[object.0 as usize].answer(call);
                self.save.handle_input(self.now, Input::Called(object, call, Ok(answer)));
            }
            Action::Track(tracker, call) => {
                let name = match &call {
                    TrackerCall::Start { .. } => "start",
                    TrackerCall::Report { .. } => "report",
                    TrackerCall::Stop => "stop",
                };
                self.note("source", &format!("tracker: {name}"));
                let answer = match &call {
                    TrackerCall::Start { page_size, .. } => TrackerAnswer::Started(*page_size),
                    TrackerCall::Report { range, page_size, .. } => {
                        TrackerAnswer::Dirty(Bitmap::new(range.length / page_size))
                    }
                    TrackerCall::Stop => TrackerAnswer::Stopped,
                };
                self.save.handle_input(self.now, Input::Tracked(tracker, call, Ok(answer)));
            }
            Action::Fill { object, chunk, len, .. } => {
                let filled = match self.source.get_mut(object.0 as usize) {
                    Some(device) => device.read(len),
                    None => Filled { len: len as usize, then: Follows::More },
                };
                self.save.handle_input(self.now, Input::Filled(object, chunk, Ok(filled)));
            }
            Action::Send(message, chunk) => {
                self.note("source", &format!("says {}", message.name()));
                if let Some(chunk) = chunk {
                    self.save.handle_input(self.now, Input::Sent(chunk));
                }
                let carries = matches!(message, Message::Data { len: 1.., .. });
                self.chunks += u32::from(carries);
                self.to_destination.push_back(Input::Received(message, carries.then_some(Chunk(self.chunks))));
            }
            Action::Open(offer) => {
                self.note("source", "opens");
                self.to_destination.push_back(Input::Opened(offer));
            }
            Action::Hook(hook) => {
                self.note("source", &format!("hook {hook}"));
                self.save.handle_input(self.now, Input::Hooked(hook, Ok(())));
            }
            Action::Commit => {
                self.note("source", "commits");
                self.save.handle_input(self.now, Input::Committed(Ok(())));
            }
            Action::Disconnect => {
                self.note("source", "disconnects");
                self.to_destination.push_back(Input::Disconnected("the source closed".into()));
            }
            Action::Discard | Action::Place { .. } => panic!("the source asks for {action:?}"),
            Action::Release(_) | Action::Emit(_) => {}
        }
    }

    fn destination_does(&mut self, action: Action) {
        match action {
            Action::Call(object, call) => {
                self.note("destination", &format!("dev{}: {call}", object.0));
                let answer = self.destination[object.0 as usize].answer(call);
                self.restore.handle_input(self.now, Input::Called(object, call, Ok(answer)));
            }
            Action::Place { object, chunk, .. } => {
                self.note("destination", &format!("writes object {}", object.0));
                self.restore.handle_input(self.now, Input::Placed(object, chunk, Ok(())));
            }
            Action::Send(message, _) => {
                if !matches!(message, Message::Ack(..)) {
                    self.note("destination", &format!("says {}", message.name()));
                }
                self.to_source.push_back(Input::Received(message, None));
            }
            Action::Hook(hook) => {
                self.note("destination", &format!("hook {hook}"));
                self.restore.handle_input(self.now, Input::Hooked(hook, Ok(())));
            }
            Action::Disconnect => self.note("destination", "disconnects"),
            Action::Release(_) | Action::Emit(_) => {}
            other => panic!("the destination asks for {other:?}"),
        }
    }
}

impl Obedient {
    fn answer(&mut self, call: DeviceCall) -> DeviceAnswer {
        let state = self.state.expect("every device has a state");
        match call {
            DeviceCall::State => DeviceAnswer::State { state, resets: None },
            DeviceCall::SetState(to) => {
                self.state = Some(to);
                DeviceAnswer::Done { resets: None }
            }
            DeviceCall::Reset => panic!("nobody resets an obedient device"),
            DeviceCall::PreCopyInfo => {
                let initial = Estimate::Known(u64::from(self.left[0]));
                DeviceAnswer::PreCopyInfo(PreCopyInfo { initial, dirty: Estimate::Known(0), reinit: false })
            }
            DeviceCall::DataSize => DeviceAnswer::DataSize(Estimate::Known(9000)),
        }
    }

    fn read(&mut self, most: u32) -> Filled {
        let stopped = self.state == Some(State::StopCopy);
        let left = if stopped && self.left[0] == 0 { &mut self.left[1] } else { &mut self.left[0] };
        let len = most.min(*left);
        *left -= len;
        let then = match (len, stopped) {
            (0, false) => Follows::Pause,
            (0, true) => Follows::End,
            _ => Follows::More,
        };
        Filled { len: len as usize, then }
    }
}
