use vfio_migration_protocol::region::StateBits;
use vfio_migration_protocol::{
    CallError, Capabilities, Device, Errno, Estimate, Filled, Passport, PreCopyInfo, Protocol, State, Table, Then,
};

use super::{Model, Session};
use crate::calls::CallKind;
use crate::fault::{Effect, Wrong};
use crate::load::Load;
use crate::log::planned;
use crate::save::{Save, Source};

/// What the fault plan does to the rest of a call.
#[derive(Default)]
pub(super) struct Plan {
    /// The call fails after so many arcs or bytes.
    pub(super) fails: Option<(Errno, u64)>,
    short: Option<usize>,
    pub(super) wrong: Option<Wrong>,
    pub(super) flip: bool,
}

impl Device for Model {
    fn passport(&self) -> &Passport {
        &self.passport
    }

    fn capabilities(&self) -> Capabilities {
        match self.region {
            // A region device has pre-copy even if it gives no data there.
            Some(_) => self.settings.capabilities | Capabilities::PRE_COPY,
            None => self.settings.capabilities,
        }
    }

    fn protocol(&self) -> Protocol {
        self.settings.protocol()
    }

    fn table(&self) -> Table {
        self.table
    }

    fn state(&mut self) -> Result<State, CallError> {
        self.call(CallKind::State, None, |model, plan| match plan.fails {
            Some((errno, _)) => Err(planned(errno)),
            None => Ok(model.state),
        })
    }

    fn set_state(&mut self, to: State) -> Result<(), CallError> {
        self.call(CallKind::SetState, Some(to), |model, plan| model.walk(to, plan.fails))
    }

    fn reset(&mut self) -> Result<(), CallError> {
        self.call(CallKind::Reset, None, |model, plan| {
            model.resets += 1;
            model.end_session();
            model.renew();
            model.enter(State::Running);
            if let Some(region) = &mut model.region {
                region.found_in(StateBits::DEFAULT);
            }
            plan.fails.map_or(Ok(()), |(errno, _)| Err(planned(errno)))
        })
    }

    fn read(&mut self, into: &mut [u8]) -> Result<Filled, CallError> {
        self.call(CallKind::Read, None, |model, plan| {
            let most = limit(into.len(), plan);
            let filled = model.read_data(&mut into[..most])?;
            if let Some(byte) = into[..filled.len].get_mut(filled.len / 2).filter(|_| plan.flip) {
                *byte ^= 1;
            }
            // Bytes that were read before the error are gone.
            plan.fails.map_or(Ok(filled), |(errno, _)| Err(planned(errno)))
        })
    }

    fn write(&mut self, data: &[u8], _segment_end: bool) -> Result<usize, CallError> {
        let last = matches!(&self.session, Session::Load(load) if load.is_ended_by(data));
        self.call_of(CallKind::Write, last, None, |model, plan| {
            let most = limit(data.len(), plan);
            model.write_data(&data[..most], plan.flip)?;
            plan.fails.map_or(Ok(most), |(errno, _)| Err(planned(errno)))
        })
    }

    fn pre_copy_info(&mut self) -> Result<PreCopyInfo, CallError> {
        self.call(CallKind::PreCopyInfo, None, |model, plan| {
            let info = model.info()?;
            let wrong = |estimate| PreCopyInfo { initial: estimate, dirty: estimate, reinit: info.reinit };
            let info = match plan.wrong {
                _ if model.stuck_info.is_some() => model.stuck_info.unwrap_or(info),
                Some(Wrong::Stuck) => *model.stuck_info.insert(info),
                Some(Wrong::Unknown) => wrong(Estimate::Unknown),
                Some(Wrong::Zero) => wrong(Estimate::Known(0)),
                Some(Wrong::Huge) => wrong(Estimate::Known(HUGE)),
                None => info,
            };
            plan.fails.map_or(Ok(info), |(errno, _)| Err(planned(errno)))
        })
    }

    fn data_size(&mut self) -> Result<Estimate, CallError> {
        self.call(CallKind::DataSize, None, |model, plan| {
            let size = Estimate::Known(model.left());
            let size = match plan.wrong {
                _ if model.stuck_size.is_some() => model.stuck_size.unwrap_or(size),
                Some(Wrong::Stuck) => *model.stuck_size.insert(size),
                Some(Wrong::Unknown) => Estimate::Unknown,
                Some(Wrong::Zero) => Estimate::Known(0),
                Some(Wrong::Huge) => Estimate::Known(HUGE),
                None => size,
            };
            plan.fails.map_or(Ok(size), |(errno, _)| Err(planned(errno)))
        })
    }

    fn resets(&self) -> Option<u64> {
        Some(self.resets)
    }
}

