//! Linux's files, sockets, pipes and terminals as links.

mod descriptor;
mod file;
mod listener;
mod socket;
mod tcp;
mod unix;

pub(super) use listener::Bound;

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;

use self::descriptor::{Interruptible, Kind, Way, ask, pause};
use self::file::{Growing, InPlace, Standing};
use super::link::{Inlet, Link, Outlet, Plain};
use super::{Address, Interrupt, TransportOptions};
use crate::{Code, Error};

/// How long to try to connect, unless said otherwise.
const CONNECT_FOR: Duration = Duration::from_secs(10);
/// Between two attempts.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(25);

/// Opens an address to write to it.
pub(super) fn connect(address: &Address, options: &TransportOptions) -> Result<Link, Error> {
    match address {
        Address::File(path) => write_path(path, options),
        Address::Unix(path) => {
            let socket = persist(options, &format!("connect to {address}"), |_| unix::connect_once(path))?;
            Ok(socket::link(socket, Way::Out))
        }
        Address::Tcp { host, port } => {
            let socket = persist(options, &format!("connect to {address}"), |until| {
                let interrupt = options.interrupt.as_ref();
                let addresses = tcp::resolve(host, *port, options.insecure, interrupt, Some(until))?;
                Ok(addresses.and_then(|addresses| tcp::connect_once(&addresses, until, interrupt)))
            })?;
            Ok(socket::link(socket, Way::Out))
        }
        Address::Fd(number) => Err(whose(*number)),
        Address::Stdio => stdout(),
    }
}

/// Makes a link of a file descriptor that is written to.
pub(super) fn to_fd(fd: OwnedFd) -> Result<Link, Error> {
    match ask(fd.as_fd(), Way::Out)? {
        Kind::Socket => Ok(socket::link(fd, Way::Out)),
        Kind::Storage => Ok(storage(File::from(fd))),
        kind @ (Kind::Pipe | Kind::Character) => {
            let interrupt = new_interrupt()?;
            Ok(outgoing(Interruptible::shared(fd, kind, Way::Out, interrupt.clone()), interrupt))
        }
    }
}

/// Makes a link of a file descriptor that is read from.
pub(super) fn from_fd(fd: OwnedFd) -> Result<Link, Error> {
    match ask(fd.as_fd(), Way::In)? {
        Kind::Socket => Ok(socket::link(fd, Way::In)),
        Kind::Storage => Ok(reading(File::from(fd))),
        kind @ (Kind::Pipe | Kind::Character) => {
            let interrupt = new_interrupt()?;
            Ok(incoming(Interruptible::shared(fd, kind, Way::In, interrupt.clone()), interrupt))
        }
    }
}

/// Standard output, under a descriptor of our own.
pub(super) fn stdout() -> Result<Link, Error> {
    if io::stdout().is_terminal() {
        return Err(Error::usage("standard output is a terminal, which binary data would upset: redirect it"));
    }
    // One-way, even where it is a socket: what a program starts with sockets for its standard streams reads no messages.
    Ok(Link { inlet: None, ..to_fd(own("output", rustix::stdio::stdout())?)? })
}

/// Standard input, under a descriptor of our own.
pub(super) fn stdin() -> Result<Link, Error> {
    if io::stdin().is_terminal() {
        return Err(Error::usage("standard input is a terminal, and nobody types a stream: redirect it"));
    }
    Ok(Link { outlet: None, ..from_fd(own("input", rustix::stdio::stdin())?)? })
}

