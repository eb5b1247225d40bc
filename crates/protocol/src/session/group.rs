use core::time::Duration;

use super::course::Course;
use super::{Action, DeviceAnswer, DeviceCall, DeviceObject, Failure, Fault, Object, Protocol};
use crate::event::Cause;
use crate::report::{ObjectReport, Outcome, Step};
use crate::{CallError, Capabilities, Estimate, EventKind, PreCopyInfo, State, Table};

/// The devices of a session: what each was asked, what it said, and where it is.
///
/// The rule "a failed request is followed by reading the state back, never by assuming it" lives here: whoever asks for
/// a state hears either that it was reached, or what failed *and* where the device says it is now.
#[derive(Debug, Default)]
pub(super) struct Group {
    members: Vec<Member>,
}

/// One device of a session.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) object: Object,
    pub(super) id: String,
    pub(super) table: Table,
    protocol: Protocol,
    capabilities: Capabilities,
    /// Where the session found it.
    pub(super) found: Option<State>,
    /// What it said last; `None` while that is not known, and when it cannot be read.
    pub(super) state: Option<State>,
    /// Whether it was ever asked to change.
    pub(super) touched: bool,
    /// Whether the way back has given it up, so that nothing more is asked of it.
    pub(super) given_up: bool,
    /// How it ended.
    pub(super) outcome: Option<Outcome>,
    pub(super) expected: Option<Estimate>,
    /// Restore: whether it had left resuming when `loaded` was said.
    pub(super) validated: Option<bool>,
    call: Option<Pending>,
    /// A call failed that said nothing about the state: it is read before the next request.
    doubt: Option<CallError>,
    walked: Vec<Step>,
    resets_asked: u64,
    resets_found: Option<u64>,
    resets_now: Option<u64>,
}

#[derive(Debug)]
struct Pending {
    call: DeviceCall,
    since: Duration,
    overdue: bool,
    cause: Cause,
    /// What failed, if this call reads the state back after it: a request for a state, or a reset (`None`).
    after: Option<(Option<State>, CallError)>,
    /// What is requested next, if this call reads the state before a request because it was in doubt.
    before: Option<(State, Cause, CallError)>,
}

/// What came of something that was asked of a device.
#[derive(Debug)]
pub(super) enum Settled {
    /// Not yet: the state is being read back.
    Pending,
    /// It is where it was asked to be, or its state was read.
    Reached,
    /// It refused. [`Member::state`] says where it is.
    Failed { to: State, error: CallError },
    /// Its state could not be read.
    Unreadable(CallError),
    /// It was reset.
    Reset,
    /// The reset failed.
    ResetFailed(CallError),
    /// To [`DeviceCall::PreCopyInfo`].
    PreCopyInfo(Result<PreCopyInfo, CallError>),
    /// To [`DeviceCall::DataSize`].
    DataSize,
}

impl Settled {
    fn failed(request: Option<State>, error: CallError) -> Self {
        match request {
            Some(to) => Self::Failed { to, error },
            None => Self::ResetFailed(error),
        }
    }
}

impl Group {
    pub(super) fn add(&mut self, object: Object, device: &DeviceObject) {
        self.members.push(Member {
            object,
            id: device.id.clone(),
            table: device.table,
            protocol: device.protocol,
            capabilities: device.capabilities,
            found: None,
            state: None,
            touched: false,
            given_up: false,
            outcome: None,
            expected: None,
            validated: None,
            call: None,
            doubt: None,
            walked: Vec::new(),
            resets_asked: 0,
            resets_found: None,
            resets_now: None,
        });
    }

