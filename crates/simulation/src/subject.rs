//! The devices of a simulation: models, each behind a wrapper in which calls go wrong.

mod driver;

use vfio_migration_model::{Held, Model, Register};
use vfio_migration_protocol::session::{DeviceAnswer, DeviceCall, DeviceObject};
use vfio_migration_protocol::{CallError, Errno, Estimate, Filled, PreCopyInfo, State, Table, Then};

use crate::fault::CallFault;
use driver::Driver;

/// A device of a simulation.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that has happened or not")]
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) id: String,
    driver: Driver,
    mood: Mood,
    /// Where it was when the session began.
    pub(crate) found: State,
    /// Whether it has entered resuming since it was last reset: then it carries a guest's device.
    pub(crate) carries: bool,
    /// Whether it has broken, or did not do what it was asked to, so that nobody can expect it to follow.
    pub(crate) excused: bool,
    /// Whether it was ever asked to change.
    pub(crate) touched: bool,
    /// It has broken, and its session was not told yet.
    pub(crate) unheard: bool,
    /// What it held when it left resuming, before it ran: what came here.
    pub(crate) came: Option<Held>,
    /// It was asked to go from resuming to stop, did not, and is still in resuming: where a region may, it leaves
    /// resuming only for running.
    pub(crate) refused_stop: bool,
    /// How often it was reset, and how often somebody tried.
    pub(crate) resets: u64,
    pub(crate) resets_tried: u64,
}

/// What has become of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Fine,
    /// In its error state.
    Broken,
    /// In a state that has no name.
    Odd,
    /// Gone for good.
    Gone,
}

/// The number of a state that has no name.
const ODD: u32 = 9;

impl Subject {
    pub(crate) fn new(id: String, model: Model) -> Self {
        let found = model.current_state();
        Self {
            id,
            driver: Driver::new(model),
            mood: Mood::Fine,
            found,
            carries: false,
            excused: false,
            touched: false,
            unheard: false,
            came: None,
            refused_stop: false,
            resets: 0,
            resets_tried: 0,
        }
    }

    pub(crate) fn model(&self) -> &Model {
        self.driver.model()
    }

    pub(crate) fn model_mut(&mut self) -> &mut Model {
        self.driver.model_mut()
    }

    /// The device as its session's machine sees it.
    pub(crate) fn object(&mut self) -> DeviceObject {
        DeviceObject::of(self.id.clone(), self.driver.device())
    }

    pub(crate) fn table(&self) -> Table {
        self.driver.table()
    }

    /// The session is going to find it in this state.
    pub(crate) fn find_in(&mut self, state: State) {
        if state != self.model().current_state() {
            // One that the device does not have leaves it where it is.
            let _ = self.driver.device().set_state(state);
        }
        self.found = self.model().current_state();
    }

    /// It changes, and no session asked for it.
    #[cfg(test)]
    pub(crate) fn put_in(&mut self, state: State) {
        self.driver.device().set_state(state).expect("a state that the device has");
    }

    /// Whoever has the destination makes what waits there in resuming go on, once no session does.
    pub(crate) fn leave_resuming(&mut self) -> Result<(), CallError> {
        self.walk_to(State::Running)
    }

