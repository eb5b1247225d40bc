//! What was done to a device, call by call, as text that is read, kept and compared.
//!
//! A [`Trace`] has a line for each [`Access`]: the device, the state in which it was, the call, its arguments, and what came
//! of it. Times and addresses are left out: they differ from run to run.
//!
//! ```text
//! # QEMU 11.1 saves
//! 0 running      data-size -> 65536B
//! 0 running      set-state pre-copy -> data-fd
//! 0 pre-copy     read 65536B -> 65536B
//! {
//!   0 pre-copy     tracker-report x4
//!   0 pre-copy     read 65536B -> ENOMSG
//! } x18
//! - -            dma-map
//! ```
//!
//! - Words are separated by blanks; `-` stands where there is no device, or no state is known.
//! - After `->` comes what the call gave, or the name of its error. Without one it succeeded and gave nothing.
//! - A number of bytes ends with `B`, in any word, also after a `=` (`initial=65536B`).
//! - A last word `x4` says that the line came four times in a row; braces do the same for several lines. [`fold`](Trace::fold)
//!   makes them.
//! - The call [`note`](NOTE) is none: it keeps what the device knows and no client sees, such as a proof of what it holds.
//! - `#` begins a comment; empty lines mean nothing.
//!
//! Two traces are compared by their [`shape`](Trace::shape): each stretch that comes several times in a row counts once, how
//! many bytes there were does not count (whether there were any does), and notes do not. So a golden trace does not depend on
//! how often a client went round a loop, only on what it did there. [`diff`] shows where two differ.
//!
//! The calls of [`Device`](crate::Device) and [`Tracker`](crate::Tracker) are written by their names: `state`, `set-state`,
//! `reset`, `read`, `write`, `pre-copy-info`, `data-size`, `tracker-start`, `tracker-report`, `tracker-stop`. Whoever records
//! others gives them names of that kind.

mod access;
mod diff;
mod error;
mod fold;
mod text;

pub use access::{Access, Answer, NOTE};
pub use diff::{Change, diff};
pub use error::NotATrace;

use core::fmt;
use core::str::FromStr;

/// What was done, in order.
///
/// ```
/// use vfio_migration_protocol::trace::{Access, Trace};
/// use vfio_migration_protocol::{Errno, State};
///
/// let mut trace = Trace::new();
/// for _ in 0..3 {
///     trace.push(Access::new("read").of("0").within(State::PreCopy).with("65536B").failing(Errno::ENOMSG));
/// }
/// assert_eq!(trace.fold().to_string(), "0 pre-copy     read 65536B -> ENOMSG x3\n");
/// assert_eq!("0 pre-copy read 4096B -> ENOMSG".parse::<Trace>()?.shape(), trace.shape());
/// # Ok::<(), vfio_migration_protocol::trace::NotATrace>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    items: Vec<Item>,
}

/// A line of a trace, or a stretch of it that came several times in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// One access.
    Access(Access),
    /// Several, as often as is said. Never empty.
    Repeat {
        /// How often; 2 or more.
        times: u64,
        /// What.
        items: Vec<Item>,
    },
}

impl Trace {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self { items: Vec::new() }
    }

    /// One access more. The same as the last one counts up, so that a long loop over one call takes no memory.
    pub fn push(&mut self, access: Access) {
        match self.items.last_mut() {
            Some(Item::Repeat { times, items }) if matches!(&items[..], [Item::Access(last)] if *last == access) => {
                *times = times.saturating_add(1);
            }
            Some(last @ Item::Access(_)) if *last == Item::Access(access.clone()) => {
                *last = Item::Repeat { times: 2, items: vec![Item::Access(access)] };
            }
            _ => self.items.push(Item::Access(access)),
        }
    }

    /// What is in it.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The same with stretches that come several times in a row written once. Nothing is lost.
    #[must_use]
    pub fn fold(&self) -> Self {
        Self { items: fold::fold(self.items.clone()) }
    }

    /// What counts when two traces are compared: see [the module](self).
    pub fn shape(&self) -> Vec<Access> {
        let mut lines = Vec::new();
        self.visit(&mut |access| {
            if !access.is_note() {
                lines.push(access.without_amounts());
            }
        });
        fold::collapse(lines)
    }

    /// Those accesses that `keep` says yes to; a stretch of which nothing is left is gone.
    #[must_use]
    pub fn only(&self, mut keep: impl FnMut(&Access) -> bool) -> Self {
        Self { items: only(&self.items, &mut keep) }
    }

    /// Gives every access in order, one that came several times only once.
    pub fn visit(&self, see: &mut impl FnMut(&Access)) {
        visit(&self.items, see);
    }
}

fn only(items: &[Item], keep: &mut impl FnMut(&Access) -> bool) -> Vec<Item> {
    let kept = items.iter().filter_map(|item| match item {
        Item::Access(access) => keep(access).then(|| item.clone()),
        Item::Repeat { times, items } => {
            let items = only(items, keep);
            (!items.is_empty()).then_some(Item::Repeat { times: *times, items })
        }
    });
    kept.collect()
}

fn visit(items: &[Item], see: &mut impl FnMut(&Access)) {
    for item in items {
        match item {
            Item::Access(access) => see(access),
            Item::Repeat { items, .. } => visit(items, see),
        }
    }
}

impl FromIterator<Access> for Trace {
    fn from_iter<I: IntoIterator<Item = Access>>(accesses: I) -> Self {
        let mut trace = Self::new();
        accesses.into_iter().for_each(|access| trace.push(access));
        trace
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, &self.items)
    }
}

impl FromStr for Trace {
    type Err = NotATrace;

    fn from_str(text: &str) -> Result<Self, NotATrace> {
        text::parse(text).map(|items| Self { items })
    }
}
