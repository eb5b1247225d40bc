use crate::device::Protocol;
use crate::{Capabilities, Estimate, Passport};

use super::{Mode, Object};

/// What a session's two ends say to each other. docs/stream-format.md says how each is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Forward, connected: the offer was accepted and the source begins; the destination's devices enter resuming.
    /// Until then neither end has changed anything, and a dry run ends here.
    Begin,
    /// Forward: bytes of an object. May be empty if it carries a flag.
    Data {
        /// Whose bytes.
        object: Object,
        /// Where they lie: for a device, in its data; for memory, from its start.
        offset: u64,
        /// How many.
        len: u32,
        /// A region's segment ends here.
        segment_end: bool,
        /// The initial data of this generation ends here.
        initial_end: Option<u32>,
    },
    /// Forward: all of an object was sent. The codec adds its totals.
    ObjectEnd(Object),
    /// Forward: the guest is the destination's from here on.
    GivenUp,
    /// Forward: in doubt; do not run, and say `refused`.
    Withdraw,
    /// Forward: the source keeps the guest.
    Cancelled(String),
    /// Forward, one-way: the last message. The codec adds the totals of all objects.
    End {
        /// The source runs on (a snapshot); otherwise it has stopped.
        goes_on: bool,
    },
    /// Forward, optional: an event as JSON, for a stream that can show its own course later.
    Event(String),
    /// Forward, optional: the source's report as JSON.
    Report(String),
    /// Both ways: still here.
    Alive,
    /// Back: the offer fits; nothing was changed yet.
    Accepted,
    /// Back: the initial data of this generation is in the device.
    InitialLoaded(Object, u32),
    /// Back: a data frame was verified and placed. The number is where its bytes end. Frames of one object are
    /// acknowledged in order.
    Ack(Object, u64),
    /// Back: every device loaded its data and left resuming.
    Loaded,
    /// Back: the guest runs at the destination.
    Running,
    /// Back: the destination will not run the guest, ever.
    Refused(String),
    /// Back: the destination could not bring the guest up, and whether it ran cannot be known.
    Failed(String),
}

impl Message {
    /// Its name, as docs/stream-format.md has it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Data { .. } => "data",
            Self::ObjectEnd(_) => "object-end",
            Self::GivenUp => "given-up",
            Self::Withdraw => "withdraw",
            Self::Cancelled(_) => "cancelled",
            Self::End { .. } => "end",
            Self::Event(_) => "event",
            Self::Report(_) => "report",
            Self::Alive => "alive",
            Self::Accepted => "accepted",
            Self::InitialLoaded(..) => "initial-loaded",
            Self::Ack(..) => "ack",
            Self::Loaded => "loaded",
            Self::Running => "running",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }
}

/// The head of a stream: everything that is known before the first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Random, the same on every connection of a session.
    pub session: [u8; 16],
    /// Whether messages come back.
    pub mode: Mode,
    /// Largest payload of a frame, in bytes.
    pub chunk: u32,
    /// What will be moved.
    pub objects: Vec<ObjectDescription>,
}

/// One line of a stream's table of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectDescription {
    /// Its name, the same at both ends: 1 to 255 bytes of UTF-8.
    pub id: String,
    /// What it is.
    pub kind: ObjectKind,
    /// For a device, how many bytes stop-copy would give (an estimate); for memory its length.
    pub size: Estimate,
}

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// A device.
    Device {
        /// Which protocol it speaks.
        protocol: Protocol,
        /// What its migration is capable of.
        capabilities: Capabilities,
        /// What it needs from a destination.
        passport: Passport,
    },
    /// A piece of guest memory.
    Memory {
        /// Where it lies in the devices' address space.
        iova: u64,
    },
}