    /// Where it really is; `None` if it is gone.
    pub(crate) fn truth(&self) -> Option<State> {
        match self.mood {
            Mood::Fine => Some(self.model().current_state()),
            Mood::Broken => Some(State::Error),
            Mood::Odd => Some(State::Unknown(ODD)),
            Mood::Gone => None,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.truth().is_some_and(State::is_running)
    }

    /// Whether it neither works nor can be told to.
    pub(crate) fn is_broken(&self) -> bool {
        self.mood != Mood::Fine || self.model().current_state() == State::Error
    }

    /// Whether nothing but its run shows that its data is whole: it does not go from resuming to stop.
    pub(crate) fn waits_in_resuming(&self) -> bool {
        let no_arc = || self.table().path(State::Resuming, State::Stop).is_err();
        self.truth() == Some(State::Resuming) && (self.refused_stop || no_arc())
    }

    /// Whether it works for a guest that came here.
    pub(crate) fn runs_what_came(&self) -> bool {
        self.carries && self.is_running()
    }

    pub(crate) fn advance(&mut self, ticks: u32) {
        if self.mood == Mood::Fine {
            self.model_mut().advance(ticks.into());
        }
    }

    /// The register that counts ticks of work.
    pub(crate) fn counter(&self) -> u64 {
        self.model().register(Register::Counter)
    }

    /// The guest's driver uses the device.
    pub(crate) fn touch(&mut self, ticks: u32) {
        if ticks > 0 && self.mood == Mood::Fine {
            // Refused where the guest must not, and counted there.
            let _ = self.model_mut().write_register(Register::Doorbell, 1);
        }
    }

    /// The host dies, and the device with it.
    pub(crate) const fn die(&mut self) {
        self.mood = Mood::Gone;
        self.excused = true;
    }

    /// Makes a call, and the fault with it.
    pub(crate) fn call(&mut self, call: DeviceCall, fault: Option<CallFault>) -> Result<DeviceAnswer, CallError> {
        self.resets_tried += u64::from(call == DeviceCall::Reset);
        // An estimate that could not be had is no excuse for anything.
        let matters = matches!(call, DeviceCall::State | DeviceCall::SetState(_) | DeviceCall::Reset);
        let before = self.truth();
        let answer = self.disturb(fault).and_then(|()| self.answer(call, fault));
        self.excused |= matters && answer.is_err() || self.is_broken();
        if let (DeviceCall::SetState(State::Stop), Some(State::Resuming)) = (call, before) {
            self.refused_stop = self.driver.is_region() && answer.is_err() && self.truth() == before;
        }
        answer
    }

    /// Reads data.
    pub(crate) fn read(&mut self, into: &mut [u8], fault: Option<CallFault>) -> Result<Filled, CallError> {
        self.disturb(fault)?;
        self.sound()?;
        let most = into.len();
        let device = self.driver.device();
        let answer = match fault {
            Some(CallFault::Short) => device.read(&mut into[..1]),
            Some(CallFault::Nothing) => Ok(Filled { len: 0, then: Then::More }),
            Some(CallFault::TooMuch) => device.read(into).map(|filled| Filled { len: most + 1, ..filled }),
            Some(CallFault::Ends) => Ok(Filled { len: 0, then: Then::End }),
            _ => device.read(into),
        };
        self.excused |= self.is_broken();
        answer
    }

    /// Writes data, all of it.
    pub(crate) fn write(&mut self, data: &[u8], segment_end: bool, fault: Option<CallFault>) -> Result<(), CallError> {
        self.disturb(fault)?;
        self.sound()?;
        let answer = self.write_all(data, segment_end, fault);
        self.excused |= self.is_broken();
        answer
    }

    fn write_all(&mut self, data: &[u8], segment_end: bool, fault: Option<CallFault>) -> Result<(), CallError> {
        let mut rest = data;
        let mut most = if fault == Some(CallFault::Short) { 1 } else { usize::MAX };
        while !rest.is_empty() {
            let part = &rest[..rest.len().min(most)];
            let taken = match fault {
                Some(CallFault::Nothing) => Ok(0),
                _ => self.driver.device().write(part, segment_end && part.len() == rest.len()),
            };
            match taken? {
                0 => return Err(CallError::because(Errno::EIO, "the device takes nothing")),
                taken => rest = &rest[taken.min(rest.len())..],
            }
            // Ever larger, so that a short write does not take for ever.
            most = most.saturating_mul(2);
        }
        Ok(())
    }

    fn disturb(&mut self, fault: Option<CallFault>) -> Result<(), CallError> {
        self.unheard |= matches!(fault, Some(CallFault::Breaks | CallFault::Odd | CallFault::Vanishes));
        match fault {
            Some(CallFault::Breaks) => self.mood = Mood::Broken,
            Some(CallFault::Odd) => self.mood = Mood::Odd,
            Some(CallFault::Vanishes) => self.mood = Mood::Gone,
            Some(CallFault::Fails(errno)) => {
                return Err(CallError::because(Errno::from_linux(errno), "the scenario says so"));
            }
            _ => {}
        }
        self.excused |= self.is_broken();
        if self.mood == Mood::Gone { Err(CallError::new(Errno::ENODEV)) } else { Ok(()) }
    }

    fn sound(&self) -> Result<(), CallError> {
        if self.is_broken() { Err(CallError::new(Errno::EIO)) } else { Ok(()) }
    }

    fn answer(&mut self, call: DeviceCall, fault: Option<CallFault>) -> Result<DeviceAnswer, CallError> {
        match call {
            DeviceCall::State => {
                let state = self.truth().ok_or_else(|| CallError::new(Errno::ENODEV))?;
                Ok(DeviceAnswer::State { state, resets: self.driver.device().resets() })
            }
            DeviceCall::Reset => {
                self.touched = true;
                let before = self.driver.device().resets();
                let done = self.driver.device().reset();
                // It may have been reset and say that it failed.
                if self.driver.device().resets() != before {
                    self.mood = Mood::Fine;
                    (self.carries, self.came, self.refused_stop) = (false, None, false);
                    self.resets += 1;
                }
                done?;
                Ok(DeviceAnswer::Done { resets: self.driver.device().resets() })
            }
            DeviceCall::SetState(to) => {
                self.sound()?;
                self.set_state(to, fault)?;
                Ok(DeviceAnswer::Done { resets: self.driver.device().resets() })
            }
            DeviceCall::PreCopyInfo => {
                self.sound()?;
                let info = self.driver.device().pre_copy_info();
                let said = |estimate| PreCopyInfo { initial: estimate, dirty: estimate, reinit: true };
                let info = if let Some(CallFault::Says(estimate)) = fault { Ok(said(estimate)) } else { info };
                info.map(DeviceAnswer::PreCopyInfo)
            }
            DeviceCall::DataSize => {
                self.sound()?;
                let size = self.driver.device().data_size();
                let size: Result<Estimate, _> =
                    if let Some(CallFault::Says(estimate)) = fault { Ok(estimate) } else { size };
                size.map(DeviceAnswer::DataSize)
            }
        }
    }

    fn set_state(&mut self, to: State, fault: Option<CallFault>) -> Result<(), CallError> {
        self.touched = true;
        let done = self.walk(to, fault);
        self.carries |= self.model().current_state() == State::Resuming;
        done
    }

    fn walk(&mut self, to: State, fault: Option<CallFault>) -> Result<(), CallError> {
        let (arcs, errno) = match fault {
            Some(CallFault::Part(arcs, errno)) => (arcs, errno),
            Some(CallFault::Lies) => return Ok(()),
            _ => return self.walk_to(to),
        };
        let path = self.table().path(self.model().current_state(), to).unwrap_or_default();
        if let Some(part) = path.get(..usize::from(arcs)).and_then(|part| part.last()) {
            self.walk_to(*part)?;
        }
        Err(CallError::because(Errno::from_linux(errno), "the scenario says so"))
    }

    /// No time passes in it: what it holds afterwards is what it held when it left resuming.
    fn walk_to(&mut self, to: State) -> Result<(), CallError> {
        let before = self.model().current_state();
        let done = self.driver.device().set_state(to);
        let now = self.model().current_state();
        if before == State::Resuming && !matches!(now, State::Resuming | State::Error) {
            self.came = Some(self.model().held());
        }
        done
    }
}
