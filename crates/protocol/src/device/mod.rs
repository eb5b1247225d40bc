//! What a session moves and what it asks: devices, guest memory, trackers of dirty pages.

mod bitmap;
mod companions;
mod errno;
mod memory;
mod runs;

pub use bitmap::Bitmap;
pub use companions::Companions;
pub use errno::{CallError, Errno, NotAnErrno};
pub use memory::{IovaRange, Memory, Tracker};
pub use runs::Runs;

use std::sync::Arc;

use serde::Serialize;

use crate::{Capabilities, Estimate, Passport, State, Table};

/// What came of one read of a device's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// How many bytes of the buffer were filled.
    pub len: usize,
    /// What follows them.
    pub then: Then,
}

/// What follows the bytes of one read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// More data may be read at once.
    More,
    /// A segment of a region device ends here.
    SegmentEnd,
    /// Nothing for now: ENOMSG or a read of 0 bytes in pre-copy. [`Device::pre_copy_info`] may bring new data.
    Pause,
    /// All data has been read: a read of 0 bytes in stop-copy.
    End,
}

/// How much data pre-copy has left, by `VFIO_MIG_GET_PRECOPY_INFO`. Estimates, which drivers get wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreCopyInfo {
    /// Bytes of initial data, which ought to reach the destination before the device stops.
    pub initial: Estimate,
    /// Bytes that changed since they were read.
    pub dirty: Estimate,
    /// `VFIO_PRECOPY_INFO_REINIT`: there is new initial data.
    pub reinit: bool,
}

/// The protocol that a device speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// The migration region (v1).
    Region,
    /// `VFIO_DEVICE_FEATURE` and a data fd (v2).
    Fsm,
}

/// One VFIO device, seen through its migration interface.
///
/// A backend does what it is told and says what happened; it decides nothing. Calls block; the engine makes them on a
/// thread that belongs to the device. EINTR and the EAGAIN of a reset are tried again by the backend, within a bound.
pub trait Device: Send {
    /// What the device is and what its state needs from a destination.
    fn passport(&self) -> &Passport;

    /// What the device is capable of. Stable while it is open.
    fn capabilities(&self) -> Capabilities;

    /// Which protocol the device speaks.
    fn protocol(&self) -> Protocol {
        Protocol::Fsm
    }

    /// The arcs that the device accepts.
    fn table(&self) -> Table {
        Table::fsm(self.capabilities())
    }

    /// Asks the device for its state.
    fn state(&mut self) -> Result<State, CallError>;

    /// Asks for a state; the device walks the arcs of its [`table`](Device::table) on its own. After an error the
    /// state is whatever [`state`](Device::state) then says: any on the path, or `error`.
    fn set_state(&mut self, to: State) -> Result<(), CallError>;

    /// Resets the device: running afterwards, everything in it lost.
    fn reset(&mut self) -> Result<(), CallError>;

    /// Reads data in pre-copy or stop-copy. A backend maps ENOMSG, and 0 bytes in pre-copy, to [`Then::Pause`], and 0
    /// bytes in stop-copy to [`Then::End`]; ENOMSG in stop-copy breaks the rules and is an error.
    fn read(&mut self, into: &mut [u8]) -> Result<Filled, CallError>;

    /// Writes data in resuming and returns how many bytes the device took: at least one unless `data` is empty.
    /// `segment_end` says that a region's segment ends with the last byte of `data`.
    fn write(&mut self, data: &[u8], segment_end: bool) -> Result<usize, CallError>;

    /// Asks how much data pre-copy has left. Asking can make new data (mlx5, virtio).
    fn pre_copy_info(&mut self) -> Result<PreCopyInfo, CallError>;

    /// Asks how many bytes stop-copy would give: an estimate, unknown where the device cannot say.
    fn data_size(&mut self) -> Result<Estimate, CallError>;

    /// A way for other threads to make the call that is under way answer early, with EINTR, if the backend has one. It does
    /// not block. A call that is just about to block may miss it, so it is made again until the call has returned; where
    /// no call is under way it does nothing. Data that the call was moving may be lost.
    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        None
    }

    /// The devices of its IOMMU group that this process has open by now, where the backend knows its group.
    fn companions(&self) -> Option<Companions> {
        None
    }

    /// How often the device was reset since it was made, where it counts that itself.
    fn resets(&self) -> Option<u64> {
        None
    }
}
