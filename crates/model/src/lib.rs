//! A software VFIO device that knows exactly what a migration must bring across.
//!
//! [`Model`] speaks the fsm protocol in the kernel's terms (linux/vfio.h, `vfio_main.c`), or has a migration region; it has any size from 0 bytes to
//! [`MAX_SIZE`], works while it runs, and can prove afterwards that everything arrived. It does no I/O, has no clock and
//! no threads: [`Model::advance`] makes it work, and the same settings, nonce and calls give the same device.
//!
//! | module | what lives there |
//! |---|---|
//! | [`settings`] | what a model is, as a value and as text |
//! | [`fault`] | what goes wrong at which call |
//! | [`calls`] | which calls the model received |
//! | [`device`] | the [`Model`] itself and how its states change |
//! | [`region`] | how a device with a migration region shows itself |
//! | [`guest_memory`] | memory that the device's DMA writes to |
//! | [`dma`] | the DMA engine's ground truth |
//! | [`log`] | the DMA log, a [`Tracker`](vfio_migration_protocol::Tracker) |
//! | [`peers`] | DMA between devices, and who was not ready for it |
//! | [`proof`] | what two ends compare |
//!
//! The data format is described in `docs/model.md` of the repository.
//!
//! ```
//! use vfio_migration_model::{Model, Settings};
//! use vfio_migration_protocol::{Device, State, Then};
//!
//! let settings = Settings::parse("size=1MiB,seed=7")?;
//! let (mut source, mut destination) = (Model::new(&settings, 1)?, Model::new(&settings, 2)?);
//! source.start();
//! source.advance(10);
//!
//! source.set_state(State::StopCopy)?;
//! destination.set_state(State::Resuming)?;
//! let mut buffer = vec![0; 64 << 10];
//! loop {
//!     let filled = source.read(&mut buffer)?;
//!     if filled.then == Then::End {
//!         break;
//!     }
//!     assert_eq!(destination.write(&buffer[..filled.len], false)?, filled.len);
//! }
//! assert_ne!(source.proof(), destination.proof());
//! destination.set_state(State::Stop)?;
//! assert_eq!(source.proof(), destination.proof());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod calls;
mod data;
pub mod device;
pub mod dma;
pub mod fault;
pub mod guest_memory;
mod load;
pub mod log;
mod pages;
pub mod peers;
pub mod proof;
pub mod region;
mod save;
pub mod settings;

pub use calls::{Call, CallKind};
pub use device::{INTERRUPTS, Model, Register, Scratch};
pub use dma::GroundTruth;
pub use fault::{At, Effect, Fault, FaultError, FaultPlan, Which, Wrong};
pub use guest_memory::{ForeignMemory, GuestMemory, GuestMemoryError};
pub use log::ModelTracker;
pub use pages::PAGE_SIZE;
pub use peers::Port;
pub use proof::{Held, Proof};
pub use region::{Layout, Mapped, RegionSettings, Tolerance, Tolerances};
pub use settings::{MAX_SIZE, Settings, SettingsError};
