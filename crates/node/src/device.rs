//! A device, on a thread of its own: calls block, and are made in the order in which they were asked for.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use napi::Env;
use napi::bindgen_prelude::{Either, Object, ToNapiValue, Uint8Array};
use napi_derive::napi;
use vfio_migration::device::kernel::{Holding, Offer};
use vfio_migration::device::{ModelHandle, Opened};
use vfio_migration::protocol::{Protocol, Then};
use vfio_migration::{CallError, Capabilities, Code, Device, Error, State, Table, Tracker};

use crate::error::{BindingError, call_failed, closed};
use crate::model::BindingModel;
use crate::opening::{BindingHolding, BindingOffer};
use crate::promise::Answer;
use crate::view::{View, count_buffer};
use crate::worker::{Task, Worker};

/// One line of a passport.
#[napi(object, object_from_js = false)]
#[derive(Clone)]
pub struct BindingPassportEntry {
    /// What the line is about.
    pub key: String,
    /// Compared as text.
    pub value: String,
    /// Whether a destination must have the same.
    pub needed: bool,
}

/// What came of a read.
#[napi(object, object_from_js = false)]
pub struct BindingFilled {
    /// How many bytes were filled.
    pub len: u32,
    /// `more`, `segment-end`, `pause` or `end`.
    pub then: String,
}

/// How much data pre-copy has left; absent is unknown.
#[napi(object, object_from_js = false)]
pub struct BindingPreCopyInfo {
    /// Bytes of initial data.
    pub initial: Option<u64>,
    /// Bytes that changed.
    pub dirty: Option<u64>,
    /// Whether there is new initial data.
    pub reinit: bool,
}

/// A device that is open, and not in a session.
#[napi]
pub struct BindingDevice {
    worker: Arc<Worker<Whole>>,
    address: String,
    protocol: &'static str,
    capabilities: Capabilities,
    table: Table,
    passport: Vec<BindingPassportEntry>,
    model: Option<ModelHandle>,
    holding: Option<Holding>,
}

