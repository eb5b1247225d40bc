//! Reads, writes and mappings of a device's regions.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use vfio_migration_model::CallKind;
use vfio_migration_protocol::region::Register;
use vfio_migration_protocol::trace::Access;
use vfio_migration_protocol::{CallError, Errno};

use super::device::{Device, Inside};
use super::record::bytes;
use super::regions::Region;

impl Device {
    /// Reads at an offset into the device's file, and returns how many bytes were read.
    pub(super) fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
        if into.is_empty() {
            return Ok(0);
        }
        let (region, within, len) = self.regions.access(offset, into.len())?;
        let into = &mut into[..len];
        match region {
            Region::Registers => self.with(|inside| inside.model.load_registers(within, into)),
            Region::Memory => self.memory(|file| file.read_exact_at(into, within))?,
            // Vectors are set by eventfds; their table is nobody's business.
            Region::Msix => into.fill(0),
            Region::Config => {
                let place = place(within)?;
                self.with(|inside| inside.config.read(place, into));
            }
            Region::Migration => return self.read_region(within, into).map_err(|error| error.errno),
        }
        Ok(len)
    }

    /// Writes at an offset into the device's file, and returns how many bytes were written.
    pub(super) fn write_at(&self, offset: u64, from: &[u8]) -> Result<usize, Errno> {
        if from.is_empty() {
            return Ok(0);
        }
        let (region, within, len) = self.regions.access(offset, from.len())?;
        let from = &from[..len];
        match region {
            // What the device does not take is lost, as on a bus; it counts what came when it must not.
            Region::Registers => drop(self.with(|inside| inside.model.store_registers(within, from))),
            Region::Memory => self.memory(|file| file.write_all_at(from, within))?,
            Region::Msix => {}
            Region::Config => {
                let place = place(within)?;
                self.with(|inside| inside.config.write(place, from));
            }
            Region::Migration => return self.write_region(within, from).map_err(|error| error.errno),
        }
        Ok(len)
    }

    /// The file that is mapped at an offset into the device's file, and the offset into it.
    pub(super) fn map_at(&self, offset: u64, len: u64) -> Result<(Arc<File>, u64), Errno> {
        let (region, within) = self.regions.mapping(offset, len)?;
        let (memory, window) = self.files();
        let file = if region == Region::Memory { memory } else { window };
        Ok((file.ok_or(Errno::EINVAL)?, within))
    }

    fn memory(&self, work: impl FnOnce(&File) -> std::io::Result<()>) -> Result<(), Errno> {
        let file = self.files().0.ok_or(Errno::EINVAL)?;
        work(&file).map_err(|error| error.raw_os_error().map_or(Errno::EIO, Errno::from_linux))
    }

    fn read_region(&self, offset: u64, into: &mut [u8]) -> Result<usize, CallError> {
        let len = into.len();
        let kind = match Register::at(offset, len) {
            Some(Register::DeviceState) => CallKind::ReadDeviceState,
            Some(Register::PendingBytes) => CallKind::ReadPendingBytes,
            Some(Register::DataOffset) => CallKind::ReadDataOffset,
            Some(Register::DataSize) => CallKind::ReadDataSize,
            None if self.is_window(offset) => CallKind::ReadWindow,
            Some(Register::Reserved) | None => CallKind::Misaccess,
        };
        let line = |access: Access, read: &Result<(usize, u64), CallError>| match (kind, read) {
            (CallKind::ReadWindow | CallKind::Misaccess, _) => access.with(bytes(len)),
            (CallKind::ReadDeviceState, Ok((_, value))) => access.giving(value),
            (CallKind::ReadPendingBytes | CallKind::ReadDataSize, Ok((_, value))) => access.giving(bytes(value)),
            // Where the data lies is an address.
            _ => access,
        };
        let read = |inside: &mut Inside| {
            let read = inside.model.region_read(offset, into)?;
            Ok((read, number(into)))
        };
        self.call(&kind.to_string(), read, line).map(|(read, _)| read)
    }

    fn write_region(&self, offset: u64, from: &[u8]) -> Result<usize, CallError> {
        let (kind, value) = match Register::at(offset, from.len()) {
            Some(Register::DeviceState) => (CallKind::WriteDeviceState, number(from).to_string()),
            Some(Register::DataSize) => (CallKind::WriteDataSize, bytes(number(from))),
            None if self.is_window(offset) => (CallKind::WriteWindow, bytes(from.len())),
            _ => (CallKind::Misaccess, bytes(from.len())),
        };
        let write = |inside: &mut Inside| inside.model.region_write(offset, from);
        self.call(&kind.to_string(), write, |access, _| access.with(value))
    }

    fn is_window(&self, offset: u64) -> bool {
        self.regions.migration.as_ref().is_some_and(|layout| offset >= layout.data)
    }
}

fn place(within: u64) -> Result<usize, Errno> {
    usize::try_from(within).map_err(|_| Errno::EINVAL)
}

/// The value of a register.
fn number(from: &[u8]) -> u64 {
    match (<[u8; 4]>::try_from(from), <[u8; 8]>::try_from(from)) {
        (Ok(four), _) => u32::from_ne_bytes(four).into(),
        (_, Ok(eight)) => u64::from_ne_bytes(eight),
        _ => 0,
    }
}
