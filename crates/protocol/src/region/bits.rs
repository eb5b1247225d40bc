use core::fmt;

use crate::State;

/// The value of `device_state`: the bits RUNNING, SAVING, RESUMING, on some devices NDMA, and bits that are reserved
/// and have to be written as they were read.
///
/// Whether bit 3 is NDMA or reserved is said by the region's capability
/// [`NDMA_CAPABILITY`](super::NDMA_CAPABILITY); every method that depends on it takes `ndma`.
///
/// ```
/// use vfio_migration_protocol::{State, region::StateBits};
/// let found = StateBits::new(0x100 | StateBits::RUNNING);
/// assert_eq!(found.state(true), State::Running);
/// let quiet = found.with(State::RunningP2p, true).unwrap();
/// assert_eq!(quiet.value(), 0x100 | StateBits::NDMA | StateBits::RUNNING);
/// assert_eq!(found.with(State::RunningP2p, false), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StateBits(u32);

/// In which order bits change in one write (thread, 13 December 2021): what stops comes before what starts, and NDMA
/// stands between RUNNING and SAVING. The same order from its end starts things again.
const ORDER: [u32; 4] = [StateBits::RUNNING, StateBits::NDMA, StateBits::SAVING, StateBits::RESUMING];

impl StateBits {
    /// The device works.
    pub const RUNNING: u32 = 1;
    /// Its data can be read.
    pub const SAVING: u32 = 1 << 1;
    /// Data can be written to it.
    pub const RESUMING: u32 = 1 << 2;
    /// No DMA of its own begins and none is under way (proposed in the thread). Says nothing new of a device that does
    /// not run.
    pub const NDMA: u32 = 1 << 3;
    /// What the register of a device says that has just been opened or reset.
    pub const DEFAULT: Self = Self(Self::RUNNING);
    /// What a device says that only a reset brings back: SAVING and RESUMING, and nothing else that is known.
    pub const ERROR: Self = Self(Self::SAVING | Self::RESUMING);

    /// From the register.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// For the register.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// The bits that mean something; all others are reserved.
    pub const fn known(ndma: bool) -> u32 {
        Self::RUNNING | Self::SAVING | Self::RESUMING | if ndma { Self::NDMA } else { 0 }
    }

    /// The reserved bits.
    pub const fn reserved(self, ndma: bool) -> u32 {
        self.0 & !Self::known(ndma)
    }

    /// The state that these bits mean; [`State::Unknown`] with the known bits where they mean none: RESUMING together
    /// with RUNNING, or an error with NDMA.
    pub const fn state(self, ndma: bool) -> State {
        const SAVING_AND_RUNNING: u32 = StateBits::SAVING | StateBits::RUNNING;
        let bits = self.0 & Self::known(ndma);
        let quiet = bits & Self::NDMA != 0;
        match bits & !Self::NDMA {
            0 => State::Stop,
            Self::RUNNING if quiet => State::RunningP2p,
            Self::RUNNING => State::Running,
            Self::SAVING => State::StopCopy,
            SAVING_AND_RUNNING if quiet => State::PreCopyP2p,
            SAVING_AND_RUNNING => State::PreCopy,
            Self::RESUMING => State::Resuming,
            _ if bits == Self::ERROR.0 => State::Error,
            _ => State::Unknown(bits),
        }
    }

    /// Whether a user may ask for these bits: they mean a state, and that is not error.
    pub const fn is_valid(self, ndma: bool) -> bool {
        !matches!(self.state(ndma), State::Error | State::Unknown(_))
    }

    /// The same reserved bits with the bits of another state: what has to be written to ask for it. `None` for a state
    /// that nobody can ask this device for.
    #[must_use]
    pub const fn with(self, state: State, ndma: bool) -> Option<Self> {
        let bits = match state {
            State::Stop => 0,
            State::Running => Self::RUNNING,
            State::StopCopy => Self::SAVING,
            State::PreCopy => Self::SAVING | Self::RUNNING,
            State::Resuming => Self::RESUMING,
            State::RunningP2p if ndma => Self::NDMA | Self::RUNNING,
            State::PreCopyP2p if ndma => Self::NDMA | Self::SAVING | Self::RUNNING,
            State::RunningP2p | State::PreCopyP2p | State::Error | State::Unknown(_) => return None,
        };
        Some(Self(self.reserved(ndma) | bits))
    }

    /// The values that one write passes through, the last of them with the known bits of `to`, when its bits change one
    /// after the other: for a device that carries a change of several bits out, and for a user who has to split it.
    /// Reserved bits stay as they are. No value on the way means an error or nothing at all unless an end of it does.
    ///
    /// A change that fails on the way is taken back by the same routine with its arguments swapped: from where it got to,
    /// to where it began. It passes the same values in the opposite order. If that fails too, the device is in error.
    ///
    /// ```
    /// use vfio_migration_protocol::region::StateBits;
    /// let [resuming, running] = [4, 1].map(StateBits::new);
    /// assert_eq!(resuming.changes(running), [0, 1].map(StateBits::new));
    /// // Running could not be set: the device was stopped by then, and goes back to resuming.
    /// assert_eq!(StateBits::new(0).changes(resuming), [4].map(StateBits::new));
    /// ```
    pub fn changes(self, to: Self) -> Vec<Self> {
        let mut at = self.0;
        let mut passed = Vec::new();
        let clears = ORDER.into_iter().map(|bit| (bit, 0));
        let sets = ORDER.into_iter().rev().map(|bit| (bit, bit));
        for (bit, value) in clears.chain(sets) {
            if to.0 & bit == value && at & bit != value {
                at ^= bit;
                passed.push(Self(at));
            }
        }
        passed
    }
}

impl fmt::Display for StateBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names =
            [(Self::RUNNING, "running"), (Self::SAVING, "saving"), (Self::RESUMING, "resuming"), (Self::NDMA, "bit 3")];
        let mut between = "";
        for (_, name) in names.iter().filter(|(bit, _)| self.0 & bit != 0) {
            write!(f, "{between}{name}")?;
            between = "|";
        }
        match self.0 & !Self::known(true) {
            0 if between.is_empty() => f.write_str("0"),
            0 => Ok(()),
            reserved => write!(f, "{between}{reserved:#x}"),
        }
    }
}
