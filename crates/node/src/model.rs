//! The software device's own face, for tests and the demo: its guest, its memory, and what it knows for certain.

use std::sync::{Arc, Mutex, PoisonError};

use napi::Env;
use napi::bindgen_prelude::{BigInt, BigUint64Array, Object};
use napi_derive::napi;
use vfio_migration::device::ModelHandle;
use vfio_migration::protocol::Protocol;
use vfio_migration::{
    CallError, Capabilities, Code, Device, Error, Estimate, Filled, Passport, PreCopyInfo, State, Table,
};
use vfio_migration_model::{Fault, FaultPlan, GuestMemory};

use crate::error::BindingError;
use crate::promise::elsewhere;

/// Guest memory that software devices write to.
#[napi]
pub struct BindingGuestMemory(GuestMemory);

/// The world around a software device.
#[napi]
pub struct BindingModel(ModelHandle, Stopped);

/// What a device held when it last entered stop.
#[napi(object, object_from_js = false)]
#[derive(Clone)]
pub struct BindingStopped {
    /// As a proof.
    pub proof: String,
    /// In how many ticks it had run.
    pub counter: u64,
}

/// Where a [`Witness`] writes down what it saw.
pub(crate) type Stopped = Arc<Mutex<Option<BindingStopped>>>;

/// A software device, and somebody who looks at it at the one moment at which no hook is called: it has left
/// resuming, and does not run yet.
pub(crate) struct Witness {
    device: Box<dyn Device>,
    model: ModelHandle,
    stopped: Stopped,
}

impl Witness {
    pub(crate) fn new(device: Box<dyn Device>, model: ModelHandle, stopped: Stopped) -> Self {
        Self { device, model, stopped }
    }
}

impl Device for Witness {
    fn passport(&self) -> &Passport {
        self.device.passport()
    }

    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn protocol(&self) -> Protocol {
        self.device.protocol()
    }

    fn table(&self) -> Table {
        self.device.table()
    }

    fn state(&mut self) -> Result<State, CallError> {
        self.device.state()
    }

    fn set_state(&mut self, to: State) -> Result<(), CallError> {
        self.device.set_state(to)?;
        if to == State::Stop {
            let seen = BindingStopped { proof: self.model.proof().to_string(), counter: self.model.counter() };
            *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), CallError> {
        self.device.reset()
    }

    fn read(&mut self, into: &mut [u8]) -> Result<Filled, CallError> {
        self.device.read(into)
    }

    fn write(&mut self, data: &[u8], segment_end: bool) -> Result<usize, CallError> {
        self.device.write(data, segment_end)
    }

    fn pre_copy_info(&mut self) -> Result<PreCopyInfo, CallError> {
        self.device.pre_copy_info()
    }

    fn data_size(&mut self) -> Result<Estimate, CallError> {
        self.device.data_size()
    }

    fn resets(&self) -> Option<u64> {
        self.device.resets()
    }
}

#[napi]
impl BindingGuestMemory {
    /// Zeroed memory of so many bytes that devices see at `iova`.
    #[napi(constructor, catch_unwind)]
    pub fn new(iova: BigInt, length: BigInt) -> napi::Result<Self> {
        let memory = GuestMemory::new(iova.get_u64().1, length.get_u64().1);
        memory.map(Self).map_err(|error| napi::Error::from_reason(error.to_string()))
    }

    /// A number for what each page holds.
    #[napi(catch_unwind, ts_return_type = "Promise<BigUint64Array | BindingError>")]
    pub fn page_digests<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let memory = self.share();
        elsewhere(env, "vfio-memory", move || Ok(BigUint64Array::new(memory.page_digests())))
    }

    /// How many pages hold something else than these numbers say.
    #[napi(catch_unwind, ts_return_type = "Promise<number | BindingError>")]
    pub fn pages_unlike<'env>(&self, env: &'env Env, digests: &[u64]) -> napi::Result<Object<'env>> {
        let (memory, digests) = (self.share(), digests.to_vec());
        elsewhere(env, "vfio-memory", move || Ok(count(&memory.pages_unlike(&digests))))
    }
}

impl BindingGuestMemory {
    /// The same memory.
    pub(crate) fn share(&self) -> GuestMemory {
        self.0.clone()
    }
}

#[napi]
impl BindingModel {
    /// Stops the guest; settled once it does not touch the device any more.
    #[napi(catch_unwind, ts_return_type = "Promise<undefined | BindingError>")]
    pub fn pause_guest<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let guest = self.0.guest();
        elsewhere(env, "vfio-guest", move || {
            guest.pause();
            Ok(())
        })
    }

    /// Lets the guest run.
    #[napi(catch_unwind, ts_return_type = "Promise<undefined | BindingError>")]
    pub fn resume_guest<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let guest = self.0.guest();
        elsewhere(env, "vfio-guest", move || {
            guest.resume();
            Ok(())
        })
    }

    /// What the device holds, as one number to compare.
    #[napi(catch_unwind, ts_return_type = "Promise<string | BindingError>")]
    pub fn proof<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let model = self.0.clone();
        elsewhere(env, "vfio-model", move || Ok(model.proof().to_string()))
    }

    /// In how many ticks the device ran, wherever it was.
    #[napi(catch_unwind, ts_return_type = "Promise<bigint | BindingError>")]
    pub fn counter<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let model = self.0.clone();
        elsewhere(env, "vfio-model", move || Ok(model.counter()))
    }

    /// What the device held when it last entered stop: after a restore, before it ran.
    #[napi(getter)]
    pub fn stopped(&self) -> Option<BindingStopped> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many pages of the memory do not hold what this device last wrote to them.
    #[napi(catch_unwind, ts_return_type = "Promise<number | BindingError>")]
    pub fn missed<'env>(&self, env: &'env Env, memory: &BindingGuestMemory) -> napi::Result<Object<'env>> {
        let (model, memory) = (self.0.clone(), memory.share());
        elsewhere(env, "vfio-model", move || Ok(count(&model.missed(&memory))))
    }

    /// How often the device was reset.
    #[napi(catch_unwind)]
    pub fn resets(&self) -> u64 {
        self.0.resets()
    }

    /// How often the guest touched the device where it must not.
    #[napi(catch_unwind)]
    pub fn touches(&self) -> u64 {
        self.0.touches()
    }

    /// Changes what goes wrong from now on: faults as in an address, separated by commas.
    #[napi(catch_unwind)]
    pub fn set_faults(&self, plan: String) -> Option<BindingError> {
        let faults = plan.split(',').filter(|text| !text.is_empty()).map(str::parse).collect::<Result<Vec<Fault>, _>>();
        match faults {
            Ok(faults) => {
                self.0.set_faults(faults.into_iter().fold(FaultPlan::none(), FaultPlan::with));
                None
            }
            Err(error) => Some(Error::new(Code::Usage, error.to_string()).into()),
        }
    }

    /// Ends all planned delays, those under way and those to come.
    #[napi(catch_unwind)]
    pub fn release_delays(&self) {
        self.0.release_delays();
    }
}

impl BindingModel {
    pub(crate) fn new(model: ModelHandle, stopped: Stopped) -> Self {
        Self(model, stopped)
    }
}

fn count(pages: &[u64]) -> u32 {
    u32::try_from(pages.len()).unwrap_or(u32::MAX)
}
