//! The N-API binding of `vfio-migration`: `Binding*` types and conversions, no logic.
//!
//! | module | what crosses there |
//! |---|---|
//! | [`device`] | devices, each on a thread of its own |
//! | [`dirty`] | logs of dirty pages, likewise |
//! | [`discovery`] | devices that were seen and not opened, and what is wrong with them |
//! | [`opening`] | how devices come to be open, and how they are handed on |
//! | [`session`], [`news`], [`options`] | sessions, what they have to say, how they go |
//! | [`transport`], [`pipe`], [`view`] | where bytes go: natively, or through buffers of JavaScript |
//! | [`trace`] | traces of calls, compared |
//! | [`inspect`] | files that are looked into |
//! | [`simulation`] | migrations that are simulated |
//! | [`model`] | the software device's own face, for tests and the demo |
//! | [`promise`], [`error`] | promises that other threads settle, failures as values |
//! | [`cleanup`] | what must end before an environment does |
//! | `thread` | threads that JavaScript's thread asks for |

#![expect(clippy::needless_pass_by_value, reason = "what JavaScript hands over is owned by the call")]

#[cfg(not(target_os = "linux"))]
pub mod absent;
#[cfg(feature = "benchmark")]
pub mod benchmark;
pub mod cleanup;
mod descriptor;
pub mod device;
pub mod dirty;
#[cfg(target_os = "linux")]
pub mod discovery;
pub mod error;
pub mod inspect;
pub mod model;
pub mod news;
pub mod opening;
pub mod options;
pub mod pipe;
pub mod promise;
pub mod session;
pub mod simulation;
mod thread;
pub mod trace;
pub mod transport;
pub mod view;
mod worker;

use napi_derive::napi;

/// The version of this addon, for the facade to compare with its own.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// How many devices and sessions of this environment have a thread.
#[napi]
pub fn living() -> u32 {
    cleanup::living()
}
