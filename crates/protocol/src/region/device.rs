//! A device with a migration region, as a [`Device`](crate::Device).

mod areas;
mod calls;
mod reach;
mod unfit;

pub use areas::Areas;
pub use reach::{Region, RegionOptions};
pub use unfit::{BadAreas, UnfitRegion};

use super::{Access, Change, Register, ResumeLoop, SaveLoop, StateBits, Step};
use crate::{CallError, Capabilities, Errno, Estimate, Filled, Passport, State, Table};

/// How much of a segment is kept in memory at most when the device is asked for its next state.
const MOST_KEPT: usize = 1 << 30;

/// A device behind a [`Region`], as a [`Device`](crate::Device).
///
/// It reads before it writes: reserved bits of `device_state` stay as they are, and a change is over when the register
/// says so. Registers are accessed by their own width; data goes through the mapped parts where there are any, and in
/// accesses as large as the caller's buffer where there are none.
#[derive(Debug)]
pub struct RegionDevice<R> {
    region: R,
    areas: Areas,
    passport: Passport,
    capabilities: Capabilities,
    table: Table,
    options: RegionOptions,
    /// Where the device said last that it is.
    last: Option<State>,
    data: Data,
    /// What was read of a segment before the device was asked for its next state.
    kept: Vec<u8>,
    /// Data could not be written: what the device holds is not what was sent, whatever it says later.
    write_failed: Option<CallError>,
}

/// What the device's state is good for.
#[derive(Debug)]
enum Data {
    Nothing,
    Save(SaveLoop),
    Resume(ResumeLoop),
}

impl<R: Region> RegionDevice<R> {
    /// Takes a region. `beside` is what the device is capable of apart from its migration: dirty tracking.
    ///
    /// # Errors
    /// If the region's mapped parts overlap or do not lie in it, or it has no room for data.
    pub fn new(
        region: R,
        passport: Passport,
        beside: Capabilities,
        options: RegionOptions,
    ) -> Result<Self, UnfitRegion> {
        let size = region.size();
        // Asked here, so that a region without room for anything is refused before its device is changed.
        SaveLoop::new(size, options.limits).map_err(UnfitRegion::Size)?;
        let areas = Areas::new(region.mapped(), size).map_err(UnfitRegion::Areas)?;
        let ndma = region.has_ndma();
        Ok(Self {
            areas,
            passport,
            capabilities: options.dialect.capabilities(ndma) | beside,
            table: Table::region(options.dialect, ndma),
            options,
            last: None,
            data: Data::Nothing,
            kept: Vec::new(),
            write_failed: None,
            region,
        })
    }

    /// The region that it drives.
    pub const fn region(&self) -> &R {
        &self.region
    }

    /// The region that it drives. Whoever accesses it by the way takes care that this changes nothing for its driver.
    pub const fn region_mut(&mut self) -> &mut R {
        &mut self.region
    }

    fn register(&mut self, register: Register) -> Result<u64, CallError> {
        let mut bytes = [0; 8];
        let width = register.width();
        let read = self.region.read(register.offset(), &mut bytes[..width]);
        let read = read.map_err(|error| named(&error, &format!("reading {register}")))?;
        if read != width {
            return Err(short(&format!("reading {register}"), read, width));
        }
        let [a, b, c, d, ..] = bytes;
        Ok(if width == 4 { u32::from_ne_bytes([a, b, c, d]).into() } else { u64::from_ne_bytes(bytes) })
    }

    fn write_register(&mut self, register: Register, value: u64) -> Result<(), CallError> {
        let (wide, narrow) = (value.to_ne_bytes(), u32::try_from(value).unwrap_or(u32::MAX).to_ne_bytes());
        let bytes = if register.width() == 4 { &narrow[..] } else { &wide };
        let written = self.region.write(register.offset(), bytes);
        let written = written.map_err(|error| named(&error, &format!("writing {register}")))?;
        if written == bytes.len() { Ok(()) } else { Err(short(&format!("writing {register}"), written, bytes.len())) }
    }

