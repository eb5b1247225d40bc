//! Where a restore waits for its source.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::io::Errno;

use super::descriptor::{Way, wait};
use super::{read_path, socket, stdin, tcp, unix, waited, whose};
use crate::transport::link::Link;
use crate::transport::{Address, TransportOptions};
use crate::{Code, Error};

/// An address that was bound to.
#[derive(Debug)]
pub(in crate::transport) struct Bound {
    place: Place,
    pub(in crate::transport) address: Address,
    options: TransportOptions,
}

#[derive(Debug)]
enum Place {
    Unix(unix::Bound),
    Tcp(OwnedFd),
    /// Nobody to wait for, or nobody that binding to it would tell.
    Open,
}

impl Bound {
    pub(in crate::transport) fn bind(address: &Address, options: &TransportOptions) -> Result<Self, Error> {
        let bound = |place, address: Address| Ok(Self { place, address, options: options.clone() });
        match address {
            Address::Unix(path) => bound(Place::Unix(unix::Bound::bind(path)?), address.clone()),
            Address::Tcp { host, port } => {
                let failed = |error| waited(&format!("listen on {address}"), &error);
                let until = options.wait.map(|wait| Instant::now() + wait);
                let addresses = tcp::resolve(host, *port, options.insecure, options.interrupt.as_ref(), until)?;
                let addresses = addresses.map_err(failed)?;
                let (listener, local) = tcp::bind(&addresses).map_err(failed)?;
                bound(Place::Tcp(listener), Address::Tcp { host: host.clone(), port: local.port() })
            }
            Address::File(_) | Address::Stdio => bound(Place::Open, address.clone()),
            Address::Fd(number) => Err(whose(*number)),
        }
    }

    pub(in crate::transport) fn accept(self) -> Result<Link, Error> {
        match &self.place {
            Place::Unix(bound) => Ok(socket::link(self.accept_on(bound.socket().as_fd())?, Way::In)),
            Place::Tcp(listener) => Ok(socket::link(self.accept_on(listener.as_fd())?, Way::In)),
            Place::Open => match &self.address {
                Address::File(path) => read_path(path, &self.options),
                _ => stdin(),
            },
        }
    }

    fn accept_on(&self, listener: BorrowedFd<'_>) -> Result<OwnedFd, Error> {
        let doing = format!("wait for the source on {}", self.address);
        let until = self.options.wait.map(|wait| Instant::now() + wait);
        // Between poll and accept a peer may go away again; the wait must not become one that nothing interrupts.
        rustix::io::ioctl_fionbio(listener, true).map_err(|error| waited(&doing, &error.into()))?;
        loop {
            wait(listener, PollFlags::IN, self.options.interrupt.as_ref(), until)
                .map_err(|error| waited(&doing, &error))?;
            match unix::accept(listener) {
                Ok(socket) => return Ok(socket),
                Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
                Err(error @ (Errno::MFILE | Errno::NFILE)) => {
                    return Err(Error::io(Code::Host, format!("cannot {doing}"), &error.into()));
                }
                Err(error) => return Err(waited(&doing, &error.into())),
            }
        }
    }
}
