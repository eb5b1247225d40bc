//! Who holds a device, and with what.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Weak};

use vfio_migration_protocol::{Companions, State};

use super::cdev::AddressSpace;
use super::companions::Membership;
use super::group::Group;
use crate::address::By;

/// A device's descriptor and those without which it could not be used. They close together.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) device: OwnedFd,
    pub(super) beside: Beside,
    /// Which devices of its IOMMU group are open, if its group is known.
    pub(super) membership: Option<Membership>,
}

impl Kept {
    /// Those of its IOMMU group that are open.
    pub(super) fn companions(&self) -> Option<Companions> {
        self.membership.as_ref().map(Membership::companions)
    }
}

/// The device itself, for whoever makes calls on it.
#[derive(Debug)]
pub(super) struct KeptDevice(pub(super) Arc<Kept>);

impl AsFd for KeptDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.device.as_fd()
    }
}

/// What is kept beside a device.
#[derive(Debug)]
pub(super) enum Beside {
    Group(Arc<Group>),
    Space {
        space: Arc<AddressSpace>,
        /// The page table that logs writes, where the IOMMU can.
        tracking: Option<u32>,
    },
    /// Whatever came with the device. It belongs to whoever sent it and is not used.
    Borrowed(Vec<OwnedFd>),
}

/// How a device of the kernel came to be open, and the way to hand it on. It does not keep the device open.
#[derive(Clone, Debug)]
pub struct Holding {
    pub(super) kept: Weak<Kept>,
    pub(super) by: Option<By>,
    pub(super) found: State,
    pub(super) reset_by_us: bool,
    pub(super) reset_by_kernel: bool,
}

impl Holding {
    /// By which way we opened it; `None` if somebody else did.
    pub const fn opened_by(&self) -> Option<By> {
        self.by
    }

    /// The state in which it was found, before anything was done about it.
    pub const fn found(&self) -> State {
        self.found
    }

    /// Whether it was reset because it was found in a state that a dead session left behind. This is one of ours.
    pub const fn was_reset(&self) -> bool {
        self.reset_by_us
    }

    /// Whether the kernel resets it when it is first opened, as here, and again when it is last closed. These are not
    /// ours.
    pub const fn is_reset_by_opening(&self) -> bool {
        self.reset_by_kernel
    }

    /// The address space that the device is attached to in its iommufd, for whoever maps memory there, and the page table
    /// that logs writes to it, if the IOMMU can. `None` if it was opened another way, or is closed.
    pub fn address_space(&self) -> Option<(u32, Option<u32>)> {
        match &self.kept.upgrade()?.beside {
            Beside::Space { space, tracking } => Some((space.ioas, *tracking)),
            Beside::Group(_) | Beside::Borrowed(_) => None,
        }
    }

    /// Descriptors to hand to another program, which then holds the device as well: the device first, then its container
    /// and group, or its iommufd, or whatever came with it.
    ///
    /// # Errors
    /// If the device is closed, or no descriptors are left.
    pub fn descriptors(&self) -> io::Result<Vec<OwnedFd>> {
        let kept = self.kept.upgrade().ok_or_else(|| io::Error::other("the device is closed"))?;
        let beside = match &kept.beside {
            Beside::Group(group) => vec![group.container.as_fd(), group.group.as_fd()],
            Beside::Space { space, .. } => vec![space.iommufd.as_fd()],
            Beside::Borrowed(others) => others.iter().map(AsFd::as_fd).collect(),
        };
        std::iter::once(kept.device.as_fd()).chain(beside).map(|fd| fd.try_clone_to_owned()).collect()
    }
}