    /// Reads data at `offset` of the region, all of `into`.
    fn load(&mut self, offset: u64, into: &mut [u8]) -> Result<(), CallError> {
        let mut done = 0;
        while done < into.len() {
            let at = offset + done as u64;
            let (run, mapped) = self.areas.run(at, into.len() - done);
            let piece = &mut into[done..done + run];
            done += if mapped {
                self.region.load(at, piece).map(|()| run)
            } else {
                self.region.read(at, piece).and_then(|read| moved(read, run))
            }
            .map_err(|error| named(&error, "reading data"))?;
        }
        Ok(())
    }

    /// Writes all of `from` at `offset` of the region.
    fn store(&mut self, offset: u64, from: &[u8]) -> Result<(), CallError> {
        let mut done = 0;
        while done < from.len() {
            let at = offset + done as u64;
            let (run, mapped) = self.areas.run(at, from.len() - done);
            let piece = &from[done..done + run];
            done += if mapped {
                self.region.store(at, piece).map(|()| run)
            } else {
                self.region.write(at, piece).and_then(|written| moved(written, run))
            }
            .map_err(|error| named(&error, "writing data"))?;
        }
        Ok(())
    }

    /// Walks to a state, one write of `device_state` after the other.
    fn walk(&mut self, to: State) -> Result<(), CallError> {
        let ndma = self.region.has_ndma();
        let (mut change, first) = Change::begin(self.table, ndma, to);
        let mut step = Step::Access(first);
        loop {
            let value = match step {
                Step::Done(reached) => {
                    self.arrived(reached);
                    return Ok(());
                }
                Step::Access(Access::Write(register, value)) => {
                    let bits = StateBits::new(u32::try_from(value).unwrap_or(u32::MAX));
                    self.leave(bits.state(ndma))?;
                    self.write_register(register, value)?;
                    self.arrived(bits.state(ndma));
                    0
                }
                Step::Access(_) => {
                    let value = self.register(Register::DeviceState)?;
                    let found = StateBits::new(u32::try_from(value).unwrap_or(u32::MAX)).state(ndma);
                    self.found(found);
                    value
                }
            };
            step = change.answered(value)?;
        }
    }

