//! Trackers of the Linux kernel: who says which pages devices wrote to.
//!
//! | tracker | asks | knows |
//! |---|---|---|
//! | [`DeviceLog`] | the device itself (features 6 to 8) | what this device wrote |
//! | [`MappedLog`] over a [`PageTable`] | the IOMMU, through iommufd | what devices wrote through this page table |
//! | [`MappedLog`] over a [`Container`] | the type1 container | what its devices may have written |
//!
//! [`FirstThatWorks`] tries several in turn. Each is started on the real ranges and asked once before `start` answers: a
//! kernel without IOMMUFD accepts a DMA log and cannot report it. Reading clears. What cannot be known counts as written
//! to: after an error everything, and in holes, where nothing is mapped, every page.
//!
//! Their calls have an [`interrupter`](vfio_migration_protocol::Tracker::interrupter), as those of devices.
//!
//! A tracker that is [`Whose::Ours`] is stopped on every way out, at the latest when it is dropped. One that is
//! [`Whose::Borrowed`] was started by the caller, who stops it; it is read because the caller made it a tracker here.

mod container;
mod device_log;
mod first_that_works;
mod mapped;
mod mappings;
mod page_table;
mod pages;
mod ranges;

pub use container::Container;
pub use device_log::DeviceLog;
pub use first_that_works::FirstThatWorks;
pub use mapped::{Kernel, MappedLog, Maps};
pub use page_table::PageTable;

use std::sync::Arc;

use rustix::io;
use vfio_migration_protocol::{CallError, Errno};
use vfio_migration_uapi::interruption::Interruption;

/// Who starts and stops a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// It is started by `start` and stopped by `stop`, or when the tracker is dropped.
    Ours,
    /// The caller has started it, with pages of so many bytes, and stops it. It is read and cleared, no more.
    Borrowed {
        /// Bytes a page.
        page_size: u64,
    },
}

/// The smallest page that logs have, in bytes (`vfio_main.c` of Linux 6.12).
const SMALLEST_PAGE: u64 = 4096;

/// How often a call is made again that a signal interrupted. What it read so far stands in the caller's bitmap.
const INTERRUPTIONS: usize = 100;

/// Unless the interruption was meant for it.
fn again<T>(interruption: &Interruption, mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..INTERRUPTIONS {
        match interruption.during(&mut call) {
            Err(io::Errno::INTR) if !interruption.is_asked() => {}
            answer => return answer,
        }
    }
    interruption.during(call)
}

fn interrupter(interruption: &Arc<Interruption>) -> Arc<dyn Fn() + Send + Sync> {
    let interruption = Arc::clone(interruption);
    Arc::new(move || interruption.ask())
}

/// What a failed call is to a session.
fn failed(what: &str, errno: io::Errno) -> CallError {
    CallError::because(Errno::from_linux(errno.raw_os_error()), what)
}
