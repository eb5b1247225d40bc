mod error;
mod kernel;
mod lent;

#[cfg(target_os = "linux")]
pub(crate) use error::{EXPERIMENTAL_REMEDY, experimental};
pub use error::{Fault, KernelError, OpenError};
pub use kernel::{By, KernelAddress, Place, Token};
pub use lent::Lent;

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use vfio_migration_model::{GuestMemory, Settings};
use vfio_migration_protocol::{Device, Tracker};

use crate::model::{self, ModelHandle};
use crate::region::RegionOptions;
use crate::sysfs::Host;

/// Opens the device at `address`. `memory` is the guest memory that a software device's DMA writes to.
///
/// Dropping [`Opened::device`] and every handle of it ends its threads; the last one to go waits for them.
pub fn open(address: &str, memory: Option<GuestMemory>) -> Result<Opened, OpenError> {
    address.parse::<Address>()?.open(OpenOptions { memory, ..OpenOptions::default() })
}

/// What opening a device depends on besides its address.
#[derive(Debug, Default)]
pub struct OpenOptions {
    /// The guest memory that a software device's DMA writes to.
    pub memory: Option<GuestMemory>,
    /// The device is to be saved. Devices that the kernel resets at their first open are then refused: there is nothing in
    /// them.
    pub to_save: bool,
    /// They are taken all the same.
    pub fresh: bool,
    /// Devices with a migration region are opened too, which is experimental ([`region`](crate::region)), and driven like
    /// this.
    pub region: Option<RegionOptions>,
    /// Where the host's folders are, unless it is this host.
    pub host: Host,
    /// The descriptor that `fd:N` names ([`KernelAddress::descriptor`]), from whoever may make an owner of a number.
    pub descriptor: Option<std::os::fd::OwnedFd>,
    /// How long the program at a unix socket (`fd:unix:PATH`) may take to hand the device over; 10 s.
    pub wait: Option<Duration>,
    /// A log of dirty pages beside the device's own that may be used where the device's own is not there or does not work.
    /// What we open ourselves beside a device is used without it.
    pub lent: Option<Lent>,
}

/// A device that was opened.
pub struct Opened {
    /// Its migration interface.
    pub device: Box<dyn Device>,
    /// What reports the pages of guest memory that the device wrote to; empty if it has no dirty tracking. They keep the
    /// device open.
    pub trackers: Vec<Box<dyn Tracker>>,
    /// The world around a software device: its guest, and what it knows for certain.
    pub model: Option<ModelHandle>,
    /// How a device of the kernel came to be open, and the way to hand it on.
    pub kernel: Option<crate::kernel::Holding>,
}

impl Opened {
    /// A device that the caller has made.
    pub fn of(device: Box<dyn Device>) -> Self {
        Self { device, trackers: Vec::new(), model: None, kernel: None }
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trackers = self.trackers.len();
        f.debug_struct("Opened").field("trackers", &trackers).field("model", &self.model).finish_non_exhaustive()
    }
}

/// Where a device is: `SCHEME:REST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `model:SETTINGS`
    Model(Box<Settings>),
    /// A device of the kernel: `vfio:`, `mdev:`, `cdev:`, `fd:`, `pidfd:`.
    Kernel(Box<KernelAddress>),
}

impl Address {
    /// Opens the device. The address names it, nothing is opened before.
    pub fn open(&self, options: OpenOptions) -> Result<Opened, OpenError> {
        match self {
            Self::Model(settings) => model::open(settings, options.memory, options.region),
            Self::Kernel(address) => Ok(crate::kernel::open(address, options)?),
        }
    }
}

impl FromStr for Address {
    type Err = OpenError;

    fn from_str(text: &str) -> Result<Self, OpenError> {
        let (scheme, rest) = text.split_once(':').ok_or_else(|| {
            // What follows may be secret.
            OpenError::NoScheme(text.split('?').next().unwrap_or(text).to_owned())
        })?;
        match scheme {
            "model" => Settings::parse(rest).map(Box::new).map(Self::Model).map_err(OpenError::Settings),
            scheme if kernel::SCHEMES.contains(&scheme) => {
                Ok(Self::Kernel(Box::new(KernelAddress::parse(scheme, rest)?)))
            }
            "vfio-user" => Err(OpenError::NotYet(scheme.to_owned())),
            _ => Err(OpenError::UnknownScheme(scheme.to_owned())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(settings) => write!(f, "model:{settings}"),
            Self::Kernel(address) => address.fmt(f),
        }
    }
}
