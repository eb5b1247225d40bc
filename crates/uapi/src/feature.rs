//! `VFIO_DEVICE_FEATURE`: what a device can do beyond the ordinary, and migration most of all.
//!
//! Which errors mean what (`vfio_main.c` of Linux 6.12): ENOTTY, that kernel or device lack the feature; EINVAL to
//! [`probe`], that the feature lacks the operation.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::{Errno, Result};

use crate::call::{Exchange, address, address_mut, room, size};
use crate::layout::{
    BusMaster, DmaBuf, DmaBufRange, DmaLoggingControl, DmaLoggingRange, DmaLoggingReport, FeatureHeader,
    LowPowerEntryWithWakeup, MigDataSize, MigState, MigrationFlags, VFIO_DEVICE_FEATURE,
    VFIO_DEVICE_FEATURE_BUS_MASTER, VFIO_DEVICE_FEATURE_CLEAR_MASTER, VFIO_DEVICE_FEATURE_DMA_BUF,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY,
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, VFIO_DEVICE_FEATURE_MASK,
    VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2,
    VFIO_DEVICE_FEATURE_MIGRATION, VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, VFIO_DEVICE_FEATURE_PROBE,
    VFIO_DEVICE_FEATURE_SET, VFIO_DEVICE_FEATURE_SET_MASTER,
};

/// What is done with a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It is asked.
    Get,
    /// It is told.
    Set,
}

/// A feature with its data behind it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Feature<T> {
    header: FeatureHeader,
    data: T,
}

const _: () = {
    assert!(core::mem::offset_of!(Feature<MigState>, data) == 8);
    assert!(core::mem::offset_of!(Feature<DmaLoggingReport>, data) == 8);
    assert!(core::mem::offset_of!(Feature<[u8; 16]>, data) == 8);
};

/// Asks whether the device has a feature at all, or whether it has it with an operation. Changes nothing.
///
/// `Ok` says yes. ENOTTY and EINVAL say no (a device without migration answers EINVAL to feature 12), everything else
/// is a failure.
///
/// ```no_run
/// use vfio_migration_uapi::feature::{self, Operation};
/// use vfio_migration_uapi::{Errno, layout};
/// # fn f(device: std::os::fd::BorrowedFd<'_>) -> Result<bool, Errno> {
/// match feature::probe(device, layout::VFIO_DEVICE_FEATURE_DMA_LOGGING_START, Some(Operation::Set)) {
///     Ok(()) => Ok(true),
///     Err(Errno::NOTTY | Errno::INVAL) => Ok(false),
///     Err(error) => Err(error),
/// }
/// # }
/// ```
pub fn probe(device: BorrowedFd<'_>, feature: u32, operation: Option<Operation>) -> Result<()> {
    let operation = match operation {
        Some(Operation::Get) => VFIO_DEVICE_FEATURE_GET,
        Some(Operation::Set) => VFIO_DEVICE_FEATURE_SET,
        None => 0,
    };
    if feature > VFIO_DEVICE_FEATURE_MASK {
        return Err(Errno::INVAL);
    }
    // SAFETY: a probe looks at the flags only.
    unsafe { exchange(device, VFIO_DEVICE_FEATURE_PROBE | operation | feature, ()) }.map(drop)
}

/// Feature 1: whether the device migrates, and with which optional states. Bits of `VFIO_MIGRATION_*`; unknown ones may
/// be set and mean nothing.
pub fn migration(device: BorrowedFd<'_>) -> Result<u64> {
    // SAFETY: the data is a structure of numbers.
    unsafe { get(device, VFIO_DEVICE_FEATURE_MIGRATION, MigrationFlags::default()) }.map(|data| data.flags)
}

/// Feature 2: the device's state, as its number: `VFIO_DEVICE_STATE_*`, or one that is newer.
pub fn state(device: BorrowedFd<'_>) -> Result<u32> {
    let data = MigState { device_state: 0, data_fd: -1 };
    // SAFETY: the data is a structure of numbers; GET opens no fd.
    unsafe { get(device, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, data) }.map(|data| data.device_state)
}

/// Feature 2: asks for a state, and answers with the data fd if the way there opened one.
///
/// After an error the device is in any state on the way, or in error: ask [`state`]. After EMFILE or ENFILE it has even
/// arrived, without a data fd. An invalid arc stops an xe VF and hangs unfixed kernels: check it before.
pub fn set_state(device: BorrowedFd<'_>, state: u32) -> Result<Option<OwnedFd>> {
    // What the kernel leaves in data_fd where it opened nothing is -1 or the caller's own number.
    let data = MigState { device_state: state, data_fd: -1 };
    // SAFETY: the data is a structure of numbers.
    let data = unsafe { set(device, VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, data) }?;
    // SAFETY: after success the number is that of an fd that the kernel opened for this call, and nobody's yet.
    Ok((data.data_fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(data.data_fd) }))
}

/// Feature 6: starts logging writes to `ranges` with pages of `page_size` bytes. Answers with the page size that the
/// device chose.
///
/// Every range must be a multiple of the page size and no two may overlap (EINVAL); there may be 1 to page size / 16 of
/// them (E2BIG), of which a device may still find too many (EOPNOTSUPP).
pub fn start_dma_logging(device: BorrowedFd<'_>, ranges: &[DmaLoggingRange], page_size: u64) -> Result<u64> {
    let num_ranges = u32::try_from(ranges.len()).map_err(|_| Errno::TOOBIG)?;
    let data = DmaLoggingControl { page_size, num_ranges, reserved: 0, ranges: address(ranges) };
    // SAFETY: the kernel reads as many ranges as it is told.
    unsafe { set(device, VFIO_DEVICE_FEATURE_DMA_LOGGING_START, data) }.map(|data| data.page_size)
}

