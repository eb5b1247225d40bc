//! The N-API binding of `vfio-migration`: `Binding*` types and conversions, no logic.

use napi_derive::napi;

/// The version of this addon, for the facade to compare with its own.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
