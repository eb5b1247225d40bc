use core::fmt;
use core::str::FromStr;

use vfio_migration_model::{GuestMemory, Settings, SettingsError};
use vfio_migration_protocol::{Device, Tracker};

use crate::model::{self, ModelHandle};

/// Opens the device at `address`. `memory` is the guest memory that a software device's DMA writes to.
///
/// Dropping [`Opened::device`] and every handle of it ends its threads; the last one to go waits for them.
pub fn open(address: &str, memory: Option<GuestMemory>) -> Result<Opened, OpenError> {
    address.parse::<Address>()?.open(memory)
}

/// A device that was opened.
pub struct Opened {
    /// Its migration interface.
    pub device: Box<dyn Device>,
    /// What reports the pages of guest memory that the device wrote to; empty if it has no dirty tracking.
    pub trackers: Vec<Box<dyn Tracker>>,
    /// The world around a software device: its guest, and what it knows for certain.
    pub model: Option<ModelHandle>,
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
}

impl Address {
    /// Opens the device. The address names it, nothing is opened before.
    pub fn open(&self, memory: Option<GuestMemory>) -> Result<Opened, OpenError> {
        match self {
            Self::Model(settings) => model::open(settings, memory),
        }
    }
}

impl FromStr for Address {
    type Err = OpenError;

    fn from_str(text: &str) -> Result<Self, OpenError> {
        let (scheme, rest) = text.split_once(':').ok_or_else(|| OpenError::NoScheme(text.to_owned()))?;
        match scheme {
            "model" => Settings::parse(rest).map(Box::new).map(Self::Model).map_err(OpenError::Settings),
            "vfio" | "cdev" | "mdev" | "vfio-user" => Err(OpenError::NotYet(scheme.to_owned())),
            _ => Err(OpenError::UnknownScheme(scheme.to_owned())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(settings) => write!(f, "model:{settings}"),
        }
    }
}

/// Why a device was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// The address has no scheme.
    NoScheme(String),
    /// No devices have this scheme.
    UnknownScheme(String),
    /// Devices of this scheme cannot be opened yet.
    NotYet(String),
    /// The settings of a software device are wrong.
    Settings(SettingsError),
    /// The operating system gave no thread for a software device.
    Thread(std::io::Error),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const THERE_IS: &str = "there is 'model', such as model:size=256MiB";
        match self {
            Self::NoScheme(text) => write!(f, "the address '{text}' has no scheme: {THERE_IS}"),
            Self::UnknownScheme(scheme) => write!(f, "no devices have the scheme '{scheme}': {THERE_IS}"),
            Self::NotYet(scheme) => write!(f, "devices of the scheme '{scheme}' are not supported yet: {THERE_IS}"),
            Self::Settings(error) => write!(f, "the address of a model is wrong: {error}"),
            Self::Thread(_) => f.write_str("no thread could be started for the model"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoScheme(_) | Self::UnknownScheme(_) | Self::NotYet(_) => None,
            Self::Settings(error) => Some(error),
            Self::Thread(error) => Some(error),
        }
    }
}
