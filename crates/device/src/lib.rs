//! Backends of `Device` and `Tracker`, and the addresses by which devices are opened.
//!
//! A backend does what it is told and says what happened; it decides nothing. Today there is one scheme:
//!
//! | address | what it opens |
//! |---|---|
//! | `model:SETTINGS` | a software device in this process ([`Settings`](vfio_migration_model::Settings)): `model:size=256MiB,pre-copy,p2p,seed=7` |
//!
//! ```
//! use vfio_migration_protocol::State;
//! let mut opened = vfio_migration_device::open("model:size=1MiB,pre-copy,seed=7", None)?;
//! assert_eq!(opened.device.state()?, State::Running);
//! let error = vfio_migration_device::open("vfio:0000:65:00.1", None).unwrap_err();
//! assert_eq!(error.to_string(), "devices of the scheme 'vfio' are not supported yet: there is 'model', such as model:size=256MiB");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod address;
#[cfg(target_os = "linux")]
pub mod discovery;
mod model;
pub mod sysfs;

pub use address::{Address, OpenError, Opened, open};
pub use model::{Guest, ModelHandle};
