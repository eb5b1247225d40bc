//! Data fds: one save's or one load's bytes.

use core::mem::offset_of;
use std::sync::Arc;

use vfio_migration_protocol::trace::Access;
use vfio_migration_protocol::{CallError, Device as _, Errno, Filled, PreCopyInfo, Then};
use vfio_migration_uapi::layout::{PrecopyInfo, VFIO_PRECOPY_INFO_REINIT};

use super::device::{Device, Inside};
use super::feature::amount;
use super::record::bytes;
use super::structure::Structure;

/// A data fd. Closing it changes nothing in the device, and it cannot be opened again.
#[derive(Debug)]
pub(super) struct DataFile {
    device: Arc<Device>,
    session: u64,
}

impl DataFile {
    /// The data fd of the session with this number.
    pub(super) const fn new(device: Arc<Device>, session: u64) -> Self {
        Self { device, session }
    }

    /// Whose it is.
    pub(super) fn device(&self) -> &Device {
        &self.device
    }

    /// Reads what there is. ENOMSG: nothing for now, in pre-copy; 0: that was all.
    pub(super) fn read(&self, into: &mut [u8]) -> Result<usize, Errno> {
        let room = bytes(into.len());
        let line = |access: Access, answer: &Result<Filled, CallError>| {
            let access = access.with(room);
            match answer {
                Ok(Filled { then: Then::Pause, .. }) => access.failing(Errno::ENOMSG),
                Ok(filled) => access.giving(bytes(filled.len)),
                Err(_) => access,
            }
        };
        let read = |inside: &mut Inside| self.connected(inside)?.model.read(into);
        match self.device.call("read", read, line) {
            Ok(Filled { then: Then::Pause, .. }) => Err(Errno::ENOMSG),
            Ok(filled) => Ok(filled.len),
            Err(error) => Err(error.errno),
        }
    }

    /// Writes what the device takes, and returns how much.
    pub(super) fn write(&self, from: &[u8]) -> Result<usize, Errno> {
        let line = |access: Access, answer: &Result<usize, CallError>| {
            let access = access.with(bytes(from.len()));
            // As a rule it takes everything.
            match answer {
                Ok(taken) if *taken < from.len() => access.giving(bytes(taken)),
                _ => access,
            }
        };
        let write = |inside: &mut Inside| self.connected(inside)?.model.write(from, false);
        self.device.call("write", write, line).map_err(|error| error.errno)
    }

    /// Answers `VFIO_MIG_GET_PRECOPY_INFO`.
    pub(super) fn pre_copy_info(&self, argument: u64) -> Result<i32, Errno> {
        const SIZE: usize = size_of::<PrecopyInfo>();
        let mut data = Structure::sized(argument, SIZE, SIZE)?;
        let line = |access: Access, answer: &Result<PreCopyInfo, CallError>| match answer {
            Ok(info) => {
                let access = access.giving(amount("initial=", info.initial)).giving(amount("dirty=", info.dirty));
                if info.reinit { access.giving("reinit") } else { access }
            }
            Err(_) => access,
        };
        let mut knows = false;
        let ask = |inside: &mut Inside| {
            knows = inside.knows_reinit;
            self.connected(inside)?.model.pre_copy_info()
        };
        let info = self.device.call("pre-copy-info", ask, line).map_err(|error| error.errno)?;
        // Whoever did not ask for the flags gets its own back.
        if knows {
            data.set_u32(offset_of!(PrecopyInfo, flags), if info.reinit { VFIO_PRECOPY_INFO_REINIT } else { 0 });
        }
        data.set_u64(offset_of!(PrecopyInfo, initial_bytes), info.initial.known().unwrap_or(u64::MAX));
        data.set_u64(offset_of!(PrecopyInfo, dirty_bytes), info.dirty.known().unwrap_or(u64::MAX));
        data.store().map(|()| 0)
    }

    /// The device, if this is still its data fd.
    fn connected<'a>(&self, inside: &'a mut Inside) -> Result<&'a mut Inside, CallError> {
        if inside.session == self.session {
            return Ok(inside);
        }
        Err(CallError::because(Errno::ENODEV, "the device has another data fd by now"))
    }
}

impl Drop for DataFile {
    fn drop(&mut self) {
        self.device.with(|inside| {
            let state = inside.model.current_state();
            self.device.record.add(|| self.device.line("close").within(state));
        });
    }
}
