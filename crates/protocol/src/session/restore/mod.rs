//! The destination's end of a migration.

mod back;
mod forward;
mod intake;
mod matching;
mod peer;

use core::time::Duration;

use super::course::Course;
use super::group::{Group, Settled};
use super::hook_call::HookCall;
use super::objects::{self, Listed, no_grace};
use super::{
    Action, Command, DeviceAnswer, DeviceCall, Ending, Failure, Fault, Input, NotNow, Object, Output, RestoreObject,
    RestoreOptions,
};
use crate::event::Phase;
use crate::report::{ObjectReport, Report, Side};
use crate::{CallError, EventKind};
use back::{Down, Fall};
use intake::Intake;
use peer::Peer;

/// The destination's end of a migration: a group of devices, and guest memory, arrive on this host.
///
/// ```text
///  waiting ─ reading ─ accepted ─ entering ─ loading ─ configuring ─ validating ─ loaded
///     │         │         │          │          │           │            │          │
///     └─────────┴─────────┴──────────┴── down ──┴───────────┴────────────┴──────────┤
///                          (refused, devices reset)                              in doubt
///                                                                                   │
///                           closing ─ taking over ─ running ─ grace ─ leaving ──────┤
///                                          └──────── fall ──────┴────────┴──────────┘
/// ```
///
/// Drive it as [`session`](super) says. In its calls, objects are numbered by the list that the session was made with;
/// in messages, by the stream's table. Until the first device is asked to leave stop, every failure is `refused`: the
/// source has the guest, and devices that entered resuming are reset. After that a failure is `failed`: devices go back
/// to stop and are kept until the two ends have settled who owns the guest.
#[derive(Debug)]
pub struct Restore {
    options: RestoreOptions,
    objects: Vec<RestoreObject>,
    course: Course,
    devices: Group,
    intake: Intake,
    peer: Peer,
    stage: Stage,
    hook: HookCall,
    /// A device was asked to leave stop towards running.
    has_left: bool,
    /// The caller was asked to let the guest run, so that it may have run.
    may_have_run: bool,
    ending: Option<Ending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    /// Nothing has come yet.
    Waiting,
    /// Devices are asked for their states.
    Reading,
    /// The offer fits; the source has not begun.
    Accepted,
    /// Devices enter resuming.
    Entering,
    Loading,
    /// The configure hook runs.
    Configuring,
    /// Devices that can go from resuming to stop, where drivers validate.
    Validating,
    Loaded,
    /// Devices that are in resuming still leave it.
    Leaving,
    /// Devices enter their grace states.
    Grace,
    /// Devices enter running.
    Running,
    /// The take-over hook runs.
    TakingOver,
    /// The guest runs here; the source closes first.
    Closing,
    /// Refused: devices are reset.
    Down(Down),
    /// Failed: devices go back to stop.
    Fall(Fall),
    InDoubt,
    Ended,
}

impl Restore {
    /// A session that takes exactly these objects.
    ///
    /// Fails with [`Fault::Usage`] where ids are missing or stand twice, where a device of an IOMMU group is left out that is
    /// open as well ([`Device::companions`](crate::Device::companions)), or where the P2P DMA of several devices cannot be
    /// quiesced and nobody said that there is none.
    pub fn new(options: RestoreOptions, objects: Vec<RestoreObject>) -> Result<Self, Failure> {
        let options = options.bounded();
        objects::check(&objects)?;
        if options.deadline.is_zero() {
            return Err(Failure::new(Fault::Usage, "a deadline of 0 would let nothing happen"));
        }
        let mut devices = Group::default();
        for (place, object) in (0..).zip(&objects) {
            if let RestoreObject::Device(device) = object {
                devices.add(Object(place), device);
            }
        }
        if let Some(member) = devices.lacks_grace().filter(|_| !options.no_p2p_traffic) {
            return Err(no_grace(&member.id));
        }
        Ok(Self {
            options,
            intake: Intake::new(objects.iter().map(|object| (object.id(), object.has_segments()))),
            objects,
            course: Course::new(Side::Restore),
            devices,
            peer: Peer::default(),
            stage: Stage::New,
            hook: HookCall::default(),
            has_left: false,
            may_have_run: false,
            ending: None,
        })
    }

    /// Takes note of what happened at `now`.
    pub fn handle_input(&mut self, now: Duration, input: Input) {
        self.course.now = self.course.now.max(now);
        match input {
            Input::Tick => {}
            Input::Called(object, call, answer) => self.called(object, call, answer),
            Input::Placed(object, chunk, answer) => {
                let connected = self.peer.connected;
                if let Err(error) = self.intake.placed(&mut self.course, object, chunk, answer, connected) {
                    let id = self.objects[object.0 as usize].id();
                    let fault = if self.devices.get(object).is_some() { Fault::Device } else { Fault::Memory };
                    // A write error is final, whatever the driver then says.
                    self.fail(Failure::of(fault, id, "writing its data failed", error));
                }
            }
            Input::Hooked(hook, answer) => self.hooked(hook, answer),
            Input::Opened(offer) => self.opened(&offer),
            Input::Received(message, chunk) => self.received(message, chunk),
            Input::Corrupt(fault, why) => self.corrupt(Failure::new(fault, why)),
            Input::Disconnected(why) => self.disconnected(why),
            Input::Tracked(..) | Input::Filled(..) | Input::Sent(_) | Input::Committed(_) => {
                debug_assert!(false, "a restore session never asked for this");
            }
        }
        self.watch_the_clock();
    }

