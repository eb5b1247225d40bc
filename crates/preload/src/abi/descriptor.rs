//! The fds that the program holds: real ones, which tell what they are wherever they turn up.
//!
//! Each is an `O_PATH` fd of a memfd of its own. The kernel refuses every read, write, map or ioctl of such a one with
//! EBADF, so that a call that went past us fails and does not move garbage. It can be duplicated, passed to another process
//! and kept over exec like any other; device and inode number tell which it is, and the memfd's content, which who holds it
//! can open again through `/proc/self/fd`, says to another process what was opened:
//!
//! ```text
//! PID PATH        PID opened the node at PATH, or '-' for what has none
//! used            it was more than opened: its state is in that process
//! ```

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, Mode, OFlags};
use vfio_migration_protocol::Errno;

/// Device and inode number of the file behind an fd, by which all its duplicates are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

/// What the file behind an fd says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The process that opened it.
    pub(super) process: i32,
    /// What was opened; none for what a call answered with, such as a device's fd.
    pub(super) path: Option<PathBuf>,
    /// Whether that process did more with it than to open it.
    pub(super) used: bool,
}

/// What the names of our memfds begin with.
const NAME: &str = "vfio-migration-preload";

/// Makes an fd for what is at the path, or for what has none.
pub(super) fn make(path: Option<&Path>, close_on_exec: bool) -> Result<(OwnedFd, Identity), Errno> {
    let file = rustix::fs::memfd_create(NAME, MemfdFlags::CLOEXEC).map_err(errno)?;
    let mut text = format!("{} ", std::process::id()).into_bytes();
    text.extend_from_slice(path.map_or(b"-", |path| path.as_os_str().as_bytes()));
    text.push(b'\n');
    let mut file = File::from(file);
    file.write_all(&text).map_err(|_| Errno::ENOMEM)?;
    let flags = OFlags::PATH | if close_on_exec { OFlags::CLOEXEC } else { OFlags::empty() };
    let fd = rustix::fs::open(link(file.as_raw_fd()), flags, Mode::empty()).map_err(errno)?;
    let identity = identity(fd.as_fd())?;
    Ok((fd, identity))
}

/// Which file is behind an fd.
pub(super) fn identity(fd: BorrowedFd<'_>) -> Result<Identity, Errno> {
    let stat = rustix::fs::fstat(fd).map_err(errno)?;
    Ok(Identity { device: stat.st_dev, inode: stat.st_ino })
}

/// What the file behind an fd says; none if it is none of ours.
pub(super) fn record(fd: RawFd) -> Option<Record> {
    let target = fs::read_link(link(fd)).ok()?;
    let name = target.to_str()?.strip_prefix("/memfd:")?;
    if name.strip_suffix(" (deleted)").unwrap_or(name) != NAME {
        return None;
    }
    let mut text = Vec::new();
    File::open(link(fd)).ok()?.read_to_end(&mut text).ok()?;
    parse(&text)
}

/// Notes that more was done with an fd than to open it.
pub(super) fn mark_used(fd: RawFd) {
    // Without /proc nothing was opened at all; another failure costs only a clear word to another process.
    if let Ok(mut file) = OpenOptions::new().append(true).open(link(fd)) {
        let _ = file.write_all(b"used\n");
    }
}

/// An error of the kernel's.
pub(super) fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_linux(error.raw_os_error())
}

/// The path by which who holds an fd opens its file again.
fn link(fd: RawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{fd}"))
}

fn parse(text: &[u8]) -> Option<Record> {
    let mut lines = text.split(|&byte| byte == b'\n');
    let first = lines.next()?;
    let blank = first.iter().position(|&byte| byte == b' ')?;
    let process = core::str::from_utf8(&first[..blank]).ok()?.parse().ok()?;
    let path = OsStr::from_bytes(&first[blank + 1..]);
    let path = (path != "-").then(|| PathBuf::from(std::ffi::OsString::from_vec(path.as_bytes().to_vec())));
    Some(Record { process, path, used: lines.any(|line| line == b"used") })
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::{AsFd, AsRawFd, MemfdFlags, Path, Record, make, mark_used, record};

    #[test]
    fn an_fd_tells_what_was_opened_and_whether_it_was_used() {
        let (fd, identity) = make(Some(Path::new("/dev/vfio/7000")), true).expect("a memfd");
        let process = i32::try_from(std::process::id()).expect("a pid");
        let mut said = Record { process, path: Some("/dev/vfio/7000".into()), used: false };
        assert_eq!(record(fd.as_raw_fd()).as_ref(), Some(&said));
        let double = fd.try_clone().expect("a duplicate");
        assert_eq!(super::identity(double.as_fd()), Ok(identity));
        mark_used(double.as_raw_fd());
        said.used = true;
        assert_eq!(record(fd.as_raw_fd()).as_ref(), Some(&said));
        let (other, another) = make(None, true).expect("a memfd");
        assert_ne!(identity, another);
        assert_eq!(record(other.as_raw_fd()), Some(Record { process, path: None, used: false }));
    }

    #[test]
    fn what_goes_past_us_fails() {
        let (fd, _) = make(None, true).expect("a memfd");
        assert_eq!(rustix::io::read(&fd, &mut [0; 8]), Err(Errno::BADF));
        assert_eq!(rustix::io::pread(&fd, &mut [0; 8], 0), Err(Errno::BADF));
        assert_eq!(rustix::io::write(&fd, &[0; 8]), Err(Errno::BADF));
        assert_eq!(rustix::io::ioctl_fionread(&fd), Err(Errno::BADF));
    }

    #[test]
    fn other_fds_say_nothing() {
        let memfd = rustix::fs::memfd_create("vfio-migration", MemfdFlags::CLOEXEC).expect("a memfd");
        assert_eq!(record(memfd.as_raw_fd()), None);
        assert_eq!(record(-1), None);
    }
}
