//! A region that breaks the rules ends a session with a name and an owner: whatever its registers say, the guest is where
//! it was, nothing is left behind, and the report says which device did what.

use std::os::unix::net::UnixStream;

use vfio_migration::device::region::{Region, RegionDevice};
use vfio_migration::device::{OpenError, RegionOptions};
use vfio_migration::protocol::region::{Limits, Oversized, Register};
use vfio_migration::{
    CallError, Capabilities, Code, Device, Errno, Finished, Outcome, Passport, RestoreBuilder, RestoreOptions,
    SaveBuilder, SaveOptions, Sink, Source, State,
};

use crate::scene::{Target, assert_moved, origin, target, target_with, within};

/// What a register says: which, how many times any was read before, and `device_state`.
type Says = fn(Register, u64, u32) -> u64;

/// A region whose registers say what a test wants them to.
struct Scripted {
    says: Says,
    mapped: Vec<(u64, u64)>,
    size: u64,
    state: u32,
    reads: u64,
    resets: u64,
}

const SIZE: u64 = 0x5000;
const DATA: u64 = 0x1000;

impl Scripted {
    fn new(says: Says) -> Self {
        Self { says, mapped: Vec::new(), size: SIZE, state: 1, reads: 0, resets: 0 }
    }

    fn device(self) -> Box<dyn Device> {
        let limits = Limits { max_stop_copy_bytes: 1 << 20, ..Limits::default() };
        let options = RegionOptions { limits, ..RegionOptions::default() };
        Box::new(RegionDevice::new(self, Passport::new(), Capabilities::STOP_COPY, options).unwrap())
    }
}

impl Region for Scripted {
    fn size(&self) -> u64 {
        self.size
    }