/// The largest estimate that is not an errno in the wrong field, and that nobody can have.
pub(super) const HUGE: u64 = 1 << 62;

impl Model {
    /// Does one call: counts it, lets the fault plan have its way, keeps the answer.
    fn call<T>(
        &mut self,
        kind: CallKind,
        to: Option<State>,
        work: impl FnOnce(&mut Self, &Plan) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        self.call_of(kind, false, to, work)
    }

    /// The same of a call that may be the last of its kind.
    fn call_of<T>(
        &mut self,
        kind: CallKind,
        last: bool,
        to: Option<State>,
        work: impl FnOnce(&mut Self, &Plan) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let answer = self.plan_of(kind, last).and_then(|plan| match self.region {
            // VFIO_DEVICE_FEATURE is unknown to it, and so are data fds.
            Some(_) if kind != CallKind::Reset => Err(no_feature()),
            _ => work(self, &plan),
        });
        self.recorder.end(kind, to, &answer);
        answer
    }

    /// What goes wrong with a call, before anything else is done.
    pub(super) fn plan(&mut self, kind: CallKind) -> Result<Plan, CallError> {
        self.plan_of(kind, false)
    }

    fn plan_of(&mut self, kind: CallKind, last: bool) -> Result<Plan, CallError> {
        let mut plan = Plan::default();
        let mut refused = None;
        for effect in self.recorder.begin(kind, last) {
            match effect {
                Effect::Fails { errno, after: 0 } => refused = Some(errno),
                Effect::Fails { errno, after } => plan.fails = Some((errno, after)),
                Effect::Error => {
                    self.enter_error();
                    let tells = matches!(kind, CallKind::State | CallKind::ReadDeviceState);
                    refused = refused.or((!tells).then_some(Errno::EIO));
                }
                Effect::Short(bytes) => plan.short = Some(bytes),
                Effect::Delay(time) => self.delay = self.delay.saturating_add(time),
                Effect::Estimate(wrong) => plan.wrong = Some(wrong),
                Effect::Discard => {
                    if let Session::Load(load) = &mut self.session {
                        load.discard();
                    }
                }
                Effect::Flip => plan.flip = true,
                Effect::Rot => self.rot = true,
                Effect::LostPage => {}
            }
        }
        refused.map_or(Ok(plan), |errno| Err(planned(errno)))
    }

    /// `vfio_mig_get_next_state` until the device is there, as every driver does. `fails` ends it after so many arcs.
    fn walk(&mut self, to: State, fails: Option<(Errno, u64)>) -> Result<(), CallError> {
        let mut arcs = 0;
        let mut opened = false;
        while self.state != to {
            if let Some((errno, after)) = fails
                && arcs == after
            {
                return Err(planned(errno));
            }
            let next = self.table.next(self.state, to);
            let next = next.map_err(|refusal| CallError::because(Errno::EINVAL, refusal.to_string()))?;
            opened |= self.arc(next)?;
            arcs += 1;
        }
        let Some((errno, _)) = fails else { return Ok(()) };
        // Without a free number for the data fd the state is reached and the fd is lost.
        if opened && matches!(errno, Errno::EMFILE | Errno::ENFILE) {
            self.session = Session::None;
        }
        Err(planned(errno))
    }

    /// One arc; says whether it opened a data fd.
    fn arc(&mut self, to: State) -> Result<bool, CallError> {
        use State::{PreCopy, PreCopyP2p, Resuming, Running, RunningP2p, Stop, StopCopy};
        if self.state.is_running() && !to.is_running() {
            self.finish_writes();
        }
        let opened = match (self.state, to) {
            (Stop, Resuming) => Some(Session::Load(Box::new(self.new_load()))),
            (Stop, StopCopy) | (Running, PreCopy) | (RunningP2p, PreCopyP2p) => {
                Some(Session::Save(Box::new(Save::new(&self.settings, self.contents.pages()))))
            }
            _ => None,
        };
        match (self.state, to) {
            (Resuming, Stop) => self.finish_load()?,
            (StopCopy, Stop) | (PreCopy, Running) | (PreCopyP2p, RunningP2p) => self.end_session(),
            _ => {}
        }
        let opens = opened.is_some();
        if let Some(session) = opened {
            self.session = session;
        }
        self.enter(to);
        Ok(opens)
    }

    pub(super) fn new_load(&self) -> Load {
        Load::new(self.contents.pages(), self.settings.empty_stream)
    }

