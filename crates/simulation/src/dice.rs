use core::time::Duration;

/// Random numbers from a seed: splitmix64, which is small and enough to choose by.
///
/// ```
/// use vfio_migration_simulation::Dice;
/// let (mut one, mut same) = (Dice::new(7), Dice::new(7));
/// assert_eq!(one.roll(6), same.roll(6));
/// ```
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that roll the same for the same seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Other dice for another use, so that one use more does not change all the others.
    #[must_use]
    pub fn split(&self, salt: u64) -> Self {
        let mut dice = Self(self.0 ^ salt.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        Self(dice.next())
    }

    /// A number below `sides`; 0 for no sides.
    pub fn roll(&mut self, sides: u64) -> u64 {
        let number = self.next();
        number.checked_rem(sides).unwrap_or(0)
    }

    /// Heads or tails.
    pub fn flip(&mut self) -> bool {
        self.roll(2) == 0
    }

    /// Between half and one and a half of `time`; once in a while eight times as long, as on a real host.
    pub fn around(&mut self, time: Duration) -> Duration {
        let time = if self.roll(32) == 0 { time * 8 } else { time };
        time / 2 + time.mul_f64(f64::from(u16::try_from(self.roll(1 << 10)).unwrap_or(0)) / 1024.0)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
