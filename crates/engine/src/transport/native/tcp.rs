//! TCP: resolving, connecting and listening.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use super::descriptor::wait;
use crate::Error;
use crate::transport::Interrupt;

/// How long one attempt may take: a host that drops packets must not use up the time of the others.
const ATTEMPT: Duration = Duration::from_secs(3);

/// The addresses that a name stands for. Without `insecure` only those of this machine.
pub(super) fn resolve(
    host: &str,
    port: u16,
    insecure: bool,
    interrupt: Option<&Interrupt>,
    until: Option<Instant>,
) -> Result<io::Result<Vec<SocketAddr>>, Error> {
    let found = if let Ok(address) = host.parse::<IpAddr>() {
        Ok(vec![SocketAddr::new(address, port)])
    } else {
        let name = (host.to_owned(), port);
        look_up(move || Ok(name.to_socket_addrs()?.collect()), interrupt, until)
    };
    let all = match found {
        Ok(all) => all,
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

/// Asks the host's resolver, which knows neither deadlines nor interrupts. It has a thread of its own, which is left behind
/// if the wait for it ends first: it owns nothing, and ends when the resolver has answered.
fn look_up(
    find: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
    interrupt: Option<&Interrupt>,
    until: Option<Instant>,
) -> io::Result<Vec<SocketAddr>> {
    let over = Interrupt::new()?;
    let (tell, found) = channel();
    let finding = {
        let over = over.clone();
        move || {
            // Nobody may be left to be told.
            let _ = tell.send(find());
            over.trigger();
        }
    };
    thread::Builder::new().name("vfio-resolve".into()).spawn(finding)?;
    match wait(over.as_fd(), PollFlags::IN, interrupt, until) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            Err(io::Error::new(io::ErrorKind::TimedOut, "the name was not resolved in time"))
        }
        Err(error) => Err(error),
        Ok(()) => found.recv().map_err(io::Error::other)?,
    }
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Receiver;

    use super::*;

    /// A resolver that does not answer before the other end of the channel is gone.
    fn silent(until: Receiver<()>) -> impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static {
        move || {
            let _ = until.recv();
            Ok(Vec::new())
        }
    }

    #[test]
    fn a_resolver_that_does_not_answer_is_not_waited_for_any_longer() {
        let (_answers, never) = channel();
        let until = Instant::now() + Duration::from_millis(20);
        let error = look_up(silent(never), None, Some(until)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "the name was not resolved in time");
    }

    #[test]
    fn a_resolver_that_does_not_answer_is_interrupted() {
        let (_answers, never) = channel();
        let interrupt = Interrupt::new().unwrap();
        let other = interrupt.clone();
        let triggering = thread::spawn(move || other.trigger());
        let error = look_up(silent(never), Some(&interrupt), None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        triggering.join().unwrap();
    }

    #[test]
    fn names_and_numbers_are_resolved() {
        let named = resolve("localhost", 7, false, None, None).unwrap().unwrap();
        assert!(!named.is_empty() && named.iter().all(|address| address.ip().is_loopback() && address.port() == 7));
        let (over, v6) = (Some(Instant::now()), "[::1]:7".parse().unwrap());
        assert_eq!(resolve("::1", 7, false, None, over).unwrap().unwrap(), [v6], "a number needs no time");
        let error = look_up(|| Err(io::ErrorKind::NotFound.into()), None, None).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
