//! Descriptors from elsewhere: handed over through a unix socket, or fetched from another process.

use core::fmt;
use core::mem::MaybeUninit;
use core::time::Duration;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, recvmsg, socket_with,
};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use vfio_migration_protocol::Errno as Number;

use super::descriptor::kind;
use crate::address::{Fault, KernelError};
use crate::sysfs::Host;

/// How long the program at a socket may take to hand anything over, unless said otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// The device, and its container and group, or its iommufd; and one to spare, so that a mistake can be named.
const MOST: usize = 4;

/// Why nothing came through a socket that is connected.
#[derive(Debug)]
pub(super) enum NotReceived {
    /// The other end said nothing in time.
    Silent,
    Closed,
    /// A message without descriptors.
    Nothing,
    /// These came, and maybe more were lost.
    TooMany(Vec<OwnedFd>),
    /// This process cannot have all that was sent.
    NoRoom,
    Failed(Errno),
}

/// Takes the descriptors that the program at the socket `path` sends in its first message to whoever connects. It may take
/// as long as `patience` for all of it.
pub(super) fn from_socket(host: &Host, path: &Path, patience: Option<Duration>) -> Result<Vec<OwnedFd>, KernelError> {
    let shown = path.display();
    let patience = patience.unwrap_or(PATIENCE);
    let until = Deadline::after(patience);
    let socket = connected(path, until).map_err(|errno| {
        let (why, remedy) = match errno {
            Errno::AGAIN => {
                (format!("it accepted nobody within {} ms", patience.as_millis()), "look what it waits for")
            }
            errno => (errno.to_string(), "start the program that holds the device, and let it listen there"),
        };
        KernelError::new(Fault::Usage, format!("cannot connect to the program at {shown}: {why}"), remedy).with(errno)
    })?;
    from_stream(&socket, until).map_err(|failed| {
        let (fault, remedy) = match &failed {
            NotReceived::NoRoom => (Fault::Host, "raise this process's limit of open files ('ulimit -n')"),
            NotReceived::TooMany(_) => (Fault::Usage, "let it send those of one device, and nothing else"),
            _ => (
                Fault::Usage,
                "let it send the device's descriptor with SCM_RIGHTS in one message of at least one byte",
            ),
        };
        let why = match failed {
            NotReceived::Silent => format!("it said nothing within {} ms", patience.as_millis()),
            NotReceived::TooMany(first) => {
                let first = first.iter().take(MOST);
                let kinds = first.map(|fd| kind(host, fd).map_or_else(|_| "?".into(), |kind| kind.to_string()));
                let kinds = kinds.collect::<Vec<_>>().join(", ");
                format!("it sent more than {MOST} descriptors: {kinds}, and others")
            }
            other => other.to_string(),
        };
        KernelError::new(fault, format!("no device came from the program at {shown}: {why}"), remedy)
    })
}

/// When a wait ends; some never do.
#[derive(Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(time: Duration) -> Self {
        Self(Instant::now().checked_add(time))
    }

    /// Has the kernel end the next call on a socket in time, with EAGAIN.
    fn set(self, socket: impl AsFd, way: Timeout) -> Result<(), Errno> {
        // None at all would be for ever.
        let left = self.0.map(|until| until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
        set_socket_timeout(socket, way, left)
    }
}

/// Connects. A listener that accepts nobody lets callers wait once its queue is full.
fn connected(path: &Path, until: Deadline) -> Result<OwnedFd, Errno> {
    let address = SocketAddrUnix::new(path)?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    loop {
        until.set(&socket, Timeout::Send)?;
        match connect(&socket, &address) {
            Err(Errno::INTR) => {}
            answer => return answer.map(|()| socket),
        }
    }
}

/// Takes the descriptors of one message. On an error all that came are closed.
pub(super) fn from_stream(socket: impl AsFd, until: Deadline) -> Result<Vec<OwnedFd>, NotReceived> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 64];
    let message = loop {
        until.set(&socket, Timeout::Recv).map_err(NotReceived::Failed)?;
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Err(NotReceived::Silent),
            Err(Errno::CONNRESET) => return Err(NotReceived::Closed),
            answer => break answer.map_err(NotReceived::Failed)?,
        }
    };
    let mut received = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            received.extend(descriptors);
        }
    }
    let cut = message.flags.contains(ReturnFlags::CTRUNC);
    match received.len() {
        // Alignment may leave room for one more.
        len if len > MOST || (len == MOST && cut) => Err(NotReceived::TooMany(received)),
        _ if cut => Err(NotReceived::NoRoom),
        0 if message.bytes == 0 => Err(NotReceived::Closed),
        0 => Err(NotReceived::Nothing),
        _ => Ok(received),
    }
}

impl fmt::Display for NotReceived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("it said nothing"),
            Self::Closed => f.write_str("it closed the connection"),
            Self::Nothing => f.write_str("it sent a message without descriptors"),
            Self::TooMany(_) => write!(f, "it sent more than {MOST} descriptors"),
            Self::NoRoom => f.write_str("it sent more descriptors than this process can open"),
            Self::Failed(errno) => errno.fmt(f),
        }
    }
}

/// Fetches the descriptor `fd` of the process `pid`, which keeps its own.
pub(super) fn from_process(pid: u32, fd: u32) -> Result<OwnedFd, KernelError> {
    let failed = |errno: Errno| {
        let (fault, why, remedy) = match errno {
            Errno::SRCH | Errno::INVAL => (Fault::Usage, "there is no such process", "name a process that runs"),
            Errno::BADF => {
                (Fault::Usage, "the process has no such descriptor", "'ls -l /proc/PID/fd' shows those that it has")
            }
            Errno::PERM | Errno::ACCESS => (
                Fault::Host,
                "it is not permitted",
                "it needs what a debugger needs: the same user and ptrace_scope 0, or CAP_SYS_PTRACE",
            ),
            Errno::NOSYS => (
                Fault::Host,
                "this kernel does not know the call, or a container hides it",
                "use Linux 5.6 or newer, or hand the descriptor over with fd:unix:PATH",
            ),
            _ => (Fault::Host, "the call failed", "hand the descriptor over with fd:unix:PATH instead"),
        };
        let number = Number::from_linux(errno.raw_os_error());
        KernelError::new(fault, format!("cannot fetch descriptor {fd} of process {pid}: {why} ({number})"), remedy)
            .with(errno)
    };
    let (Some(pid), Ok(fd)) = (i32::try_from(pid).ok().and_then(Pid::from_raw), i32::try_from(fd)) else {
        return Err(failed(Errno::SRCH));
    };
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(failed)?;
    pidfd_getfd(process, fd, PidfdGetfdFlags::empty()).map_err(failed)
}
