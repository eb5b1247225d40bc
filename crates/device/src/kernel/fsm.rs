//! A device with `VFIO_DEVICE_FEATURE` and a data fd, as a [`Device`].

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use vfio_migration_protocol::device::Then;
use vfio_migration_protocol::{
    CallError, Capabilities, Companions, Device, Errno as Number, Estimate, Filled, Passport, PreCopyInfo, State, Table,
};

use super::calls::{Calls, Left};
use super::descriptor::is_out_of_descriptors;
use super::requests::{INTERRUPTIONS, Requests};
use super::reserve::Reserve;

/// The device, and what is known about it between two calls.
pub(super) struct Fsm<C> {
    calls: C,
    passport: Passport,
    capabilities: Capabilities,
    table: Table,
    /// What the current states' data goes through; the kernel's counterpart of a session.
    data: Option<OwnedFd>,
    /// Where the device said last that it is: a read of 0 means one thing in pre-copy and another in stop-copy.
    last: Option<State>,
    /// The device left by itself a state in which it had a data fd.
    left_alone: bool,
    /// Data could not be written: what the device holds is not what was sent, whatever it says later.
    write_failed: Option<CallError>,
    /// REINIT was asked for and the kernel knows it.
    reinit: bool,
    reserve: Reserve,
    requests: Requests,
}

impl<C: Calls> Fsm<C> {
    pub(super) fn new(calls: C, passport: Passport, capabilities: Capabilities) -> Self {
        let mut reserve = Reserve::default();
        reserve.fill(&calls);
        Self {
            calls,
            passport,
            capabilities,
            table: Table::fsm(capabilities),
            data: None,
            last: None,
            left_alone: false,
            write_failed: None,
            reinit: false,
            reserve,
            requests: Requests::default(),
        }
    }

    fn made<T>(&self, mut call: impl FnMut(&C) -> Result<T, Errno>) -> Result<T, Errno> {
        self.requests.made(|| call(&self.calls))
    }

    fn read_state(&mut self) -> Result<State, CallError> {
        let number = self.made(C::state).map_err(|errno| self.requests.failed("asking for the state", errno))?;
        let state = State::from_fsm(number);
        if !has_data(state) {
            self.left_alone |= self.data.take().is_some();
        }
        self.last = Some(state);
        Ok(state)
    }

    /// Sends one request that the table has a way for.
    fn request(&mut self, from: State, to: State) -> Result<(), Errno> {
        let opens = self.opens(from, to);
        if to.is_pre_copy() && opens {
            // Where it is unknown (ENOTTY) or means nothing (EINVAL) the flag is not looked at.
            self.reinit = self.made(C::want_reinit).is_ok();
        }
        if opens {
            self.reserve.spend();
        }
        let answer = match self.requests.once(|| self.calls.set_state(to.to_fsm())) {
            Ok(opened) => {
                if opens {
                    self.data = opened;
                } else if !has_data(to) {
                    self.data = None;
                }
                self.last = Some(to);
                Ok(())
            }
            Err(errno) => {
                // The data fd of the state that was left is worth nothing, and one that was to be opened is lost. It may
                // also have walked a part of the way.
                if opens || self.calls.state().is_ok_and(|now| !has_data(State::from_fsm(now))) {
                    self.data = None;
                }
                Err(errno)
            }
        };
        self.reserve.fill(&self.calls);
        answer
    }

    /// Whether the way from one state to another opens a data fd (linux/vfio.h, the arcs into pre-copy, stop-copy from
    /// stop, and resuming).
    fn opens(&self, from: State, to: State) -> bool {
        let mut at = from;
        self.table.path(from, to).is_ok_and(|path| {
            path.into_iter().any(|next| {
                let arc = (at, next);
                at = next;
                !has_data(arc.0) && has_data(arc.1)
            })
        })
    }

    /// The request must not be sent: there is no way, or the way leads on with data that is lost.
    fn refuse(&self, from: State, to: State) -> Result<(), CallError> {
        if let Err(refusal) = self.table.path(from, to) {
            return Err(CallError::because(Number::EINVAL, refusal.to_string()));
        }
        if let Some(failed) = self.write_failed.as_ref().filter(|_| from == State::Resuming && to != from) {
            let why = format!("data could not be written before ({failed}): only a reset leads out of resuming");
            return Err(CallError::because(failed.errno, why));
        }
        if has_data(to) && self.data.is_none() && !self.opens(from, to) {
            let why = format!("the data fd of {from} is lost: leave {from}, or reset the device");
            return Err(CallError::because(Number::EBADF, why));
        }
        Ok(())
    }

    fn data(&self, what: &str) -> Result<&OwnedFd, CallError> {
        self.data.as_ref().ok_or_else(|| match self.last {
            Some(state) if self.left_alone => reset_by_others(state),
            Some(state) => CallError::because(Number::EBADF, format!("the device has no data to {what} in {state}")),
            None => CallError::because(Number::EBADF, format!("the device has no data to {what}")),
        })
    }

    /// What it means that a call on the data fd failed.
    fn data_failed(&mut self, what: &str, errno: Errno) -> CallError {
        if errno != Errno::NODEV {
            return self.requests.failed(what, errno);
        }
        match self.read_state() {
            Ok(state) if !has_data(state) => reset_by_others(state),
            Ok(state) => CallError::because(Number::ENODEV, format!("{what} failed: the data fd is dead, in {state}")),
            Err(_) => self.requests.failed(what, errno),
        }
    }
}

