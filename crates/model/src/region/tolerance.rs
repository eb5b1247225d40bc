//! What a region device puts up with although the text does not ask it to.

use core::fmt;
use core::str::FromStr;

use vfio_migration_protocol::state::Dialect;

/// Something that deployed programs do, that the text of the region protocol leaves open, and that a device may refuse.
///
/// ```
/// use vfio_migration_model::Tolerance;
/// assert_eq!("same-state".parse(), Ok(Tolerance::SameState));
/// assert!(Tolerance::ALL.iter().all(|one| one.source().contains("QEMU")));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tolerance {
    /// `device_state` is written with the state that the device is in; nothing happens.
    SameState,
    /// Reserved bits of `device_state` are not written as they were read; the device keeps them as they are.
    ReservedBits,
    /// Data is moved in aligned accesses of 8 bytes. Without it an access of 8 bytes and less is one to a register, unless
    /// it ends the segment.
    EightBytes,
    /// Data is moved in accesses of 4, 2 and 1 bytes, where it is not aligned to more.
    SingleBytes,
    /// A segment is handed over in parts, each with its own write of `data_size`; the device puts them together.
    SplitSegments,
}

impl Tolerance {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::SameState, Self::ReservedBits, Self::EightBytes, Self::SingleBytes, Self::SplitSegments];

    /// Who does it, and where that was seen.
    pub const fn source(self) -> &'static str {
        match self {
            Self::SameState => {
                "QEMU 7.2, hw/vfio/migration.c: vfio_save_complete_precopy writes SAVING to a device that is saving \
                 (2 -> 2), vfio_vmstate_change RUNNING to one that runs (1 -> 1); libvfio-user issue 679"
            }
            Self::ReservedBits => {
                "QEMU 7.2, hw/vfio/migration.c: vfio_save_setup keeps the three known bits of device_state, adds SAVING, \
                 and writes 0 into all others"
            }
            Self::EightBytes => {
                "QEMU 7.2, hw/vfio/migration.c: vfio_mig_rw moves what is not mapped by pread and pwrite of at most 8 \
                 bytes"
            }
            Self::SingleBytes => {
                "QEMU 7.2, hw/vfio/migration.c: vfio_mig_rw takes 4, 2 and 1 bytes where offset or rest are not a \
                 multiple of 8"
            }
            Self::SplitSegments => {
                "QEMU 7.2, hw/vfio/migration.c: vfio_load_buffer cuts what is larger than the window behind data_offset"
            }
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::SameState => "same-state",
            Self::ReservedBits => "reserved-bits",
            Self::EightBytes => "eight-bytes",
            Self::SingleBytes => "single-bytes",
            Self::SplitSegments => "split-segments",
        }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text was no tolerance's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotATolerance;

impl FromStr for Tolerance {
    type Err = NotATolerance;

    fn from_str(text: &str) -> Result<Self, NotATolerance> {
        Self::ALL.into_iter().find(|one| one.name() == text).ok_or(NotATolerance)
    }
}

/// Some [`Tolerance`]s. As text they are joined by `+`: `same-state+split-segments`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tolerances(u8);

impl Tolerances {
    /// A strict device.
    pub const NONE: Self = Self(0);

    /// What a device of a dialect puts up with anyway: one that was made for QEMU everything that QEMU does.
    pub fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Qemu => Tolerance::ALL.into_iter().fold(Self::NONE, Self::with),
            Dialect::Thread | Dialect::LibvfioUser => Self::NONE,
        }
    }

    /// One more.
    #[must_use]
    pub const fn with(self, one: Tolerance) -> Self {
        Self(self.0 | 1 << one as u8)
    }

    /// Whether this one is among them.
    pub const fn has(self, one: Tolerance) -> bool {
        self.0 & 1 << one as u8 != 0
    }
}

impl fmt::Display for Tolerances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for one in Tolerance::ALL.into_iter().filter(|one| self.has(*one)) {
            write!(f, "{between}{one}")?;
            between = "+";
        }
        Ok(())
    }
}

impl FromStr for Tolerances {
    type Err = NotATolerance;

    fn from_str(text: &str) -> Result<Self, NotATolerance> {
        text.split('+').try_fold(Self::NONE, |all, name| Ok(all.with(name.parse()?)))
    }
}
