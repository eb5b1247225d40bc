//! Lets an unmodified VFIO program use the software device: a library that is preloaded (`LD_PRELOAD`) and answers for
//! `/dev/vfio`, `/dev/iommu` and the devices behind them.
//!
//! It is a test tool, not a security boundary: the devices live in the program, and a program that makes its system calls
//! without libc, or that is static, goes past it.
#![cfg(target_os = "linux")]

pub mod host;
mod places;

pub use places::{Crowd, Node, Place};
