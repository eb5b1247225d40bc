//! What a model's region is like.

use core::fmt;

use vfio_migration_protocol::state::Dialect;

use super::{NotATolerance, SEGMENT_HEAD, Tolerance, Tolerances};
use crate::pages::PAGE_SIZE;
use crate::settings::{Part, SettingsError, Size};

/// The largest window: 256 MiB.
pub const MAX_WINDOW: u64 = 256 << 20;

/// The least that a segment may be given: it has a head, and ought to bring something.
const LEAST_SEGMENT: u64 = 4 * SEGMENT_HEAD as u64;

/// How a model shows its migration region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionSettings {
    /// Which arcs the device accepts.
    pub dialect: Dialect,
    /// What it puts up with beyond what its dialect makes it ([`Tolerances::of`]).
    pub tolerances: Tolerances,
    /// Bytes of the window: a multiple of 4 KiB, at most [`MAX_WINDOW`].
    pub window: u64,
    /// What of it can be mapped.
    pub mapped: Mapped,
    /// How many bytes a segment has at most: drawn for each between these two. `None`: as many as the window has.
    pub segment: Option<(u64, u64)>,
    /// What the reserved bits of `device_state` hold.
    pub reserved: u32,
}

/// What of a region can be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// Nothing: data goes by reads and writes.
    Nothing,
    /// All of it, its registers too.
    Whole,
    /// Parts of the window, listed in no order. A page between them cannot be mapped.
    Sparse,
}

impl Mapped {
    pub(crate) const ALL: [Self; 3] = [Self::Nothing, Self::Whole, Self::Sparse];

    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Whole => "whole",
            Self::Sparse => "sparse",
        }
    }
}

impl fmt::Display for Mapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Default for RegionSettings {
    fn default() -> Self {
        Self {
            dialect: Dialect::Thread,
            tolerances: Tolerances::NONE,
            window: 1 << 20,
            mapped: Mapped::Nothing,
            segment: None,
            reserved: 0,
        }
    }
}

impl RegionSettings {
    /// Whether the device puts up with this, by its dialect or because the settings say so.
    pub fn tolerates(&self, one: Tolerance) -> bool {
        self.tolerances.has(one) || Tolerances::of(self.dialect).has(one)
    }

    /// Why there is no such region, on a device that has the P2P states or does not.
    pub(crate) fn conflict(&self, p2p: bool) -> Option<&'static str> {
        let (least, most) = self.segments();
        if self.window == 0 || !self.window.is_multiple_of(PAGE_SIZE) || self.window > MAX_WINDOW {
            return Some("a window must be a multiple of 4KiB, up to 256MiB");
        }
        if least > most || least < LEAST_SEGMENT || most > self.window {
            return Some("a segment must have from 64 bytes to as many as the window, written SIZE or LEAST..MOST");
        }
        if p2p && self.dialect != Dialect::Thread {
            return Some("only dialect=thread knows p2p, which regions call NDMA");
        }
        if self.reserved & 0b1111 != 0 {
            return Some("the four lowest bits of device_state are not reserved");
        }
        None
    }

    /// How many bytes a segment has at most, at least and at most.
    pub(crate) fn segments(&self) -> (u64, u64) {
        self.segment.unwrap_or((self.window, self.window))
    }

    /// Takes one setting from its text.
    pub(crate) fn apply(&mut self, part: &Part<'_>) -> Result<(), SettingsError> {
        match part.key {
            "dialect" => self.dialect = part.choice(Dialect::ALL)?,
            "tolerate" => {
                let choices = || part.choices(Tolerance::ALL);
                self.tolerances = part.value()?.parse().map_err(|NotATolerance| choices())?;
            }
            "window" => self.window = part.size()?,
            "mmap" => self.mapped = part.choice(Mapped::ALL)?,
            "segment" => self.segment = Some(part.span()?),
            "reserved" => {
                let reserved = u32::try_from(part.number()?);
                self.reserved = reserved.map_err(|_| SettingsError::Conflict("device_state has 32 bits"))?;
            }
            other => return Err(SettingsError::Unknown(other.to_owned())),
        }
        Ok(())
    }
}

/// As settings of a model, each after a comma.
impl fmt::Display for RegionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = Self::default();
        f.write_str(",protocol=region")?;
        if self.dialect != default.dialect {
            write!(f, ",dialect={}", self.dialect)?;
        }
        if self.tolerances != Tolerances::NONE {
            write!(f, ",tolerate={}", self.tolerances)?;
        }
        if self.window != default.window {
            write!(f, ",window={}", Size(self.window))?;
        }
        if self.mapped != default.mapped {
            write!(f, ",mmap={}", self.mapped)?;
        }
        if let Some((least, most)) = self.segment {
            write!(f, ",segment={}..{}", Size(least), Size(most))?;
        }
        if self.reserved != default.reserved {
            write!(f, ",reserved={}", self.reserved)?;
        }
        Ok(())
    }
}
