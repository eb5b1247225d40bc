//! Devices with a migration region (v1), whatever the region is reached by: of the kernel, of a software device, of
//! whoever implements [`Region`]. What drives them is the same for all, and lives in the protocol
//! ([`vfio_migration_protocol::region`]).
//!
//! **Experimental.** No driver in Linux ever had such a region, what deployed devices make of the text differs, and the
//! only client that was ever widespread (QEMU until 7.2) called it experimental itself. So a region device is opened only
//! for who asks for it ([`OpenOptions::region`](crate::OpenOptions::region)), and says which
//! [`Dialect`](vfio_migration_protocol::state::Dialect) it speaks.
//!
//! ```
//! use vfio_migration_device::{Address, OpenOptions, RegionOptions};
//! use vfio_migration_protocol::{Protocol, State};
//! let address: Address = "model:size=1MiB,protocol=region".parse()?;
//! let error = address.open(OpenOptions::default()).unwrap_err();
//! assert!(error.to_string().contains("experimental"));
//!
//! let options = OpenOptions { region: Some(RegionOptions::default()), ..OpenOptions::default() };
//! let mut opened = address.open(options)?;
//! assert_eq!(opened.device.protocol(), Protocol::Region);
//! opened.device.set_state(State::StopCopy)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use vfio_migration_protocol::region::{Areas, BadAreas, Region, RegionDevice, RegionOptions, UnfitRegion};
