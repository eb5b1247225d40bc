//! A software device behind its region, without a thread: what happens is what a test does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vfio_migration_device::RegionOptions;
use vfio_migration_device::region::{Region, RegionDevice};
use vfio_migration_model::{CallKind, Model, RegionSettings, Settings};
use vfio_migration_protocol::device::Then;
use vfio_migration_protocol::region::Oversized;
use vfio_migration_protocol::{CallError, Capabilities, Device, Passport, State};

/// A model that a test and a client share.
#[derive(Clone)]
pub(crate) struct Direct(Arc<Mutex<Model>>);

impl Direct {
    pub(crate) fn new(settings: &str, nonce: u64) -> Self {
        let settings = Settings::parse(&format!("{settings},protocol=region,trace")).expect("these are settings");
        Self(Arc::new(Mutex::new(Model::new(&settings, nonce).expect("such a model can be"))))
    }

    pub(crate) fn model(&self) -> MutexGuard<'_, Model> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn client(&self) -> RegionDevice<Self> {
        self.client_with(Oversized::Refuse)
    }

    pub(crate) fn client_with(&self, oversized: Oversized) -> RegionDevice<Self> {
        let RegionSettings { dialect, .. } = self.model().settings().region.clone().expect("a region");
        let options = RegionOptions { dialect, oversized, ..RegionOptions::default() };
        RegionDevice::new(self.clone(), Passport::new(), Capabilities::STOP_COPY, options).expect("a good region")
    }

    /// The values of one kind of access that succeeded.
    pub(crate) fn values(&self, kind: CallKind) -> Vec<u64> {
        let calls = self.model().calls().into_iter();
        calls.filter(|call| call.kind == kind && call.answer.is_ok()).filter_map(|call| call.value).collect()
    }
}

impl Region for Direct {
    fn size(&self) -> u64 {
        self.model().size()
    }

    fn has_ndma(&self) -> bool {
        self.model().has_ndma()
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, CallError> {
        self.model().region_read(offset, into)
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<usize, CallError> {
        self.model().region_write(offset, from)
    }

    fn mapped(&self) -> Vec<(u64, u64)> {
        self.model().mapped()
    }

    fn load(&mut self, offset: u64, into: &mut [u8]) -> Result<(), CallError> {
        self.model().load(offset, into)
    }

    fn store(&mut self, offset: u64, from: &[u8]) -> Result<(), CallError> {
        self.model().store(offset, from)
    }

    fn reset(&mut self) -> Result<(), CallError> {
        Region::reset(&mut *self.model())
    }

    fn resets(&self) -> Option<u64> {
        Region::resets(&*self.model())
    }
}

/// Reads what there is until there is nothing for now, or at all: the bytes, and whether a segment ends with them.
pub(crate) fn drain(device: &mut impl Device, piece: usize) -> Result<Vec<(Vec<u8>, bool)>, CallError> {
    let mut pieces = Vec::new();
    loop {
        let mut buffer = vec![0; piece];
        let filled = device.read(&mut buffer)?;
        buffer.truncate(filled.len);
        match filled.then {
            Then::Pause | Then::End => return Ok(pieces),
            then => pieces.push((buffer, then == Then::SegmentEnd)),
        }
    }
}

/// Writes pieces in resuming, and leaves it for running.
pub(crate) fn load(device: &mut impl Device, pieces: &[(Vec<u8>, bool)]) -> Result<(), CallError> {
    device.set_state(State::Resuming)?;
    for (bytes, segment_end) in pieces {
        assert_eq!(device.write(bytes, *segment_end)?, bytes.len(), "a region takes all of a piece");
    }
    device.set_state(State::Running)
}
