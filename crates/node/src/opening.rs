//! How devices come to be open here, and how they are handed on.

use std::sync::{Mutex, PoisonError};

use napi::Env;
use napi::bindgen_prelude::{BigInt, Object};
use napi_derive::napi;
use vfio_migration::device::kernel::{self, Holding, Offer};
use vfio_migration::device::{Address, Lent, OpenOptions, Opened, Place, RegionOptions};
use vfio_migration::protocol::region::{Limits, Oversized};
use vfio_migration::protocol::state::Dialect;
use vfio_migration::{Code, Error};

use crate::descriptor;
use crate::device::BindingDevice;
use crate::model::BindingGuestMemory;
use crate::options::milliseconds;
use crate::promise::Answer;

/// How a device of the kernel came to be open.
#[napi(object, object_from_js = false)]
pub struct BindingHolding {
    /// `group` or `cdev`; absent if somebody else opened it.
    pub by: Option<String>,
    /// The state in which it was found.
    pub found: String,
    /// Whether we reset it because of that state.
    pub was_reset: bool,
    /// Whether the kernel resets it at its first open, as here, and at its last close.
    pub reset_by_opening: bool,
}

/// A socket that gives a device to other programs.
#[napi]
pub struct BindingOffer(Mutex<Option<Offer>>);

#[napi]
impl BindingOffer {
    /// Gives it to nobody any more.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// How a device is opened.
#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct BindingOpenOptions {
    /// It is to be saved: one that is empty when it is opened afresh is refused.
    pub to_save: Option<bool>,
    /// It is taken all the same.
    pub fresh: Option<bool>,
    /// How long the program at a unix socket may take to hand the device over, in milliseconds.
    pub wait_ms: Option<f64>,
    /// A log of dirty pages beside the device's own that may be used.
    pub tracking: Option<BindingTracking>,
    /// A device with a migration region is opened too, which is experimental.
    pub region: Option<BindingRegion>,
}

/// How a device with a migration region is driven.
#[napi(object, object_to_js = false)]
pub struct BindingRegion {
    /// `thread`, `qemu` or `libvfio-user`.
    pub dialect: String,
    /// Whether a segment that is larger than the device's window is split.
    pub split_segments: bool,
    /// Most bytes of a stopped device.
    pub max_stop_copy_bytes: Option<BigInt>,
    /// How often in a row a stopped device may have bytes pending and give none.
    pub max_empty_rounds: Option<u32>,
}

/// A log of dirty pages that the caller lends.
#[napi(object, object_to_js = false)]
pub struct BindingTracking {
    /// The page table's number; absent: it is the container's.
    pub page_table: Option<u32>,
    /// The caller has started it, with pages of so many bytes.
    pub started: Option<BigInt>,
}

/// Opens a device by its address. `memory` is the guest memory that a software device's DMA writes to.
#[napi(catch_unwind, ts_return_type = "Promise<BindingDevice | BindingError>")]
pub fn open_device<'env>(
    env: &'env Env,
    address: String,
    memory: Option<&BindingGuestMemory>,
    options: Option<BindingOpenOptions>,
) -> napi::Result<Object<'env>> {
    let memory = memory.map(BindingGuestMemory::share);
    // On JavaScript's thread: it may close its descriptor as soon as this returns.
    let options = OpenOptions::try_from(options.unwrap_or_default());
    let named = options.and_then(|options| named(&address, OpenOptions { memory, ..options }));
    opened_elsewhere(env, move || {
        let (address, options) = named?;
        let opened = address.open(options)?;
        Ok((address.to_string(), opened))
    })
}

/// Takes a device that the caller has open, with what it needs beside and which device it is.
#[napi(catch_unwind, ts_return_type = "Promise<BindingDevice | BindingError>")]
pub fn open_descriptors(
    env: &Env,
    fd: i32,
    beside: Vec<i32>,
    device: Option<String>,
    options: BindingOpenOptions,
) -> napi::Result<Object<'_>> {
    let options = OpenOptions::try_from(options);
    let copies = descriptor::copy(fd).and_then(|device| {
        let beside: Result<Vec<_>, _> = beside.into_iter().map(descriptor::copy).collect();
        Ok((device, beside?))
    });
    opened_elsewhere(env, move || {
        let ((copy, beside), options) = (copies?, options?);
        let place = device.map(|place| place.parse::<Place>()).transpose()?;
        Ok((format!("fd:{fd}"), kernel::take_with(copy, beside, place.as_ref(), &options)?))
    })
}

fn named(address: &str, mut options: OpenOptions) -> Result<(Address, OpenOptions), Error> {
    let address: Address = address.parse()?;
    if let Address::Kernel(kernel) = &address
        && let Some(number) = kernel.descriptor()
    {
        options.descriptor = Some(descriptor::copy(i32::try_from(number).unwrap_or(-1))?);
    }
    Ok((address, options))
}

/// Opening may reset a PCI device, which takes its time.
fn opened_elsewhere(
    env: &Env,
    open: impl FnOnce() -> Result<(String, Opened), Error> + Send + 'static,
) -> napi::Result<Object<'_>> {
    let (answer, promise) = Answer::promised(env)?;
    answer.by_thread("vfio-open", |answer| {
        let opened = open();
        answer.make(move |env| opened.and_then(|(address, opened)| BindingDevice::new(env, address, opened)));
    });
    Ok(promise)
}

impl BindingOffer {
    pub(crate) const fn new(offer: Offer) -> Self {
        Self(Mutex::new(Some(offer)))
    }
}

impl TryFrom<BindingOpenOptions> for OpenOptions {
    type Error = Error;

    fn try_from(options: BindingOpenOptions) -> Result<Self, Error> {
        let BindingOpenOptions { to_save, fresh, wait_ms, tracking, region } = options;
        Ok(Self {
            to_save: to_save.unwrap_or(false),
            fresh: fresh.unwrap_or(false),
            wait: wait_ms.map(milliseconds),
            lent: tracking.map(Lent::from),
            region: region.map(RegionOptions::try_from).transpose()?,
            ..Self::default()
        })
    }
}

impl TryFrom<BindingRegion> for RegionOptions {
    type Error = Error;

    fn try_from(region: BindingRegion) -> Result<Self, Error> {
        let BindingRegion { dialect, split_segments, max_stop_copy_bytes, max_empty_rounds } = region;
        let dialect = dialect.parse().map_err(|_| {
            let known = Dialect::ALL.map(|dialect| dialect.to_string()).join(", ");
            Error::new(Code::Usage, format!("'{dialect}' is no dialect of the migration region: there are {known}"))
        })?;
        let oversized = if split_segments { Oversized::Split } else { Oversized::Refuse };
        let usual = Limits::default();
        let limits = Limits {
            max_stop_copy_bytes: max_stop_copy_bytes.map_or(usual.max_stop_copy_bytes, |bytes| bytes.get_u64().1),
            max_empty_rounds: max_empty_rounds.unwrap_or(usual.max_empty_rounds),
        };
        Ok(Self { dialect, oversized, limits })
    }
}

impl From<BindingTracking> for Lent {
    fn from(BindingTracking { page_table, started }: BindingTracking) -> Self {
        let started = started.map(|page_size| page_size.get_u64().1);
        match page_table {
            Some(id) => Self::PageTable { id, started },
            None => Self::Container { started },
        }
    }
}

impl From<&Holding> for BindingHolding {
    fn from(holding: &Holding) -> Self {
        Self {
            by: holding.opened_by().map(|by| by.to_string()),
            found: holding.found().to_string(),
            was_reset: holding.was_reset(),
            reset_by_opening: holding.is_reset_by_opening(),
        }
    }
}