/// Fills a buffer with random bytes.
pub(crate) fn random(into: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < into.len() {
        filled += rustix::rand::getrandom(&mut into[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(())
}

fn own(name: &str, fd: impl AsFd) -> Result<OwnedFd, Error> {
    let own = rustix::io::fcntl_dupfd_cloexec(fd, 3);
    own.map_err(|error| Error::io(Code::Transport, format!("cannot use standard {name}"), &error.into()))
}

fn write_path(path: &Path, options: &TransportOptions) -> Result<Link, Error> {
    let failed = |error: io::Error| Error::io(Code::Transport, format!("cannot write {}", path.display()), &error);
    match file::look(path)? {
        Standing::Fifo => {
            let doing = format!("write {} (nobody reads the FIFO)", path.display());
            let fifo = persist(options, &doing, |_| Ok(file::open(path, OFlags::WRONLY | OFlags::NONBLOCK)))?;
            let interrupt = new_interrupt()?;
            Ok(outgoing(Interruptible::own(fifo, interrupt.clone()), interrupt))
        }
        Standing::Character => {
            let device = file::open(path, OFlags::WRONLY | OFlags::NONBLOCK).map_err(failed)?;
            let interrupt = new_interrupt()?;
            Ok(outgoing(Interruptible::own(device, interrupt.clone()), interrupt))
        }
        Standing::Block => Ok(storage(file::open(path, OFlags::WRONLY).map_err(failed)?.into())),
        Standing::Nothing | Standing::Regular => {
            if !options.overwrite && file::is_taken(path) {
                return Err(Error::new(Code::Exists, format!("cannot write {}: it exists", path.display())));
            }
            let growing = Growing::create(path, options.overwrite)?;
            Ok(one_way_out(Outlet::Bytes(Box::new(growing))))
        }
    }
}

/// Opens a path to read from it, and waits until a FIFO has something to say.
fn read_path(path: &Path, options: &TransportOptions) -> Result<Link, Error> {
    let failed = |error: io::Error| Error::io(Code::Transport, format!("cannot read {}", path.display()), &error);
    match file::look(path)? {
        Standing::Nothing => Err(failed(io::ErrorKind::NotFound.into())),
        Standing::Regular | Standing::Block => Ok(reading(file::open(path, OFlags::RDONLY).map_err(failed)?.into())),
        Standing::Fifo | Standing::Character => {
            let fd = file::open(path, OFlags::RDONLY | OFlags::NONBLOCK).map_err(failed)?;
            let (ready, until) = (rustix::event::PollFlags::IN, options.wait.map(|wait| Instant::now() + wait));
            descriptor::wait(fd.as_fd(), ready, options.interrupt.as_ref(), until)
                .map_err(|error| waited(&format!("read {}", path.display()), &error))?;
            let interrupt = new_interrupt()?;
            Ok(incoming(Interruptible::own(fd, interrupt.clone()), interrupt))
        }
    }
}

/// Tries again while nobody is there yet. The attempt's outer error is one that trying again does not mend.
fn persist(
    options: &TransportOptions,
    doing: &str,
    mut attempt: impl FnMut(Instant) -> Result<io::Result<OwnedFd>, Error>,
) -> Result<OwnedFd, Error> {
    let until = Instant::now() + options.wait.unwrap_or(CONNECT_FOR);
    let mut last = None;
    loop {
        let error = match attempt(until)? {
            Ok(connected) => return Ok(connected),
            // What an attempt found out says more than that the time was up for the next one.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => last.take().unwrap_or(error),
            Err(error) => error,
        };
        if options.interrupt.as_ref().is_some_and(Interrupt::is_triggered) {
            return Err(waited(doing, &descriptor::interrupted()));
        }
        if !may_come(&error) || Instant::now() >= until {
            return Err(Error::io(Code::Transport, format!("cannot {doing}"), &error));
        }
        last = Some(error);
        pause(BETWEEN_ATTEMPTS, options.interrupt.as_ref());
    }
}

/// Whether the error may go away when the other end has started.
fn may_come(error: &io::Error) -> bool {
    let absent = [Errno::NOENT, Errno::CONNREFUSED, Errno::NXIO, Errno::AGAIN, Errno::NETUNREACH, Errno::HOSTUNREACH];
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::ConnectionReset)
        || Errno::from_io_error(error).is_some_and(|errno| absent.contains(&errno))
}

/// The error of a wait that ended without what was waited for.
fn waited(doing: &str, error: &io::Error) -> Error {
    let code = match error.kind() {
        io::ErrorKind::ConnectionAborted => Code::Cancelled,
        io::ErrorKind::TimedOut => Code::Deadline,
        _ => Code::Transport,
    };
    Error::io(code, format!("cannot {doing}"), error)
}

fn whose(number: u32) -> Error {
    Error::usage(format!("fd:{number} belongs to the caller, who must hand it over as an owned descriptor"))
}

fn new_interrupt() -> Result<Interrupt, Error> {
    Interrupt::new().map_err(|error| Error::io(Code::Host, "cannot make an eventfd", &error))
}

fn storage(file: File) -> Link {
    one_way_out(Outlet::Bytes(Box::new(InPlace { file })))
}

/// Calls to storage end by themselves: there is nothing to interrupt.
fn one_way_out(outlet: Outlet) -> Link {
    Link { outlet: Some(outlet), inlet: None, interrupt: Arc::new(|| ()) }
}

fn reading(file: File) -> Link {
    Link { outlet: None, inlet: Some(Inlet::Bytes(Box::new(file))), interrupt: Arc::new(|| ()) }
}

fn outgoing(stream: Interruptible, interrupt: Interrupt) -> Link {
    let outlet = Outlet::Bytes(Box::new(Plain::new(stream)));
    Link { outlet: Some(outlet), inlet: None, interrupt: Arc::new(move || interrupt.trigger()) }
}

fn incoming(stream: Interruptible, interrupt: Interrupt) -> Link {
    let inlet = Inlet::Bytes(Box::new(stream));
    Link { outlet: None, inlet: Some(inlet), interrupt: Arc::new(move || interrupt.trigger()) }
}
