//! The interrupt: an eventfd that stays armed.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, read};
use vfio_migration_protocol::State;
use vfio_migration_uapi::irq;

use crate::bench::Bench;
use crate::open_device::{OpenDevice, Register};

/// How often it fired since it was last asked.
fn fired(eventfd: &OwnedFd) -> u64 {
    let mut bytes = [0; 8];
    match read(eventfd, &mut bytes) {
        Ok(_) => u64::from_ne_bytes(bytes),
        Err(error) => {
            assert_eq!(error, Errno::AGAIN);
            0
        }
    }
}

fn armed(device: &OpenDevice) -> OwnedFd {
    let eventfd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).expect("an eventfd");
    irq::signal(device.fd(), 0, 0, Some(eventfd.as_fd())).expect("the interrupt is armed");
    eventfd
}

#[test]
fn an_interrupt_that_was_armed_before_fires_after_a_migration() {
    let Some(bench) = Bench::take() else { return };
    let (source, destination) = (OpenDevice::by_group(&bench.knobs[0]), OpenDevice::by_group(&bench.knobs[1]));
    let (at_source, at_destination) = (armed(&source), armed(&destination));
    source.set_register(Register::Interrupt, 1);
    assert_eq!(fired(&at_source), 1);
    let data = source.save();
    destination.load(&data, 1 << 20).expect("the data is good");
    destination.to(State::Running);
    assert_eq!((fired(&at_source), fired(&at_destination)), (0, 0));
    destination.set_register(Register::Doorbell, 0);
    assert_eq!((fired(&at_source), fired(&at_destination)), (0, 1));
    assert_eq!(destination.register(Register::Interrupt), 2);
    // The source works on as well, and a reset leaves interrupts alone.
    source.reset().expect("a reset always works");
    source.set_register(Register::Interrupt, 1);
    assert_eq!(fired(&at_source), 1);
}

#[test]
fn an_interrupt_that_is_switched_off_is_silent() {
    let Some(bench) = Bench::take() else { return };
    let device = OpenDevice::by_group(&bench.knobs[0]);
    assert_eq!(irq::info(device.fd(), 0).map(|info| info.count), Ok(1));
    let eventfd = armed(&device);
    irq::fire(device.fd(), 0, 0).expect("it is fired");
    assert_eq!(fired(&eventfd), 1);
    irq::disable(device.fd(), 0).expect("it is switched off");
    device.set_register(Register::Interrupt, 1);
    assert_eq!((fired(&eventfd), device.register(Register::Interrupt)), (0, 2));
    assert_eq!(irq::signal(device.fd(), 0, 1, None), Err(Errno::INVAL));
    assert_eq!(irq::info(device.fd(), 1), Err(Errno::INVAL));
}
