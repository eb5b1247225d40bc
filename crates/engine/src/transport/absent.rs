//! Where there is no Linux, only the caller's own streams carry a session.

use std::os::fd::OwnedFd;

use super::link::Link;
use super::{Address, TransportOptions};
use crate::{Code, Error};

#[derive(Debug)]
pub(super) struct Bound {
    pub(super) address: Address,
}

impl Bound {
    pub(super) fn bind(address: &Address, _options: &TransportOptions) -> Result<Self, Error> {
        Err(missing(&address.to_string()))
    }

    pub(super) fn accept(self) -> Result<Link, Error> {
        Err(missing(&self.address.to_string()))
    }
}

pub(super) fn connect(address: &Address, _options: &TransportOptions) -> Result<Link, Error> {
    Err(missing(&address.to_string()))
}

pub(super) fn to_fd(_fd: OwnedFd) -> Result<Link, Error> {
    Err(missing("a file descriptor"))
}

pub(super) fn from_fd(_fd: OwnedFd) -> Result<Link, Error> {
    Err(missing("a file descriptor"))
}

pub(super) fn stdout() -> Result<Link, Error> {
    Err(missing("standard output"))
}

pub(super) fn stdin() -> Result<Link, Error> {
    Err(missing("standard input"))
}

/// Fills a buffer with bytes that differ from session to session, which is all that is asked of them.
pub(crate) fn random(into: &mut [u8]) -> std::io::Result<()> {
    use std::hash::{BuildHasher, Hasher};
    for bytes in into.chunks_mut(8) {
        let random = std::hash::RandomState::new().build_hasher().finish().to_ne_bytes();
        bytes.copy_from_slice(&random[..bytes.len()]);
    }
    Ok(())
}

fn missing(what: &str) -> Error {
    Error::new(Code::Platform, format!("{what} can be used on Linux only; a stream of the caller works everywhere"))
}
