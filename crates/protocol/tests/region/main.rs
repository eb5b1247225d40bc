//! The migration region: its registers and bits, and the machines that use it, against a device that is written by hand.

mod bits;
mod changes;
mod device;
#[path = "../dice/mod.rs"]
mod dice;
mod resuming;
mod saving;