    /// Follows a wish of the caller, or says why not.
    pub fn command(&mut self, now: Duration, command: Command) -> Result<(), NotNow> {
        self.course.now = self.course.now.max(now);
        match (command, self.stage) {
            (Command::Cancel(_), Stage::InDoubt | Stage::Closing) => Err(NotNow::TooLate),
            (_, Stage::Ended | Stage::Down(_) | Stage::Closing | Stage::Fall(_)) => Err(NotNow::Ending),
            (Command::Cancel(_), _) if self.has_left => Err(NotNow::TooLate),
            (Command::Cancel(why), _) => {
                self.fail(Failure::new(Fault::Cancelled, why));
                Ok(())
            }
            (Command::Claim, Stage::InDoubt) => {
                self.peer.given_up = true;
                self.take_over();
                Ok(())
            }
            (Command::Discard, Stage::InDoubt) => {
                self.discard();
                Ok(())
            }
            (Command::Claim | Command::Discard | Command::TakeBack { .. } | Command::Switchover, _) => {
                Err(NotNow::NotInDoubt)
            }
        }
    }

    /// What to do next.
    pub fn poll_output(&mut self, now: Duration) -> Output {
        self.course.now = self.course.now.max(now);
        loop {
            if let Some(action) = self.course.next_action() {
                if matches!(action, Action::Send(..)) {
                    self.peer.said_at = self.course.now;
                }
                return Output::Do(action);
            }
            if self.stage == Stage::Ended {
                return Output::Finished;
            }
            if !self.step() {
                return Output::Wait(self.next_wake());
            }
        }
    }

    /// The course so far, as of `now`.
    pub fn report(&self, now: Duration) -> Report {
        let describe = |(place, object): (u32, &RestoreObject)| {
            let bytes = self.intake.bytes(Object(place));
            match self.devices.get(Object(place)) {
                Some(member) => member.report(bytes),
                None => ObjectReport::of_memory(object.id().into(), bytes),
            }
        };
        let objects = (0..).zip(&self.objects).map(describe).collect();
        self.course.report(now, self.devices.outcome(), objects)
    }

    /// How it ended, once [`Output::Finished`] was said.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    fn called(&mut self, object: Object, call: DeviceCall, answer: Result<DeviceAnswer, CallError>) {
        match self.devices.answered(&mut self.course, object, call, answer) {
            Settled::Pending | Settled::Reached | Settled::DataSize | Settled::PreCopyInfo(_) => {}
            Settled::Failed { to, error } => self.change_failed(object, to, error),
            Settled::Unreadable(error) => {
                let id = self.objects[object.0 as usize].id();
                self.fail(Failure::of(Fault::Device, id, "its state cannot be read", error));
            }
            Settled::Reset => self.was_reset(object, Ok(())),
            Settled::ResetFailed(error) => self.was_reset(object, Err(error)),
        }
    }

    /// Whether no call, no write and no hook is outstanding.
    fn is_settled(&self) -> bool {
        self.devices.is_idle() && self.hook.is_idle() && self.intake.is_idle()
    }

    /// Deadlines of calls and of the peer.
    fn watch_the_clock(&mut self) {
        let (now, deadline) = (self.course.now, self.options.deadline);
        let mut late: Vec<(String, String)> = Vec::new();
        late.extend(self.devices.overdue(now, deadline).into_iter().map(|(id, call)| (id, call.to_string())));
        late.extend(self.intake.overdue(now, deadline).into_iter().map(|id| (id, "write".into())));
        late.extend(self.hook.overdue(now, deadline).map(|hook| (hook.to_string(), "hook".into())));
        for (object, call) in late {
            let what = format!("{object}: {call} has not returned within {} ms", deadline.as_millis());
            self.course.emit(EventKind::Overdue { object, call });
            self.is_overdue(Failure::new(Fault::Deadline, what));
        }
        self.watch_the_peer();
    }

    fn next_wake(&self) -> Option<Duration> {
        let deadline = self.options.deadline;
        let deadlines = [
            self.devices.next_deadline(deadline),
            self.intake.next_deadline(deadline),
            self.hook.next_deadline(deadline),
            self.peer_wake(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn end(&mut self) {
        self.intake.let_go(&mut self.course);
        self.course.act(Action::Disconnect);
        self.devices.conclude(&mut self.course);
        self.course.enter(Phase::Ended);
        self.stage = Stage::Ended;
        self.ending = Some(Ending { failure: self.course.failure.clone(), report: self.report(self.course.now) });
    }
}
