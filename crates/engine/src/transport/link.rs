//! What the session's threads see of a transport: an outlet, an inlet, and a way to make both return.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;

use vfio_migration_protocol::session::CommitError;

use super::{Duplex, FrameSink, FrameSource};

/// One connection, or one end of a file.
pub(crate) struct Link {
    pub(crate) outlet: Option<Outlet>,
    pub(crate) inlet: Option<Inlet>,
    /// Makes blocked calls of both return, now and later. May be called again.
    pub(crate) interrupt: Arc<dyn Fn() + Send + Sync>,
}

/// Where messages go.
pub(crate) enum Outlet {
    /// Bytes: our container is put around the messages.
    Bytes(Box<dyn ByteSink>),
    /// The caller's own container.
    Frames(Box<dyn FrameSink>),
}

/// Where messages come from.
pub(crate) enum Inlet {
    /// Bytes of our container.
    Bytes(Box<dyn Read + Send>),
    /// The caller's own container.
    Frames(Box<dyn FrameSource>),
}

/// Where bytes go.
pub(crate) trait ByteSink: Send {
    /// Writes all of both, in one call of the operating system where it takes them.
    fn write_both(&mut self, head: &[u8], payload: &[u8]) -> io::Result<()>;

    /// Whether [`write_at_once`](Self::write_at_once) does anything.
    fn takes_at_once(&self) -> bool {
        false
    }

    /// Writes what can be written without blocking, and returns how many bytes that was.
    fn write_at_once(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Ok(0)
    }

    /// Passes on what is buffered.
    fn flush(&mut self) -> io::Result<()>;

    /// Nothing follows; the other end is told, and what it sends can still be read.
    fn close(&mut self);

    /// Makes what was written last, under its final name.
    fn commit(&mut self) -> Result<(), CommitError>;

    /// Whether the guest is given up by [`commit`](Self::commit), and not by the first byte of `end`.
    fn commits_by_name(&self) -> bool {
        false
    }

    /// Leaves nothing of what was written behind, as far as it can be taken back.
    fn discard(&mut self) {}
}

/// A writer whose end is its drop: a pipe, a socket's half, a stream of the caller.
pub(super) struct Plain<W> {
    writer: Option<W>,
}

impl<W: Write + Send> Plain<W> {
    pub(super) const fn new(writer: W) -> Self {
        Self { writer: Some(writer) }
    }
}

impl<W: Write + Send> ByteSink for Plain<W> {
    fn write_both(&mut self, head: &[u8], payload: &[u8]) -> io::Result<()> {
        match &mut self.writer {
            Some(writer) => write_both(writer, head, payload),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.as_mut().map_or(Ok(()), Write::flush)
    }

    fn close(&mut self) {
        self.writer = None;
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        // What a pipe or a stream has taken is out of our hands: its first byte of `end` gave the guest up.
        self.flush().map_err(|error| CommitError { maybe_given_up: true, why: error.to_string() })?;
        self.close();
        Ok(())
    }
}

/// Writes all of both with vectored writes. A writer that takes nothing is at its end.
pub(super) fn write_both(writer: &mut impl Write, head: &[u8], payload: &[u8]) -> io::Result<()> {
    let mut both = [IoSlice::new(head), IoSlice::new(payload)];
    let mut rest = &mut both[..];
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match writer.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) if taken > rest.iter().map(|slice| slice.len()).sum() => {
                return Err(io::Error::other("the writer claims to have taken more than it was given"));
            }
            Ok(taken) => IoSlice::advance_slices(&mut rest, taken),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl From<Duplex> for Link {
    fn from(Duplex { reader, writer, interrupt }: Duplex) -> Self {
        let outlet = Some(Outlet::Bytes(Box::new(Plain::new(writer))));
        Self { outlet, inlet: Some(Inlet::Bytes(reader)), interrupt: interrupt.into() }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { outlet, inlet, .. } = self;
        f.debug_struct("Link").field("out", &outlet.is_some()).field("in", &inlet.is_some()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most `most` bytes of the first slice that has any, as a pipe that is nearly full.
    struct Narrow {
        taken: Vec<u8>,
        most: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.most);
            self.taken.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn writes_all_of_both_however_little_is_taken_at_once() {
        for (head, payload) in [("head", "payload"), ("", "payload"), ("head", ""), ("", "")] {
            for most in 1..=12 {
                let mut narrow = Narrow { taken: Vec::new(), most };
                write_both(&mut narrow, head.as_bytes(), payload.as_bytes()).unwrap();
                assert_eq!(narrow.taken, [head.as_bytes(), payload.as_bytes()].concat());
            }
        }
        let mut full = Narrow { taken: Vec::new(), most: 0 };
        assert_eq!(write_both(&mut full, b"x", b"").unwrap_err().kind(), io::ErrorKind::WriteZero);
    }
}
