//! A device's interrupts.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Result;

use crate::call::{Exchange, size};
use crate::layout::{
    IrqInfo, IrqSet, VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_SET_IRQS, VFIO_IRQ_SET_ACTION_TRIGGER,
    VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE,
};

/// Asks about a kind of interrupt: `VFIO_IRQ_INFO_*` and how many there are.
pub fn info(device: BorrowedFd<'_>, index: u32) -> Result<IrqInfo> {
    let info = IrqInfo { argsz: size::<IrqInfo>(), index, ..IrqInfo::default() };
    // SAFETY: the structure says its size, and holds numbers only.
    unsafe { Exchange::<VFIO_DEVICE_GET_IRQ_INFO, _>::new(info) }.on(device).map(|(_, info)| info)
}

/// Has interrupt `which` of a kind signal an eventfd, or nothing any more.
pub fn signal(device: BorrowedFd<'_>, index: u32, which: u32, eventfd: Option<BorrowedFd<'_>>) -> Result<()> {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct OneEventfd {
        head: IrqSet,
        eventfd: i32,
    }
    const _: () = assert!(size_of::<OneEventfd>() == 24);
    let flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
    let head = IrqSet { argsz: size::<OneEventfd>(), flags, index, start: which, count: 1 };
    let set = OneEventfd { head, eventfd: eventfd.map_or(-1, |fd| fd.as_raw_fd()) };
    // SAFETY: the structure says its size and that one eventfd follows.
    unsafe { Exchange::<VFIO_DEVICE_SET_IRQS, _>::new(set) }.on(device).map(drop)
}

/// Switches a kind of interrupt off.
pub fn disable(device: BorrowedFd<'_>, index: u32) -> Result<()> {
    without_data(device, index, 0, 0)
}

/// Fires interrupt `which` of a kind, as if the device had: to try it out.
pub fn fire(device: BorrowedFd<'_>, index: u32, which: u32) -> Result<()> {
    without_data(device, index, which, 1)
}

fn without_data(device: BorrowedFd<'_>, index: u32, start: u32, count: u32) -> Result<()> {
    let flags = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
    let set = IrqSet { argsz: size::<IrqSet>(), flags, index, start, count };
    // SAFETY: the structure says its size and that nothing follows.
    unsafe { Exchange::<VFIO_DEVICE_SET_IRQS, _>::new(set) }.on(device).map(drop)
}
