use vfio_migration_device::region::UnfitRegion;
use vfio_migration_protocol::region::Register::{DataOffset, DataSize, DeviceState, PendingBytes};
use vfio_migration_protocol::{Device, Errno, State};

use crate::direct::drain;
use crate::scripted::{Says, Scripted};

/// What a saving device's error says, with registers like these.
fn save(says: Says) -> String {
    let mut client = Scripted::new(says).client().expect("the region itself is good");
    let answer = client.set_state(State::StopCopy).and_then(|()| drain(&mut client, 1000));
    let error = answer.expect_err("the device breaks the rules");
    assert_eq!(error.errno, Errno::EIO);
    error.detail.expect("it says why").into_string()
}

#[test]
fn a_region_without_room_is_refused_before_anything_is_done() {
    for size in [0, 1, 31, 32] {
        let region = Scripted { size, ..Scripted::new(|_, _, _| panic!("it was accessed")) };
        assert!(matches!(region.client().err(), Some(UnfitRegion::Size(_))), "{size}");
    }
    assert!(Scripted { size: 33, ..Scripted::new(|_, _, _| 0) }.client().is_ok());
}

#[test]
fn parts_that_overlap_or_lie_outside_are_refused() {
    for mapped in [vec![(0x4000, 0x2000)], vec![(0x1000, 0x2000), (0x2000, 0x1000)], vec![(u64::MAX, 2)]] {
        let region = Scripted { mapped, ..Scripted::new(|_, _, _| panic!("it was accessed")) };
        assert!(matches!(region.client().err(), Some(UnfitRegion::Areas(_))));
    }
}

#[test]
fn offsets_and_sizes_outside_of_the_region_are_named() {
    let offset = save(|register, _, state| match register {
        DeviceState => state.into(),
        PendingBytes | DataSize => 10,
        _ => 0x5000,
    });
    assert!(offset.contains("has its data at 0x5000"), "{offset}");
    let registers = save(|register, _, state| match register {
        DeviceState => state.into(),
        DataOffset => 16,
        _ => 10,
    });
    assert!(registers.contains("not between its registers"), "{registers}");
    let size = save(|register, _, state| match register {
        DeviceState => state.into(),
        DataOffset => 0x1000,
        _ => 0x4001,
    });
    assert!(size.contains("end behind the end of its region"), "{size}");
    let overflow = save(|register, _, state| match register {
        DeviceState => state.into(),
        DataOffset => 0x1000,
        _ => u64::MAX,
    });
    assert!(overflow.contains("end behind the end of its region"), "{overflow}");
}

#[test]
fn data_that_never_ends_ends() {
    let endless = save(|register, _, state| match register {
        DeviceState => state.into(),
        DataOffset => 0x1000,
        _ => 0x4000,
    });
    assert!(endless.contains("has given 1048576 bytes"), "{endless}");
    let pending = save(|register, _, state| match register {
        DeviceState => state.into(),
        PendingBytes => 10,
        DataOffset => 0x1000,
        _ => 0,
    });
    assert!(pending.contains("10 bytes are pending, and gave none"), "{pending}");
}

#[test]
fn registers_that_change_between_reads_do_no_harm() {
    // Every read gives another value, most of them nonsense; what is asked for lies in the region or not at all.
    let says: Says = |register, reads, state| match register {
        DeviceState => state.into(),
        DataOffset => 0x1000 + reads.wrapping_mul(0x9e37_79b9) % 0x6000,
        _ => reads.wrapping_mul(0x85eb_ca6b) % 0x5000,
    };
    let mut client = Scripted::new(says).client().unwrap();
    client.set_state(State::StopCopy).unwrap();
    let (mut good, mut bad) = (0, 0);
    for _ in 0..2000 {
        match client.read(&mut [0; 700]) {
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
    }
    assert!(good > 10 && bad > 10, "{good} and {bad}");

    client.set_state(State::Stop).unwrap();
    client.set_state(State::Resuming).unwrap();
    let answers: Vec<_> = (0..500).map(|_| client.write(&[0; 700], true).is_ok()).collect();
    assert!(answers.contains(&false));
}

#[test]
fn a_state_that_means_nothing_is_unknown_and_one_that_is_not_reached_is_named() {
    let mut client = Scripted::new(|_, _, _| 7).client().unwrap();
    assert_eq!(client.state(), Ok(State::Unknown(7)));
    assert_eq!(client.set_state(State::Running).unwrap_err().errno, Errno::EINVAL);
    let mut client = Scripted::new(|_, _, _| 1).client().unwrap();
    let error = client.set_state(State::StopCopy).unwrap_err();
    assert!(error.to_string().contains("accepted stop-copy and is in running"), "{error}");
    assert_eq!(client.read(&mut [0; 9]).unwrap_err().errno, Errno::EBADF);
}
