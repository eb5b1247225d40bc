use std::fmt;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::link::{Inlet, Link, Outlet};
use super::{Address, Duplex, FrameSink, FrameSource, TransportOptions, system};
use crate::Error;

/// Where a restore reads from. Whether messages go back, the stream says; that they can, is a matter of the transport.
pub struct Source {
    link: Link,
}

impl Source {
    /// Reads from a file descriptor: what it is, is asked as by [`Sink::fd`](crate::Sink::fd).
    ///
    /// # Errors
    /// `ERR_VFIO_USAGE` if it cannot be read from.
    pub fn fd(fd: OwnedFd) -> Result<Self, Error> {
        Ok(Self { link: system::from_fd(fd)? })
    }

    /// Reads from standard input, one-way whatever it is.
    ///
    /// # Errors
    /// As [`fd`](Self::fd); `ERR_VFIO_USAGE` if it is a terminal.
    pub fn stdin() -> Result<Self, Error> {
        Ok(Self { link: system::stdin()? })
    }

    /// Reads our container, one-way, from a reader of the caller. `interrupt` is called, possibly more than once, to make
    /// a blocked call return.
    pub fn reader(reader: impl Read + Send + 'static, interrupt: impl Fn() + Send + Sync + 'static) -> Self {
        let inlet = Some(Inlet::Bytes(Box::new(reader)));
        Self { link: Link { outlet: None, inlet, interrupt: Arc::new(interrupt) } }
    }

    /// Speaks our container over a pair of streams of the caller.
    pub fn duplex(duplex: Duplex) -> Self {
        Self { link: duplex.into() }
    }

    /// Takes messages and payloads from the caller, without our container.
    pub fn frames(source: impl FrameSource + 'static, interrupt: impl Fn() + Send + Sync + 'static) -> Self {
        let inlet = Some(Inlet::Frames(Box::new(source)));
        Self { link: Link { outlet: None, inlet, interrupt: Arc::new(interrupt) } }
    }

    /// Exchanges messages and payloads with the caller, without our container.
    pub fn frames_connected(
        source: impl FrameSource + 'static,
        back: impl FrameSink + 'static,
        interrupt: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let (outlet, inlet) = (Some(Outlet::Frames(Box::new(back))), Some(Inlet::Frames(Box::new(source))));
        Self { link: Link { outlet, inlet, interrupt: Arc::new(interrupt) } }
    }

    pub(crate) fn into_link(self) -> Link {
        self.link
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

/// Where a restore waits for its source. Files, FIFOs and standard input are a `Listener` as well: there is just nobody to
/// wait for, but for the first byte of a FIFO.
///
/// ```no_run
/// use vfio_migration::{Address, Listener, TransportOptions};
/// # fn main() -> Result<(), vfio_migration::Error> {
/// let listener = Listener::bind(&"tcp:127.0.0.1:0".parse()?, &TransportOptions::default())?;
/// println!("send to {}", listener.address());
/// let source = listener.accept()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    bound: system::Bound,
}

impl Listener {
    /// Binds to an address. A unix socket is for its owner only (0600); a stale socket file is replaced only if nobody
    /// answers on it, and the file is removed when the listener is dropped. For TCP, port 0 takes any free port.
    ///
    /// # Errors
    /// As [`Sink::connect`](crate::Sink::connect); `ERR_VFIO_EXISTS` if another process listens on the unix socket or the
    /// path is no socket.
    pub fn bind(address: &Address, options: &TransportOptions) -> Result<Self, Error> {
        Ok(Self { bound: system::Bound::bind(address, options)? })
    }

    /// Where it listens, with the port that it got.
    pub const fn address(&self) -> &Address {
        &self.bound.address
    }

    /// Waits for one source, then stops listening.
    ///
    /// # Errors
    /// `ERR_VFIO_DEADLINE` after [`TransportOptions::wait`], `ERR_VFIO_CANCELLED` if it was interrupted,
    /// `ERR_VFIO_TRANSPORT` with what the operating system says.
    pub fn accept(self) -> Result<Source, Error> {
        Ok(Source { link: self.bound.accept()? })
    }
}
