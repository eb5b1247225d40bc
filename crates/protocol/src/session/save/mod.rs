//! The source's end of a migration.

mod back;
mod clock;
mod flow;
mod forward;
mod peer;
mod trackers;

use core::time::Duration;

use super::course::Course;
use super::group::{Group, Settled};
use super::hook_call::HookCall;
use super::objects::{self, Listed, is_whole, no_grace};
use super::{
    Action, Command, DeviceAnswer, DeviceCall, DeviceObject, Ending, Failure, Fault, Input, Mode, NotNow, Object,
    ObjectDescription, ObjectKind, Offer, Output, SaveObject, SaveOptions, Then, TrackerAnswer, TrackerCall,
    TrackerIndex,
};
use crate::event::Phase;
use crate::report::{ObjectReport, Report, Side};
use crate::{CallError, Errno, Estimate, EventKind, Outcome, State};
use back::Back;
use flow::Flow;
use peer::{Peer, Sink};
use trackers::Trackers;

/// The source's end of a migration: a group of devices, and guest memory, leave this host.
///
/// ```text
///  reading ─ sizing ─ offered ─ trackers ─ entering ─ pre-copy ─ pausing ─ grace ─ stopping ─ reports ─ draining
///     │         │        │         │          │          │          │        │        │          │         │
///     └─────────┴────────┴─────────┴──────────┴── back ──┴──────────┴────────┴────────┴──────────┴─────────┤
///                                                                        one-way: committing ──────────────┤
///  ended ─ untracking ─ finishing ─ given up ─────────────────────────────────────────── loaded ───────────┘
///                           └── in doubt ──┘
/// ```
///
/// Drive it as [`session`](super) says. Until [`Message::GivenUp`](super::Message::GivenUp) was sent (one-way: until the
/// commit) every failure leads back: all devices end where the session found them, and the guest goes on.
#[derive(Debug)]
pub struct Save {
    options: SaveOptions,
    session: [u8; 16],
    objects: Vec<SaveObject>,
    course: Course,
    devices: Group,
    flow: Flow,
    trackers: Trackers,
    peer: Peer,
    sink: Sink,
    stage: Stage,
    pause: Pause,
    /// The caller wants the switchover now.
    requested: bool,
    /// Pre-copy began.
    pre_copy_since: Duration,
    hook: HookCall,
    /// What the session came to, where that does not follow from the devices' states.
    verdict: Option<Outcome>,
    ending: Option<Ending>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    /// Devices are asked for their states.
    Reading,
    /// Devices are asked how much they would give.
    Sizing,
    /// The destination compares passports.
    Offered,
    /// Trackers start.
    Trackers,
    /// Devices enter pre-copy.
    Entering,
    PreCopy,
    /// The pause hook runs.
    Pausing,
    /// Devices enter their grace states.
    Grace,
    /// Devices enter stop-copy.
    Stopping,
    /// Trackers are read for the last time.
    Reports,
    Draining,
    /// One-way: the stream is made to last.
    Committing,
    /// All was sent.
    Loaded,
    GivenUp,
    InDoubt,
    /// In doubt, and the destination was asked to withdraw.
    Withdrawing,
    /// Devices go from stop-copy to stop.
    Finishing,
    Untracking,
    Back(Back),
    Ended,
}

/// Whether the guest was asked to pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    No,
    /// The hook was called.
    Asked,
    /// It has returned, and no vCPU runs.
    Done,
    /// It has returned with an error.
    Failed,
}

impl Save {
    /// A session over these objects, with a random `session` id.
    ///
    /// Fails with [`Fault::Usage`] where the options or the objects contradict each other, where a device of an IOMMU group
    /// is left out that is open as well ([`Device::companions`](crate::Device::companions)), or where the P2P DMA of several
    /// devices cannot be quiesced and nobody said that there is none: nothing was changed then.
    pub fn new(options: SaveOptions, session: [u8; 16], objects: Vec<SaveObject>) -> Result<Self, Failure> {
        let options = options.bounded();
        check(&options)?;
        objects::check(&objects)?;
        objects::check_pages(&objects, options.chunk)?;
        let mut devices = Group::default();
        let mut trackers = Trackers::default();
        let mut flow = Flow::new(options.chunk, options.depth, options.rate, options.mode == Mode::Connected);
        for (place, object) in (0..).zip(&objects) {
            match object {
                SaveObject::Device(device) => {
                    devices.add(Object(place), device);
                    flow.add_device(device.id.clone());
                }
                SaveObject::Memory { id, range, page_size, trackers: watched_by } => {
                    for tracker in watched_by {
                        trackers.watch(*tracker, *range, *page_size);
                    }
                    flow.add_memory(id.clone(), *range, *page_size, watched_by.clone());
                }
            }
        }
        if let Some(member) = devices.lacks_grace().filter(|_| !options.no_p2p_traffic) {
            return Err(no_grace(&member.id));
        }
        Ok(Self {
            options,
            session,
            objects,
            course: Course::new(Side::Save),
            devices,
            flow,
            trackers,
            peer: Peer::default(),
            sink: Sink::default(),
            stage: Stage::New,
            pause: Pause::No,
            requested: false,
            pre_copy_since: Duration::ZERO,
            hook: HookCall::default(),
            verdict: None,
            ending: None,
        })
    }

