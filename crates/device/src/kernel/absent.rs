//! Devices of the Linux kernel, on another system: there are none.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use vfio_migration_protocol::State;

use crate::address::{By, Fault, KernelAddress, KernelError, OpenOptions, Opened, Place};

/// How a device of the kernel came to be open. Nobody has one here.
#[derive(Clone, Debug)]
pub struct Holding(Infallible);

/// A socket that gives a device to other programs. Nobody has one here.
#[derive(Debug)]
pub struct Offer(Infallible);

impl Holding {
    /// By which way we opened it.
    pub const fn opened_by(&self) -> Option<By> {
        match self.0 {}
    }

    /// The state in which it was found.
    pub const fn found(&self) -> State {
        match self.0 {}
    }

    /// Whether we reset it.
    pub const fn was_reset(&self) -> bool {
        match self.0 {}
    }

    /// Whether the kernel resets it when it is opened.
    pub const fn is_reset_by_opening(&self) -> bool {
        match self.0 {}
    }
}

impl Offer {
    /// Offers a device.
    ///
    /// # Errors
    /// None: there is no device.
    pub fn at(_path: &Path, holding: Holding) -> io::Result<Self> {
        match holding.0 {}
    }
}

/// Takes a device that the caller has open.
///
/// # Errors
/// Always: this is not Linux.
pub fn take(_device: OwnedFd, _beside: Vec<OwnedFd>, _place: Option<&Place>) -> Result<Opened, KernelError> {
    Err(elsewhere("the descriptor"))
}

/// Chooses the signal that ends calls which do not return. Nothing is called here.
///
/// # Errors
/// Always: this is not Linux.
pub fn interrupt_with(_signal: Option<i32>) -> Result<(), KernelError> {
    Err(elsewhere("what a signal could interrupt"))
}

/// As [`take`], with options.
///
/// # Errors
/// Always: this is not Linux.
pub fn take_with(
    _device: OwnedFd,
    _beside: Vec<OwnedFd>,
    _place: Option<&Place>,
    _options: &OpenOptions,
) -> Result<Opened, KernelError> {
    Err(elsewhere("the descriptor"))
}

pub(crate) fn open(address: &KernelAddress, _options: OpenOptions) -> Result<Opened, KernelError> {
    Err(elsewhere(&address.to_string()))
}

fn elsewhere(what: &str) -> KernelError {
    let what = format!("{what} is a device of the Linux kernel, and this is another system");
    KernelError::new(Fault::Platform, what, "use Linux for it")
}
