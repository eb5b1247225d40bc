//! What this process serves: its devices, made when the first of them is opened, and the fds that are theirs.
//!
//! | when | what happens |
//! |---|---|
//! | load | the environment is read, the folder made; without `VFIO_MIGRATION_PRELOAD_DEVICES` all calls go to libc for good |
//! | first open of a node | the devices are made |
//! | fork | the child begins anew, with devices of its own: the state of the parent's is in the parent's memory |
//! | vfork | the child has the parent's memory, but not its number: its calls go to libc |
//! | exec | as load |

use core::cell::Cell;
use core::ffi::c_int;
use core::ptr::null_mut;
use std::os::fd::{BorrowedFd, IntoRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use vfio_migration_protocol::Errno;

use super::environment::Environment;
use super::table::{self, Held, Table};
use super::{descriptor, voice};
use crate::host::{Handle, Host};
use crate::{Node, stand_in};

/// A process, and what it serves.
pub(super) struct Process {
    number: i32,
    environment: Arc<Environment>,
    host: OnceLock<Host>,
    table: Mutex<Table>,
}

/// An fd that is a node.
pub(super) struct Served {
    pub(super) process: &'static Process,
    pub(super) fd: RawFd,
    pub(super) held: Held,
}

static PROCESS: AtomicPtr<Process> = AtomicPtr::new(null_mut());

thread_local! {
    /// Whether this thread does our own work: then its calls go to libc.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Begins to serve what the environment says; answers whether it says anything.
pub(super) fn start() -> bool {
    let environment = match Environment::read() {
        Ok(Some(environment)) => environment,
        Ok(None) => return false,
        Err(error) => voice::give_up(format_args!("{error}")),
    };
    begin(Arc::new(environment));
    // SAFETY: the handlers are functions of this library, which is never unloaded.
    unsafe {
        libc::pthread_atfork(None, None, Some(begin_anew));
        libc::atexit(finish);
    }
    true
}

/// The process whose calls we answer; none where all goes to libc.
pub(super) fn current() -> Option<&'static Process> {
    let process = PROCESS.load(Ordering::Acquire);
    if process.is_null() || INSIDE.get() {
        return None;
    }
    // SAFETY: `begin` stores only what it leaks.
    let process = unsafe { &*process };
    (process.number == std::process::id().cast_signed()).then_some(process)
}

/// Does our own work, during which this thread's calls go to libc.
pub(super) fn inside<T>(work: impl FnOnce() -> T) -> T {
    let before = INSIDE.replace(true);
    let answer = work();
    INSIDE.set(before);
    answer
}

impl Process {
    /// The devices.
    pub(super) fn host(&self) -> &Host {
        self.host.get_or_init(|| {
            let Environment { devices, options, .. } = &*self.environment;
            match Host::new(devices, options) {
                Ok(host) => host,
                Err(error) => voice::give_up(format_args!("{error}")),
            }
        })
    }

    /// What is served at a path.
    pub(super) fn node_at(&self, path: &Path) -> Option<Node> {
        Node::at(path, self.environment.devices.len())
    }

    /// Where a path of sysfs is that tells of the devices; none for all others.
    pub(super) fn moved(&self, path: &Path) -> Option<PathBuf> {
        let place = stand_in(path, self.environment.devices.len())?;
        Some(self.environment.folder.as_ref()?.join(place))
    }

    /// Opens a node; answers an fd of it.
    pub(super) fn open(&self, node: Node, flags: c_int) -> Result<RawFd, Errno> {
        let opened = self.host().open(node)?;
        self.hand_out(opened, Some(&node.path()), flags)
    }

    /// Makes an fd for a node that has none yet.
    pub(super) fn hand_out(&self, handle: Handle, path: Option<&Path>, flags: c_int) -> Result<RawFd, Errno> {
        let (fd, identity) = descriptor::make(path, flags & libc::O_CLOEXEC != 0)?;
        let fd = fd.into_raw_fd();
        let gone = self.table().add(fd, identity, handle, flags & !libc::O_CLOEXEC);
        drop(gone);
        Ok(fd)
    }

    /// The node of an fd that the table knows.
    pub(super) fn find(&'static self, fd: RawFd) -> Option<Served> {
        if !table::flagged(fd) {
            return None;
        }
        let identity = identity(fd);
        let mut table = self.table();
        if let Some(held) = identity.and_then(|identity| table.find(fd, identity)) {
            return Some(Served { process: self, fd, held: held.clone() });
        }
        // Closed, or made to be something else, by a call that went past us.
        let gone = table.forget(fd);
        drop(table);
        drop(gone);
        None
    }

    /// The node of an fd that libc refused: it may have come over exec, from another process, or by a call that went past
    /// us.
    pub(super) fn identify(&'static self, fd: RawFd) -> Option<Result<Served, Errno>> {
        let identity = identity(fd)?;
        if self.table().again(fd, identity) {
            return self.find(fd).map(Ok);
        }
        let record = descriptor::record(fd)?;
        let Some(node) = record.path.as_deref().and_then(|path| self.node_at(path)).filter(|_| !record.used) else {
            voice::say(format_args!(
                "fd {fd} was {} in process {}, where its state is: it can be used only there; open the device anew",
                if record.path.is_some() { "opened and used" } else { "made" },
                record.process,
            ));
            return Some(Err(Errno::ESTALE));
        };
        let opened = match self.host().open(node) {
            Ok(opened) => opened,
            Err(error) => return Some(Err(error)),
        };
        let gone = self.table().add(fd, identity, opened, libc::O_RDWR);
        drop(gone);
        self.find(fd).map(Ok)
    }

    /// Notes that an fd became another one of what `of` is.
    pub(super) fn duplicated(&self, of: RawFd, fd: RawFd) {
        if !table::flagged(of) && !table::flagged(fd) {
            return;
        }
        let Some(identity) = identity(fd) else { return };
        let mut table = self.table();
        if table.find(fd, identity).is_some() {
            return;
        }
        let gone = table.forget(fd);
        table.again(fd, identity);
        drop(table);
        drop(gone);
    }

    /// Forgets fds that are about to be closed.
    pub(super) fn closing(&self, first: RawFd, last: RawFd) {
        let fds = if first == last { vec![first] } else { self.table().within(first, last) };
        for fd in fds {
            let gone = self.table().forget(fd);
            // Not while the table is locked: the last of a node's handles may have much to do.
            drop(gone);
        }
    }

    /// Changes what the table holds about an fd.
    pub(super) fn change(&self, fd: RawFd, change: impl FnOnce(&mut Held)) {
        if let Some(identity) = identity(fd)
            && let Some(held) = self.table().find(fd, identity)
        {
            change(held);
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which file is behind an fd of the program's, if it is open.
fn identity(fd: RawFd) -> Option<descriptor::Identity> {
    if fd < 0 {
        return None;
    }
    // SAFETY: it is borrowed for one call, which answers EBADF where it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    descriptor::identity(borrowed).ok()
}

/// Makes this process the one whose calls we answer.
fn begin(environment: Arc<Environment>) {
    let process = Process {
        number: std::process::id().cast_signed(),
        environment,
        host: OnceLock::new(),
        table: Mutex::default(),
    };
    // Leaked: threads may be using what was there before.
    PROCESS.store(Box::into_raw(Box::new(process)), Ordering::Release);
}

/// What is done when the program ends in good order: few close their devices.
extern "C" fn finish() {
    if let Some(host) = current().and_then(|process| process.host.get()) {
        inside(|| host.finish());
    }
}

/// What the child of a fork does first: it has one thread, and may find every lock held by one that is gone.
extern "C" fn begin_anew() {
    let parent = PROCESS.load(Ordering::Acquire);
    if !parent.is_null() {
        table::clear_flags();
        // SAFETY: `begin` stores only what it leaks; this reads nothing that a lock guards.
        begin(Arc::clone(unsafe { &(*parent).environment }));
    }
}
