//! The migration region (v1): a register block and a window in a region of the device.
//!
//! Described by "vfio: Documentation for the migration region" and what followed it on the list (2021); no driver of
//! Linux ever had it, drivers outside of it, vfio-user servers and QEMU until 7.2 speak it. Which changes of state a
//! device accepts depends on its [`Dialect`](crate::state::Dialect).
//!
//! | item | what it is |
//! |---|---|
//! | [`Register`], [`StateBits`] | the register block and the bits of `device_state` |
//! | [`Change`] | a user's way from state to state |
//! | [`SaveLoop`], [`ResumeLoop`] | a user's way of reading and writing data |
//! | [`Limits`], [`Oversized`] | how much of a device's behaviour is put up with |
//! | [`RegionDevice`] | the three machines at work on a [`Region`]: a [`Device`](crate::Device) |
//!
//! The three machines are sans-IO. Starting one gives a [`Step`]; for as long as it is a [`Step::Access`], whoever drives
//! the machine makes that access and hands its answer to `answered`. An access that fails ends the call with that error,
//! and the machine is as it was before the call, apart from what the device has taken or given by then. Bytes stay with
//! the driver: machines see offsets and lengths.
//!
//! ```
//! use vfio_migration_protocol::region::{Access, BLOCK, Limits, Register, SaveLoop, Step};
//! use vfio_migration_protocol::{Filled, Then};
//!
//! // A stopped device that gives one segment of 5 bytes right behind its registers.
//! let mut segments = vec![b"bytes"];
//! let mut region = |access: Access, into: &mut [u8]| match access {
//!     Access::Read(Register::PendingBytes) => 5 * segments.len() as u64,
//!     Access::Read(Register::DataOffset) => BLOCK,
//!     Access::Read(Register::DataSize) => 5,
//!     Access::Data { at, len, .. } => {
//!         into[at..at + len].copy_from_slice(segments.pop().unwrap());
//!         0
//!     }
//!     other => panic!("{other:?} was not asked for"),
//! };
//! let mut save = SaveLoop::new(4096, Limits::default())?;
//! let mut read = |into: &mut [u8]| {
//!     let mut step = save.read(into.len(), true);
//!     loop {
//!         match step {
//!             Step::Access(access) => step = save.answered(region(access, into))?,
//!             Step::Done(filled) => return Ok::<_, vfio_migration_protocol::region::RegionError>(filled),
//!         }
//!     }
//! };
//! let mut buffer = [0; 100];
//! assert_eq!(read(&mut buffer)?, Filled { len: 5, then: Then::SegmentEnd });
//! assert_eq!(&buffer[..5], b"bytes");
//! assert_eq!(read(&mut buffer)?, Filled { len: 0, then: Then::End });
//! # Ok::<(), vfio_migration_protocol::region::RegionError>(())
//! ```

mod bits;
mod change;
mod device;
mod error;
mod registers;
mod resume_loop;
mod save_loop;

pub use bits::StateBits;
pub use change::Change;
pub use device::{Areas, BadAreas, Region, RegionDevice, RegionOptions, UnfitRegion};
pub use error::RegionError;
pub use registers::{BLOCK, NDMA_CAPABILITY, REGION_SUBTYPE, REGION_TYPE, Register};
pub use resume_loop::{Oversized, ResumeLoop};
pub use save_loop::{Limits, SaveLoop};

/// An access to the region that a machine asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read a register. Its answer is the value.
    Read(Register),
    /// Write a register. Its answer is of no interest.
    Write(Register, u64),
    /// Move so many bytes between the region and the buffer of the call: out of the region for a [`SaveLoop`], into it for
    /// a [`ResumeLoop`]. By any number of accesses; through the mapped window where there is one. Its answer is of no
    /// interest.
    Data {
        /// Where they lie in the region, in bytes.
        offset: u64,
        /// Where they lie in the buffer of the call, in bytes.
        at: usize,
        /// How many.
        len: usize,
    },
    /// Move so many bytes to the start of the call's buffer out of what was kept of a segment
    /// ([`SaveLoop::keep`]). No access to the device. Its answer is of no interest.
    Kept {
        /// Where they lie in what was kept, in bytes.
        at: usize,
        /// How many.
        len: usize,
    },
}

/// What a machine says next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// Make this access and hand its answer to `answered`.
    Access(Access),
    /// The call is over.
    Done(T),
}

/// What a machine that is not in the middle of a call is asked about.
const NOT_ASKED: &str = "a machine hears answers only to what it asked for";
