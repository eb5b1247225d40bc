//! TCP: resolving, connecting and listening.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use super::descriptor::wait;
use crate::transport::Interrupt;
use crate::{Code, Error};

/// How long one attempt may take: a host that drops packets must not use up the time of the others.
const ATTEMPT: Duration = Duration::from_secs(3);

/// The addresses that a name stands for. Without `insecure` only those of this machine.
pub(super) fn resolve(host: &str, port: u16, insecure: bool) -> Result<io::Result<Vec<SocketAddr>>, Error> {
    let all: Vec<_> = match (host, port).to_socket_addrs() {
        Ok(all) => all.collect(),
        Err(error) => return Ok(Err(error)),
    };
    if let Some(remote) = all.iter().find(|address| !address.ip().is_loopback())
        && !insecure
    {
        return Err(Error::usage(format!(
            "tcp:{host}:{port} is {remote}, which leaves this machine: the stream is neither encrypted nor authenticated, \
             so that this must be asked for (insecure)"
        )));
    }
    Ok(Ok(all))
}

/// Tries each address once.
pub(super) fn connect_once(
    addresses: &[SocketAddr],
    until: Instant,
    interrupt: Option<&Interrupt>,
) -> io::Result<OwnedFd> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match attempt(address, until.min(Instant::now() + ATTEMPT), interrupt) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn attempt(address: &SocketAddr, until: Instant, interrupt: Option<&Interrupt>) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    match connect(&socket, address) {
        Err(Errno::INPROGRESS) => {
            wait(socket.as_fd(), PollFlags::OUT, interrupt, Some(until))?;
            sockopt::socket_error(&socket)??;
        }
        answer => answer?,
    }
    // A port that nobody listens on may be the very one that the kernel has picked for us: TCP then meets itself.
    if Some(rustix::net::getsockname(&socket)?) == rustix::net::getpeername(&socket)? {
        return Err(Errno::CONNREFUSED.into());
    }
    // From here on, blocking calls that end with the socket's shutdown are the cheapest.
    rustix::io::ioctl_fionbio(&socket, false)?;
    Ok(socket)
}

/// Listens on the first of the addresses that works.
pub(super) fn bind(addresses: &[SocketAddr]) -> io::Result<(OwnedFd, SocketAddr)> {
    let listener = TcpListener::bind(addresses)?;
    let address = listener.local_addr()?;
    Ok((listener.into(), address))
}

/// The error that says where nothing could be done.
pub(super) fn failed(doing: &str, host: &str, port: u16, error: &io::Error) -> Error {
    Error::io(Code::Transport, format!("cannot {doing} tcp:{host}:{port}"), error)
}
