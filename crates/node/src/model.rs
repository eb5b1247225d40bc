//! The software device's own face, for tests and the demo: its guest, its memory, and what it knows for certain.

use napi::Env;
use napi::bindgen_prelude::{BigInt, BigUint64Array, Either, Object};
use napi_derive::napi;
use vfio_migration::device::{ModelHandle, Stopped};
use vfio_migration::{Code, Error};
use vfio_migration_model::{Fault, FaultPlan, GuestMemory, GuestMemoryError};

use crate::error::BindingError;
use crate::promise::elsewhere;

/// Guest memory that software devices write to.
#[napi]
pub struct BindingGuestMemory(GuestMemory);

/// The world around a software device.
#[napi]
pub struct BindingModel(ModelHandle);

/// What a device held when it last entered stop.
#[napi(object, object_from_js = false)]
pub struct BindingStopped {
    /// As a proof.
    pub proof: String,
    /// In how many ticks it had run.
    pub counter: u64,
}

/// Zeroed memory of so many bytes that devices see at `iova`.
#[napi(catch_unwind, ts_return_type = "BindingGuestMemory | BindingError")]
pub fn guest_memory(iova: BigInt, length: BigInt) -> Either<BindingGuestMemory, BindingError> {
    match GuestMemory::new(iova.get_u64().1, length.get_u64().1) {
        Ok(memory) => Either::A(BindingGuestMemory(memory)),
        Err(error) => {
            let code = match error {
                GuestMemoryError::TooLarge(_) => Code::Host,
                GuestMemoryError::Unaligned(_) | GuestMemoryError::OutOfRange(_) => Code::Usage,
            };
            Either::B(Error::new(code, error.to_string()).into())
        }
    }
}

#[napi]
impl BindingGuestMemory {
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
        self.0.stopped().map(|Stopped { proof, counter }| BindingStopped { proof: proof.to_string(), counter })
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
    pub(crate) fn new(model: ModelHandle) -> Self {
        Self(model)
    }
}

fn count(pages: &[u64]) -> u32 {
    u32::try_from(pages.len()).unwrap_or(u32::MAX)
}
