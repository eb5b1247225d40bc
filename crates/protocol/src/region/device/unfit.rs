//! Why a region is none that a device can be moved through.

use core::fmt;

use crate::region::RegionError;

/// Why a region is none that a device can be saved or restored through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnfitRegion {
    /// It has no room for data.
    Size(RegionError),
    /// Its mapped parts cannot be.
    Areas(BadAreas),
    /// It cannot be both read and written.
    Access,
    /// It does not lie in the device's descriptor.
    Place {
        /// Where it begins, in bytes.
        offset: u64,
        /// How many bytes it has.
        size: u64,
    },
}

impl fmt::Display for UnfitRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(error) => error.fmt(f),
            Self::Areas(error) => error.fmt(f),
            Self::Access => f.write_str("the device says that its migration region cannot be both read and written"),
            Self::Place { offset, size } => write!(
                f,
                "the device says that its migration region has {size:#x} bytes from {offset:#x} on, which no descriptor has"
            ),
        }
    }
}

impl core::error::Error for UnfitRegion {}

/// The device says of its region that parts can be mapped which cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAreas {
    /// A part ends behind the region.
    Outside {
        /// Where the part begins.
        offset: u64,
        /// How many bytes it has.
        len: u64,
        /// How many bytes the region has.
        size: u64,
    },
    /// Two parts have bytes in common.
    Overlap {
        /// Where the one begins.
        one: u64,
        /// Where the other begins.
        other: u64,
    },
}

impl fmt::Display for BadAreas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside { offset, len, size } => write!(
                f,
                "the device says that {len} bytes at {offset:#x} of its region can be mapped, which has only {size:#x}"
            ),
            Self::Overlap { one, other } => write!(
                f,
                "the device says that parts of its region can be mapped which overlap, those at {one:#x} and {other:#x}"
            ),
        }
    }
}

impl core::error::Error for BadAreas {}
