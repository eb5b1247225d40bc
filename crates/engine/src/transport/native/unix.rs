//! Unix stream sockets: connecting, and listening on a path that only its owner can open.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, fchmod};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

use crate::{Code, Error};

/// A socket that listens on a path. The file goes with it.
#[derive(Debug)]
pub(super) struct Bound {
    socket: OwnedFd,
    path: PathBuf,
    /// Device and inode of the file, so that only our own is removed.
    file: Option<(u64, u64)>,
}

impl Bound {
    /// Binds to a path. What stands there is replaced only if it is a socket that nobody answers on.
    pub(super) fn bind(path: &Path) -> Result<Self, Error> {
        let address = address(path)?;
        let failed = |error: Errno| {
            Error::io(Code::Transport, format!("cannot listen on unix:{}", path.display()), &error.into())
        };
        let socket = new_socket(SocketType::STREAM).map_err(failed)?;
        // Linux makes the file with the mode of the socket's own inode, less the umask: no moment is left in which
        // somebody else could connect.
        fchmod(&socket, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        match bind(&socket, &address) {
            Err(Errno::ADDRINUSE) => {
                refuse_unless_stale(path, &address)?;
                match rustix::fs::unlink(path) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(failed(error)),
                }
                match bind(&socket, &address) {
                    Err(Errno::ADDRINUSE) => return Err(taken(path, "another process has just taken it")),
                    answer => answer.map_err(failed)?,
                }
            }
            answer => answer.map_err(failed)?,
        }
        let bound = Self { socket, path: path.into(), file: identity(path) };
        listen(&bound.socket, 1).map_err(failed)?;
        Ok(bound)
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        &self.socket
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if self.file.is_some() && identity(&self.path) == self.file {
            let _ = rustix::fs::unlink(&self.path);
        }
    }
}

/// Tries once to connect.
pub(super) fn connect_once(path: &Path) -> Result<io::Result<OwnedFd>, Error> {
    let address = address(path)?;
    let connected = new_socket(SocketType::STREAM).and_then(|socket| connect(&socket, &address).map(|()| socket));
    Ok(connected.map_err(io::Error::from))
}

fn new_socket(kind: SocketType) -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
}

fn address(path: &Path) -> Result<SocketAddrUnix, Error> {
    SocketAddrUnix::new(path).map_err(|error| match error {
        Errno::NAMETOOLONG => Error::usage(format!(
            "the path of a unix socket has at most 107 bytes, and {} has {}",
            path.display(),
            path.as_os_str().len()
        )),
        error => Error::io(Code::Usage, format!("{} cannot be a socket's path", path.display()), &error.into()),
    })
}

/// Finds out whether somebody listens, without a connection that would be taken for a peer's: Linux looks the socket up
/// before it compares the types. A stale file is refused as such; a live stream socket is of the wrong type.
fn refuse_unless_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), Error> {
    let metadata = rustix::fs::lstat(path);
    if let Ok(stat) = metadata
        && FileType::from_raw_mode(stat.st_mode) != FileType::Socket
    {
        return Err(taken(path, "it is no socket"));
    }
    let probe =
        new_socket(SocketType::DGRAM).map_err(|error| Error::io(Code::Host, "cannot make a socket", &error.into()))?;
    match connect(&probe, address) {
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(()),
        Ok(()) | Err(Errno::PROTOTYPE) => Err(taken(path, "another process listens on it")),
        Err(error) => {
            Err(Error::io(Code::Transport, format!("cannot find out who has unix:{}", path.display()), &error.into()))
        }
    }
}

fn taken(path: &Path, why: &str) -> Error {
    Error::new(Code::Exists, format!("cannot listen on unix:{}: {why}", path.display()))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let stat = rustix::fs::lstat(path).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

/// Takes one connection.
pub(super) fn accept(socket: impl AsFd) -> rustix::io::Result<OwnedFd> {
    rustix::net::accept_with(socket, SocketFlags::CLOEXEC)
}
