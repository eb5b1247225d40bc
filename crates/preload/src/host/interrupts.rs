//! The device's interrupts: eventfds of the program's, given with `VFIO_DEVICE_SET_IRQS`.

use std::os::fd::{OwnedFd, RawFd};

use vfio_migration_protocol::Errno;
use vfio_migration_uapi::layout::{
    IrqInfo, IrqSet, VFIO_IRQ_INFO_AUTOMASKED, VFIO_IRQ_INFO_EVENTFD, VFIO_IRQ_INFO_MASKABLE, VFIO_IRQ_INFO_NORESIZE,
    VFIO_IRQ_SET_ACTION_MASK, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_ACTION_UNMASK, VFIO_IRQ_SET_DATA_BOOL,
    VFIO_IRQ_SET_DATA_EVENTFD, VFIO_IRQ_SET_DATA_NONE,
};

use super::memory;
use super::program::Program;
use super::structure::Structure;
use core::mem::offset_of;

/// How many MSI-X vectors the device has; it uses the first.
pub(super) const VECTORS: u32 = 2;
/// The kinds of interrupts of a PCI device: `INTx`, MSI, MSI-X, errors, requests to give the device back.
pub(super) const KINDS: u32 = 5;

const INTX: u32 = 0;
const MSIX: u32 = 2;
const ERROR: u32 = 3;
const REQUEST: u32 = 4;

/// Who is told of an interrupt.
#[derive(Debug, Default)]
pub(super) struct Interrupts {
    intx: Option<OwnedFd>,
    /// `INTx` is masked when it has been raised, until the program unmasks it.
    masked: bool,
    /// It was raised meanwhile.
    pending: bool,
    msix: Vec<Option<OwnedFd>>,
    error: Option<OwnedFd>,
    request: Option<OwnedFd>,
}

/// What the program asks for with `VFIO_DEVICE_SET_IRQS`.
#[derive(Debug)]
pub(super) struct Order {
    index: u32,
    action: u32,
    start: u32,
    count: u32,
    data: Data,
}

#[derive(Debug)]
enum Data {
    Nothing,
    Flags(Vec<u8>),
    Eventfds(Vec<Option<OwnedFd>>),
}

/// Answers `VFIO_DEVICE_GET_IRQ_INFO`.
pub(super) fn info(argument: u64) -> Result<i32, Errno> {
    let mut info = Structure::sized(argument, size_of::<IrqInfo>(), size_of::<IrqInfo>())?;
    let index = info.u32(offset_of!(IrqInfo, index));
    if index >= KINDS {
        return Err(Errno::EINVAL);
    }
    let flags = match index {
        INTX => VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED,
        _ => VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE,
    };
    info.set_u32(offset_of!(IrqInfo, flags), flags);
    info.set_u32(offset_of!(IrqInfo, count), count(index));
    info.store().map(|()| 0)
}

const fn count(index: u32) -> u32 {
    match index {
        INTX | ERROR | REQUEST => 1,
        MSIX => VECTORS,
        _ => 0,
    }
}

impl Order {
    /// Reads it, and takes the eventfds that it names.
    pub(super) fn read(argument: u64, program: &dyn Program) -> Result<Self, Errno> {
        const HEAD: usize = size_of::<IrqSet>();
        let head = Structure::sized(argument, HEAD, HEAD)?;
        let field = |offset| head.u32(offset);
        let (size, flags) = (field(offset_of!(IrqSet, argsz)) as usize, field(offset_of!(IrqSet, flags)));
        let (index, start) = (field(offset_of!(IrqSet, index)), field(offset_of!(IrqSet, start)));
        let count = field(offset_of!(IrqSet, count));
        let kinds = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_DATA_EVENTFD;
        let actions = VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_ACTION_TRIGGER;
        let end = start.checked_add(count).ok_or(Errno::EINVAL)?;
        if index >= KINDS || end > self::count(index) || flags & !(kinds | actions) != 0 {
            return Err(Errno::EINVAL);
        }
        let (width, kind) = match flags & kinds {
            VFIO_IRQ_SET_DATA_NONE => (0, VFIO_IRQ_SET_DATA_NONE),
            VFIO_IRQ_SET_DATA_BOOL => (1, VFIO_IRQ_SET_DATA_BOOL),
            VFIO_IRQ_SET_DATA_EVENTFD => (size_of::<RawFd>(), VFIO_IRQ_SET_DATA_EVENTFD),
            _ => return Err(Errno::EINVAL),
        };
        let length = width * count as usize;
        if !(flags & actions).is_power_of_two() || size - HEAD < length {
            return Err(Errno::EINVAL);
        }
        let mut bytes = vec![0; length];
        memory::load(argument + HEAD as u64, &mut bytes)?;
        let data = match kind {
            VFIO_IRQ_SET_DATA_NONE => Data::Nothing,
            VFIO_IRQ_SET_DATA_BOOL => Data::Flags(bytes),
            _ => {
                let numbers = bytes.as_chunks::<4>().0.iter().map(|bytes| RawFd::from_ne_bytes(*bytes));
                let owned = numbers.map(|fd| if fd < 0 { Ok(None) } else { program.duplicate(fd).map(Some) });
                Data::Eventfds(owned.collect::<Result<_, _>>()?)
            }
        };
        Ok(Self { index, action: flags & actions, start, count, data })
    }
}

