//! Looking for devices of the Linux kernel, on another system.

use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;
use vfio_migration::{Code, Error};

use crate::promise::Answer;

/// All devices that a VFIO driver has.
#[napi(catch_unwind)]
pub fn list_devices(env: &Env, _root: String) -> napi::Result<Object<'_>> {
    needs_linux(env)
}

/// One device.
#[napi(catch_unwind)]
pub fn find_device(env: &Env, _address: String, _root: String) -> napi::Result<Object<'_>> {
    needs_linux(env)
}

/// Why nothing migrates.
#[napi(catch_unwind)]
pub fn doctor(env: &Env, _address: Option<String>, _root: String) -> napi::Result<Object<'_>> {
    needs_linux(env)
}

fn needs_linux(env: &Env) -> napi::Result<Object<'_>> {
    let (answer, promise) = Answer::<()>::promised(env)?;
    answer.give(Err(Error::new(Code::Platform, "devices of the kernel are looked for on Linux only")));
    Ok(promise)
}
