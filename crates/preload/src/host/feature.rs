//! `VFIO_DEVICE_FEATURE`: the fsm protocol and the device's log of its DMA, by the rules of `vfio_main.c`.

use core::mem::offset_of;
use std::sync::Arc;

use vfio_migration_protocol::trace::Access;
use vfio_migration_protocol::{CallError, Capabilities, Device as _, Errno, Estimate, IovaRange, State, Tracker as _};
use vfio_migration_uapi::layout::{
    DmaLoggingControl, DmaLoggingRange, DmaLoggingReport, FeatureHeader, MigDataSize, MigState, MigrationFlags,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_MASK,
    VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE,
    VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 as VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFO_V2, VFIO_DEVICE_FEATURE_MIGRATION,
    VFIO_DEVICE_FEATURE_PROBE, VFIO_DEVICE_FEATURE_SET,
};

use super::data::DataFile;
use super::device::{Device, Inside, Log};
use super::dirty::{self, Question};
use super::handle::Handle;
use super::program::Program;
use super::structure::Structure;

/// Bytes before a feature's data.
const HEAD: usize = size_of::<FeatureHeader>();
/// More ranges than fit into one page are refused.
const MOST_RANGES: u32 = 256;
const GET: u32 = VFIO_DEVICE_FEATURE_GET;
const SET: u32 = VFIO_DEVICE_FEATURE_SET;

/// Answers the request.
pub(super) fn feature(device: &Arc<Device>, argument: u64, program: &dyn Program) -> Result<i32, Errno> {
    let head = Structure::sized(argument, HEAD, HEAD)?;
    let (size, flags) = (head.u32(0) as usize, head.u32(4));
    if flags & !(VFIO_DEVICE_FEATURE_MASK | GET | SET | VFIO_DEVICE_FEATURE_PROBE) != 0 {
        return Err(Errno::EINVAL);
    }
    let probes = flags & VFIO_DEVICE_FEATURE_PROBE != 0;
    let (number, ways) = (flags & VFIO_DEVICE_FEATURE_MASK, flags & (GET | SET));
    if !probes && ways == GET | SET {
        return Err(Errno::EINVAL);
    }
    let (supported, data) = known(device, number)?;
    if ways & !supported != 0 {
        return Err(Errno::EINVAL);
    }
    if probes {
        return Ok(0);
    }
    if ways == 0 || size - HEAD < data {
        return Err(Errno::EINVAL);
    }
    let data = Structure::load(argument + HEAD as u64, data)?;
    match number {
        VFIO_DEVICE_FEATURE_MIGRATION => capabilities(device, data),
        VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE if ways == GET => state(device, data),
        VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE => set_state(device, data, program),
        VFIO_DEVICE_FEATURE_DMA_LOGGING_START => start_log(device, data),
        VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP => device
            .track(Log::Own, "tracker-stop", vfio_migration_protocol::Tracker::stop)
            .map(|()| 0)
            .map_err(|error| error.errno),
        VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT => report_log(device, &data),
        VFIO_DEVICE_FEATURE_MIG_DATA_SIZE => data_size(device, data),
        _ => {
            device.with(|inside| inside.knows_reinit = true);
            Ok(0)
        }
    }
}

/// Which ways a feature has, and how many bytes of data. ENOTTY: the device does not have it.
fn known(device: &Device, number: u32) -> Result<(u32, usize), Errno> {
    if device.regions.migration.is_some() {
        return Err(Errno::ENOTTY);
    }
    let logs = device.can(Capabilities::DIRTY_TRACKING);
    match number {
        VFIO_DEVICE_FEATURE_MIGRATION => Ok((GET, size_of::<MigrationFlags>())),
        VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE => Ok((GET | SET, size_of::<MigState>())),
        VFIO_DEVICE_FEATURE_DMA_LOGGING_START if logs => Ok((SET, size_of::<DmaLoggingControl>())),
        VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP if logs => Ok((SET, 0)),
        VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT if logs => Ok((GET, size_of::<DmaLoggingReport>())),
        VFIO_DEVICE_FEATURE_MIG_DATA_SIZE => Ok((GET, size_of::<MigDataSize>())),
        VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFO_V2 if device.can(Capabilities::PRE_COPY) => Ok((SET, 0)),
        // The one feature whose absence is said in another way (Linux 7.1).
        VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFO_V2 => Err(Errno::EINVAL),
        _ => Err(Errno::ENOTTY),
    }
}

fn capabilities(device: &Device, mut data: Structure) -> Result<i32, Errno> {
    let all = Capabilities::STOP_COPY | Capabilities::P2P | Capabilities::PRE_COPY;
    data.set_u64(0, device.settings.capabilities.bits() & all.bits());
    data.store().map(|()| 0)
}

