//! The device behind a migration region: what an access to it does.

mod change;
mod reach;
mod segments;

use vfio_migration_protocol::region::{Register, StateBits};
use vfio_migration_protocol::state::Dialect;
use vfio_migration_protocol::{CallError, Errno};

use super::fsm::HUGE;
use super::{Model, Session};
use crate::calls::CallKind;
use crate::fault::Wrong;
use crate::guest_memory::GuestMemory;
use crate::log::planned;
use crate::region::{Joiner, Layout, RegionSettings};
use crate::settings::{Settings, SettingsError};

/// What the region holds between two accesses.
#[derive(Debug)]
pub(super) struct Region {
    settings: RegionSettings,
    layout: Layout,
    bits: StateBits,
    window: GuestMemory,
    /// The segment that lies in the window while saving: its bytes. It is gone once it has been acknowledged.
    segment: Option<u64>,
    /// Segments that this save has made.
    made: u32,
    joiner: Joiner,
    /// `pending_bytes` was read and no segment since: libvfio-user wants this order.
    announced: bool,
    /// Registers that say the same from now on, by the fault plan.
    stuck: [Option<u64>; 3],
}

impl Region {
    pub(super) fn new(settings: &Settings) -> Result<Option<Self>, SettingsError> {
        let (Some(region), Some(layout)) = (&settings.region, settings.layout()) else { return Ok(None) };
        let too_large = |_| SettingsError::TooLarge(format!("window={}", region.window));
        Ok(Some(Self {
            bits: StateBits::new(region.reserved | StateBits::DEFAULT.value()),
            window: GuestMemory::new(0, region.window).map_err(too_large)?,
            settings: region.clone(),
            layout,
            segment: None,
            made: 0,
            joiner: Joiner::default(),
            announced: false,
            stuck: [None; 3],
        }))
    }

    /// The device is in another state, and not because somebody wrote one.
    pub(super) fn found_in(&mut self, bits: StateBits) {
        self.bits = StateBits::new(self.settings.reserved | bits.value());
        self.forget();
    }

    fn forget(&mut self) {
        (self.segment, self.made, self.joiner, self.announced) = (None, 0, Joiner::default(), false);
    }
}

impl Model {
    /// Where things lie in the device's migration region, if it has one.
    pub fn region(&self) -> Option<&Layout> {
        self.region.as_ref().map(|region| &region.layout)
    }

    /// The window of the region, as whoever maps it sees it: offset 0 is [`Layout::data`]. The device does not see such
    /// accesses.
    pub fn window(&self) -> Option<&GuestMemory> {
        self.region.as_ref().map(|region| &region.window)
    }

    /// Gives the region another window of the same size, from whoever maps it for a program.
    ///
    /// # Errors
    /// Gives it back if the device has no region, or its window has another size.
    pub fn set_window(&mut self, window: GuestMemory) -> Result<(), GuestMemory> {
        match &mut self.region {
            Some(region) if region.window.range().length == window.range().length => {
                region.window = window;
                Ok(())
            }
            _ => Err(window),
        }
    }

