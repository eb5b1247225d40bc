//! Sizes and rates, of which some are unknown. Unknown is not zero.

use core::fmt;
use core::iter::Sum;
use core::ops::Add;
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of bytes that may be unknown; a sum with something unknown is unknown.
///
/// ```
/// use vfio_migration_protocol::Estimate;
/// assert_eq!(Estimate::Known(3) + Estimate::Known(4), Estimate::Known(7));
/// assert_eq!(Estimate::Known(3) + Estimate::Unknown, Estimate::Unknown);
/// // Drivers that keep an errno in the field (xe) show a number of 2^63 or more.
/// assert_eq!(Estimate::from_device(u64::MAX - 106), Estimate::Unknown);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Estimate {
    /// So many bytes.
    Known(u64),
    /// The device cannot say. Serialised as null.
    Unknown,
}

impl Estimate {
    /// What a device said: 2^63 and above is a negative errno in the wrong field, hence unknown.
    pub const fn from_device(bytes: u64) -> Self {
        if bytes >> 63 == 0 { Self::Known(bytes) } else { Self::Unknown }
    }

    /// The number, where there is one.
    pub const fn known(self) -> Option<u64> {
        match self {
            Self::Known(bytes) => Some(bytes),
            Self::Unknown => None,
        }
    }
}

impl Add for Estimate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        match (self, other) {
            (Self::Known(a), Self::Known(b)) => Self::Known(a.saturating_add(b)),
            _ => Self::Unknown,
        }
    }
}

impl Sum for Estimate {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::Known(0), Add::add)
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(bytes) => write!(f, "{bytes} bytes"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// How fast data really arrives, measured while any is in flight: idle time says nothing about a link.
///
/// ```
/// use core::time::Duration;
/// use vfio_migration_protocol::estimate::Rate;
/// let mut rate = Rate::default();
/// rate.starts(Duration::from_secs(7));
/// rate.count(Duration::from_millis(7_100), 1_000_000);
/// assert_eq!(rate.per_second(), Some(10_000_000.0));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rate {
    /// When the running sample was last added to, and what is in it.
    last: Duration,
    took: Duration,
    bytes: u64,
    per_second: Option<f64>,
}

impl Rate {
    /// Shortest sample that is worth an average.
    const SAMPLE: Duration = Duration::from_millis(50);
    /// Shortest sample that is better than none.
    const FIRST: Duration = Duration::from_millis(1);
    /// Weight of a new sample.
    const WEIGHT: f64 = 0.3;

    /// Something is in flight again after nothing was.
    pub const fn starts(&mut self, now: Duration) {
        self.last = now;
    }

    /// Counts bytes that arrived at `now`.
    pub fn count(&mut self, now: Duration, bytes: u64) {
        self.bytes += bytes;
        self.took += now.saturating_sub(self.last);
        self.last = now;
        if self.took >= Self::SAMPLE {
            let sample = self.sample();
            self.per_second = Some(self.per_second.map_or(sample, |old| old + (sample - old) * Self::WEIGHT));
            (self.took, self.bytes) = (Duration::ZERO, 0);
        }
    }

    /// Bytes a second, once there was a sample.
    pub fn per_second(&self) -> Option<f64> {
        self.per_second.or_else(|| (self.took >= Self::FIRST).then(|| self.sample()))
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
    fn sample(&self) -> f64 {
        self.bytes as f64 / self.took.as_secs_f64()
    }
}