fn state(device: &Device, mut data: Structure) -> Result<i32, Errno> {
    let give = |access: Access, answer: &Result<State, CallError>| match answer {
        Ok(state) => access.giving(state),
        Err(_) => access,
    };
    let state = device.call("state", |inside| inside.model.state(), give).map_err(|error| error.errno)?;
    data.set_u32(offset_of!(MigState, device_state), state.to_fsm());
    data.set_u32(offset_of!(MigState, data_fd), u32::MAX);
    data.store().map(|()| 0)
}

fn set_state(device: &Arc<Device>, mut data: Structure, program: &dyn Program) -> Result<i32, Errno> {
    let to = State::from_fsm(data.u32(offset_of!(MigState, device_state)));
    let change = |inside: &mut Inside| {
        let path = device.settings.table().path(inside.model.current_state(), to).unwrap_or_default();
        let before = path.iter().rev().nth(1).copied().unwrap_or(inside.model.current_state());
        inside.model.set_state(to)?;
        Ok(opens(before, to).then(|| {
            inside.session += 1;
            DataFile::new(Arc::clone(device), inside.session)
        }))
    };
    let line = |access: Access, answer: &Result<Option<DataFile>, CallError>| {
        let access = access.with(to);
        if matches!(answer, Ok(Some(_))) { access.giving("data-fd") } else { access }
    };
    let answer = device.call("set-state", change, line);
    data.set_u32(offset_of!(MigState, data_fd), u32::MAX);
    let opened = match answer {
        Ok(opened) => opened,
        // The driver did what was asked, and there was no number for its file: nothing is copied out.
        Err(error) if matches!(error.errno, Errno::EMFILE | Errno::ENFILE) => return Err(error.errno),
        Err(error) => {
            // The structure is copied out all the same, with the state that was asked for.
            data.store()?;
            return Err(error.errno);
        }
    };
    if let Some(file) = opened {
        // Without a free number the data fd is lost, though the state was reached.
        let fd = program.give(Handle::data(file))?;
        data.set_u32(offset_of!(MigState, data_fd), fd.cast_unsigned());
    }
    data.store().map(|()| 0)
}

/// Whether an arc gives a data fd.
const fn opens(from: State, to: State) -> bool {
    use State::{PreCopy, PreCopyP2p, Resuming, Running, RunningP2p, Stop, StopCopy};
    matches!((from, to), (Stop, Resuming | StopCopy) | (Running, PreCopy) | (RunningP2p, PreCopyP2p))
}

fn data_size(device: &Device, mut data: Structure) -> Result<i32, Errno> {
    let line = |access: Access, answer: &Result<Estimate, CallError>| match answer {
        Ok(size) => access.giving(amount("", *size)),
        Err(_) => access,
    };
    let size = device.call("data-size", |inside| inside.model.data_size(), line).map_err(|error| error.errno)?;
    data.set_u64(0, size.known().unwrap_or(u64::MAX));
    data.store().map(|()| 0)
}

/// An estimate as a word.
pub(super) fn amount(name: &str, estimate: Estimate) -> String {
    estimate.known().map_or_else(|| format!("{name}unknown"), |known| format!("{name}{known}B"))
}

fn start_log(device: &Device, mut data: Structure) -> Result<i32, Errno> {
    const RANGE: usize = size_of::<DmaLoggingRange>();
    let count = data.u32(offset_of!(DmaLoggingControl, num_ranges));
    if count > MOST_RANGES {
        return Err(Errno::E2BIG);
    }
    let ranges = Structure::load(data.u64(offset_of!(DmaLoggingControl, ranges)), count as usize * RANGE)?;
    let range = |at: usize| IovaRange {
        iova: ranges.u64(at * RANGE + offset_of!(DmaLoggingRange, iova)),
        length: ranges.u64(at * RANGE + offset_of!(DmaLoggingRange, length)),
    };
    let ranges: Vec<_> = (0..count as usize).map(range).collect();
    let page_size = data.u64(offset_of!(DmaLoggingControl, page_size));
    let used = device.track(Log::Own, "tracker-start", |log| log.start(&ranges, page_size));
    data.set_u64(offset_of!(DmaLoggingControl, page_size), used.map_err(|error| error.errno)?);
    data.store().map(|()| 0)
}

fn report_log(device: &Device, data: &Structure) -> Result<i32, Errno> {
    let field = |offset| data.u64(offset);
    let range = IovaRange {
        iova: field(offset_of!(DmaLoggingReport, iova)),
        length: field(offset_of!(DmaLoggingReport, length)),
    };
    let page_size = field(offset_of!(DmaLoggingReport, page_size));
    if page_size < 4096 || !page_size.is_power_of_two() {
        return Err(Errno::EINVAL);
    }
    if range.iova.checked_add(range.length).is_none() {
        return Err(Errno::EOVERFLOW);
    }
    let question = Question { range, page_size, keep: false };
    let page = device.log_page(Log::Own);
    let bits = device.track(Log::Own, "tracker-report", |log| dirty::ask(log, page, question));
    let bits = bits.map_err(|error| error.errno)?;
    if !device.is_blind() {
        dirty::merge(field(offset_of!(DmaLoggingReport, bitmap)), &bits)?;
    }
    Ok(0)
}
