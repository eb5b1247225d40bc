//! Handing a device that is open here to another program.

use core::mem::MaybeUninit;
use std::fs;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::Holding;

/// A unix socket that gives a device's descriptors to every program that connects: the device first, then what it needs
/// beside ([`Holding::descriptors`]), in one message of one byte. An address `fd:unix:PATH` takes them. Ends when it is
/// dropped.
///
/// ```no_run
/// use vfio_migration_device::{kernel::Offer, open};
/// let opened = open("mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", None)?;
/// let holding = opened.kernel.ok_or("a device of the kernel has a holding")?;
/// let offer = Offer::at("/run/device.sock".as_ref(), holding)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Offer {
    path: PathBuf,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Offer {
    /// Listens at `path`, which must not exist, for programs of the same user.
    ///
    /// # Errors
    /// If nobody can listen there, or no thread can be started.
    pub fn at(path: &Path, holding: Holding) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        let over = Arc::new(AtomicBool::new(false));
        // From here on the socket goes when this goes.
        let mut offer = Self { path: path.to_owned(), over: Arc::clone(&over), thread: None };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        let serve = move || {
            for socket in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                // Whoever goes away again, or comes once the device is closed, gets nothing.
                let _ = socket.and_then(|socket| give(&socket, &holding.descriptors()?));
            }
        };
        offer.thread = Some(thread::Builder::new().name("vfio-offer".into()).spawn(serve)?);
        Ok(offer)
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // Wakes the thread, which waits for the next program. If that fails it is left waiting.
        let woken = UnixStream::connect(&self.path).is_ok();
        let _ = fs::remove_file(&self.path);
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            // It does not panic, and if it did, that was told where it happened.
            let _ = thread.join();
        }
    }
}

/// The device, its container or iommufd, and its group.
const MOST: usize = 4;

pub(super) fn give(socket: &UnixStream, descriptors: &[OwnedFd]) -> io::Result<()> {
    if descriptors.len() > MOST {
        return Err(io::Error::other(format!(
            "{} descriptors are more than whoever takes them expects",
            descriptors.len()
        )));
    }
    let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fits = ancillary.push(SendAncillaryMessage::ScmRights(&borrowed));
    debug_assert!(fits, "there is room for {MOST}");
    loop {
        match sendmsg(socket, &[IoSlice::new(&[0])], &mut ancillary, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            answer => return answer.map(drop).map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write, pipe};
    use std::time::Duration;

    use super::super::receive::{Deadline, from_stream};
    use super::*;

    #[test]
    fn descriptors_that_are_given_are_taken_in_their_order() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ((mut read, write), (other, _)) = (pipe().unwrap(), pipe().unwrap());
        give(&ours, &[write.into(), other.into()]).unwrap();
        let mut taken = from_stream(&theirs, Deadline::after(Duration::MAX)).unwrap();
        assert_eq!(taken.len(), 2);
        let mut file = fs::File::from(taken.remove(0));
        file.write_all(b"through").unwrap();
        drop(file);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn more_than_one_message_takes_is_an_error() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let many: Vec<OwnedFd> = (0..5).map(|_| pipe().unwrap().0.into()).collect();
        assert!(give(&ours, &many).is_err());
    }
}