    pub(super) fn iter(&self) -> core::slice::Iter<'_, Member> {
        self.members.iter()
    }

    pub(super) fn iter_mut(&mut self) -> core::slice::IterMut<'_, Member> {
        self.members.iter_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn get(&self, object: Object) -> Option<&Member> {
        self.members.iter().find(|member| member.object == object)
    }

    pub(super) fn get_mut(&mut self, object: Object) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.object == object)
    }

    /// Whether no device has a call outstanding.
    pub(super) fn is_idle(&self) -> bool {
        self.members.iter().all(|member| member.call.is_none())
    }

    /// Whether P2P DMA among the group could not be quiesced: several devices, and one without a grace state.
    pub(super) fn lacks_grace(&self) -> Option<&Member> {
        self.members.iter().find(|member| self.len() > 1 && member.table.grace(State::Running).is_none())
    }

    /// Asks every device for its state, for the first time.
    pub(super) fn read_states(&mut self, course: &mut Course) {
        for member in &mut self.members {
            member.ask(course, DeviceCall::State, Cause::Found);
        }
    }

    /// Asks every device that was ever asked to change for its state: where a way back begins, nothing is assumed.
    pub(super) fn read_states_again(&mut self, course: &mut Course) {
        for member in self.members.iter_mut().filter(|member| member.touched) {
            member.ask(course, DeviceCall::State, Cause::Failure);
        }
    }

    /// A barrier: asks each device for the state that `to` names, if it names one and the device is not there. A device
    /// without a path to it is a failure: a session does not go on without one of its devices.
    pub(super) fn request_all(
        &mut self,
        course: &mut Course,
        cause: Cause,
        to: impl Fn(&Member) -> Option<State>,
    ) -> Result<(), Failure> {
        let stuck = |member: &&Member| to(member).is_some_and(|to| !member.can_reach(to));
        if let Some((member, to)) = self.members.iter().find(stuck).and_then(|member| Some((member, to(member)?))) {
            return Err(member.is_stuck(to));
        }
        for member in &mut self.members {
            if let Some(to) = to(member).filter(|to| Some(*to) != member.state) {
                member.request(course, to, cause);
            }
        }
        Ok(())
    }

    /// Devices whose outstanding call has just passed the deadline.
    pub(super) fn overdue(&mut self, now: Duration, deadline: Duration) -> Vec<(String, DeviceCall)> {
        let mut late = Vec::new();
        for member in &mut self.members {
            if let Some(pending) =
                member.call.as_mut().filter(|pending| !pending.overdue && now >= pending.since + deadline)
            {
                pending.overdue = true;
                late.push((member.id.clone(), pending.call));
            }
        }
        late
    }

    /// When the next outstanding call passes the deadline.
    pub(super) fn next_deadline(&self, deadline: Duration) -> Option<Duration> {
        let pending = self.members.iter().filter_map(|member| member.call.as_ref());
        pending.filter(|pending| !pending.overdue).map(|pending| pending.since + deadline).min()
    }

    /// The worst outcome; completed where there is no device.
    pub(super) fn outcome(&self) -> Outcome {
        self.members.iter().filter_map(|member| member.outcome).max().unwrap_or(Outcome::Completed)
    }

    /// The end: tells the observer how it went for each device.
    pub(super) fn conclude(&self, course: &mut Course) {
        for member in &self.members {
            let outcome = member.outcome.unwrap_or(Outcome::Lost);
            course.emit(EventKind::Ended { device: member.id.clone(), outcome, state: member.state });
        }
    }

    /// Takes note of an answer and says what it means for the session.
    pub(super) fn answered(
        &mut self,
        course: &mut Course,
        object: Object,
        call: DeviceCall,
        answer: Result<DeviceAnswer, CallError>,
    ) -> Settled {
        let member = self.get_mut(object).expect("a call is answered for the device it was made to");
        let pending = member.call.take().expect("a call is answered once");
        debug_assert_eq!(pending.call, call, "calls to a device are answered in order");
        member.settle(course, pending, answer)
    }
}

impl Member {
    /// Makes a call; there is never more than one outstanding.
    pub(super) fn ask(&mut self, course: &mut Course, call: DeviceCall, cause: Cause) {
        debug_assert!(self.call.is_none(), "a device is asked one thing at a time");
        self.call = Some(Pending { call, since: course.now, overdue: false, cause, after: None, before: None });
        course.act(Action::Call(self.object, call));
    }

    /// Whether the table has a path there.
    pub(super) fn can_reach(&self, to: State) -> bool {
        self.state.is_some_and(|from| self.table.path(from, to).is_ok())
    }

    /// Asks for a state, if the table has a path there: an illegal arc is never asked for.
    pub(super) fn request(&mut self, course: &mut Course, to: State, cause: Cause) {
        if !self.can_reach(to) {
            return;
        }
        self.touched = true;
        match self.doubt.take() {
            None => self.ask(course, DeviceCall::SetState(to), cause),
            Some(error) => {
                self.ask(course, DeviceCall::State, Cause::Failure);
                if let Some(pending) = &mut self.call {
                    pending.before = Some((to, cause, error));
                }
            }
        }
    }

    /// The table has no path there.
    pub(super) fn is_stuck(&self, to: State) -> Failure {
        let state = self.state.map_or_else(|| "unreadable".into(), |state| state.to_string());
        let what = format!("it is in {state}, from where no arc leads to {to} on this device");
        Failure { fault: Fault::Device, what, object: Some(self.id.clone()), error: None }
    }

    pub(super) fn reset(&mut self, course: &mut Course) {
        self.touched = true;
        self.ask(course, DeviceCall::Reset, Cause::Back);
    }

    /// Whether it refused to leave resuming for stop, and may: some region devices leave it only towards running.
    pub(super) fn may_stay_in_resuming(&self) -> bool {
        self.state == Some(State::Resuming) && !self.table.must(State::Resuming, State::Stop)
    }

    /// Whether it runs, and has to stop on its way back.
    pub(super) fn stops_on_its_way_back(&self) -> bool {
        let way = self.state.zip(self.found);
        self.touched && !self.given_up && way.is_some_and(|(state, found)| self.table.stops_between(state, found))
    }

    /// Whether the device says it neither runs nor is broken: what a destination must be able to say when it refuses.
    pub(super) fn is_at_rest(&self) -> bool {
        matches!(self.state, Some(State::Stop | State::Resuming))
    }

