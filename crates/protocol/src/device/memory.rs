use std::sync::Arc;

use super::{Bitmap, CallError};

/// A range of addresses as the device sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IovaRange {
    /// First address, in bytes.
    pub iova: u64,
    /// Length, in bytes.
    pub length: u64,
}

/// A piece of guest memory. It is read while devices and the guest write to it: pages that changed are read again
/// because a [`Tracker`] says so.
pub trait Memory: Send {
    /// Where it lies in the devices' address space, and its length in bytes: a multiple of the page size.
    fn range(&self) -> IovaRange;

    /// Reads all of `into` from `offset` bytes into this memory.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<(), CallError>;

    /// Writes all of `from` at `offset` bytes into this memory.
    fn write(&mut self, offset: u64, from: &[u8]) -> Result<(), CallError>;
}

/// Something that reports which pages of guest memory were written to: a device's DMA log, iommufd, a type1 container.
pub trait Tracker: Send {
    /// Starts logging writes to `ranges`. `page_size` in bytes is a wish; the answer is what the tracker uses.
    fn start(&mut self, ranges: &[IovaRange], page_size: u64) -> Result<u64, CallError>;

    /// Reads and clears what was written in `range` since the last report. Bit i of `into` is page i of the range;
    /// bits are only ever set. After an error the log is lost: everything counts as written to.
    fn report(&mut self, range: IovaRange, into: &mut Bitmap) -> Result<(), CallError>;

    /// Stops logging. Stopping a stopped tracker is no error.
    fn stop(&mut self) -> Result<(), CallError>;

    /// A way for other threads to make the call that is under way answer early, with EINTR, if the tracker has one: as that
    /// of a [`Device`](super::Device::interrupter). A report that was interrupted has failed: the log is lost.
    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        None
    }
}
