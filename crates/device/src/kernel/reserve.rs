use std::os::fd::OwnedFd;

use super::calls::Calls;

/// Descriptor numbers that are kept for the moment in which the kernel opens a data fd: if it finds none, the device has
/// changed its state all the same, and its data is lost.
#[derive(Debug, Default)]
pub(super) struct Reserve(Vec<OwnedFd>);

impl Reserve {
    /// One for the data fd and one for whoever is faster.
    const NUMBERS: usize = 2;

    /// Takes as many numbers as there are, up to two.
    pub(super) fn fill(&mut self, calls: &impl Calls) {
        while self.0.len() < Self::NUMBERS {
            match calls.duplicate() {
                Ok(number) => self.0.push(number),
                Err(_) => return,
            }
        }
    }

    /// Gives the numbers back, right before the kernel wants one.
    pub(super) fn spend(&mut self) {
        self.0.clear();
    }
}