    pub(super) fn failed(&self, doing: &str, error: CallError) -> Failure {
        let now = self.state.map_or_else(|| "its state cannot be read".into(), |state| format!("it is in {state} now"));
        Failure::of(Fault::Device, &self.id, format!("{doing} failed; {now}"), error)
    }

    fn settle(&mut self, course: &mut Course, pending: Pending, answer: Result<DeviceAnswer, CallError>) -> Settled {
        let took = course.now.saturating_sub(pending.since);
        match (pending.call, answer) {
            (DeviceCall::State, Ok(DeviceAnswer::State { state, resets })) => {
                self.resets_found = self.resets_found.or(resets);
                self.resets_now = resets.or(self.resets_now);
                let cause = if pending.after.is_some() { Cause::Failure } else { pending.cause };
                if self.found.is_none() {
                    self.found = Some(state);
                }
                self.arrive(course, &[state], took, cause);
                self.doubt = None;
                match (pending.after, pending.before) {
                    (Some((request, error)), _) => Settled::failed(request, error),
                    (None, Some((to, cause, _))) if self.can_reach(to) => {
                        self.ask(course, DeviceCall::SetState(to), cause);
                        Settled::Pending
                    }
                    (None, Some((to, _, error))) => Settled::Failed { to, error },
                    (None, None) => Settled::Reached,
                }
            }
            (DeviceCall::State, Err(error)) => {
                self.state = None;
                match (pending.after, pending.before) {
                    (Some((request, error)), _) => Settled::failed(request, error),
                    (None, Some((to, ..))) => Settled::Failed { to, error },
                    (None, None) => Settled::Unreadable(error),
                }
            }
            (DeviceCall::SetState(to), Ok(DeviceAnswer::Done { resets })) => {
                self.resets_now = resets.or(self.resets_now);
                let path = self.state.and_then(|from| self.table.path(from, to).ok()).unwrap_or_else(|| vec![to]);
                self.arrive(course, &path, took, pending.cause);
                Settled::Reached
            }
            (DeviceCall::SetState(to), Err(error)) => self.read_back(course, Some(to), error),
            (DeviceCall::Reset, Ok(DeviceAnswer::Done { resets })) => {
                self.resets_asked += 1;
                self.resets_now = resets.or(self.resets_now);
                course.emit(EventKind::Reset { device: self.id.clone(), now: Some(State::Running) });
                self.arrive(course, &[State::Running], took, pending.cause);
                Settled::Reset
            }
            (DeviceCall::Reset, Err(error)) => {
                self.resets_asked += 1;
                course.emit(EventKind::Reset { device: self.id.clone(), now: None });
                self.read_back(course, None, error)
            }
            (DeviceCall::PreCopyInfo, Ok(DeviceAnswer::PreCopyInfo(info))) => Settled::PreCopyInfo(Ok(info)),
            (DeviceCall::PreCopyInfo, Err(error)) => {
                self.doubt = Some(error.clone());
                Settled::PreCopyInfo(Err(error))
            }
            (DeviceCall::DataSize, Ok(DeviceAnswer::DataSize(size))) => {
                self.expected = Some(size);
                Settled::DataSize
            }
            (DeviceCall::DataSize, Err(error)) => {
                self.doubt = Some(error);
                self.expected = Some(Estimate::Unknown);
                Settled::DataSize
            }
            (call, Ok(answer)) => unreachable!("the driver answered {call} with {answer:?}"),
        }
    }

    fn read_back(&mut self, course: &mut Course, request: Option<State>, error: CallError) -> Settled {
        let (call, cause, after) = (DeviceCall::State, Cause::Failure, Some((request, error)));
        self.call = Some(Pending { call, since: course.now, overdue: false, cause, after, before: None });
        course.act(Action::Call(self.object, call));
        Settled::Pending
    }

    fn arrive(&mut self, course: &mut Course, path: &[State], took: Duration, cause: Cause) {
        let from = self.state;
        for state in path.iter().copied() {
            if self.walked.last().is_none_or(|step| step.state != state) {
                self.walked.push(Step { state, at: course.now });
            }
            self.state = Some(state);
        }
        if self.state != from
            && let Some(to) = self.state
        {
            course.emit(EventKind::State { device: self.id.clone(), from, to, took, cause });
        }
    }

    pub(super) fn report(&self, bytes: u64) -> ObjectReport {
        let counted = self.resets_found.zip(self.resets_now).map(|(found, now)| now.saturating_sub(found));
        ObjectReport {
            id: self.id.clone(),
            protocol: Some(self.protocol),
            capabilities: Some(self.capabilities),
            outcome: self.outcome,
            state: self.state,
            bytes,
            walked: self.walked.clone(),
            resets: counted.unwrap_or(self.resets_asked),
            resets_counted_by_device: counted.is_some(),
            expected: self.expected,
            validated: self.validated,
        }
    }
}