    fn mapped(&self) -> Vec<(u64, u64)> {
        self.mapped.clone()
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, CallError> {
        self.reads += 1;
        if let Some(register) = Register::at(offset, into.len()) {
            let value = (self.says)(register, self.reads, self.state);
            match u32::try_from(value) {
                Ok(narrow) if into.len() == 4 => into.copy_from_slice(&narrow.to_ne_bytes()),
                _ => into.copy_from_slice(&value.to_ne_bytes()),
            }
        } else {
            assert!(offset + into.len() as u64 <= self.size, "{offset:#x} lies outside");
            into.fill(7);
        }
        Ok(into.len())
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> Result<usize, CallError> {
        if let Some(Register::DeviceState) = Register::at(offset, from.len()) {
            self.state = u32::from_ne_bytes(from.try_into().unwrap());
        } else {
            assert!(offset + from.len() as u64 <= self.size, "{offset:#x} lies outside");
        }
        Ok(from.len())
    }

    fn reset(&mut self) -> Result<(), CallError> {
        (self.state, self.resets) = (1, self.resets + 1);
        Ok(())
    }

    fn resets(&self) -> Option<u64> {
        Some(self.resets)
    }
}

/// A save of such a device to a restore of a device that would take it.
fn saves(says: Says) -> (Finished, Finished) {
    let (near, far) = UnixStream::pair().unwrap();
    let mut save = SaveBuilder::new(SaveOptions::default());
    save.device("gpu0", Scripted::new(says).device());
    let mut restore = RestoreBuilder::new(RestoreOptions::default());
    let good: Says = |register, _, state| match register {
        Register::DeviceState => state.into(),
        Register::DataOffset => DATA,
        _ => 0,
    };
    restore.device("gpu0", Scripted::new(good).device());
    let restoring = restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let saving = save.start(Sink::fd(near.into()).unwrap()).unwrap();
    within("the migration", move || (saving.wait(), restoring.wait()))
}

/// The save fails with these words, and its device runs as before; the destination has nothing of it.
#[track_caller]
fn assert_named(says: Says, words: &str) {
    let (saved, restored) = saves(says);
    let failure = saved.failure.expect("it fails");
    assert_eq!((failure.code, saved.report.outcome), (Code::DeviceFailed, Outcome::Returned), "{failure}");
    assert!(failure.to_string().contains(words) && failure.object.as_deref() == Some("gpu0"), "{failure:?}");
    assert_eq!((saved.devices[0].state, saved.report.resets()), (Some(State::Running), 0));
    assert_eq!(restored.report.outcome, Outcome::Reset, "it had entered resuming: {restored:?}");
    assert_eq!(restored.devices[0].state, Some(State::Running));
}

#[test]
fn an_offset_in_the_registers_or_outside() {
    assert_named(
        |register, _, state| match register {
            Register::DeviceState => state.into(),
            Register::DataOffset => SIZE,
            _ => 10,
        },
        "the device has its data at 0x5000",
    );
    assert_named(
        |register, _, state| match register {
            Register::DeviceState => state.into(),
            Register::DataOffset => 16,
            _ => 10,
        },
        "the device has its data at 0x10",
    );
}

#[test]
fn a_size_that_ends_behind_the_region() {
    assert_named(
        |register, _, state| match register {
            Register::DeviceState => state.into(),
            Register::DataOffset => DATA,
            Register::DataSize => u64::MAX,
            _ => 10,
        },
        "which end behind the end of its region",
    );
}

#[test]
fn data_that_never_ends() {
    assert_named(
        |register, _, state| match register {
            Register::DeviceState => state.into(),
            // Nothing in pre-copy.
            Register::PendingBytes if state & 1 == 1 => 0,
            Register::DataOffset => DATA,
            Register::DataSize => SIZE - DATA,
            _ => 10,
        },
        "the stopped device has given 1048576 bytes and says that 10 more are pending",
    );
}

#[test]
fn pending_bytes_that_never_reach_0() {
    assert_named(
        |register, _, state| match register {
            Register::DeviceState => state.into(),
            Register::DataOffset => DATA,
            Register::DataSize => 0,
            _ => 10,
        },
        "17 times that 10 bytes are pending, and gave none",
    );
}

/// Whatever comes of it, it comes to an end: the guest is at one end, and what was not whole runs nowhere.
#[test]
fn registers_that_change_between_reads() {
    let (saved, restored) = saves(|register, reads, state| match register {
        Register::DeviceState => state.into(),
        Register::DataOffset => DATA + reads.wrapping_mul(0x9e37_79b9) % 0x6000,
        _ => reads.wrapping_mul(0x85eb_ca6b) % 0x5000,
    });
    assert_eq!((saved.report.outcome, saved.report.resets()), (Outcome::Returned, 0));
    assert_eq!(saved.devices[0].state, Some(State::Running));
    assert_eq!(saved.failure.expect("it fails").code, Code::DeviceFailed);
    assert_eq!(restored.devices[0].state, Some(State::Running));
}

/// A state that was accepted and not reached, and one that means nothing.
#[test]
fn a_device_state_that_does_not_follow() {
    let (saved, _) = saves(|register, _, _| u64::from(register == Register::DeviceState));
    let failure = saved.failure.expect("it fails");
    assert!(failure.to_string().contains("accepted pre-copy and is in running"), "{failure}");
    assert_eq!((saved.report.outcome, saved.devices[0].state), (Outcome::Returned, Some(State::Running)));

    let (saved, restored) = saves(|_, _, _| 7);
    let failure = saved.failure.expect("it fails");
    assert!(failure.to_string().contains("unknown(7)"), "{failure}");
    assert_eq!((saved.devices[0].state, saved.report.resets()), (Some(State::Unknown(7)), 0));
    assert_eq!(restored.report.resets(), 0, "nothing had begun there");
}

#[test]
fn a_region_that_cannot_be_is_not_opened() {
    let refused = |region: Scripted| {
        let device = RegionDevice::new(region, Passport::new(), Capabilities::STOP_COPY, RegionOptions::default());
        OpenError::Region(device.err().expect("it is unfit")).to_string()
    };
    let silent = || Scripted::new(|_, _, _| panic!("it was accessed"));
    let small = refused(Scripted { size: 32, ..silent() });
    assert!(small.contains("of 32 bytes has no room for data"), "{small}");
    let overlap = refused(Scripted { mapped: vec![(0x1000, 0x2000), (0x2000, 0x1000)], ..silent() });
    assert!(overlap.contains("which overlap, those at 0x1000 and 0x2000"), "{overlap}");
    let outside = refused(Scripted { mapped: vec![(0x4000, 0x2000)], ..silent() });
    assert!(outside.contains("can be mapped, which has only 0x5000"), "{outside}");
}

const DEVICE: &str = "size=64KiB,pre-copy,dirty-tracking,trace,protocol=region";

fn to(target: Target) -> (crate::scene::Origin, Finished, Target, Finished) {
    let (near, far) = UnixStream::pair().unwrap();
    let (mut origin, mut target) = (origin(&format!("{DEVICE},window=16KiB"), SaveOptions::default()), target);
    let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    (origin, saved, target, restored)
}

#[test]
fn a_segment_that_is_larger_than_the_destinations_window() {
    let narrow = format!("{DEVICE},window=8KiB");
    let (origin, saved, target, restored) = to(target(&narrow, RestoreOptions::default()));
    let failure = restored.failure.expect("it fails");
    assert_eq!((failure.code, restored.report.outcome), (Code::DeviceFailed, Outcome::Reset), "{failure}");
    assert!(failure.to_string().contains("the window of the device here 8192"), "{failure}");
    assert_eq!(failure.errno, Some(Errno::ENOSPC));
    let told = saved.failure.expect("it is told");
    assert_eq!((told.code, saved.report.outcome), (Code::Refused, Outcome::Returned));
    assert!(told.to_string().contains("the window of the device here 8192"), "{told}");
    origin.assert_works();
    target.assert_never_ran();
    assert_eq!(
        target.model.count(vfio_migration_model::CallKind::WriteDataSize),
        0,
        "nothing of it reached the device"
    );
}

#[test]
fn unless_the_device_puts_up_with_parts() {
    let split = RegionOptions { oversized: Oversized::Split, ..RegionOptions::default() };
    let narrow = format!("{DEVICE},window=8KiB,tolerate=split-segments");
    let (origin, saved, target, restored) = to(target_with(&narrow, RestoreOptions::default(), split));
    assert_moved(&origin, &saved, &target, &restored);

    let strict = format!("{DEVICE},window=8KiB");
    let (origin, saved, target, restored) = to(target_with(&strict, RestoreOptions::default(), split));
    assert_eq!((saved.report.outcome, restored.report.outcome), (Outcome::Returned, Outcome::Reset));
    origin.assert_works();
    target.assert_never_ran();
}
