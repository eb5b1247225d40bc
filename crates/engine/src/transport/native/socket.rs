//! Both halves of a connected stream socket. Blocked calls end with its shutdown, whoever asks for it.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, send, sendmsg, shutdown, sockopt,
};

use super::descriptor::{Way, wait};
use vfio_migration_protocol::session::CommitError;

use crate::transport::link::{ByteSink, Inlet, Link, Outlet, write_both};

/// Makes a link of a connected stream socket, of which the bulk goes this way.
pub(super) fn link(socket: OwnedFd, bulk: Way) -> Link {
    // Messages are small and must not wait for more; a socket that is not TCP has no such delay, and says so.
    let _ = sockopt::set_tcp_nodelay(&socket, true);
    make_room(&socket);
    let socket = Arc::new(socket);
    let other = Arc::clone(&socket);
    Link {
        outlet: Some(Outlet::Bytes(Box::new(SocketSink(Some(Sending(Arc::clone(&socket))))))),
        inlet: Some(Inlet::Bytes(Box::new(Receiving { socket, patient: bulk == Way::Out }))),
        interrupt: Arc::new(move || {
            // What has arrived already can still be read; a socket that is closed needs nothing more.
            let _ = shutdown(&*other, Shutdown::Both);
        }),
    }
}

/// A unix socket holds 208 KiB at first, so that both ends are woken for each fifth of a chunk; with more room half of that
/// is saved. TCP finds its own measure.
fn make_room(socket: &OwnedFd) {
    const ROOM: usize = 512 << 10;
    if sockopt::socket_domain(socket) == Ok(AddressFamily::UNIX)
        && sockopt::socket_send_buffer_size(socket).is_ok_and(|size| size < ROOM)
    {
        // The host's limit is fine as well.
        let _ = sockopt::set_socket_send_buffer_size(socket, ROOM);
    }
}

/// The half that sends, until nothing follows.
struct SocketSink(Option<Sending>);

impl SocketSink {
    fn open(&mut self) -> io::Result<&mut Sending> {
        self.0.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl ByteSink for SocketSink {
    fn write_both(&mut self, head: &[u8], payload: &[u8]) -> io::Result<()> {
        write_both(self.open()?, head, payload)
    }

    fn takes_at_once(&self) -> bool {
        true
    }

    fn write_at_once(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Sending(socket) = self.open()?;
        match send(&**socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            // It is tried again by whoever may block.
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            answer => Ok(answer?),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self) {
        self.0 = None;
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        Ok(())
    }
}

/// What writes to the socket. Its drop tells the peer that nothing follows.
struct Sending(Arc<OwnedFd>);

impl Write for Sending {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let mut nothing = SendAncillaryBuffer::default();
            match sendmsg(&*self.0, from, &mut nothing, SendFlags::NOSIGNAL) {
                // The caller's socket may be non-blocking.
                Err(Errno::AGAIN) => wait(self.0.as_fd(), PollFlags::OUT, None, None)?,
                Err(Errno::INTR) => {}
                answer => return Ok(answer?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let _ = shutdown(&*self.0, Shutdown::Write);
    }
}

/// The half that receives.
struct Receiving {
    socket: Arc<OwnedFd>,
    /// Whether to wait in poll. A call that waits for bytes itself is woken as well whenever the other half may write on,
    /// several times a chunk, for nothing.
    patient: bool,
}

impl Read for Receiving {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let flags = if self.patient { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
        loop {
            match recv(&*self.socket, &mut *into, flags) {
                // The caller's socket may be non-blocking as well.
                Err(Errno::AGAIN) => wait(self.socket.as_fd(), PollFlags::IN, None, None)?,
                Err(Errno::INTR) => {}
                answer => return Ok(answer?.0),
            }
        }
    }
}
