//! Backends of `Device` and `Tracker`, and the addresses by which devices are opened.
//!
//! A backend does what it is told and says what happened; it decides nothing.
//!
//! | address | what it opens |
//! |---|---|
//! | `model:SETTINGS` | a software device in this process ([`Settings`](vfio_migration_model::Settings)): `model:size=256MiB,pre-copy,p2p,seed=7` |
//! | `vfio:BDF` | a PCI function of this host: `vfio:0000:65:00.1`; on other buses `vfio:BUS/NAME` |
//! | `mdev:UUID` | a mediated device of this host |
//! | `cdev:PATH` | the device of a node in `/dev/vfio/devices` |
//! | `fd:N` | a device that this process has open already |
//! | `fd:unix:PATH` | one that the program at a unix socket hands over |
//! | `pidfd:PID:N` | one that another process has open |
//!
//! Devices of the kernel that we open take `?by=group` or `?by=cdev` and `?vf_token=UUID`; descriptors take
//! `?device=vfio:BDF` or `?device=mdev:UUID`, since older kernels do not say to which device one belongs. Whoever opens a
//! PCI function afresh has an empty one: the kernel resets it at its first open and at its last close.
//!
//! Devices with a migration region ([`region`]) are opened only for who asks for it: they are experimental.
//!
//! ```
//! use vfio_migration_protocol::State;
//! let mut opened = vfio_migration_device::open("model:size=1MiB,pre-copy,seed=7", None)?;
//! assert_eq!(opened.device.state()?, State::Running);
//! let error = vfio_migration_device::open("vfio:0000:65:20.1", None).unwrap_err();
//! assert!(error.to_string().starts_with("'0000:65:20.1' is no address of a PCI function"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod address;
mod dirty_log;
mod dirty_pages;
#[cfg(target_os = "linux")]
pub mod discovery;
#[cfg(target_os = "linux")]
pub mod kernel;
#[cfg(not(target_os = "linux"))]
#[path = "kernel/absent.rs"]
pub mod kernel;
mod model;
pub mod region;
mod release;
pub mod sysfs;

pub use address::{
    Address, By, Fault, KernelAddress, KernelError, Lent, OpenError, OpenOptions, Opened, Place, Token, open,
};
pub use dirty_log::DirtyLog;
pub use dirty_pages::{DirtyPages, DirtyRanges};
pub use model::{Guest, ModelHandle, Stopped};
pub use region::RegionOptions;
pub use release::release;
