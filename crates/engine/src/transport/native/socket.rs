//! Both halves of a connected stream socket. Blocked calls end with its shutdown, whoever asks for it.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, recv, sendmsg, shutdown, sockopt};

use super::descriptor::wait;
use crate::transport::link::{Inlet, Link, Outlet, Plain};

/// Makes a link of a connected stream socket.
pub(super) fn link(socket: OwnedFd) -> Link {
    // Messages are small and must not wait for more; a socket that is not TCP has no such delay, and says so.
    let _ = sockopt::set_tcp_nodelay(&socket, true);
    let socket = Arc::new(socket);
    let other = Arc::clone(&socket);
    Link {
        outlet: Some(Outlet::Bytes(Box::new(Plain::new(Sending(Arc::clone(&socket)))))),
        inlet: Some(Inlet::Bytes(Box::new(Receiving(socket)))),
        interrupt: Arc::new(move || {
            // What has arrived already can still be read; a socket that is closed needs nothing more.
            let _ = shutdown(&*other, Shutdown::Both);
        }),
    }
}

/// The half that sends. Its drop tells the peer that nothing follows.
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
struct Receiving(Arc<OwnedFd>);

impl Read for Receiving {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(&*self.0, &mut *into, RecvFlags::empty()) {
                Err(Errno::AGAIN) => wait(self.0.as_fd(), PollFlags::IN, None, None)?,
                Err(Errno::INTR) => {}
                answer => return Ok(answer?.0),
            }
        }
    }

    fn read_vectored(&mut self, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        loop {
            match rustix::io::readv(&*self.0, into) {
                Err(Errno::AGAIN) => wait(self.0.as_fd(), PollFlags::IN, None, None)?,
                Err(Errno::INTR) => {}
                answer => return Ok(answer?),
            }
        }
    }
}
