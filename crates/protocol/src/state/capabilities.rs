use core::fmt;
use core::ops::BitOr;

use serde::{Deserialize, Serialize};

/// What a device's migration is capable of.
///
/// The low three bits are those of `struct vfio_device_feature_migration` (linux/vfio.h); the rest is ours. Every device
/// here has stop-copy, since without it there is no migration.
///
/// ```
/// use vfio_migration_protocol::Capabilities;
/// let device = Capabilities::STOP_COPY | Capabilities::P2P;
/// assert!(device.has(Capabilities::P2P) && !device.has(Capabilities::PRE_COPY));
/// assert_eq!(device.to_string(), "stop-copy+p2p");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Capabilities(u64);

impl Capabilities {
    /// `VFIO_MIGRATION_STOP_COPY`
    pub const STOP_COPY: Self = Self(1);
    /// `VFIO_MIGRATION_P2P`
    pub const P2P: Self = Self(2);
    /// `VFIO_MIGRATION_PRE_COPY`
    pub const PRE_COPY: Self = Self(4);
    /// The device logs which pages its DMA wrote.
    pub const DIRTY_TRACKING: Self = Self(1 << 32);

    /// The four sets that a kernel driver may offer.
    pub const FSM_SETS: [Self; 4] = [Self(1), Self(1 | 2), Self(1 | 4), Self(1 | 2 | 4)];

    const NAMES: [(Self, &'static str); 4] = [
        (Self::STOP_COPY, "stop-copy"),
        (Self::P2P, "p2p"),
        (Self::PRE_COPY, "pre-copy"),
        (Self::DIRTY_TRACKING, "dirty-tracking"),
    ];

    /// From bits as they stand in a stream. Bits without a name are kept and mean nothing.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits as they stand in a stream.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether all of `other` is here.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (_, name) in Self::NAMES.iter().filter(|(one, _)| self.has(*one)) {
            write!(f, "{between}{name}")?;
            between = "+";
        }
        Ok(())
    }
}