    /// Resuming to stop: all is validated here at the latest, and the device stays in resuming if it is not right.
    pub(super) fn finish_load(&mut self) -> Result<(), CallError> {
        // A data fd that was lost brought nothing.
        let nothing = self.new_load();
        let load = if let Session::Load(load) = &self.session { load } else { &nothing };
        if !load.is_discarding() {
            let registers = load.finish()?;
            self.registers = registers.unwrap_or(self.registers);
        }
        if self.notes_ends {
            self.loaded = Some(self.held());
        }
        if core::mem::take(&mut self.rot) {
            self.damage();
        }
        self.end_session();
        Ok(())
    }

    fn damage(&mut self) {
        if self.contents.pages() > 0 {
            self.contents.change(self.contents.pages() / 2);
        } else if let Some(last) = self.registers.last_mut() {
            *last ^= 1;
        }
    }

    pub(super) fn enter(&mut self, state: State) {
        self.state = state;
        self.recorder.enter(state);
        self.port.enter(state);
    }

    pub(super) fn enter_error(&mut self) {
        self.end_session();
        self.enter(State::Error);
        if let Some(region) = &mut self.region {
            region.found_in(StateBits::ERROR);
        }
    }

    pub(super) fn end_session(&mut self) {
        if matches!(self.session, Session::Save(_) | Session::Load(_)) {
            self.session = Session::Ended;
        }
    }

    fn read_data(&mut self, into: &mut [u8]) -> Result<Filled, CallError> {
        let source = Source { contents: &self.contents, registers: &self.registers };
        let save = match &mut self.session {
            Session::Save(save) => save,
            other => return Err(no_data(other)),
        };
        let stopped = self.state == State::StopCopy;
        let empty = into.is_empty();
        let then = match save.read(&source, stopped, into) {
            0 if empty => (0, Then::More),
            0 if stopped => (0, Then::End),
            0 => (0, Then::Pause),
            len => (len, Then::More),
        };
        if then.1 == Then::End && self.notes_ends {
            self.saved = Some(self.held());
        }
        Ok(Filled { len: then.0, then: then.1 })
    }

    fn write_data(&mut self, data: &[u8], flip: bool) -> Result<(), CallError> {
        let load = match &mut self.session {
            Session::Load(load) => load,
            other => return Err(no_data(other)),
        };
        match data.get(data.len() / 2).filter(|_| flip) {
            Some(byte) => {
                let (before, after) = data.split_at(data.len() / 2);
                load.write(&mut self.contents, before)?;
                load.write(&mut self.contents, &[byte ^ 1])?;
                load.write(&mut self.contents, &after[1..])
            }
            None => load.write(&mut self.contents, data),
        }
    }

    fn info(&mut self) -> Result<PreCopyInfo, CallError> {
        let save = match &mut self.session {
            Session::Save(save) if self.settings.capabilities.has(Capabilities::PRE_COPY) => save,
            Session::Save(_) | Session::Load(_) => {
                return Err(CallError::because(Errno::ENOTTY, "this data fd knows nothing of pre-copy"));
            }
            other => return Err(no_data(other)),
        };
        if !self.state.is_pre_copy() {
            return Err(CallError::because(Errno::EINVAL, "the device is not in pre-copy"));
        }
        let reinit = save.ask();
        Ok(PreCopyInfo {
            initial: Estimate::Known(save.initial_bytes(&self.contents)),
            dirty: Estimate::Known(save.dirty_bytes(&self.contents)),
            reinit,
        })
    }

    /// Bytes that stop-copy would give from here.
    fn left(&self) -> u64 {
        match &self.session {
            Session::Save(save) => save.all_bytes(&self.contents),
            _ => Save::new(&self.settings, self.contents.pages()).all_bytes(&self.contents),
        }
    }
}

fn no_feature() -> CallError {
    CallError::because(Errno::ENOTTY, "the device speaks the region protocol: it has no data fd")
}

/// How many bytes a call moves, at least one if there are any.
pub(super) fn limit(len: usize, plan: &Plan) -> usize {
    let fails = plan.fails.map(|(_, after)| usize::try_from(after).unwrap_or(usize::MAX));
    let most = [plan.short, fails].into_iter().flatten().min().unwrap_or(len);
    most.max(1).min(len)
}

/// Why there is nothing behind the data fd: in-tree drivers answer ENODEV once a session has ended; a save fd is
/// read-only and a resume fd write-only.
fn no_data(session: &Session) -> CallError {
    match session {
        Session::None => CallError::because(Errno::EBADF, "there is no data fd"),
        Session::Ended => CallError::because(Errno::ENODEV, "the data fd's session has ended"),
        Session::Save(_) => CallError::because(Errno::EBADF, "the data fd is read-only"),
        Session::Load(_) => CallError::because(Errno::EBADF, "the data fd is write-only"),
    }
}
