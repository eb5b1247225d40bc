//! The devices of the benchmark: as cheap as a device can be, so that the engine is measured and nothing else.

use vfio_migration::protocol::device::Then;
use vfio_migration::{CallError, Capabilities, Device, Errno, Estimate, Filled, Passport, PreCopyInfo, State};

/// What is read over and over, and what is overwritten over and over.
pub(crate) const BUFFER: usize = 64 << 20;

/// A buffer that was written to from end to end: no page of it is still to be had from the kernel.
pub(crate) fn buffer() -> Vec<u8> {
    (0..BUFFER).map(|at| u8::try_from(at * 31 % 251).expect("less than 251")).collect()
}

/// A place in the buffer that goes round.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    at: usize,
}

impl Ring {
    /// The next `len` bytes' range; chunks divide the buffer.
    pub(crate) fn next(&mut self, len: usize) -> std::ops::Range<usize> {
        if self.at + len > BUFFER {
            self.at = 0;
        }
        let range = self.at..self.at + len;
        self.at += len;
        range
    }
}

/// Gives so many bytes of its buffer in stop-copy, or takes any number into it in resuming.
#[derive(Debug)]
pub(crate) struct BenchDevice {
    passport: Passport,
    state: State,
    buffer: Vec<u8>,
    ring: Ring,
    left: u64,
    /// How many bytes it took.
    taken: u64,
}

impl BenchDevice {
    pub(crate) fn new(size: u64) -> Self {
        let passport = Passport::new().needs("device", "benchmark");
        Self { passport, state: State::Running, buffer: buffer(), ring: Ring::default(), left: size, taken: 0 }
    }
}

impl Device for BenchDevice {
    fn passport(&self) -> &Passport {
        &self.passport
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::STOP_COPY
    }

    fn state(&mut self) -> Result<State, CallError> {
        Ok(self.state)
    }

    fn set_state(&mut self, to: State) -> Result<(), CallError> {
        self.state = to;
        Ok(())
    }

    fn reset(&mut self) -> Result<(), CallError> {
        self.state = State::Running;
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<Filled, CallError> {
        let len = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if len == 0 {
            return Ok(Filled { len: 0, then: Then::End });
        }
        into[..len].copy_from_slice(&self.buffer[self.ring.next(len)]);
        self.left -= len as u64;
        Ok(Filled { len, then: Then::More })
    }

    fn write(&mut self, data: &[u8], _segment_end: bool) -> Result<usize, CallError> {
        self.buffer[self.ring.next(data.len())].copy_from_slice(data);
        self.taken += data.len() as u64;
        Ok(data.len())
    }

    fn pre_copy_info(&mut self) -> Result<PreCopyInfo, CallError> {
        Err(Errno::EINVAL.into())
    }

    fn data_size(&mut self) -> Result<Estimate, CallError> {
        Ok(Estimate::Known(self.left))
    }
}
