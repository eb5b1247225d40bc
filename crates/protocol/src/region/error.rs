use core::fmt;

use super::BLOCK;
use crate::state::Refusal;
use crate::{CallError, Errno, State};

/// What a user of a region cannot go on with. All but [`NoArc`](Self::NoArc), [`Window`](Self::Window) and
/// [`Unfinished`](Self::Unfinished) mean that the device breaks the rules of the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegionError {
    /// The dialect has no way for this change, so that it was not asked for.
    NoArc(Refusal),
    /// A write of `device_state` succeeded, and the device is somewhere else.
    NotThere {
        /// What was asked for.
        asked: State,
        /// What the register says.
        found: State,
    },
    /// The region has no room for anything behind its registers.
    TooSmall {
        /// The region's size, in bytes.
        size: u64,
    },
    /// `data_offset` lies in the registers or outside of the region.
    Offset {
        /// What the register says.
        offset: u64,
        /// The region's size, in bytes.
        size: u64,
    },
    /// A segment does not lie in the region as a whole.
    Outside {
        /// `data_offset`
        offset: u64,
        /// `data_size`
        len: u64,
        /// The region's size, in bytes.
        size: u64,
    },
    /// A stopped device said again and again that bytes are pending and that there are none to read.
    Empty {
        /// `pending_bytes`
        pending: u64,
        /// How often.
        rounds: u32,
    },
    /// A stopped device gave more than anybody believes that it has.
    Endless {
        /// The limit, in bytes.
        limit: u64,
        /// `pending_bytes`, which is still not 0.
        pending: u64,
    },
    /// A segment is larger than the window that the destination's device has for it.
    Window {
        /// Room behind `data_offset`, in bytes.
        window: u64,
        /// Bytes of the segment, as far as it has come.
        segment: u64,
    },
    /// Data ends in the middle of a segment.
    Unfinished {
        /// Bytes of it that came.
        bytes: u64,
    },
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoArc(refusal) => refusal.fmt(f),
            Self::NotThere { asked, found } => {
                write!(f, "the device accepted {asked} and is in {found}: its driver is broken; reset the device")
            }
            Self::TooSmall { size } => {
                write!(
                    f,
                    "a migration region of {size} bytes has no room for data behind its {BLOCK} bytes of registers"
                )
            }
            Self::Offset { offset, size } => write!(
                f,
                "the device has its data at {offset:#x}, which is not between its registers and the end of its region at \
                 {size:#x}"
            ),
            Self::Outside { offset, len, size } => write!(
                f,
                "the device has {len} bytes of data at {offset:#x}, which end behind the end of its region at {size:#x}"
            ),
            Self::Empty { pending, rounds } => {
                write!(f, "the stopped device said {rounds} times that {pending} bytes are pending, and gave none")
            }
            Self::Endless { limit, pending } => write!(
                f,
                "the stopped device has given {limit} bytes and says that {pending} more are pending; raise the limit if \
                 it has so much"
            ),
            Self::Window { window, segment } => write!(
                f,
                "the source's segment has at least {segment} bytes and the window of the device here {window}; allow \
                 segments to be split if this device can put them together"
            ),
            Self::Unfinished { bytes } => {
                write!(f, "the data ends {bytes} bytes into a segment, which the device has not been given")
            }
        }
    }
}

impl core::error::Error for RegionError {}

impl From<RegionError> for CallError {
    fn from(error: RegionError) -> Self {
        let errno = match error {
            RegionError::NoArc(_) => Errno::EINVAL,
            RegionError::Window { .. } => Errno::ENOSPC,
            _ => Errno::EIO,
        };
        Self::because(errno, error.to_string())
    }
}

/// The window behind `data_offset`, in bytes. A segment may not lie over the registers, and an offset of 0 is what a
/// register says that means nothing.
pub(super) const fn window(offset: u64, size: u64) -> Result<u64, RegionError> {
    if offset < BLOCK || offset >= size { Err(RegionError::Offset { offset, size }) } else { Ok(size - offset) }
}
