//! Which of the program's fds are nodes.

use core::ffi::c_int;
use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use super::descriptor::Identity;
use crate::host::Handle;

/// The fds that are nodes, and the nodes with how many fds each has.
///
/// An fd that was closed, or made, by a call that went past us makes the table wrong: so each look says which file is
/// behind the fd now.
#[derive(Default)]
pub(super) struct Table {
    fds: HashMap<RawFd, Identity>,
    nodes: HashMap<Identity, Held>,
}

/// A node that the program holds.
#[derive(Clone)]
pub(super) struct Held {
    /// Which.
    pub(super) handle: Handle,
    /// The flags that `F_GETFL` answers with, which duplicates share.
    pub(super) flags: c_int,
    /// Whether its state is this process's: more was done with it than to open it.
    pub(super) used: bool,
    fds: usize,
}

impl Table {
    /// Notes the first fd of a node; answers what [`Self::forget`] does.
    pub(super) fn add(&mut self, fd: RawFd, identity: Identity, handle: Handle, flags: c_int) -> Option<Handle> {
        let gone = self.forget(fd);
        self.nodes.insert(identity, Held { handle, flags, used: false, fds: 1 });
        self.fds.insert(fd, identity);
        flag(fd, true);
        gone
    }

    /// Notes another fd of a node that is held already; answers whether it is.
    pub(super) fn again(&mut self, fd: RawFd, identity: Identity) -> bool {
        if self.fds.get(&fd) == Some(&identity) {
            return true;
        }
        let Some(held) = self.nodes.get_mut(&identity) else { return false };
        held.fds += 1;
        self.fds.insert(fd, identity);
        flag(fd, true);
        true
    }

    /// The node of an fd behind which this file is now.
    pub(super) fn find(&mut self, fd: RawFd, identity: Identity) -> Option<&mut Held> {
        self.fds.get(&fd).filter(|known| **known == identity)?;
        self.nodes.get_mut(&identity)
    }

    /// Forgets an fd; answers the node whose last it was, to be dropped when the table is free again.
    #[must_use]
    pub(super) fn forget(&mut self, fd: RawFd) -> Option<Handle> {
        flag(fd, false);
        let identity = self.fds.remove(&fd)?;
        let held = self.nodes.get_mut(&identity)?;
        held.fds -= 1;
        if held.fds > 0 {
            return None;
        }
        self.nodes.remove(&identity).map(|held| held.handle)
    }

    /// The fds in a range, both ends included.
    pub(super) fn within(&self, first: RawFd, last: RawFd) -> Vec<RawFd> {
        self.fds.keys().copied().filter(|fd| (first..=last).contains(fd)).collect()
    }
}

/// Whether an fd may be a node: what most fds are asked, without a lock. An fd above all flags always may.
pub(super) fn flagged(fd: RawFd) -> bool {
    match usize::try_from(fd) {
        Ok(index) => FLAGS.get(index).is_none_or(|flag| flag.load(Ordering::Acquire)),
        Err(_) => false,
    }
}

/// Takes all flags down, for a process that begins anew.
pub(super) fn clear_flags() {
    for flag in &FLAGS {
        flag.store(false, Ordering::Release);
    }
}

fn flag(fd: RawFd, raised: bool) {
    if let Some(flag) = usize::try_from(fd).ok().and_then(|index| FLAGS.get(index)) {
        flag.store(raised, Ordering::Release);
    }
}

static FLAGS: [AtomicBool; 1 << 16] = [const { AtomicBool::new(false) }; 1 << 16];
