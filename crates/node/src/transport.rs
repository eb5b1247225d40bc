//! Where a session's bytes go and come from. Opening waits on a thread of its own, never on JavaScript's.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;
use vfio_migration::{Address, Error, Interrupt, Listener, Sink, Source, TransportOptions};

use crate::error::{BindingError, closed};
use crate::promise::elsewhere;

/// How a transport is opened.
#[napi(object, object_to_js = false)]
pub struct BindingTransportOptions {
    /// How long to try to connect or wait for whoever connects, in milliseconds.
    pub wait_ms: Option<f64>,
    /// Whether a file that stands there may be replaced.
    pub overwrite: bool,
    /// Whether TCP may leave this machine.
    pub insecure: bool,
}

/// Ends the waiting of [`connect`] or [`BindingListener::accept`] early.
#[napi]
pub struct BindingInterrupt(Interrupt);

/// A place that a save sends to, open.
#[napi]
pub struct BindingSink(Mutex<Option<Sink>>);

/// A place that a restore reads from, open.
#[napi]
pub struct BindingSource(Mutex<Option<Source>>);

/// A place where a restore waits for its source.
#[napi]
pub struct BindingListener {
    listener: Mutex<Option<Listener>>,
    address: String,
}

#[napi]
impl BindingInterrupt {
    /// One that was not triggered yet.
    #[napi(constructor, catch_unwind)]
    pub fn new() -> napi::Result<Self> {
        Ok(Self(Interrupt::new()?))
    }

    /// Ends every wait that looks at it.
    #[napi(catch_unwind)]
    pub fn trigger(&self) {
        self.0.trigger();
    }
}

/// Opens what an address names, for a save.
#[napi(catch_unwind, ts_return_type = "Promise<BindingSink | BindingError>")]
pub fn connect<'env>(
    env: &'env Env,
    address: String,
    options: BindingTransportOptions,
    interrupt: &BindingInterrupt,
) -> napi::Result<Object<'env>> {
    let options = options.with(interrupt);
    elsewhere(env, "vfio-transport", move || Ok(BindingSink::new(Sink::connect(&parsed(&address)?, &options)?)))
}

/// Waits at an address for a source.
#[napi(catch_unwind, ts_return_type = "Promise<BindingListener | BindingError>")]
pub fn listen<'env>(
    env: &'env Env,
    address: String,
    options: BindingTransportOptions,
    interrupt: &BindingInterrupt,
) -> napi::Result<Object<'env>> {
    let options = options.with(interrupt);
    elsewhere(env, "vfio-transport", move || {
        let listener = Listener::bind(&parsed(&address)?, &options)?;
        let address = listener.address().to_string();
        Ok(BindingListener { listener: Mutex::new(Some(listener)), address })
    })
}

#[napi]
impl BindingListener {
    /// Where it listens, with the port that it got.
    #[napi(getter)]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Waits for one source, then stops listening.
    #[napi(catch_unwind, ts_return_type = "Promise<BindingSource | BindingError>")]
    pub fn accept<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let listener = taken(&self.listener, "the listener");
        elsewhere(env, "vfio-transport", move || Ok(BindingSource::new(listener?.accept()?)))
    }

    /// Stops listening.
    #[napi(catch_unwind)]
    pub fn close(&self) {
        drop(taken(&self.listener, "the listener"));
    }
}

/// What an address is in the engine's own words, or why it is none.
#[napi(catch_unwind, ts_return_type = "string | BindingError")]
pub fn check_address(address: String) -> napi::Either<String, BindingError> {
    match parsed(&address) {
        Ok(address) => napi::Either::A(address.to_string()),
        Err(error) => napi::Either::B(error.into()),
    }
}

/// Writes to a file descriptor, of which a copy is made at once.
#[napi(catch_unwind, ts_return_type = "BindingSink | BindingError")]
pub fn sink_of_fd(fd: i32) -> napi::Either<BindingSink, BindingError> {
    either(crate::descriptor::copy(fd).and_then(Sink::fd).map(BindingSink::new))
}

/// Reads from a file descriptor, of which a copy is made at once.
#[napi(catch_unwind, ts_return_type = "BindingSource | BindingError")]
pub fn source_of_fd(fd: i32) -> napi::Either<BindingSource, BindingError> {
    either(crate::descriptor::copy(fd).and_then(Source::fd).map(BindingSource::new))
}

impl BindingTransportOptions {
    fn with(self, interrupt: &BindingInterrupt) -> TransportOptions {
        TransportOptions {
            wait: self.wait_ms.and_then(|wait| Duration::try_from_secs_f64(wait / 1000.0).ok()),
            overwrite: self.overwrite,
            insecure: self.insecure,
            interrupt: Some(interrupt.0.clone()),
        }
    }
}

impl BindingSink {
    pub(crate) fn new(sink: Sink) -> Self {
        Self(Mutex::new(Some(sink)))
    }

    pub(crate) fn take(&self) -> Result<Sink, Error> {
        taken(&self.0, "the sink")
    }
}

impl BindingSource {
    pub(crate) fn new(source: Source) -> Self {
        Self(Mutex::new(Some(source)))
    }

    pub(crate) fn take(&self) -> Result<Source, Error> {
        taken(&self.0, "the source")
    }
}

fn parsed(address: &str) -> Result<Address, Error> {
    address.parse()
}

fn taken<T>(place: &Mutex<Option<T>>, what: &str) -> Result<T, Error> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(|| closed(what))
}

fn either<T>(result: Result<T, Error>) -> napi::Either<T, BindingError> {
    match result {
        Ok(value) => napi::Either::A(value),
        Err(error) => napi::Either::B(error.into()),
    }
}
