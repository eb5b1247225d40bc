//! What the host needs of the program that it is in.

use std::os::fd::{OwnedFd, RawFd};

use vfio_migration_protocol::Errno;

use super::Handle;

/// The program that uses the devices, as far as its descriptors go: the host itself has none of them.
///
/// No lock of the host's is held while [`give`](Self::give) or [`duplicate`](Self::duplicate) is called; the others must not
/// call back.
pub trait Program {
    /// What one of the program's descriptors stands for, if it is one of ours.
    fn handle(&self, fd: RawFd) -> Option<Handle>;

    /// Makes a descriptor for a handle. What this fails with the program is told, as by a kernel.
    fn give(&self, handle: Handle) -> Result<RawFd, Errno>;

    /// A descriptor of our own for what one of the program's stands for, such as an eventfd. EBADF: there is none.
    fn duplicate(&self, fd: RawFd) -> Result<OwnedFd, Errno>;

    /// Tells whoever runs the program something that they must know: one sentence without a full stop.
    fn complain(&self, sentence: &str);
}
