//! The dirty tracking of a type1 container.

use std::os::fd::AsFd;

use rustix::io;
use vfio_migration_protocol::{CallError, Errno, IovaRange};
use vfio_migration_uapi::container;

use super::{Kernel, failed};

/// A type1 container whose devices' writes are tracked, for a [`MappedLog`](super::MappedLog).
///
/// It knows which pages its devices *may* have written to: for devices behind a real IOMMU that are all that are mapped,
/// every time. It is EOPNOTSUPP for a container that does not track (type1 of version 1, an iommufd that plays one).
#[derive(Debug)]
pub struct Container<F> {
    fd: F,
}

impl<F: AsFd + Send> Container<F> {
    /// Over a container's descriptor, which has its IOMMU set.
    pub const fn new(fd: F) -> Self {
        Self { fd }
    }
}

impl<F: AsFd + Send> Kernel for Container<F> {
    const NAME: &'static str = "dirty tracking of the container";

    fn supports(&self, _wish: u64) -> Result<(u64, u64), CallError> {
        let info = container::info(self.fd.as_fd()).map_err(|errno| failed("asking the container", errno))?;
        let unsupported = || CallError::because(Errno::EOPNOTSUPP, "the container does not track dirty pages");
        let tracking = info.dirty_tracking.ok_or_else(unsupported)?;
        // The smallest page is the only one that is answered for.
        let smallest = tracking.page_sizes & tracking.page_sizes.wrapping_neg();
        if smallest == 0 { Err(unsupported()) } else { Ok((smallest, tracking.most)) }
    }

    fn start(&self) -> io::Result<()> {
        container::start_dirty_tracking(self.fd.as_fd())
    }

    fn stop(&self) -> io::Result<()> {
        container::stop_dirty_tracking(self.fd.as_fd())
    }

    fn read(&self, mapped: IovaRange, page_size: u64, words: &mut [u64]) -> io::Result<()> {
        container::dirty(self.fd.as_fd(), mapped.iova, mapped.length, page_size, words)
    }

    fn unmap(&self, mapped: IovaRange, log: Option<(u64, &mut [u64])>) -> io::Result<u64> {
        let (fd, IovaRange { iova, length }) = (self.fd.as_fd(), mapped);
        match log {
            Some((page_size, words)) => container::unmap_dirty(fd, iova, length, page_size, words),
            None => container::unmap(fd, iova, length),
        }
    }
}
