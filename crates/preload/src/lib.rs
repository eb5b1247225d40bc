//! Lets an unmodified VFIO program use the software device: a library that is preloaded (`LD_PRELOAD`) and answers for
//! `/dev/vfio`, `/dev/iommu` and the devices behind them.
//!
//! | variable of the environment | what it says |
//! |---|---|
//! | `VFIO_MIGRATION_PRELOAD_DEVICES` | the devices, as `model:SETTINGS`, with blanks between them; without it every call goes to libc |
//! | `VFIO_MIGRATION_PRELOAD_FOLDER` | a folder, made at load, that stands in for sysfs: the first device is `FOLDER/0000:00:01.0` ([`Place`]); what `/sys` says of the devices is read there ([`stand_in`]) |
//! | `VFIO_MIGRATION_PRELOAD_TRACE` | the file that every access is appended to |
//! | `VFIO_MIGRATION_PRELOAD_BLIND` | `1`: no dirty page is ever reported |
//!
//! A program that the library cannot serve ends with status 113, and the library says why.
//!
//! It is a test tool, not a security boundary: the devices live in the program, and a program that makes its system calls
//! without libc, or that is static, goes past it.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod abi;
pub mod host;
mod places;

pub use places::{Crowd, Node, Place, stand_in};
