//! Changes of `device_state`: which are accepted, and bit after bit what they do.

use vfio_migration_protocol::region::StateBits;
use vfio_migration_protocol::state::Acceptance;
use vfio_migration_protocol::{CallError, Errno, State};

use super::invalid;
use crate::device::{Model, Session};
use crate::log::planned;
use crate::region::Tolerance;
use crate::save::Save;

impl Model {
    /// `device_state` is written. The change is complete when this returns; if it fails the device goes back to where it
    /// was, or is in error.
    pub(super) fn write_state(
        &mut self,
        now: StateBits,
        asked: StateBits,
        fails: Option<(Errno, u64)>,
    ) -> Result<(), CallError> {
        let region = self.region_mut();
        let (ndma, dialect) = (region.layout.ndma, region.settings.dialect);
        if asked.reserved(ndma) != now.reserved(ndma) && !region.settings.tolerates(Tolerance::ReservedBits) {
            return Err(invalid("reserved bits of device_state have to be written as they were read"));
        }
        let (from, to) = (now.state(ndma), asked.state(ndma));
        if from == State::Error {
            return Err(CallError::because(Errno::EIO, "only a reset leads out of error"));
        }
        let asked = StateBits::new(now.reserved(ndma) | asked.value() & StateBits::known(ndma));
        if now == asked && region.settings.tolerates(Tolerance::SameState) {
            return Ok(());
        }
        if dialect.accepts(from, to, ndma) == Acceptance::Never {
            return Err(invalid(format!("the device accepts no change from {from} to {to}")));
        }
        if from == State::StopCopy && to.is_pre_copy() {
            return Err(invalid("the data of stop-copy cannot be followed by more of pre-copy"));
        }
        let done = self.change(now, asked, fails);
        if done.is_err() {
            let reached = self.region_mut().bits;
            if self.change(reached, now, None).is_err() {
                self.enter_error();
            }
        }
        done
    }

    /// Changes one bit after the other, as far as nothing fails.
    fn change(&mut self, now: StateBits, asked: StateBits, fails: Option<(Errno, u64)>) -> Result<(), CallError> {
        let mut at = now;
        for (changed, next) in (0..).zip(now.changes(asked)) {
            if let Some((errno, _)) = fails.filter(|(_, after)| *after == changed) {
                return Err(planned(errno));
            }
            self.flip(at, next)?;
            at = next;
        }
        fails.map_or(Ok(()), |(errno, _)| Err(planned(errno)))
    }

    /// One bit of `device_state` changes.
    fn flip(&mut self, from: StateBits, to: StateBits) -> Result<(), CallError> {
        let (gone, come) = (from.value() & !to.value(), to.value() & !from.value());
        if gone & StateBits::RUNNING != 0 {
            self.finish_writes();
        }
        if gone & StateBits::RESUMING != 0 {
            self.finish_load()?;
        }
        if gone & StateBits::SAVING != 0 {
            self.end_session();
        }
        if (gone | come) & (StateBits::SAVING | StateBits::RESUMING) != 0 {
            self.region_mut().forget();
        }
        if come & StateBits::SAVING != 0 {
            self.session = Session::Save(Box::new(Save::new(&self.settings, self.contents.pages())));
        }
        if come & StateBits::RESUMING != 0 {
            self.session = Session::Load(Box::new(self.new_load()));
        }
        let region = self.region_mut();
        region.bits = to;
        let state = to.state(region.layout.ndma);
        self.enter(state);
        Ok(())
    }
}
