//! What two ends compare to know that everything arrived.

use core::fmt;
use core::str::FromStr;

use crate::data::REGISTERS;

/// A number over everything that a device holds: its secret, the version of every page, its registers.
///
/// Two models with the same proof hold the same; so a harness compares the source in stop-copy with the destination
/// after it left resuming and before it runs. It has a text form, to compare across processes.
///
/// ```
/// use vfio_migration_model::{Model, Proof, Settings};
/// let settings = Settings::parse("size=64KiB")?;
/// let (one, other) = (Model::new(&settings, 1)?, Model::new(&settings, 2)?);
/// assert_ne!(one.proof(), other.proof());
/// assert_eq!(one.proof().to_string().parse(), Ok(one.proof()));
/// # Ok::<(), vfio_migration_model::SettingsError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Proof(u128);

/// The text was no proof: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAProof;

/// What a device held at a moment that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Everything, as one number to compare.
    pub proof: Proof,
    /// The values of [`Register::ALL`](crate::Register::ALL).
    pub registers: [u64; REGISTERS],
}

impl Proof {
    /// Of a device that holds nothing.
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) fn from_halves(high: u64, low: u64) -> Self {
        Self(u128::from(high) << 64 | u128::from(low))
    }

    pub(crate) const fn to_le_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for Proof {
    type Err = NotAProof;

    fn from_str(text: &str) -> Result<Self, NotAProof> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(Self).ok_or(NotAProof)
    }
}

impl fmt::Display for NotAProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a proof has 32 hexadecimal digits")
    }
}

impl core::error::Error for NotAProof {}