    /// Reads from the region, as by a `pread` of the device's fd, and returns how many bytes were read: all of `into`
    /// unless the fault plan says otherwise. A register is read by its own width, in the host's byte order.
    ///
    /// # Errors
    /// ENOTTY if the device has no region; EINVAL for anything that is no register and no data of the current segment.
    pub fn region_read(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, CallError> {
        let data = self.known_region()?.layout.data;
        let (kind, register) = match Register::at(offset, into.len()) {
            // It says 0, and nothing happens.
            Some(Register::Reserved) => {
                into.fill(0);
                return Ok(into.len());
            }
            Some(register) => (read_of(register), Some(register)),
            None if offset >= data => (CallKind::ReadWindow, None),
            None => (CallKind::Misaccess, None),
        };
        let (answer, value) = if let Some(register) = register {
            let answer = self.plan(kind).and_then(|plan| {
                let value = self.read_register(register)?;
                plan.fails.map_or(Ok(self.wrong(register, value, plan.wrong)), |(errno, _)| Err(planned(errno)))
            });
            let value = answer.as_ref().copied().unwrap_or(0);
            (answer.map(|value| put(value, into)), value)
        } else {
            let answer = self.plan(kind).and_then(|plan| match kind {
                CallKind::ReadWindow => self.read_window(offset, into, &plan),
                _ => Err(invalid(format!("there is no register of {} bytes at {offset:#x}", into.len()))),
            });
            let value = answer.as_ref().copied().unwrap_or(into.len()) as u64;
            (answer, value)
        };
        self.recorder.accessed(kind, None, value, &answer);
        answer
    }

    /// Writes to the region, as by a `pwrite` of the device's fd, and returns how many bytes were written.
    ///
    /// # Errors
    /// ENOTTY if the device has no region; EINVAL for anything that may not be written, or not now, or not so; and what
    /// the device says of a change of state or of data.
    pub fn region_write(&mut self, offset: u64, from: &[u8]) -> Result<usize, CallError> {
        let known = self.known_region()?;
        let (data, ndma, bits) = (known.layout.data, known.layout.ndma, known.bits);
        let (kind, to, value, answer) = match Register::at(offset, from.len()) {
            Some(Register::DeviceState) => {
                let value = number(from);
                let asked = StateBits::new(u32::try_from(value).unwrap_or(u32::MAX));
                let kind = CallKind::WriteDeviceState;
                let answer = self.plan(kind).and_then(|plan| self.write_state(bits, asked, plan.fails));
                (kind, Some(asked.state(ndma)), value, answer.map(|()| from.len()))
            }
            Some(Register::DataSize) => {
                let (kind, value) = (CallKind::WriteDataSize, number(from));
                let answer = self.plan(kind).and_then(|plan| {
                    self.take_segment(value)?;
                    plan.fails.map_or(Ok(from.len()), |(errno, _)| Err(planned(errno)))
                });
                (kind, None, value, answer)
            }
            None if offset >= data => {
                let kind = CallKind::WriteWindow;
                let answer = self.plan(kind).and_then(|plan| self.write_window(offset, from, &plan));
                (kind, None, answer.as_ref().copied().unwrap_or(from.len()) as u64, answer)
            }
            _ => {
                let kind = CallKind::Misaccess;
                let nothing = || Err(invalid(format!("{} bytes cannot be written at {offset:#x}", from.len())));
                (kind, None, from.len() as u64, self.plan(kind).and_then(|_| nothing()))
            }
        };
        self.recorder.accessed(kind, to, value, &answer);
        answer
    }

    fn known_region(&self) -> Result<&Region, CallError> {
        let none =
            || CallError::because(Errno::ENOTTY, "the device has no migration region: it speaks the fsm protocol");
        self.region.as_ref().ok_or_else(none)
    }

    fn region_mut(&mut self) -> &mut Region {
        self.region.as_mut().expect("every access begins by asking for the region")
    }

    fn read_register(&mut self, register: Register) -> Result<u64, CallError> {
        let saving = matches!(self.session, Session::Save(_));
        let Region { layout: Layout { data, .. }, bits, segment, .. } = *self.known_region()?;
        match register {
            Register::DeviceState => Ok(bits.value().into()),
            Register::PendingBytes if saving => Ok(self.pending()),
            Register::DataOffset if saving => self.lay_segment().map(|()| data),
            Register::DataOffset if matches!(self.session, Session::Load(_)) => Ok(data),
            Register::DataSize if saving && segment.is_none() && self.is_libvfio_user() => {
                Err(invalid("data_offset has to be read before data_size"))
            }
            Register::DataSize if saving => Ok(segment.unwrap_or(0)),
            Register::DataOffset | Register::DataSize if self.is_libvfio_user() => {
                Err(invalid("the device is neither saving nor resuming"))
            }
            // Undefined now, and `data_offset` is never 0.
            Register::DataOffset => Ok(data),
            Register::PendingBytes | Register::DataSize | Register::Reserved => Ok(0),
        }
    }

    /// What the fault plan makes of a register's value.
    fn wrong(&mut self, register: Register, value: u64, wrong: Option<Wrong>) -> u64 {
        let stuck = match register {
            Register::PendingBytes => &mut self.region_mut().stuck[0],
            Register::DataOffset => &mut self.region_mut().stuck[1],
            Register::DataSize => &mut self.region_mut().stuck[2],
            Register::DeviceState | Register::Reserved => return value,
        };
        match wrong {
            _ if stuck.is_some() => stuck.unwrap_or(value),
            Some(Wrong::Stuck) => *stuck.insert(value),
            Some(Wrong::Unknown) => u64::MAX,
            Some(Wrong::Zero) => 0,
            Some(Wrong::Huge) => HUGE,
            None => value,
        }
    }

    fn is_libvfio_user(&self) -> bool {
        self.region.as_ref().is_some_and(|region| region.settings.dialect == Dialect::LibvfioUser)
    }
}

const fn read_of(register: Register) -> CallKind {
    match register {
        Register::DeviceState => CallKind::ReadDeviceState,
        Register::PendingBytes => CallKind::ReadPendingBytes,
        Register::DataOffset => CallKind::ReadDataOffset,
        Register::DataSize => CallKind::ReadDataSize,
        Register::Reserved => CallKind::Misaccess,
    }
}

/// Puts a register's value into as many bytes as the register has, and returns how many.
fn put(value: u64, into: &mut [u8]) -> usize {
    match u32::try_from(value) {
        Ok(value) if into.len() == 4 => into.copy_from_slice(&value.to_ne_bytes()),
        _ => into.copy_from_slice(&value.to_ne_bytes()),
    }
    into.len()
}

/// The value in the bytes of a register.
fn number(from: &[u8]) -> u64 {
    match (<[u8; 4]>::try_from(from), <[u8; 8]>::try_from(from)) {
        (Ok(four), _) => u32::from_ne_bytes(four).into(),
        (_, Ok(eight)) => u64::from_ne_bytes(eight),
        _ => 0,
    }
}

fn invalid(detail: impl Into<Box<str>>) -> CallError {
    CallError::because(Errno::EINVAL, detail)
}
