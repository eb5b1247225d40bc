//! One end of a session, driven by hand. Its devices, trackers, hooks and its peer answer at once and say yes, apart
//! from what a test withholds to answer it in its own way.

use core::time::Duration;

use vfio_migration_protocol::session::{
    Action, Chunk, Command, DeviceAnswer, DeviceCall, Ending, Hook, Input, Message, Mode, NotNow, Object, Output,
    Restore, Save, TrackerAnswer, TrackerCall, TrackerIndex,
};
use vfio_migration_protocol::{
    Bitmap, CallError, Errno, Estimate, EventKind, Filled, Outcome, PreCopyInfo, Report, State, Then,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Either machine.
pub(crate) trait Machine {
    fn hear(&mut self, now: Duration, input: Input);
    fn poll(&mut self, now: Duration) -> Output;
    fn order(&mut self, now: Duration, command: Command) -> Result<(), NotNow>;
    fn course(&self, now: Duration) -> Report;
    fn end(&self) -> Option<&Ending>;
}

macro_rules! machine {
    ($machine:ty) => {
        impl Machine for $machine {
            fn hear(&mut self, now: Duration, input: Input) {
                self.handle_input(now, input);
            }

            fn poll(&mut self, now: Duration) -> Output {
                self.poll_output(now)
            }

            fn order(&mut self, now: Duration, command: Command) -> Result<(), NotNow> {
                self.command(now, command)
            }

            fn course(&self, now: Duration) -> Report {
                self.report(now)
            }

            fn end(&self) -> Option<&Ending> {
                self.ending()
            }
        }
    };
}

machine!(Save);
machine!(Restore);

/// A device that does as it is told.
pub(crate) struct Device {
    pub(crate) state: State,
    /// How many bytes its data has left.
    pub(crate) left: u64,
    /// What pre-copy info says.
    pub(crate) info: PreCopyInfo,
}

pub(crate) struct End<M> {
    machine: M,
    pub(crate) now: Duration,
    pub(crate) devices: Vec<Device>,
    /// What is not answered: the test does that.
    pub(crate) withhold: fn(&Action) -> bool,
    /// Whether the peer says alive every second.
    pub(crate) peer_is_alive: bool,
    /// When this end said alive.
    pub(crate) alive: Vec<Duration>,
    pub(crate) events: Vec<EventKind>,
    /// Chunks that were to be filled.
    pub(crate) filling: Vec<Chunk>,
    /// Chunks that were given back.
    pub(crate) released: Vec<Chunk>,
    read_of_memory: u64,
    mode: Mode,
    withheld: Vec<Action>,
    wake: Option<Duration>,
    finished: bool,
}

impl<M: Machine> End<M> {
    pub(crate) fn new(machine: M, mode: Mode, devices: usize) -> Self {
        let info = PreCopyInfo { initial: Estimate::Known(1 << 30), dirty: Estimate::Known(0), reinit: false };
        Self {
            machine,
            now: Duration::ZERO,
            devices: (0..devices).map(|_| Device { state: State::Running, left: 100, info }).collect(),
            withhold: |_| false,
            peer_is_alive: false,
            alive: Vec::new(),
            events: Vec::new(),
            filling: Vec::new(),
            released: Vec::new(),
            read_of_memory: 0,
            mode,
            withheld: Vec::new(),
            wake: None,
            finished: false,
        }
    }

    pub(crate) fn hear(&mut self, input: Input) {
        self.machine.hear(self.now, input);
    }

    /// Tells it a message of its peer, and what it asks for then.
    pub(crate) fn hears(&mut self, message: Message) -> Vec<String> {
        self.hear(Input::Received(message, None));
        self.go()
    }

    pub(crate) fn order(&mut self, command: Command) -> Result<(), NotNow> {
        self.machine.order(self.now, command)
    }

    /// Answers all that was withheld, and withholds nothing any more.
    pub(crate) fn release(&mut self) -> Vec<String> {
        self.withhold = |_| false;
        for action in core::mem::take(&mut self.withheld) {
            self.answer(action);
        }
        self.go()
    }

    /// The oldest withheld chunk arrives.
    pub(crate) fn arrives(&mut self) -> Vec<String> {
        let place = self.withheld.iter().position(|action| matches!(action, Action::Send(_, Some(_))));
        if let Some(place) = place {
            let sent = self.withheld.remove(place);
            self.answer(sent);
        }
        self.go()
    }

    /// A withheld call returns, and the device did as it was told.
    pub(crate) fn works(&mut self, device: u32, call: DeviceCall) -> Vec<String> {
        self.forget(|action| *action == Action::Call(Object(device), call));
        let answer = self.devices[device as usize].answer(call);
        self.hear(Input::Called(Object(device), call, Ok(answer)));
        self.go()
    }

    /// A withheld call returns with an error, and the device reads as `state` then.
    pub(crate) fn fails(&mut self, device: u32, call: DeviceCall, state: State) -> Vec<String> {
        self.forget(|action| *action == Action::Call(Object(device), call));
        self.devices[device as usize].state = state;
        self.hear(Input::Called(Object(device), call, Err(CallError::new(Errno::EIO))));
        self.go()
    }

    /// A withheld read returns.
    pub(crate) fn filled(&mut self, chunk: u32, answer: Result<(usize, Then), Errno>) -> Vec<String> {
        let chunk = Chunk(chunk);
        let read = self.forget(|action| matches!(action, Action::Fill { chunk: one, .. } if *one == chunk));
        let object = if let Action::Fill { object, .. } = read { object } else { Object(0) };
        let answer = answer.map(|(len, then)| Filled { len, then }).map_err(CallError::new);
        self.hear(Input::Filled(object, chunk, answer));
        self.go()
    }

    /// A withheld write returns.
    pub(crate) fn placed(&mut self, chunk: u32, answer: Result<(), Errno>) -> Vec<String> {
        let chunk = Chunk(chunk);
        self.forget(|action| matches!(action, Action::Place { chunk: one, .. } if *one == chunk));
        self.hear(Input::Placed(Object(0), chunk, answer.map_err(CallError::new)));
        self.go()
    }

    pub(crate) fn hook_returns(&mut self, hook: Hook, answer: Result<(), &str>) -> Vec<String> {
        self.forget(|action| *action == Action::Hook(hook));
        self.hear(Input::Hooked(hook, answer.map_err(String::from)));
        self.go()
    }

    /// Carries out what it asks for until it waits; what that was, a line each.
    pub(crate) fn go(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..100_000 {
            match self.machine.poll(self.now) {
                Output::Do(Action::Emit(event)) => self.events.push(event.kind),
                Output::Do(Action::Release(chunk)) => self.released.push(chunk),
                Output::Do(action) => {
                    match action {
                        Action::Send(Message::Alive, _) => self.alive.push(self.now),
                        Action::Fill { chunk, .. } => self.filling.push(chunk),
                        _ => {}
                    }
                    lines.extend(line(&action));
                    if (self.withhold)(&action) {
                        self.withheld.push(action);
                    } else {
                        self.answer(action);
                    }
                }
                Output::Wait(wake) => {
                    self.wake = wake;
                    return lines;
                }
                Output::Finished => {
                    (self.wake, self.finished) = (None, true);
                    return lines;
                }
            }
        }
        panic!("it asks for ever: {:?}", &lines[..lines.len().min(20)]);
    }

    /// Lets time pass, and carries out what it asks for meanwhile.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<String> {
        let until = self.now + time;
        let mut lines = self.go();
        let mut next_alive = self.peer_is_alive.then_some(self.now + SECOND);
        while let Some(at) = [self.wake, next_alive].into_iter().flatten().min().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            if next_alive.is_some_and(|next| next <= self.now) {
                next_alive = Some(self.now + SECOND);
                self.hear(Input::Received(Message::Alive, None));
            } else {
                self.hear(Input::Tick);
            }
            lines.extend(self.go());
            let wakes_again = self.wake.is_none_or(|wake| wake > self.now);
            assert!(wakes_again, "at {:?} it waits for {:?}, which has passed", self.now, self.wake);
        }
        self.now = until;
        self.hear(Input::Tick);
        lines.extend(self.go());
        lines
    }

    pub(crate) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// How many bytes of memory were read since this was asked last.
    pub(crate) const fn read_of_memory(&mut self) -> u64 {
        core::mem::replace(&mut self.read_of_memory, 0)
    }

    pub(crate) fn ending(&self) -> &Ending {
        assert!(self.finished, "the session has not finished");
        self.machine.end().expect("a session that has finished says how")
    }

    pub(crate) fn report(&self) -> Report {
        self.machine.course(self.now)
    }

    /// How the session ended, and what went wrong first.
    pub(crate) fn verdict(&self) -> (Outcome, Option<&str>) {
        let ending = self.ending();
        (ending.report.outcome, ending.failure.as_ref().map(|failure| failure.what.as_str()))
    }

    /// What was told as failed.
    pub(crate) fn failures(&self) -> Vec<&str> {
        self.events
            .iter()
            .filter_map(|event| if let EventKind::Failed { what, .. } = event { Some(what.as_str()) } else { None })
            .collect()
    }

    /// Whether it says that it is in doubt now.
    pub(crate) fn is_in_doubt(&self) -> bool {
        !self.finished && self.report().outcome == Outcome::InDoubt
    }

    /// The test answers this one itself.
    fn forget(&mut self, is_it: impl Fn(&Action) -> bool) -> Action {
        let place = self.withheld.iter().position(is_it);
        let place = place.unwrap_or_else(|| panic!("what is answered was not withheld: {:?}", self.withheld));
        self.withheld.remove(place)
    }

    fn answer(&mut self, action: Action) {
        let input = match action {
            Action::Call(object, call) => {
                let answer = self.devices[object.0 as usize].answer(call);
                Input::Called(object, call, Ok(answer))
            }
            Action::Track(tracker, call) => {
                let answer = tracks(&call);
                Input::Tracked(tracker, call, Ok(answer))
            }
            Action::Fill { object, chunk, len, .. } => {
                let all = Filled { len: len as usize, then: Then::More };
                let device = self.devices.get_mut(object.0 as usize);
                self.read_of_memory += if device.is_none() { u64::from(len) } else { 0 };
                let filled = device.map_or(all, |device| device.read(len));
                Input::Filled(object, chunk, Ok(filled))
            }
            Action::Place { object, chunk, .. } => Input::Placed(object, chunk, Ok(())),
            Action::Open(_) if self.mode == Mode::Connected => Input::Received(Message::Accepted, None),
            Action::Send(Message::Data { object, offset, len, .. }, Some(chunk)) => {
                self.hear(Input::Sent(chunk));
                if self.mode == Mode::OneWay {
                    return;
                }
                Input::Received(Message::Ack(object, offset + u64::from(len)), None)
            }
            Action::Send(Message::Data { object, initial_end: Some(generation), .. }, None)
                if self.mode == Mode::Connected =>
            {
                Input::Received(Message::InitialLoaded(object, generation), None)
            }
            Action::Hook(hook) => Input::Hooked(hook, Ok(())),
            Action::Commit => Input::Committed(Ok(())),
            _ => return,
        };
        self.hear(input);
    }
}