#[napi]
impl BindingDevice {
    /// Where it was opened, without what must not be shown.
    #[napi(getter)]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `region` or `fsm`.
    #[napi(getter)]
    pub fn protocol(&self) -> &'static str {
        self.protocol
    }

    /// What the device's migration is capable of, besides stop-copy.
    #[napi(getter)]
    pub fn capabilities(&self) -> Vec<&'static str> {
        let named = [
            (Capabilities::P2P, "p2p"),
            (Capabilities::PRE_COPY, "pre-copy"),
            (Capabilities::DIRTY_TRACKING, "dirty-tracking"),
        ];
        named.into_iter().filter(|(one, _)| self.capabilities.has(*one)).map(|(_, name)| name).collect()
    }

    /// Whether the device has a way from one state to another. Which states have ways to which depends on its protocol.
    #[napi(catch_unwind)]
    pub fn has_way(&self, from: String, to: String) -> bool {
        let states = from.parse::<State>().ok().zip(to.parse::<State>().ok());
        states.is_some_and(|(from, to)| self.table.path(from, to).is_ok())
    }

    /// What the device is and what its state needs from a destination.
    #[napi(getter)]
    pub fn passport(&self) -> Vec<BindingPassportEntry> {
        self.passport.clone()
    }

    /// The world around a software device, if it is one.
    #[napi(getter)]
    pub fn model(&self) -> Option<BindingModel> {
        self.model.clone().map(BindingModel::new)
    }

    /// How a device of the kernel came to be open; nothing for a software device.
    #[napi(getter)]
    pub fn holding(&self) -> Option<BindingHolding> {
        self.holding.as_ref().map(BindingHolding::from)
    }

    /// Gives the descriptors of a device of the kernel to whoever connects to the unix socket at `path`.
    #[napi(catch_unwind, ts_return_type = "BindingOffer | BindingError")]
    pub fn offer(&self, path: String) -> Either<BindingOffer, BindingError> {
        let offer = self.holding.clone().ok_or_else(|| {
            Error::new(Code::Unsupported, format!("{} is no device of the kernel: it has no descriptors", self.address))
        });
        let offer = offer.and_then(|holding| {
            Offer::at(path.as_ref(), holding)
                .map_err(|error| Error::new(Code::Host, format!("cannot listen at {path}: {error}")))
        });
        match offer {
            Ok(offer) => Either::A(BindingOffer::new(offer)),
            Err(error) => Either::B(error.into()),
        }
    }

    /// Asks for the device's state.
    #[napi(catch_unwind, ts_return_type = "Promise<string | BindingError>")]
    pub fn state<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.ask(env, |device| Ok(read_state(device)?.to_string()))
    }

    /// Asks for a state; answers with the state that the device then says.
    #[napi(catch_unwind, ts_return_type = "Promise<string | BindingError>")]
    pub fn set_state<'env>(&self, env: &'env Env, to: String) -> napi::Result<Object<'env>> {
        self.ask(env, move |device| {
            let to: State = to.parse().map_err(|_| Error::new(Code::Usage, format!("'{to}' is no migration state")))?;
            changed(&format!("cannot set state {to}"), device, |device| device.set_state(to))
        })
    }

    /// Resets the device.
    #[napi(catch_unwind, ts_return_type = "Promise<string | BindingError>")]
    pub fn reset<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.ask(env, |device| changed("cannot reset", device, |device| device.reset()))
    }

    /// Reads data into a buffer that nobody else reaches until the promise is settled.
    #[napi(catch_unwind, ts_return_type = "Promise<BindingFilled | BindingError>")]
    pub fn read<'env>(&self, env: &'env Env, into: Uint8Array) -> napi::Result<Object<'env>> {
        let (answer, promise) = Answer::promised(env)?;
        let mut view = View::new(into);
        self.worker.send(Task::Run(Box::new(move |Whole { device, .. }| {
            let device = &mut **device;
            let filled = device.read(view.bytes()).map_err(|error| failed("cannot read data", &error, device));
            answer.make(move |env| {
                view.give_back(env);
                let filled = filled?;
                let then = match filled.then {
                    Then::More => "more",
                    Then::SegmentEnd => "segment-end",
                    Then::Pause => "pause",
                    Then::End => "end",
                };
                Ok(BindingFilled { len: u32::try_from(filled.len).unwrap_or(u32::MAX), then: then.into() })
            });
        })));
        Ok(promise)
    }

    /// Writes all of `data`, which is copied before this returns. A segment of a region device ends with it.
    #[napi(catch_unwind, ts_return_type = "Promise<undefined | BindingError>")]
    pub fn write<'env>(&self, env: &'env Env, data: &[u8]) -> napi::Result<Object<'env>> {
        count_buffer();
        let data = data.to_vec();
        self.ask(env, move |device| {
            let mut rest = &data[..];
            while !rest.is_empty() {
                let taken = device.write(rest, true).map_err(|error| failed("cannot write data", &error, device))?;
                rest = rest.get(taken.max(1)..).unwrap_or_default();
            }
            Ok(())
        })
    }

    /// How much data pre-copy has left.
    #[napi(catch_unwind, ts_return_type = "Promise<BindingPreCopyInfo | BindingError>")]
    pub fn pre_copy_info<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.ask(env, |device| {
            let info = device.pre_copy_info();
            let info = info.map_err(|error| failed("cannot ask what pre-copy has left", &error, device))?;
            let (initial, dirty) = (info.initial.known(), info.dirty.known());
            Ok(BindingPreCopyInfo { initial, dirty, reinit: info.reinit })
        })
    }

    /// How many bytes stop-copy would give; absent is unknown.
    #[napi(catch_unwind, ts_return_type = "Promise<bigint | null | BindingError>")]
    pub fn data_size<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        self.ask(env, |device| {
            let size = device.data_size();
            Ok(size.map_err(|error| failed("cannot ask for the size of the data", &error, device))?.known())
        })
    }

    /// Closes the device, after the calls before this one.
    #[napi(catch_unwind, ts_return_type = "Promise<undefined | BindingError>")]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let (answer, promise) = Answer::promised(env)?;
        self.worker.close(move |whole: Option<Whole>| {
            drop(whole);
            answer.give(Ok(()));
        });
        Ok(promise)
    }

    fn ask<'env, T: ToNapiValue + Send + 'static>(
        &self,
        env: &'env Env,
        call: impl FnOnce(&mut dyn Device) -> Result<T, Error> + Send + 'static,
    ) -> napi::Result<Object<'env>> {
        let (answer, promise) = Answer::promised(env)?;
        self.worker.send(Task::Run(Box::new(move |whole| answer.give(call(&mut *whole.device)))));
        Ok(promise)
    }
}

