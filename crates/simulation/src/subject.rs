//! The devices of a simulation: models, each behind a wrapper in which calls go wrong.

use vfio_migration_model::{Model, Register};
use vfio_migration_protocol::session::{DeviceAnswer, DeviceCall};
use vfio_migration_protocol::{CallError, Device, Errno, Estimate, Filled, PreCopyInfo, State, Then};

use crate::fault::CallFault;

/// A device of a simulation.
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that has happened or not")]
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) id: String,
    pub(crate) model: Model,
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
    pub(crate) const fn new(id: String, model: Model) -> Self {
        let found = model.current_state();
        Self {
            id,
            model,
            mood: Mood::Fine,
            found,
            carries: false,
            excused: false,
            touched: false,
            unheard: false,
            resets: 0,
            resets_tried: 0,
        }
    }

    /// The session is going to find it in this state.
    pub(crate) fn find_in(&mut self, state: State) {
        // One that the device does not have leaves it where it is.
        let _ = self.model.set_state(state);
        self.found = self.model.current_state();
    }

    /// Where it really is; `None` if it is gone.
    pub(crate) const fn truth(&self) -> Option<State> {
        match self.mood {
            Mood::Fine => Some(self.model.current_state()),
            Mood::Broken => Some(State::Error),
            Mood::Odd => Some(State::Unknown(ODD)),
            Mood::Gone => None,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.truth().is_some_and(State::is_running)
    }

    /// Whether it neither works nor can be told to.
    pub(crate) const fn is_broken(&self) -> bool {
        !matches!(self.mood, Mood::Fine)
    }

    /// Whether it works for a guest that came here.
    pub(crate) fn runs_what_came(&self) -> bool {
        self.carries && self.is_running()
    }

    pub(crate) fn advance(&mut self, ticks: u32) {
        if self.mood == Mood::Fine {
            self.model.advance(ticks.into());
        }
    }

    /// The register that counts ticks of work.
    pub(crate) const fn counter(&self) -> u64 {
        self.model.register(Register::Counter)
    }

    /// The guest's driver uses the device.
    pub(crate) fn touch(&mut self, ticks: u32) {
        if ticks > 0 && self.mood == Mood::Fine {
            // Refused where the guest must not, and counted there.
            let _ = self.model.write_register(Register::Doorbell, 1);
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
        let answer = self.disturb(fault).and_then(|()| self.answer(call, fault));
        self.excused |= matters && answer.is_err();
        answer
    }

    /// Reads data.
    pub(crate) fn read(&mut self, into: &mut [u8], fault: Option<CallFault>) -> Result<Filled, CallError> {
        self.disturb(fault)?;
        self.sound()?;
        let most = into.len();
        match fault {
            Some(CallFault::Short) => self.model.read(&mut into[..1]),
            Some(CallFault::Nothing) => Ok(Filled { len: 0, then: Then::More }),
            Some(CallFault::TooMuch) => self.model.read(into).map(|filled| Filled { len: most + 1, ..filled }),
            Some(CallFault::Ends) => Ok(Filled { len: 0, then: Then::End }),
            _ => self.model.read(into),
        }
    }

    /// Writes data, all of it.
    pub(crate) fn write(&mut self, data: &[u8], segment_end: bool, fault: Option<CallFault>) -> Result<(), CallError> {
        self.disturb(fault)?;
        self.sound()?;
        let mut rest = data;
        let mut most = if fault == Some(CallFault::Short) { 1 } else { usize::MAX };
        while !rest.is_empty() {
            let part = &rest[..rest.len().min(most)];
            let taken = match fault {
                Some(CallFault::Nothing) => Ok(0),
                _ => self.model.write(part, segment_end && part.len() == rest.len()),
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
                Ok(DeviceAnswer::State { state, resets: self.model.resets() })
            }
            DeviceCall::Reset => {
                self.touched = true;
                self.model.reset()?;
                self.mood = Mood::Fine;
                self.carries = false;
                self.resets += 1;
                Ok(DeviceAnswer::Done { resets: self.model.resets() })
            }
            DeviceCall::SetState(to) => {
                self.sound()?;
                self.set_state(to, fault)?;
                Ok(DeviceAnswer::Done { resets: self.model.resets() })
            }
            DeviceCall::PreCopyInfo => {
                self.sound()?;
                let info = self.model.pre_copy_info();
                let said = |estimate| PreCopyInfo { initial: estimate, dirty: estimate, reinit: true };
                let info = if let Some(CallFault::Says(estimate)) = fault { Ok(said(estimate)) } else { info };
                info.map(DeviceAnswer::PreCopyInfo)
            }
            DeviceCall::DataSize => {
                self.sound()?;
                let size = self.model.data_size();
                let size: Result<Estimate, _> =
                    if let Some(CallFault::Says(estimate)) = fault { Ok(estimate) } else { size };
                size.map(DeviceAnswer::DataSize)
            }
        }
    }

    fn set_state(&mut self, to: State, fault: Option<CallFault>) -> Result<(), CallError> {
        self.touched = true;
        let done = self.walk(to, fault);
        self.carries |= self.model.current_state() == State::Resuming;
        done
    }

    fn walk(&mut self, to: State, fault: Option<CallFault>) -> Result<(), CallError> {
        let (arcs, errno) = match fault {
            Some(CallFault::Part(arcs, errno)) => (arcs, errno),
            Some(CallFault::Lies) => return Ok(()),
            _ => return self.model.set_state(to),
        };
        let path = self.model.table().path(self.model.current_state(), to).unwrap_or_default();
        if let Some(part) = path.get(..usize::from(arcs)).and_then(|part| part.last()) {
            self.model.set_state(*part)?;
        }
        Err(CallError::because(Errno::from_linux(errno), "the scenario says so"))
    }
}