impl Interrupts {
    /// Does what the program asks for, by the rules of `vfio_pci_intrs.c`.
    pub(super) fn set(&mut self, order: Order) -> Result<i32, Errno> {
        let Order { index, action, start, count, data } = order;
        let nothing = matches!(data, Data::Nothing);
        match (index, action, data) {
            // Without data and count all of a kind is switched off.
            (_, VFIO_IRQ_SET_ACTION_TRIGGER, Data::Nothing) if count == 0 => self.disable(index),
            (INTX, VFIO_IRQ_SET_ACTION_TRIGGER, Data::Eventfds(fds)) => {
                self.intx = fds.into_iter().next().flatten();
                (self.masked, self.pending) = (false, false);
            }
            (MSIX, VFIO_IRQ_SET_ACTION_TRIGGER, Data::Eventfds(fds)) => {
                let (start, end) = (start as usize, (start + count) as usize);
                let room = self.msix.len().max(end);
                self.msix.resize_with(room, || None);
                self.msix.splice(start..end, fds);
            }
            (ERROR, VFIO_IRQ_SET_ACTION_TRIGGER, Data::Eventfds(fds)) => self.error = fds.into_iter().next().flatten(),
            (REQUEST, VFIO_IRQ_SET_ACTION_TRIGGER, Data::Eventfds(fds)) => {
                self.request = fds.into_iter().next().flatten();
            }
            (INTX, VFIO_IRQ_SET_ACTION_MASK, data) if is_set(&data) => self.masked = true,
            (INTX, VFIO_IRQ_SET_ACTION_UNMASK, data) if is_set(&data) => {
                self.masked = false;
                if core::mem::take(&mut self.pending) {
                    self.raise_intx();
                }
            }
            (INTX, VFIO_IRQ_SET_ACTION_MASK | VFIO_IRQ_SET_ACTION_UNMASK, Data::Flags(_)) => {}
            // A test of the program's own: it triggers itself.
            (_, VFIO_IRQ_SET_ACTION_TRIGGER, data @ (Data::Nothing | Data::Flags(_))) => {
                for at in 0..count {
                    let asked = nothing || matches!(&data, Data::Flags(flags) if flags.get(at as usize) != Some(&0));
                    if asked {
                        self.trigger(index, start + at);
                    }
                }
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(0)
    }

    /// The device interrupts.
    pub(super) fn raise(&mut self) {
        if self.msix.is_empty() {
            self.raise_intx();
        } else {
            self.trigger(MSIX, 0);
        }
    }

    fn disable(&mut self, index: u32) {
        match index {
            INTX => (self.intx, self.masked, self.pending) = (None, false, false),
            MSIX => self.msix.clear(),
            ERROR => self.error = None,
            REQUEST => self.request = None,
            _ => {}
        }
    }

    fn raise_intx(&mut self) {
        if self.masked {
            self.pending = true;
        } else if self.intx.is_some() {
            self.masked = true;
            self.trigger(INTX, 0);
        }
    }

    fn trigger(&self, index: u32, vector: u32) {
        let eventfd = match index {
            INTX => self.intx.as_ref(),
            MSIX => self.msix.get(vector as usize).and_then(Option::as_ref),
            ERROR => self.error.as_ref(),
            REQUEST => self.request.as_ref(),
            _ => None,
        };
        if let Some(eventfd) = eventfd {
            // Whoever gave something that is no eventfd, or a full one, hears nothing: so it is with the kernel.
            let _ = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
        }
    }
}

fn is_set(data: &Data) -> bool {
    match data {
        Data::Nothing => true,
        Data::Flags(flags) => flags.first().is_some_and(|flag| *flag != 0),
        Data::Eventfds(_) => false,
    }
}