    /// Takes note of what happened at `now`.
    pub fn handle_input(&mut self, now: Duration, input: Input) {
        self.course.now = self.course.now.max(now);
        match input {
            Input::Tick => {}
            Input::Called(object, call, answer) => self.called(object, call, answer),
            Input::Tracked(tracker, call, answer) => self.tracked(tracker, call, answer),
            Input::Filled(object, chunk, answer) => {
                let filled = self.flow.filled(&mut self.course, object, chunk, answer, self.options.poll_interval);
                if let Err(error) = filled {
                    self.read_failed(object, error);
                }
            }
            Input::Sent(chunk) => self.flow.written(&mut self.course, chunk),
            Input::Hooked(hook, answer) => self.hooked(hook, answer),
            Input::Committed(answer) => {
                self.sink.committing = None;
                self.committed(answer);
            }
            Input::Received(message, _) => self.received(message),
            Input::Corrupt(fault, why) => self.peer_failed(Failure::new(fault, why)),
            Input::Disconnected(why) => self.disconnected(why),
            Input::Placed(..) | Input::Opened(_) => {
                debug_assert!(false, "a save session never asked for this");
            }
        }
        self.watch_the_clock();
    }

    /// Follows a wish of the caller, or says why not.
    pub fn command(&mut self, now: Duration, command: Command) -> Result<(), NotNow> {
        self.course.now = self.course.now.max(now);
        match (command, self.stage) {
            (
                Command::Cancel(_) | Command::Switchover,
                Stage::Committing
                | Stage::GivenUp
                | Stage::InDoubt
                | Stage::Withdrawing
                | Stage::Finishing
                | Stage::Untracking,
            ) => Err(NotNow::TooLate),
            (_, Stage::Ended | Stage::Back(_) | Stage::Finishing | Stage::Untracking) => Err(NotNow::Ending),
            (Command::Cancel(why), _) => {
                self.go_back(Failure::new(Fault::Cancelled, why));
                Ok(())
            }
            (Command::Switchover, _) => {
                self.requested = true;
                Ok(())
            }
            (Command::TakeBack { force }, Stage::InDoubt | Stage::Withdrawing) => {
                self.take_back(force);
                Ok(())
            }
            (Command::Discard, Stage::InDoubt) => {
                // The caller has settled what was in doubt.
                self.course.failure = None;
                self.finish(Outcome::Completed);
                Ok(())
            }
            (Command::TakeBack { .. } | Command::Discard | Command::Claim, _) => Err(NotNow::NotInDoubt),
        }
    }

