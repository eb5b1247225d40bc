//! The software devices as a kernel would offer them: containers, groups, iommufds, devices and data fds, without any
//! interception. Whoever has a [`Handle`] calls it as a program calls a descriptor.
//!
//! | file | what lives there |
//! |---|---|
//! | `handle` | what a descriptor stands for |
//! | `program` | what is asked of the program |
//! | `memory`, `structure` | the program's memory, and structures in it |
//! | `container`, `group`, `iommufd`, `binding`, `space`, `dirty` | what devices reach of it, and which pages they wrote to |
//! | `device`, `access`, `regions`, `config`, `interrupts` | a device: time, regions, PCI, interrupts |
//! | `feature`, `data` | the fsm protocol |
//! | `record` | what the program did, as a trace |

mod access;
mod binding;
mod config;
mod container;
mod data;
mod device;
mod dirty;
mod feature;
mod group;
mod handle;
mod interrupts;
mod iommufd;
mod memory;
mod program;
mod record;
mod regions;
mod space;
mod structure;

pub use handle::{Handle, Kind};
pub use program::Program;

use core::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use vfio_migration_model::{Settings, SettingsError};
use vfio_migration_protocol::{CallError, Capabilities, Errno};

use crate::places::{Crowd, Node, Place};
use device::Device;
use record::Record;

/// How a host is, besides its devices.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The file to which a trace of what the program does is appended.
    pub trace: Option<PathBuf>,
    /// Dirty tracking of devices, containers and iommufds works, and never finds a page: for tests that must fail then.
    pub blind: bool,
}

/// The software devices of one program.
#[derive(Debug)]
pub struct Host {
    devices: Vec<Arc<Device>>,
    record: Arc<Record>,
}

/// Why there is no such host.
#[derive(Debug)]
pub enum HostError {
    /// The address is none of a software device: `model:SETTINGS`.
    Address(String),
    /// The settings in an address are none.
    Settings(String, SettingsError),
    /// There are more devices than places.
    Crowd(Crowd),
    /// A device could not be made.
    Device(String, CallError),
    /// The program may not reach its own memory through the kernel.
    Memory(Errno),
    /// The trace cannot be written.
    Trace(PathBuf, io::Error),
}

impl Host {
    /// Makes the devices at these addresses (`model:SETTINGS`), in this order.
    pub fn new(addresses: &[impl AsRef<str>], options: &Options) -> Result<Self, HostError> {
        memory::check().map_err(HostError::Memory)?;
        let record = Record::new(options.trace.as_deref());
        let record = record.map_err(|error| HostError::Trace(options.trace.clone().unwrap_or_default(), error))?;
        let record = Arc::new(record);
        let made = |(index, address): (usize, &str)| {
            let settings = settings_of(address)?;
            let place = Place::of(index).map_err(HostError::Crowd)?;
            let nonce = RandomState::new().hash_one(index);
            let device = Device::new(place, settings, nonce, Arc::clone(&record), options.blind);
            device.map(Arc::new).map_err(|error| HostError::Device(address.into(), error))
        };
        let addresses = addresses.iter().map(AsRef::as_ref).enumerate();
        let devices: Vec<_> = addresses.map(made).collect::<Result<_, _>>()?;
        // DMA between devices, where they have the states that keep it in order.
        let peers: Vec<_> = devices.iter().filter(|device| device.can(Capabilities::P2P)).collect();
        for one in &peers {
            peers.iter().filter(|other| !Arc::ptr_eq(one, other)).for_each(|other| one.connect(&other.port()));
        }
        Ok(Self { devices, record })
    }

    /// How many devices there are.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Opens a node of `/dev`. ENOENT: there is no such device; EBUSY: it is in use.
    ///
    /// A descriptor that came by another way than `open`, such as one that was kept over `exec`, is opened anew too: what
    /// was done with it in another process is not known here.
    pub fn open(&self, node: Node) -> Result<Handle, Errno> {
        match node {
            Node::Container => Ok(Handle::container()),
            Node::Iommufd => Ok(Handle::iommufd()),
            Node::Group(place) => Handle::group(self.device(place)?),
            Node::Cdev(place) => self.device(place).map(Handle::cdev),
        }
    }

    /// The program ends: what its open devices hold is written down.
    pub fn finish(&self) {
        self.devices.iter().filter(|device| device.is_open()).for_each(|device| device.note_registers());
        self.record.flush();
    }

    fn device(&self, place: Place) -> Result<&Arc<Device>, Errno> {
        self.devices.get(place.index()).ok_or(Errno::ENOENT)
    }
}

/// The settings in the address of a software device.
pub fn settings_of(address: &str) -> Result<Settings, HostError> {
    let settings = address.strip_prefix("model:").ok_or_else(|| HostError::Address(address.into()))?;
    Settings::parse(settings).map_err(|error| HostError::Settings(address.into(), error))
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address} is no software device: write model:SETTINGS"),
            Self::Settings(address, error) => write!(f, "{address}: {error}"),
            Self::Crowd(crowd) => crowd.fmt(f),
            Self::Device(address, error) => write!(f, "{address} could not be made: {error}"),
            Self::Memory(errno) => write!(
                f,
                "devices do not reach the program's memory: process_vm_readv fails with {errno} here, allow it (seccomp)"
            ),
            Self::Trace(path, error) => write!(f, "the trace {} cannot be written: {error}", path.display()),
        }
    }
}

impl core::error::Error for HostError {}
