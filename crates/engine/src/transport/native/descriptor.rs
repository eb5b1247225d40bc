//! What a file descriptor is, and streams over those that are neither sockets nor regular files.

use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fstat};
use rustix::io::Errno;
use rustix::net::SocketType;
use rustix::net::sockopt::{socket_acceptconn, socket_type};

use crate::transport::Interrupt;
use crate::{Code, Error};

/// What can stream bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A connected stream socket.
    Socket,
    /// A pipe or a FIFO.
    Pipe,
    /// A terminal, or another character device.
    Character,
    /// A regular file or a block device.
    Storage,
}

/// Which way bytes are to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    In,
    Out,
}

impl Way {
    const fn verb(self) -> &'static str {
        match self {
            Self::In => "read from",
            Self::Out => "write to",
        }
    }
}

/// Asks a file descriptor what it is and whether bytes can go that way.
pub(super) fn ask(fd: BorrowedFd<'_>, way: Way) -> Result<Kind, Error> {
    let verb = way.verb();
    let cannot = |why: &str| Err(Error::usage(format!("cannot {verb} the file descriptor: {why}")));
    let failed = |error: Errno| Error::io(Code::Transport, format!("cannot {verb} the file descriptor"), &error.into());
    let stat = fstat(fd).map_err(failed)?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket => {
            if socket_type(fd).map_err(failed)? != SocketType::STREAM {
                return cannot("it is a socket that does not stream");
            }
            if socket_acceptconn(fd).map_err(failed)? {
                return cannot("it is a socket that listens; accept a connection and give that");
            }
            if rustix::net::getpeername(fd).is_err() {
                return cannot("it is a socket that is not connected");
            }
            return Ok(Kind::Socket);
        }
        FileType::Fifo => Kind::Pipe,
        FileType::CharacterDevice => Kind::Character,
        FileType::RegularFile | FileType::BlockDevice => Kind::Storage,
        FileType::Directory => return cannot("it is a folder"),
        _ => return cannot("it is of an unknown kind"),
    };
    let access = fcntl_getfl(fd).map_err(failed)? & (OFlags::ACCMODE | OFlags::PATH);
    match (way, access) {
        (_, path) if path.contains(OFlags::PATH) => cannot("it was opened as a path only"),
        (Way::In, OFlags::WRONLY) => cannot("it was opened for writing only"),
        (Way::Out, OFlags::RDONLY) => cannot("it was opened for reading only"),
        _ => Ok(kind),
    }
}

/// A stream over a pipe, a FIFO, a terminal or another character device, of which every wait can be interrupted.
pub(super) struct Interruptible {
    fd: OwnedFd,
    interrupt: Interrupt,
    /// Whether the description is ours alone, and non-blocking. Otherwise calls are kept so small that they do not block
    /// once poll has said that the descriptor is ready.
    own: bool,
}

impl Interruptible {
    /// What a write to a pipe that poll calls ready takes without blocking (`PIPE_BUF`).
    const ATOMIC: usize = 4096;

    /// Takes over a descriptor that may share its description, and with it `O_NONBLOCK`, with other processes. Their flag
    /// is not ours to change, so that a pipe is opened once more. (Opening another character device again may give
    /// another device, as with /dev/ptmx.)
    pub(super) fn shared(fd: OwnedFd, kind: Kind, way: Way, interrupt: Interrupt) -> Self {
        if kind != Kind::Pipe {
            return Self { fd, interrupt, own: false };
        }
        let access = match way {
            Way::In => OFlags::RDONLY,
            Way::Out => OFlags::WRONLY,
        };
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(own) => Self { fd: own, interrupt, own: true },
            Err(_) => Self { fd, interrupt, own: false },
        }
    }

    /// Takes over a descriptor that was opened non-blocking, for this alone.
    pub(super) const fn own(fd: OwnedFd, interrupt: Interrupt) -> Self {
        Self { fd, interrupt, own: true }
    }

    fn carry<T>(&self, ready: PollFlags, mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
        let mut wait_first = !self.own;
        loop {
            if wait_first {
                wait(self.fd.as_fd(), ready, Some(&self.interrupt), None)?;
            } else if self.interrupt.is_triggered() {
                return Err(interrupted());
            }
            match call() {
                Err(Errno::AGAIN) => wait_first = true,
                Err(Errno::INTR) => {}
                answer => return Ok(answer?),
            }
        }
    }
}

impl Read for Interruptible {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.carry(PollFlags::IN, || rustix::io::read(&self.fd, &mut *into))
    }
}

impl Write for Interruptible {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(from)])
    }

    fn write_vectored(&mut self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.own {
            return self.carry(PollFlags::OUT, || rustix::io::writev(&self.fd, from));
        }
        let first: &[u8] = from.iter().find(|slice| !slice.is_empty()).map_or(&[], |slice| slice);
        let few = &first[..first.len().min(Self::ATOMIC)];
        self.carry(PollFlags::OUT, || rustix::io::write(&self.fd, few))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until a descriptor is ready, the interrupt was triggered (an error), or the time is up (an error).
pub(super) fn wait(
    fd: BorrowedFd<'_>,
    ready: PollFlags,
    interrupt: Option<&Interrupt>,
    until: Option<Instant>,
) -> io::Result<()> {
    loop {
        let left = match until {
            None => None,
            Some(until) => match until.checked_duration_since(Instant::now()) {
                Some(left) => Some(timespec(left)),
                None => return Err(io::ErrorKind::TimedOut.into()),
            },
        };
        let mut fds = vec![PollFd::from_borrowed_fd(fd, ready)];
        fds.extend(interrupt.map(|interrupt| PollFd::from_borrowed_fd(interrupt.as_fd(), PollFlags::IN)));
        match poll(&mut fds, left.as_ref()) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) if interrupt.is_some_and(Interrupt::is_triggered) => return Err(interrupted()),
            Ok(_) if !fds[0].revents().is_empty() => return Ok(()),
            Ok(_) => {}
        }
    }
}

/// The error of a wait that was ended from outside.
pub(super) fn interrupted() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "interrupted")
}

/// Waits out a pause between two attempts. Whether it was interrupted.
pub(super) fn pause(time: Duration, interrupt: Option<&Interrupt>) -> bool {
    let Some(interrupt) = interrupt else {
        std::thread::sleep(time);
        return false;
    };
    let mut fds = [PollFd::from_borrowed_fd(interrupt.as_fd(), PollFlags::IN)];
    // A signal that ends the pause early only makes the next attempt come sooner.
    let _ = poll(&mut fds, Some(&timespec(time)));
    interrupt.is_triggered()
}

fn timespec(time: Duration) -> rustix::event::Timespec {
    // A wait of more than the type can say is for ever as well.
    time.try_into().unwrap_or(rustix::event::Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 })
}
