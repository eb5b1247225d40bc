use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(target_os = "linux")]
use rustix::event::{EventfdFlags, eventfd};

/// Ends a wait of another thread, for good: once triggered it stays so.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let interrupt = vfio_migration::Interrupt::new()?;
/// let other = interrupt.clone();
/// std::thread::spawn(move || other.trigger()).join().unwrap();
/// assert!(interrupt.is_triggered());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Interrupt {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    triggered: AtomicBool,
    /// Wakes a poll.
    #[cfg(target_os = "linux")]
    event: OwnedFd,
}

impl Interrupt {
    /// One that was not triggered yet.
    ///
    /// # Errors
    /// What the operating system says if there are too many open files.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            inner: Arc::new(Inner {
                triggered: AtomicBool::new(false),
                #[cfg(target_os = "linux")]
                event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            }),
        })
    }

    /// Ends every wait that looks at it, now and later.
    pub fn trigger(&self) {
        let before = self.inner.triggered.swap(true, Ordering::SeqCst);
        // An eventfd that was never written to takes this without blocking.
        #[cfg(target_os = "linux")]
        if !before {
            let _ = rustix::io::write(&self.inner.event, &1u64.to_ne_bytes());
        }
        let _ = before;
    }

    /// Whether it was triggered.
    pub fn is_triggered(&self) -> bool {
        self.inner.triggered.load(Ordering::SeqCst)
    }
}

#[cfg(target_os = "linux")]
impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.event.as_fd()
    }
}