impl Device {
    fn answer(&mut self, call: DeviceCall) -> DeviceAnswer {
        match call {
            DeviceCall::State => DeviceAnswer::State { state: self.state, resets: None },
            DeviceCall::SetState(to) => {
                self.state = to;
                DeviceAnswer::Done { resets: None }
            }
            DeviceCall::Reset => {
                self.state = State::Running;
                DeviceAnswer::Done { resets: None }
            }
            DeviceCall::PreCopyInfo => DeviceAnswer::PreCopyInfo(self.info),
            DeviceCall::DataSize => DeviceAnswer::DataSize(Estimate::Known(self.left)),
        }
    }

    fn read(&mut self, most: u32) -> Filled {
        let stopped = self.state == State::StopCopy;
        let len = self.left.min(u64::from(most));
        self.left -= len;
        let then = match (len, stopped) {
            (0, false) => Then::Pause,
            (0, true) => Then::End,
            _ => Then::More,
        };
        Filled { len: usize::try_from(len).expect("a chunk fits into memory"), then }
    }
}

fn tracks(call: &TrackerCall) -> TrackerAnswer {
    match call {
        TrackerCall::Start { page_size, .. } => TrackerAnswer::Started(*page_size),
        TrackerCall::Report { range, page_size, .. } => TrackerAnswer::Dirty(Bitmap::new(range.length / page_size)),
        TrackerCall::Stop => TrackerAnswer::Stopped,
    }
}

