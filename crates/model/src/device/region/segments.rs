//! Data in the window: which segment lies there, and who may touch it.

use vfio_migration_protocol::{CallError, Capabilities, Errno, State};

use super::{Region, invalid};
use crate::device::fsm::{Plan, limit};
use crate::device::{Model, Session};
use crate::log::planned;
use crate::pages::{below, mix};
use crate::region::{SEGMENT_HEAD, Tolerance, sealed};
use crate::save::Source;

impl Model {
    /// `pending_bytes` is read: what was laid into the window has been taken.
    pub(super) fn pending(&mut self) -> u64 {
        let region = self.region_mut();
        (region.segment, region.announced) = (None, true);
        let gives_early = self.settings.capabilities.has(Capabilities::PRE_COPY);
        let Session::Save(save) = &mut self.session else { return 0 };
        let stopped = self.state == State::StopCopy;
        if !stopped && !gives_early {
            return 0;
        }
        // There is no other question that a device could make data for.
        save.ask();
        let bytes = if stopped {
            save.all_bytes(&self.contents)
        } else {
            save.initial_bytes(&self.contents) + save.dirty_bytes(&self.contents)
        };
        if bytes > 0 {
            return bytes + SEGMENT_HEAD as u64;
        }
        if stopped && self.notes_ends {
            self.saved = Some(self.held());
        }
        0
    }

    /// `data_offset` is read while saving: the next segment lies in the window afterwards.
    pub(super) fn lay_segment(&mut self) -> Result<(), CallError> {
        let gives_early = self.settings.capabilities.has(Capabilities::PRE_COPY);
        let ordered = self.is_libvfio_user();
        let seed = self.settings.seed;
        let region = self.region.as_mut().expect("every access begins by asking for the region");
        if region.segment.is_some() {
            return Ok(());
        }
        if ordered && !region.announced {
            return Err(invalid("pending_bytes has to be read before data_offset"));
        }
        let (least, most) = region.settings.segments();
        let room = least + below(most - least + 1, mix(seed ^ mix(region.made.into())));
        let mut bytes = vec![0; usize::try_from(room).map_err(|_| Errno::ENOMEM)?];
        let stopped = self.state == State::StopCopy;
        let source = Source { contents: &self.contents, registers: &self.registers };
        let len = match &mut self.session {
            Session::Save(save) if stopped || gives_early => save.read(&source, stopped, &mut bytes[SEGMENT_HEAD..]),
            _ => 0,
        };
        region.segment = Some(0);
        if len > 0 {
            let whole = SEGMENT_HEAD + len;
            bytes[..SEGMENT_HEAD].copy_from_slice(&sealed(region.made, whole));
            region.window.store(0, &bytes[..whole])?;
            region.segment = Some(whole as u64);
            region.made = region.made.wrapping_add(1);
        }
        region.announced = false;
        Ok(())
    }

    pub(super) fn read_window(&mut self, offset: u64, into: &mut [u8], plan: &Plan) -> Result<usize, CallError> {
        let region = self.region_mut();
        let segment = region.segment.ok_or_else(|| invalid("there is no segment to read: read data_offset first"))?;
        let at = offset - region.layout.data;
        region.judge_access(at, into.len(), Some(segment))?;
        let most = limit(into.len(), plan);
        region.window.load(at, &mut into[..most])?;
        if let Some(byte) = into[..most].get_mut(most / 2).filter(|_| plan.flip) {
            *byte ^= 1;
        }
        plan.fails.map_or(Ok(most), |(errno, _)| Err(planned(errno)))
    }

    pub(super) fn write_window(&mut self, offset: u64, from: &[u8], plan: &Plan) -> Result<usize, CallError> {
        if !matches!(self.session, Session::Load(_)) {
            return Err(invalid("the device is not resuming"));
        }
        let region = self.region_mut();
        let at = offset - region.layout.data;
        region.judge_access(at, from.len(), None)?;
        let most = limit(from.len(), plan);
        let mut bytes = from[..most].to_vec();
        if let Some(byte) = bytes.get_mut(most / 2).filter(|_| plan.flip) {
            *byte ^= 1;
        }
        region.window.store(at, &bytes)?;
        plan.fails.map_or(Ok(most), |(errno, _)| Err(planned(errno)))
    }

    /// `data_size` is written: so many bytes of the window are a segment.
    pub(super) fn take_segment(&mut self, size: u64) -> Result<(), CallError> {
        let Session::Load(load) = &mut self.session else { return Err(invalid("the device is not resuming")) };
        let region = self.region.as_mut().expect("every access begins by asking for the region");
        if size > region.settings.window {
            return Err(invalid(format!("a window of {} bytes holds no segment of {size}", region.settings.window)));
        }
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| Errno::ENOMEM)?];
        region.window.load(0, &mut bytes)?;
        let parts = region.settings.tolerates(Tolerance::SplitSegments);
        let payload = if load.is_discarding() { &[] } else { region.joiner.take(&bytes, parts)? };
        load.write(&mut self.contents, payload)
    }
}

impl Region {
    /// Whether bytes of the window may be accessed so; `segment` is how many there are to read.
    fn judge_access(&self, at: u64, len: usize, segment: Option<u64>) -> Result<(), CallError> {
        let bytes = segment.unwrap_or(self.settings.window);
        let Some(end) = at.checked_add(len as u64).filter(|end| *end <= bytes && len > 0) else {
            return Err(invalid(format!("there are {bytes} bytes, and none at {at} and the {len} that follow")));
        };
        let needs = match len {
            // They may be the last bytes of a segment: one that is written is longer than its head.
            _ if len > 8 || segment.map_or(end > SEGMENT_HEAD as u64, |segment| segment == end) => return Ok(()),
            8 => Tolerance::EightBytes,
            _ => Tolerance::SingleBytes,
        };
        if self.settings.tolerates(needs) {
            return Ok(());
        }
        Err(invalid(format!("an access of {len} bytes is one to a register, and there is none")))
    }
}
