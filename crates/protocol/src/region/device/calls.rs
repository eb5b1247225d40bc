//! What a session asks of a region device: the calls of [`Device`].

use std::sync::Arc;

use super::super::{Register, StateBits};
use super::{Data, Region, RegionDevice};
use crate::{
    CallError, Capabilities, Companions, Device, Errno, Estimate, Filled, Passport, PreCopyInfo, Protocol, State, Table,
};

/// How often a change of state that a signal interrupted is begun again.
const INTERRUPTIONS: u32 = 100;

impl<R: Region> Device for RegionDevice<R> {
    fn passport(&self) -> &Passport {
        &self.passport
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn protocol(&self) -> Protocol {
        Protocol::Region
    }

    fn table(&self) -> Table {
        self.table
    }

    fn state(&mut self) -> Result<State, CallError> {
        self.region.begin();
        let value = self.register(Register::DeviceState)?;
        let state = StateBits::new(u32::try_from(value).unwrap_or(u32::MAX)).state(self.region.has_ndma());
        self.found(state);
        Ok(state)
    }

    fn set_state(&mut self, to: State) -> Result<(), CallError> {
        self.region.begin();
        for _ in 1..INTERRUPTIONS {
            // After an interruption it may be anywhere on the way: the walk begins with reading the state.
            match self.walk(to) {
                Err(error) if error.errno == Errno::EINTR => {}
                answer => return answer,
            }
        }
        self.walk(to)
    }

    fn reset(&mut self) -> Result<(), CallError> {
        self.region.begin();
        self.region.reset()?;
        self.forget();
        self.last = None;
        Ok(())
    }

    fn read(&mut self, into: &mut [u8]) -> Result<Filled, CallError> {
        self.region.begin();
        let stopped = self.last == Some(State::StopCopy);
        let Data::Save(save) = &mut self.data else { return Err(self.no_data("read")) };
        let first = save.read(into.len(), stopped);
        self.drive(first, into)
    }

    fn write(&mut self, data: &[u8], segment_end: bool) -> Result<usize, CallError> {
        if let Some(failed) = &self.write_failed {
            return Err(failed.clone());
        }
        self.region.begin();
        let written = self.give(data, segment_end);
        if let (Err(error), Data::Resume(_)) = (&written, &self.data) {
            self.write_failed = Some(error.clone());
        }
        written
    }

    fn pre_copy_info(&mut self) -> Result<PreCopyInfo, CallError> {
        if !self.last.is_some_and(State::is_pre_copy) {
            return Err(CallError::because(Errno::EINVAL, "the device is not in pre-copy"));
        }
        self.region.begin();
        // A region does not tell initial data from other data.
        let dirty = self.left()?.ok_or_else(|| self.no_data("ask about"))?;
        Ok(PreCopyInfo { initial: Estimate::Known(0), dirty, reinit: false })
    }

    fn data_size(&mut self) -> Result<Estimate, CallError> {
        self.region.begin();
        // `pending_bytes` means nothing before the device saves.
        Ok(self.left()?.unwrap_or(Estimate::Unknown))
    }

    fn companions(&self) -> Option<Companions> {
        self.region.companions()
    }

    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        self.region.interrupter()
    }

    fn resets(&self) -> Option<u64> {
        self.region.resets()
    }
}
