//! Where bytes go and come from. A connected transport (a socket, a duplex pair) carries messages back; a one-way
//! transport (a file, a pipe, a terminal) does not. What a file descriptor is, is asked, never guessed.

mod address;
mod frames;
mod interrupt;

pub use address::Address;
pub use frames::{Duplex, FrameSink, FrameSource};
pub use interrupt::Interrupt;

use std::fmt;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::time::Duration;

use vfio_migration_protocol::session::Mode;

use crate::Error;

/// How a transport is opened.
#[derive(Clone, Debug)]
pub struct TransportOptions {
    /// How long to try to connect, or to wait for whoever connects; 10 s to connect, for ever to wait.
    pub wait: Option<Duration>,
    /// Whether a file that stands there already may be replaced; false.
    pub overwrite: bool,
    /// Whether TCP may leave this machine, unencrypted and unauthenticated as it is; false.
    pub insecure: bool,
    /// Ends the waiting early.
    pub interrupt: Option<Interrupt>,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self { wait: None, overwrite: false, insecure: false, interrupt: None }
    }
}

/// Where a save sends to: open, and connected where it is a connection.
pub struct Sink {
    mode: Mode,
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
        let _ = (address, options);
        unimplemented!()
    }

    /// Writes to a file descriptor: a stream socket is connected, everything else is one-way.
    ///
    /// # Errors
    /// `ERR_VFIO_USAGE` if it cannot be written to: a folder, a listening or unconnected socket, opened for reading.
    pub fn fd(fd: OwnedFd) -> Result<Self, Error> {
        let _ = fd;
        unimplemented!()
    }

    /// Writes to standard output.
    ///
    /// # Errors
    /// As [`fd`](Self::fd).
    pub fn stdout() -> Result<Self, Error> {
        unimplemented!()
    }

    /// Writes our container, one-way, to a writer of the caller. `interrupt` is called, possibly more than once, to make
    /// a blocked call return.
    pub fn writer(writer: impl Write + Send + 'static, interrupt: impl Fn() + Send + Sync + 'static) -> Self {
        let _ = (writer, interrupt);
        unimplemented!()
    }

    /// Speaks our container over a pair of streams of the caller.
    pub fn duplex(duplex: Duplex) -> Self {
        let _ = duplex;
        unimplemented!()
    }

    /// Hands messages and payloads to the caller, one-way, without our container.
    pub fn frames(sink: impl FrameSink + 'static, interrupt: impl Fn() + Send + Sync + 'static) -> Self {
        let _ = (sink, interrupt);
        unimplemented!()
    }

    /// Exchanges messages and payloads with the caller, without our container.
    pub fn frames_connected(
        sink: impl FrameSink + 'static,
        back: impl FrameSource + 'static,
        interrupt: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let _ = (sink, back, interrupt);
        unimplemented!()
    }

    /// Whether messages come back.
    pub const fn mode(&self) -> Mode {
        self.mode
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("mode", &self.mode).finish()
    }
}

/// Where a restore reads from. Whether messages go back, the stream says; that they can, is a matter of the transport.
pub struct Source {}

impl Source {
    /// Reads from a file descriptor, as [`Sink::fd`].
    ///
    /// # Errors
    /// `ERR_VFIO_USAGE` if it cannot be read from.
    pub fn fd(fd: OwnedFd) -> Result<Self, Error> {
        let _ = fd;
        unimplemented!()
    }

    /// Reads from standard input.
    ///
    /// # Errors
    /// As [`fd`](Self::fd).
    pub fn stdin() -> Result<Self, Error> {
        unimplemented!()
    }

    /// Reads our container, one-way, from a reader of the caller.
    pub fn reader(reader: impl Read + Send + 'static, interrupt: impl Fn() + Send + Sync + 'static) -> Self {
        let _ = (reader, interrupt);
        unimplemented!()
    }

    /// Speaks our container over a pair of streams of the caller.
    pub fn duplex(duplex: Duplex) -> Self {
        let _ = duplex;
        unimplemented!()
    }

    /// Takes messages and payloads from the caller, without our container.
    pub fn frames(source: impl FrameSource + 'static, interrupt: impl Fn() + Send + Sync + 'static) -> Self {
        let _ = (source, interrupt);
        unimplemented!()
    }

    /// Exchanges messages and payloads with the caller, without our container.
    pub fn frames_connected(
        source: impl FrameSource + 'static,
        back: impl FrameSink + 'static,
        interrupt: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let _ = (source, back, interrupt);
        unimplemented!()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}

/// Where a restore waits for its source. Files, FIFOs and standard input are a `Listener` as well: there is just nobody to
/// wait for.
#[derive(Debug)]
pub struct Listener {}

impl Listener {
    /// Binds to an address. A unix socket is for its owner only (0600); a stale socket file is replaced only if nobody
    /// answers on it, and the file is removed when the listener is dropped. For TCP, port 0 takes any free port.
    ///
    /// # Errors
    /// As [`Sink::connect`]; `ERR_VFIO_EXISTS` if another process answers on the unix socket or the path is no socket.
    pub fn bind(address: &Address, options: &TransportOptions) -> Result<Self, Error> {
        let _ = (address, options);
        unimplemented!()
    }

    /// Where it listens, with the port that it got.
    pub fn address(&self) -> &Address {
        unimplemented!()
    }

    /// Waits for one source, then stops listening.
    ///
    /// # Errors
    /// `ERR_VFIO_DEADLINE` after [`TransportOptions::wait`], `ERR_VFIO_CANCELLED` if it was interrupted,
    /// `ERR_VFIO_TRANSPORT` with what the operating system says.
    pub fn accept(self) -> Result<Source, Error> {
        unimplemented!()
    }
}
