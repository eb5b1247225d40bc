//! The kernel's interface to VFIO devices, as safe calls over fds that the caller owns.
//!
//! | module | what it speaks to | fd |
//! |---|---|---|
//! | [`feature`] | device features: migration, DMA logging, tokens, power | device |
//! | [`precopy`] | how much pre-copy has left | data fd of a save |
//! | [`device`], [`irq`] | what a device is; reset; regions; interrupts | device |
//! | [`group`], [`container`] | groups and type1 containers, with dirty tracking | group, container |
//! | [`cdev`], [`iommufd`] | binding to an iommufd; address spaces, page tables and their dirty tracking | device, iommufd |
//! | [`mapping`] | memory that devices may be given | - |
//! | [`interruption`] | ending a call that blocks, with a signal to its thread | - |
//! | [`layout`] | the structures and numbers themselves, on every platform | - |
//!
//! Calls block, are made once, and answer with the kernel's error number: what EINTR, EAGAIN or ENOTTY mean is for the
//! caller to say. An fd of another kind answers with an error: the numbers belong to VFIO and iommufd alone, and where
//! one number means two things on two kinds of fd, every structure carries its own size.
//!
//! This crate is the only kernel-facing `unsafe`; it is empty but for [`layout`] where there is no Linux.
#![cfg_attr(not(target_os = "linux"), forbid(unsafe_code))]

pub mod layout;

#[cfg(target_os = "linux")]
mod call;
#[cfg(target_os = "linux")]
mod capability;
#[cfg(target_os = "linux")]
pub mod cdev;
#[cfg(target_os = "linux")]
pub mod container;
#[cfg(target_os = "linux")]
pub mod device;
#[cfg(target_os = "linux")]
pub mod feature;
#[cfg(target_os = "linux")]
pub mod group;
#[cfg(target_os = "linux")]
pub mod interruption;
#[cfg(target_os = "linux")]
pub mod iommufd;
#[cfg(all(target_os = "linux", feature = "iommufd-mock"))]
pub mod iommufd_mock;
#[cfg(target_os = "linux")]
pub mod irq;
#[cfg(target_os = "linux")]
pub mod mapping;
#[cfg(target_os = "linux")]
pub mod precopy;

#[cfg(target_os = "linux")]
pub use rustix::io::Errno;