/// Feature 7: stops logging.
pub fn stop_dma_logging(device: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: there is no data.
    unsafe { set(device, VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP, ()) }
}

/// Feature 8: sets a bit in `bitmap` for each page of `page_size` bytes of the range that was written to since the last
/// report, and forgets it. Bit i of word i / 64 is page i of the range. EINVAL if the bitmap has no room for the range.
///
/// After an error what was written is not known any more. Kernels without IOMMUFD answer EOPNOTSUPP although they
/// accept [`start_dma_logging`].
pub fn report_dma_logging(
    device: BorrowedFd<'_>,
    range: DmaLoggingRange,
    page_size: u64,
    bitmap: &mut [u64],
) -> Result<()> {
    room(bitmap, range.length, page_size)?;
    let DmaLoggingRange { iova, length } = range;
    let data = DmaLoggingReport { iova, length, page_size, bitmap: address_mut(bitmap) };
    // SAFETY: the kernel sets bits of the range's pages, for which the bitmap has room.
    unsafe { get(device, VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT, data) }.map(drop)
}

/// Feature 9: how many bytes stop-copy would give: an estimate, and as some drivers put it a negative error number.
pub fn data_size(device: BorrowedFd<'_>) -> Result<u64> {
    // SAFETY: the data is a structure of numbers.
    unsafe { get(device, VFIO_DEVICE_FEATURE_MIG_DATA_SIZE, MigDataSize::default()) }.map(|data| data.stop_copy_length)
}

/// Feature 12: from now on, until the device's last close, [`precopy::info`](crate::precopy::info) has flags that mean
/// something.
pub fn opt_into_precopy_info_v2(device: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: there is no data.
    unsafe { set(device, VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2, ()) }
}

/// Feature 0: sets the secret that opens the virtual functions of this physical one.
pub fn set_vf_token(device: BorrowedFd<'_>, token: [u8; 16]) -> Result<()> {
    // SAFETY: the data is sixteen bytes.
    unsafe { set(device, VFIO_DEVICE_FEATURE_PCI_VF_TOKEN, token) }.map(drop)
}

/// Features 3 and 4: allows the device to sleep until it is used, or, with an eventfd to tell it, until it wakes up.
pub fn enter_low_power(device: BorrowedFd<'_>, wakeup: Option<BorrowedFd<'_>>) -> Result<()> {
    let Some(eventfd) = wakeup else {
        // SAFETY: there is no data.
        return unsafe { set(device, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, ()) };
    };
    let data = LowPowerEntryWithWakeup { wakeup_eventfd: eventfd.as_raw_fd(), reserved: 0 };
    // SAFETY: the data is a structure of numbers.
    unsafe { set(device, VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP, data) }.map(drop)
}

/// Feature 5: wakes the device up.
pub fn exit_low_power(device: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: there is no data.
    unsafe { set(device, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT, ()) }
}

/// Feature 10: allows or forbids the device to start DMA.
pub fn set_bus_master(device: BorrowedFd<'_>, allowed: bool) -> Result<()> {
    let op = if allowed { VFIO_DEVICE_FEATURE_SET_MASTER } else { VFIO_DEVICE_FEATURE_CLEAR_MASTER };
    // SAFETY: the data is a structure of numbers.
    unsafe { set(device, VFIO_DEVICE_FEATURE_BUS_MASTER, BusMaster { op }) }.map(drop)
}

/// Feature 11: makes a dma-buf of one piece of a region, in bytes from the region's beginning.
pub fn dma_buf(device: BorrowedFd<'_>, region: u32, piece: DmaBufRange) -> Result<OwnedFd> {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct OneRange {
        head: DmaBuf,
        range: DmaBufRange,
    }
    let open_flags = rustix::fs::OFlags::CLOEXEC | rustix::fs::OFlags::RDWR;
    let head = DmaBuf { region_index: region, open_flags: open_flags.bits(), flags: 0, nr_ranges: 1 };
    let data = Feature {
        header: header::<OneRange>(VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_BUF),
        data: OneRange { head, range: piece },
    };
    // SAFETY: the structure says its size and how many ranges it has.
    let (fd, _) = unsafe { Exchange::<VFIO_DEVICE_FEATURE, _>::new(data) }.on(device)?;
    // SAFETY: after success this request returns a new fd, which is nobody's yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// # Safety
///
/// As of [`exchange`].
unsafe fn get<T: Copy>(device: BorrowedFd<'_>, feature: u32, data: T) -> Result<T> {
    // SAFETY: the caller's word.
    unsafe { exchange(device, VFIO_DEVICE_FEATURE_GET | feature, data) }
}

/// # Safety
///
/// As of [`exchange`].
unsafe fn set<T: Copy>(device: BorrowedFd<'_>, feature: u32, data: T) -> Result<T> {
    // SAFETY: the caller's word.
    unsafe { exchange(device, VFIO_DEVICE_FEATURE_SET | feature, data) }
}

/// # Safety
///
/// `T` is the feature's data, of which every pattern of bits is valid, and whatever it points to may be read and
/// written as the feature does.
unsafe fn exchange<T: Copy>(device: BorrowedFd<'_>, flags: u32, data: T) -> Result<T> {
    let feature = Feature { header: header::<T>(flags), data };
    // SAFETY: the kernel stays within argsz, which is the structure's size; the data is the caller's word.
    let (_, feature) = unsafe { Exchange::<VFIO_DEVICE_FEATURE, _>::new(feature) }.on(device)?;
    Ok(feature.data)
}

fn header<T>(flags: u32) -> FeatureHeader {
    FeatureHeader { argsz: size::<Feature<T>>(), flags }
}
