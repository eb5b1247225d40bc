use std::fmt;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use vfio_migration_protocol::session::Mode;

use super::link::{Inlet, Link, Outlet, Plain};
use super::{Address, Duplex, FrameSink, FrameSource, TransportOptions, system};
use crate::Error;

/// Where a save sends to: open, and connected where it is a connection.
pub struct Sink {
    link: Link,
}

impl Sink {
    /// Opens what an address names. Tries again for [`TransportOptions::wait`] while nobody listens (unix, TCP) or reads
    /// (FIFO). A file is written under a temporary name in the same folder and gets its own once it is complete; devices,
    /// FIFOs and terminals are written in place.
    ///
    /// # Errors
    /// `ERR_VFIO_EXISTS` if the file exists and may not be replaced; `ERR_VFIO_TRANSPORT` with what the operating system
    /// says; `ERR_VFIO_USAGE` for `fd:N`, which only the caller can own (see [`fd`](Self::fd)), for a path too long for a
    /// socket, and for TCP that leaves this machine without [`TransportOptions::insecure`]; `ERR_VFIO_CANCELLED` if it was
    /// interrupted.
    pub fn connect(address: &Address, options: &TransportOptions) -> Result<Self, Error> {
        Ok(Self { link: system::connect(address, options)? })
    }

    /// Writes to a file descriptor: a stream socket is connected, everything else is one-way. A regular file is written
    /// in place, from where it stands.
    ///
    /// A pipe whose reader leaves raises SIGPIPE, which Rust programs and Node ignore; others must as well.
    ///
    /// # Errors
    /// `ERR_VFIO_USAGE` if it cannot be written to: a folder, a listening or unconnected socket, opened for reading.
    pub fn fd(fd: OwnedFd) -> Result<Self, Error> {
        Ok(Self { link: system::to_fd(fd)? })
    }

    /// Writes to standard output, one-way whatever it is.
    ///
    /// # Errors
    /// As [`fd`](Self::fd); `ERR_VFIO_USAGE` if it is a terminal.
    pub fn stdout() -> Result<Self, Error> {
        Ok(Self { link: system::stdout()? })
    }

    /// Writes our container, one-way, to a writer of the caller. It is dropped when everything was sent. `interrupt` is
    /// called, possibly more than once, to make a blocked call return.
    pub fn writer(writer: impl Write + Send + 'static, interrupt: impl Fn() + Send + Sync + 'static) -> Self {
        let outlet = Some(Outlet::Bytes(Box::new(Plain::new(writer))));
        Self { link: Link { outlet, inlet: None, interrupt: Arc::new(interrupt) } }
    }

    /// Speaks our container over a pair of streams of the caller.
    pub fn duplex(duplex: Duplex) -> Self {
        Self { link: duplex.into() }
    }

    /// Hands messages and payloads to the caller, one-way, without our container.
    pub fn frames(sink: impl FrameSink + 'static, interrupt: impl Fn() + Send + Sync + 'static) -> Self {
        let outlet = Some(Outlet::Frames(Box::new(sink)));
        Self { link: Link { outlet, inlet: None, interrupt: Arc::new(interrupt) } }
    }

    /// Exchanges messages and payloads with the caller, without our container.
    pub fn frames_connected(
        sink: impl FrameSink + 'static,
        back: impl FrameSource + 'static,
        interrupt: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let (outlet, inlet) = (Some(Outlet::Frames(Box::new(sink))), Some(Inlet::Frames(Box::new(back))));
        Self { link: Link { outlet, inlet, interrupt: Arc::new(interrupt) } }
    }

    /// Whether messages come back.
    pub const fn mode(&self) -> Mode {
        if self.link.inlet.is_some() { Mode::Connected } else { Mode::OneWay }
    }

    pub(crate) fn into_link(self) -> Link {
        self.link
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("mode", &self.mode()).finish()
    }
}
