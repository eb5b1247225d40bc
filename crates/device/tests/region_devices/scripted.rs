//! A region that says what a test makes it say.

use vfio_migration_device::RegionOptions;
use vfio_migration_device::region::{Region, RegionDevice, UnfitRegion};
use vfio_migration_protocol::region::{Limits, Register};
use vfio_migration_protocol::{CallError, Capabilities, Errno, Passport};

/// What a register says, given how often it was read before.
pub(crate) type Says = fn(Register, u64, u32) -> u64;

pub(crate) struct Scripted {
    pub(crate) size: u64,
    pub(crate) mapped: Vec<(u64, u64)>,
    pub(crate) says: Says,
    pub(crate) state: u32,
    pub(crate) reads: u64,
}

impl Scripted {
    pub(crate) fn new(says: Says) -> Self {
        Self { size: 0x5000, mapped: Vec::new(), says, state: 1, reads: 0 }
    }

    pub(crate) fn client(self) -> Result<RegionDevice<Self>, UnfitRegion> {
        let limits = Limits { max_stop_copy_bytes: 1 << 20, ..Limits::default() };
        let options = RegionOptions { limits, ..RegionOptions::default() };
        RegionDevice::new(self, Passport::new(), Capabilities::STOP_COPY, options)
    }
}

impl Region for Scripted {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, CallError> {
        self.reads += 1;
        assert!(self.reads < 100_000, "somebody reads for ever");
        match Register::at(offset, into.len()) {
            Some(Register::DeviceState) => {
                let state = u32::try_from((self.says)(Register::DeviceState, self.reads, self.state));
                into.copy_from_slice(&state.expect("four bytes").to_ne_bytes());
            }
            Some(register) => into.copy_from_slice(&(self.says)(register, self.reads, self.state).to_ne_bytes()),
            None => {
                assert!(offset + into.len() as u64 <= self.size, "{offset:#x}+{:#x} lies outside", into.len());
                into.fill(7);
            }
        }
        Ok(into.len())
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<usize, CallError> {
        match Register::at(offset, from.len()) {
            Some(Register::DeviceState) => self.state = u32::from_ne_bytes(from.try_into().expect("four bytes")),
            Some(Register::DataSize) => {}
            other => assert!(other.is_none() && offset + from.len() as u64 <= self.size, "{offset:#x} lies outside"),
        }
        Ok(from.len())
    }

    fn mapped(&self) -> Vec<(u64, u64)> {
        self.mapped.clone()
    }

    fn reset(&mut self) -> Result<(), CallError> {
        self.state = 1;
        Err(CallError::new(Errno::EINVAL))
    }
}