    /// Before the device is asked for a state: what has to be done first, or forbids it.
    fn leave(&mut self, to: State) -> Result<(), CallError> {
        match &mut self.data {
            Data::Resume(resume) if to != State::Resuming => {
                if let Some(failed) = &self.write_failed {
                    let why =
                        format!("data could not be written before ({failed}): only a reset leads out of resuming");
                    return Err(CallError::because(failed.errno, why));
                }
                resume.finish()?;
            }
            Data::Save(save) if saves(to) => {
                if let Some((offset, len)) = save.keep() {
                    let len = usize::try_from(len).ok().filter(|len| *len <= MOST_KEPT).ok_or_else(|| too_much(len))?;
                    let mut kept = vec![0; len];
                    self.load(offset, &mut kept)?;
                    self.kept = kept;
                }
                if let Data::Save(save) = &mut self.data {
                    save.kept();
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The device is where it was asked to be.
    fn arrived(&mut self, state: State) {
        match (&self.data, state) {
            (Data::Save(_), state) if saves(state) => {}
            (Data::Resume(_), State::Resuming) => {}
            (_, state) => {
                self.forget();
                let size = self.region.size();
                // Both were asked when the device was taken.
                if saves(state) {
                    self.data = SaveLoop::new(size, self.options.limits).map_or(Data::Nothing, Data::Save);
                } else if state == State::Resuming {
                    self.data = ResumeLoop::new(size, self.options.oversized).map_or(Data::Nothing, Data::Resume);
                }
            }
        }
        self.last = Some(state);
    }

    /// The device said where it is.
    fn found(&mut self, state: State) {
        let fits = match self.data {
            Data::Nothing => true,
            Data::Save(_) => saves(state),
            Data::Resume(_) => state == State::Resuming,
        };
        if !fits {
            self.forget();
        }
        self.last = Some(state);
    }

    fn forget(&mut self) {
        (self.data, self.write_failed) = (Data::Nothing, None);
        self.kept = Vec::new();
    }

    fn no_data(&self, what: &str) -> CallError {
        let state = self.last.map_or_else(String::new, |state| format!(" in {state}"));
        CallError::because(Errno::EBADF, format!("the device has no data to {what}{state}"))
    }

    /// Does what the save loop asks for, until it is done.
    fn drive(&mut self, first: Step<Filled>, into: &mut [u8]) -> Result<Filled, CallError> {
        let mut step = first;
        loop {
            let value = match step {
                Step::Done(filled) => return Ok(filled),
                Step::Access(Access::Read(register)) => self.register(register)?,
                Step::Access(Access::Data { offset, at, len }) => {
                    self.load(offset, &mut into[at..at + len])?;
                    0
                }
                Step::Access(Access::Kept { at, len }) => {
                    into[..len].copy_from_slice(&self.kept[at..at + len]);
                    0
                }
                Step::Access(Access::Write(register, value)) => {
                    self.write_register(register, value)?;
                    0
                }
            };
            let Data::Save(save) = &mut self.data else { return Err(self.no_data("read")) };
            step = save.answered(value)?;
        }
    }

    fn give(&mut self, data: &[u8], segment_end: bool) -> Result<usize, CallError> {
        let Data::Resume(resume) = &mut self.data else { return Err(self.no_data("write")) };
        let mut step = resume.write(data.len(), segment_end)?;
        loop {
            let value = match step {
                Step::Done(written) => return Ok(written),
                Step::Access(Access::Read(register)) => self.register(register)?,
                Step::Access(Access::Data { offset, at, len }) => {
                    self.store(offset, &data[at..at + len])?;
                    0
                }
                Step::Access(Access::Write(register, value)) => {
                    self.write_register(register, value)?;
                    0
                }
                Step::Access(Access::Kept { .. }) => return Err(self.no_data("keep")),
            };
            let Data::Resume(resume) = &mut self.data else { return Err(self.no_data("write")) };
            step = resume.answered(value)?;
        }
    }

    /// What is still to be read, without ending a segment that is being read.
    fn left(&mut self) -> Result<Option<Estimate>, CallError> {
        let Data::Save(save) = &self.data else { return Ok(None) };
        if let Some(left) = save.left() {
            return Ok(Some(left));
        }
        let bytes = self.register(Register::PendingBytes)?;
        let Data::Save(save) = &mut self.data else { return Ok(None) };
        save.pending(bytes);
        Ok(Some(Estimate::from_device(bytes)))
    }
}

/// Whether the device's data can be read in this state.
const fn saves(state: State) -> bool {
    matches!(state, State::StopCopy | State::PreCopy | State::PreCopyP2p)
}

/// How far an access got, which may be less than it was to.
fn moved(len: usize, asked: usize) -> Result<usize, CallError> {
    if (1..=asked).contains(&len) { Ok(len) } else { Err(CallError::because(Errno::EIO, "the device moved nothing")) }
}

fn short(what: &str, done: usize, width: usize) -> CallError {
    CallError::because(Errno::EIO, format!("{what} moved {done} of its {width} bytes"))
}

fn too_much(len: u64) -> CallError {
    let why = format!("{len} bytes of a segment were not read yet, more than are kept over a change of state");
    CallError::because(Errno::EFBIG, why)
}

/// Says with an error what was being done.
fn named(error: &CallError, what: &str) -> CallError {
    let detail = match &error.detail {
        Some(detail) => format!("{what} failed: {detail}"),
        None => format!("{what} failed"),
    };
    CallError::because(error.errno, detail)
}
