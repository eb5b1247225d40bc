use std::fmt;
use std::io::{self, Read, Write};

use vfio_migration_protocol::session::{Message, Offer};

/// Takes a session's messages and payloads without our container, for a VMM that has a stream of its own.
///
/// Methods are called by one thread, in order, and may block: that is the back-pressure. An error, or a panic, is
/// the end of the session's connection. What is not written down here is the VMM's own business; the order of messages must arrive as
/// it left.
pub trait FrameSink: Send {
    /// Starts the stream: what will be moved.
    fn open(&mut self, offer: &Offer) -> io::Result<()>;

    /// Sends a message. `payload` is empty unless it is a [`Message::Data`], whose bytes it holds.
    fn send(&mut self, message: &Message, payload: &[u8]) -> io::Result<()>;

    /// Everything was sent. A one-way stream that lasts is made to last here.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What was sent is worth nothing; leave nothing of it behind.
    fn discard(&mut self) {}
}

/// Gives a session its peer's messages and payloads without our container.
pub trait FrameSource: Send {
    /// Reads the start of the stream. On the way back, from a restore to a save, this is never called.
    fn open(&mut self) -> io::Result<Offer>;

    /// Waits for the next message; `None` at the end of the stream. The bytes of a [`Message::Data`] go into `payload`,
    /// which holds [`Offer::chunk`] bytes.
    fn receive(&mut self, payload: &mut [u8]) -> io::Result<Option<Message>>;
}

/// A pair of byte streams of the caller, which carries our container in both directions.
///
/// ```
/// use std::net::{Shutdown, TcpListener, TcpStream};
/// use vfio_migration::{Duplex, Sink};
///
/// # fn main() -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let stream = TcpStream::connect(listener.local_addr()?)?;
/// let (reader, interrupt) = (stream.try_clone()?, stream.try_clone()?);
/// let sink = Sink::duplex(Duplex::new(reader, stream, move || {
///     let _ = interrupt.shutdown(Shutdown::Both);
/// }));
/// # Ok(())
/// # }
/// ```
pub struct Duplex {
    pub(crate) reader: Box<dyn Read + Send>,
    pub(crate) writer: Box<dyn Write + Send>,
    pub(crate) interrupt: Box<dyn Fn() + Send + Sync>,
}

impl Duplex {
    /// A pair of streams. The writer is dropped once everything was sent, which must close that direction; `interrupt` is
    /// called, possibly more than once, to make blocked calls of both return.
    pub fn new(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
        interrupt: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        Self { reader: Box::new(reader), writer: Box::new(writer), interrupt: Box::new(interrupt) }
    }
}

impl fmt::Debug for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Duplex")
    }
}
