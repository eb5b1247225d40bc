//! Descriptors from elsewhere: handed over through a unix socket, or fetched from another process.

use core::mem::MaybeUninit;
use core::time::Duration;
use std::io::{self, IoSliceMut};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use vfio_migration_protocol::Errno as Number;

use crate::address::{Fault, KernelError};

/// How long the program at a socket may take to hand anything over.
const PATIENCE: Duration = Duration::from_secs(10);

/// The device, and its container, or its iommufd; and one to spare, so that a mistake can be named.
const MOST: usize = 4;

/// Takes the descriptors that the program at the socket `path` sends in its first message to whoever connects.
pub(super) fn from_socket(path: &Path) -> Result<Vec<OwnedFd>, KernelError> {
    let shown = path.display();
    let socket = UnixStream::connect(path).map_err(|error| {
        KernelError::new(
            Fault::Usage,
            format!("cannot connect to {shown}: {error}"),
            "start the program that holds the device, and let it listen there",
        )
    })?;
    from_stream(&socket).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::WouldBlock => format!("it said nothing within {} s", PATIENCE.as_secs()),
            _ => error.to_string(),
        };
        KernelError::new(
            Fault::Usage,
            format!("no device came from the program at {shown}: {why}"),
            "let it send the device's descriptor with SCM_RIGHTS in one message of at least one byte",
        )
    })
}

/// Takes the descriptors of one message.
pub(super) fn from_stream(socket: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 64];
    let message = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            answer => break answer?,
        }
    };
    let mut received = Vec::new();
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            received.extend(descriptors);
        }
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::other(format!("it sent more than {MOST} descriptors")));
    }
    match received.len() {
        0 if message.bytes == 0 => Err(io::Error::other("it closed the connection")),
        0 => Err(io::Error::other("it sent a message without descriptors")),
        _ => Ok(received),
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