impl BindingDevice {
    /// On JavaScript's thread.
    pub(crate) fn new(env: Env, address: String, opened: Opened) -> Result<Self, Error> {
        let Opened { device, trackers, model, kernel: holding } = opened;
        let (capabilities, table) = (device.capabilities(), device.table());
        let passport = device.passport().entries().iter().map(|entry| BindingPassportEntry {
            key: entry.key.clone(),
            value: entry.value.clone(),
            needed: entry.needed,
        });
        let passport = passport.collect();
        let protocol = protocol_name(device.protocol());
        let worker = Worker::start(env, "vfio-device", Whole { device, trackers, tracked: false });
        let worker = worker.map_err(|(error, _closed)| error)?;
        Ok(Self { worker, address, protocol, capabilities, table, passport, model, holding })
    }

    /// Lends the device to a session, after the calls before this one; calls after it wait until it is back.
    pub(crate) fn lend(&self) -> Loan {
        // A device that waited in the channel would be lost with a loan that nobody takes.
        let (to, device) = sync_channel(0);
        let (owner, back) = channel();
        self.worker.send(Task::Lend(to, back));
        Loan { device, owner }
    }

    /// The device's thread.
    pub(crate) const fn worker(&self) -> &Arc<Worker<Whole>> {
        &self.worker
    }
}

pub(crate) const fn protocol_name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Region => "region",
        Protocol::Fsm => "fsm",
    }
}

impl Drop for BindingDevice {
    fn drop(&mut self) {
        self.worker.close(drop);
    }
}

/// A device and what reports the pages that it wrote to.
pub(crate) struct Whole {
    pub(crate) device: Box<dyn Device>,
    pub(crate) trackers: Vec<Box<dyn Tracker>>,
    /// A log of dirty pages has the trackers.
    pub(crate) tracked: bool,
}

/// A device that a session may have, once its calls before that have returned.
pub(crate) struct Loan {
    device: Receiver<Whole>,
    owner: Sender<Whole>,
}

/// Whom a device goes back to.
pub(crate) struct Owner(Sender<Whole>);

impl Loan {
    /// Waits for the device, and says whom to give it back to.
    pub(crate) fn take(self) -> Result<(Whole, Owner), Error> {
        let device = self.device.recv().map_err(|_| closed("the device"))?;
        Ok((device, Owner(self.owner)))
    }
}

impl Owner {
    /// An owner that is gone was closed meanwhile, and so is the device.
    pub(crate) fn give_back(self, whole: Whole) {
        let _ = self.0.send(whole);
    }
}

fn read_state(device: &mut dyn Device) -> Result<State, Error> {
    device.state().map_err(|error| call_failed("cannot read the device's state", &error, None))
}

/// A failed request is followed by reading the state back, never by assuming it.
fn failed(what: &str, error: &CallError, device: &mut dyn Device) -> Error {
    call_failed(what, error, device.state().ok())
}

fn changed(
    what: &str,
    device: &mut dyn Device,
    call: impl FnOnce(&mut dyn Device) -> Result<(), CallError>,
) -> Result<String, Error> {
    match call(device) {
        Ok(()) => Ok(read_state(device)?.to_string()),
        Err(error) => Err(failed(what, &error, device)),
    }
}
