//! A connection through a relay that can be cut at any byte.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use vfio_migration::{Sink, Source};

/// Which way the bytes go that are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Forward,
    Back,
}

/// A relay between two ends; it cuts both ways once so many bytes went one way.
pub(crate) struct Relay {
    pub(crate) sink: Sink,
    pub(crate) source: Source,
    /// Whether the cut was made; known when both ends have closed.
    pub(crate) was_cut: Arc<AtomicBool>,
    pub(crate) threads: Vec<JoinHandle<u64>>,
}

impl Relay {
    pub(crate) fn cut(way: Way, after: u64) -> Self {
        let (near, relay_near) = UnixStream::pair().unwrap();
        let (far, relay_far) = UnixStream::pair().unwrap();
        let was_cut = Arc::new(AtomicBool::new(false));
        let limit = |of| if way == of { after } else { u64::MAX };
        let forward = carry(&relay_near, &relay_far, limit(Way::Forward), &was_cut);
        let back = carry(&relay_far, &relay_near, limit(Way::Back), &was_cut);
        Self {
            sink: Sink::fd(near.into()).unwrap(),
            source: Source::fd(far.into()).unwrap(),
            was_cut,
            threads: vec![forward, back],
        }
    }

    /// A relay that is never cut.
    pub(crate) fn whole() -> Self {
        Self::cut(Way::Forward, u64::MAX)
    }
}

fn carry(from: &UnixStream, to: &UnixStream, limit: u64, was_cut: &Arc<AtomicBool>) -> JoinHandle<u64> {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    let was_cut = Arc::clone(was_cut);
    thread::spawn(move || {
        let (mut buffer, mut carried) = (vec![0; 32 << 10], 0);
        loop {
            let most = buffer.len().min(usize::try_from(limit - carried).unwrap_or(usize::MAX));
            if most == 0 {
                was_cut.store(true, Ordering::SeqCst);
                for end in [&from, &to] {
                    let _ = end.shutdown(Shutdown::Both);
                }
                return carried;
            }
            match from.read(&mut buffer[..most]) {
                Ok(0) | Err(_) => {
                    let _ = to.shutdown(Shutdown::Write);
                    return carried;
                }
                Ok(read) => {
                    if to.write_all(&buffer[..read]).is_err() {
                        let _ = from.shutdown(Shutdown::Read);
                        return carried;
                    }
                    carried += read as u64;
                }
            }
        }
    })
}