    /// What to do next.
    pub fn poll_output(&mut self, now: Duration) -> Output {
        self.course.now = self.course.now.max(now);
        loop {
            if let Some(action) = self.course.next_action() {
                if matches!(action, Action::Send(..)) {
                    self.peer.said(self.course.now);
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
        let describe = |(object, source): (&SaveObject, &flow::Source)| match self.devices.get(source.object()) {
            Some(member) => member.report(source.bytes),
            None => ObjectReport::of_memory(object.id().into(), source.bytes),
        };
        let objects = self.objects.iter().zip(&self.flow.objects).map(describe).collect();
        self.course.report(now, self.devices.outcome(), objects)
    }

    /// How it ended, once [`Output::Finished`] was said.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    fn is_connected(&self) -> bool {
        self.options.mode == Mode::Connected
    }

    fn offer(&self) -> Offer {
        let describe = |object: &SaveObject, place: u32| match object.clone() {
            SaveObject::Device(DeviceObject { id, protocol, capabilities, passport, .. }) => ObjectDescription {
                id,
                kind: ObjectKind::Device { protocol, capabilities, passport },
                size: self.devices.get(Object(place)).and_then(|member| member.expected).unwrap_or(Estimate::Unknown),
            },
            SaveObject::Memory { id, range, .. } => ObjectDescription {
                id,
                kind: ObjectKind::Memory { iova: range.iova },
                size: Estimate::Known(range.length),
            },
        };
        let objects = (0..).zip(&self.objects).map(|(place, object)| describe(object, place)).collect();
        Offer { session: self.session, mode: self.options.mode, chunk: self.options.chunk, objects }
    }

    fn called(&mut self, object: Object, call: DeviceCall, answer: Result<DeviceAnswer, CallError>) {
        match self.devices.answered(&mut self.course, object, call, answer) {
            Settled::Pending => {}
            Settled::DataSize => {
                let size = self.devices.get(object).and_then(|member| member.expected);
                self.flow.device_expects(object, size.unwrap_or(Estimate::Unknown));
            }
            Settled::Reached => {
                if self.stage == Stage::Entering {
                    self.flow.device_enters_pre_copy(object);
                }
            }
            Settled::PreCopyInfo(info) => {
                // Estimates that cannot be had are unknown; a device that is really gone shows in its reads.
                self.flow.informed(&mut self.course, object, info.ok(), self.options.poll_interval);
            }
            Settled::Failed { to, error } => self.change_failed(object, to, error),
            Settled::Unreadable(error) => self.unreadable(object, error),
            Settled::Reset => self.was_reset(object, true),
            Settled::ResetFailed(error) => {
                let failure = self.devices.get(object).expect("a device").failed("the reset", error);
                self.course.fail(failure);
                self.was_reset(object, false);
            }
        }
    }

    fn tracked(&mut self, tracker: TrackerIndex, call: TrackerCall, answer: Result<TrackerAnswer, CallError>) {
        self.trackers.answered(self.course.now, tracker);
        match (call, answer) {
            (TrackerCall::Start { ranges, .. }, Ok(TrackerAnswer::Started(page_size)))
                if page_size.is_power_of_two() && ranges.iter().all(|range| is_whole(*range, page_size)) =>
            {
                self.trackers.logs(tracker, Some(page_size));
            }
            (TrackerCall::Start { .. }, answer) => {
                let odd = || CallError::because(Errno::EINVAL, "guest memory is no whole number of its pages");
                let what = "starting it failed; no device was asked for anything yet";
                let id = format!("tracker {}", tracker.0);
                self.fail(Failure::of(Fault::Memory, &id, what, answer.err().unwrap_or_else(odd)));
            }
            (TrackerCall::Report { memory, page_size, range }, Ok(TrackerAnswer::Dirty(bits)))
                if bits.pages() >= range.length.div_ceil(page_size) =>
            {
                let bits = Some((&bits, page_size));
                self.flow.reported(self.course.now, memory, bits, self.options.poll_interval);
            }
            (TrackerCall::Report { memory, .. }, answer) => {
                let why =
                    answer.err().map_or_else(|| "it gave no bitmap of the range".into(), |error| error.to_string());
                self.flow.reported(self.course.now, memory, None, self.options.poll_interval);
                if self.trackers.is_logging(tracker) {
                    self.trackers.logs(tracker, None);
                    self.course.emit(EventKind::TrackerLost { tracker: tracker.0, why });
                }
                self.flow.tracker_lost(tracker);
            }
            (TrackerCall::Stop, Err(error)) => {
                let id = format!("tracker {}", tracker.0);
                let what = format!("stopping it failed: {error}");
                self.course.emit(EventKind::Failed { object: Some(id), what });
            }
            (TrackerCall::Stop, Ok(_)) => {}
        }
    }

    fn end(&mut self) {
        self.course.act(Action::Disconnect);
        self.devices.conclude(&mut self.course);
        self.course.enter(Phase::Ended);
        self.stage = Stage::Ended;
        self.ending = Some(Ending { failure: self.course.failure.clone(), report: self.report(self.course.now) });
    }
}

/// Whether a device may be taken in this state.
pub(super) fn is_free(state: Option<State>) -> bool {
    matches!(state, Some(State::Running | State::RunningP2p | State::Stop))
}

/// What the options of a session must be before anything is done.
fn check(options: &SaveOptions) -> Result<(), Failure> {
    let usage = |what: String| Err(Failure::new(Fault::Usage, what));
    if !(super::MIN_CHUNK..=super::MAX_CHUNK).contains(&options.chunk) {
        return usage(format!("a chunk of {} bytes: 4 KiB to 64 MiB can be", options.chunk));
    }
    if options.depth == 0 || options.depth > super::MAX_DEPTH {
        return usage(format!("a depth of {}: 1 to {} can be", options.depth, super::MAX_DEPTH));
    }
    if options.rate == Some(0) || options.deadline.is_zero() {
        return usage("a rate or a deadline of 0 would let nothing happen; leave the rate out for no limit".into());
    }
    Ok(())
}