/// An action as a line; `None` for what says nothing about the order.
fn line(action: &Action) -> Option<String> {
    Some(match action {
        Action::Call(_, DeviceCall::PreCopyInfo)
        | Action::Fill { .. }
        | Action::Send(Message::Alive | Message::Data { len: 1.., .. }, _)
        | Action::Release(_)
        | Action::Emit(_) => return None,
        Action::Call(Object(device), call) => format!("d{device}: {call}"),
        Action::Track(TrackerIndex(tracker), TrackerCall::Start { .. }) => format!("tracker {tracker}: start"),
        Action::Track(TrackerIndex(tracker), TrackerCall::Report { .. }) => format!("tracker {tracker}: report"),
        Action::Track(TrackerIndex(tracker), TrackerCall::Stop) => format!("tracker {tracker}: stop"),
        Action::Place { object: Object(object), offset, len, .. } => format!("d{object}: write {len} at {offset}"),
        Action::Open(_) => "opens".into(),
        Action::Send(Message::Ack(_, end), _) => format!("says ack {end}"),
        Action::Send(Message::InitialLoaded(_, generation), _) => format!("says initial-loaded {generation}"),
        Action::Send(message, _) => format!("says {}", message.name()),
        Action::Hook(Hook::Unpause(outcome)) => format!("hook unpause: {outcome}"),
        Action::Hook(hook) => format!("hook {hook}"),
        Action::Commit => "commits".into(),
        Action::Discard => "discards".into(),
        Action::Disconnect => "disconnects".into(),
    })
}