impl<C: Calls> Device for Fsm<C> {
    fn passport(&self) -> &Passport {
        &self.passport
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn table(&self) -> Table {
        self.table
    }

    fn state(&mut self) -> Result<State, CallError> {
        self.requests.begin();
        self.read_state()
    }

    fn set_state(&mut self, to: State) -> Result<(), CallError> {
        self.requests.begin();
        for _ in 0..INTERRUPTIONS {
            // After an interruption it may be anywhere on the way.
            let from = self.read_state()?;
            self.refuse(from, to)?;
            if from == to {
                return Ok(());
            }
            self.left_alone = false;
            match self.request(from, to) {
                Ok(()) if has_data(to) && self.data.is_none() => {
                    return Err(CallError::because(Number::EIO, format!("the driver gave no data fd for {to}")));
                }
                Ok(()) => return Ok(()),
                Err(Errno::INTR) if !self.requests.is_to_end() => {}
                Err(errno) if is_out_of_descriptors(errno) => {
                    let why = format!(
                        "no descriptor is left for the data, and the device may be in {to} without it: raise the limit \
                         ('ulimit -n', fs.file-max) and leave {to}"
                    );
                    return Err(CallError::because(Number::from_linux(errno.raw_os_error()), why));
                }
                Err(errno) => return Err(self.requests.failed(&format!("the change from {from} to {to}"), errno)),
            }
        }
        Err(CallError::because(Number::EINTR, format!("signals interrupt every change to {to}")))
    }

    fn reset(&mut self) -> Result<(), CallError> {
        self.requests.begin();
        self.requests.reset(|| self.calls.reset())?;
        (self.data, self.write_failed, self.last, self.left_alone) = (None, None, None, false);
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<Filled, CallError> {
        let data = self.data("read")?;
        if into.is_empty() {
            // A read of 0 bytes would look like an end.
            return Ok(Filled { len: 0, then: Then::More });
        }
        // Known before the read is issued: an end that was read in pre-copy is none.
        let pre_copy = self.last.is_some_and(State::is_pre_copy);
        self.requests.begin();
        match self.made(|calls| calls.read(data.as_fd(), &mut *into)) {
            // hisi, qat and mtty say 0 where the others say ENOMSG.
            Ok(0) | Err(Errno::NOMSG | Errno::AGAIN) if pre_copy => Ok(Filled { len: 0, then: Then::Pause }),
            Ok(0) => Ok(Filled { len: 0, then: Then::End }),
            Ok(len) => Ok(Filled { len, then: Then::More }),
            Err(Errno::NOMSG) => Err(CallError::because(
                Number::ENOMSG,
                "the driver says in stop-copy that more will come, which breaks the rules",
            )),
            Err(errno) => Err(self.data_failed("reading data", errno)),
        }
    }

    fn write(&mut self, data: &[u8], _segment_end: bool) -> Result<usize, CallError> {
        if let Some(failed) = &self.write_failed {
            return Err(failed.clone());
        }
        let fd = self.data("write")?;
        if data.is_empty() {
            return Ok(0);
        }
        self.requests.begin();
        let error = match self.made(|calls| calls.write(fd.as_fd(), data)) {
            Ok(0) => CallError::because(Number::EIO, "the driver takes no more data"),
            Ok(taken) => return Ok(taken),
            Err(errno) => self.data_failed("writing data", errno),
        };
        self.write_failed = Some(error.clone());
        Err(error)
    }

    fn pre_copy_info(&mut self) -> Result<PreCopyInfo, CallError> {
        let data = self.data("ask about")?;
        self.requests.begin();
        match self.made(|calls| calls.left(data.as_fd())) {
            Ok(Left { initial, dirty, reinit }) => Ok(PreCopyInfo {
                initial: Estimate::from_device(initial),
                dirty: Estimate::from_device(dirty),
                reinit: reinit && self.reinit,
            }),
            Err(errno) => Err(self.data_failed("asking what pre-copy has left", errno)),
        }
    }

    fn data_size(&mut self) -> Result<Estimate, CallError> {
        self.requests.begin();
        match self.made(C::data_size) {
            Ok(bytes) => Ok(Estimate::from_device(bytes)),
            // Kernels up to 6.1 do not know the question, some drivers have no answer.
            Err(Errno::NOTTY | Errno::INVAL | Errno::OPNOTSUPP) => Ok(Estimate::Unknown),
            Err(errno) => Err(self.requests.failed("asking for the size of the data", errno)),
        }
    }

    fn companions(&self) -> Option<Companions> {
        self.calls.companions()
    }

    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        Some(self.requests.interrupter())
    }
}

/// Whether a device has a data fd in this state.
const fn has_data(state: State) -> bool {
    matches!(state, State::StopCopy | State::Resuming | State::PreCopy | State::PreCopyP2p)
}

fn reset_by_others(state: State) -> CallError {
    CallError::because(
        Number::ENODEV,
        format!("the device was reset by others: it is in {state}; find out which program has it as well"),
    )
}

#[cfg(test)]
mod blocked_tests;
#[cfg(test)]
mod tests;
