//! What VFIO devices a host has, and why one cannot migrate: found out without opening any of them.
//!
//! | part | what it answers |
//! |---|---|
//! | [`list`], [`find`] | [`Found`]: driver, group, node, who has it open, and what it is likely to be capable of |
//! | [`doctor`] | [`Diagnosis`]: one [`Finding`] for each reason why something does not work, with its remedy |
//! | [`DRIVERS`] | what is known about drivers |
//!
//! Sources are sysfs, procfs and, where it can be read, debugfs. What only an open device could tell is
//! [`Support::Unknown`], or [`Support::Likely`] if its driver is known.
//!
//! ```
//! use vfio_migration_device::discovery;
//! use vfio_migration_device::sysfs::Host;
//! let host = Host::new();
//! for found in discovery::list(&host) {
//!     println!("{}: driver {:?}, migration {}", found.address, found.driver, found.migration);
//! }
//! for finding in discovery::doctor(&host, None)?.findings {
//!     println!("{}: {} ({})", finding.code, finding.what, finding.remedy);
//! }
//! # Ok::<(), discovery::FindError>(())
//! ```

mod ailments;
mod doctor;
mod drivers;
mod found;
mod holders;
mod host;
mod kernel;
mod node;
mod variants;

pub use doctor::{Diagnosis, Finding, doctor};
pub use drivers::{DRIVERS, Driver, driver};
pub use found::{FindError, Found, FoundGroup, Support, find, list, place};
pub use holders::{Holder, InUse};
