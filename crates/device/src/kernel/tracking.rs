//! Which trackers an open device has: its own log, and what is beside it, in the order in which they are tried.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use vfio_migration_protocol::Tracker;

use super::descriptor::{Kind, kind};
use super::holding::{Beside, Kept, KeptDevice};
use super::tracker::{Container, DeviceLog, FirstThatWorks, MappedLog, PageTable, Whose};
use crate::address::{Fault, KernelError, Lent};
use crate::sysfs::Host;

/// What may say which pages a device wrote to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logs {
    /// Its own log, and after it what we have opened ourselves beside it: some kernels say that there is a log and cannot
    /// read it.
    OwnFirst,
    /// What we have opened ourselves beside it: devices with a region leave it to that.
    Beside,
    /// Only what was lent.
    Lent,
}

/// The trackers of a device. What belongs to the caller comes after the device's own log, if it was lent.
pub(super) fn trackers(
    host: &Host,
    kept: &Arc<Kept>,
    logs: Logs,
    lent: Option<Lent>,
    from: &str,
) -> Result<Vec<Box<dyn Tracker>>, KernelError> {
    let copy = |fd: BorrowedFd<'_>| {
        fd.try_clone_to_owned().map_err(|error| {
            let what = format!("{from}: no copy of the descriptor beside it: {error}");
            KernelError::new(Fault::Host, what, "raise the limit of open files ('ulimit -n')")
        })
    };
    let mut first = FirstThatWorks::new();
    if logs == Logs::OwnFirst {
        first = first.or("the device's DMA log", DeviceLog::new(KeptDevice(Arc::clone(kept)), Whose::Ours));
    }
    let container = |fd, whose| Ok(MappedLog::new(Container::new(copy(fd)?), whose));
    let page_table = |fd, id, whose| Ok(MappedLog::new(PageTable::lent(copy(fd)?, id), whose));
    first = match (lent, &kept.beside) {
        (Some(Lent::Container { started }), beside) => {
            let fd = the_container(host, beside).ok_or_else(|| absent(from, "container"))?;
            first.or(CONTAINER, container(fd, whose(started))?)
        }
        (Some(Lent::PageTable { id, started }), beside) => {
            let fd = the_iommufd(host, beside).ok_or_else(|| absent(from, "iommufd"))?;
            first.or(PAGE_TABLE, page_table(fd, id, whose(started))?)
        }
        (None, Beside::Group(group)) if logs != Logs::Lent => {
            first.or(CONTAINER, container(group.container.as_fd(), Whose::Ours)?)
        }
        (None, Beside::Space { space, tracking: Some(id) }) if logs != Logs::Lent => {
            first.or(PAGE_TABLE, page_table(space.iommufd.as_fd(), *id, Whose::Ours)?)
        }
        (None, _) => first,
    };
    Ok(if first.is_empty() { Vec::new() } else { vec![Box::new(first)] })
}

const CONTAINER: &str = "the container's dirty tracking";
const PAGE_TABLE: &str = "the page table's dirty tracking";

const fn whose(started: Option<u64>) -> Whose {
    match started {
        Some(page_size) => Whose::Borrowed { page_size },
        None => Whose::Ours,
    }
}

fn the_container<'a>(host: &Host, beside: &'a Beside) -> Option<BorrowedFd<'a>> {
    match beside {
        Beside::Group(group) => Some(group.container.as_fd()),
        Beside::Space { .. } => None,
        Beside::Borrowed(others) => one_of(host, others, &Kind::Container),
    }
}

fn the_iommufd<'a>(host: &Host, beside: &'a Beside) -> Option<BorrowedFd<'a>> {
    match beside {
        Beside::Group(_) => None,
        Beside::Space { space, .. } => Some(space.iommufd.as_fd()),
        Beside::Borrowed(others) => one_of(host, others, &Kind::Iommufd),
    }
}

fn one_of<'a>(host: &Host, others: &'a [std::os::fd::OwnedFd], wanted: &Kind) -> Option<BorrowedFd<'a>> {
    others.iter().find(|fd| kind(host, fd).is_ok_and(|kind| kind == *wanted)).map(AsFd::as_fd)
}

fn absent(from: &str, what: &str) -> KernelError {
    let words = format!("{from} has no {what} beside it whose dirty tracking could be used");
    KernelError::new(Fault::Usage, words, format!("hand the {what} over with the device, or lend nothing"))
}
