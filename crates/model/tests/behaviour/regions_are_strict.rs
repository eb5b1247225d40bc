use vfio_migration_model::{CallKind, Model, Tolerance};
use vfio_migration_protocol::region::Register::{DataOffset, DataSize, DeviceState, PendingBytes, Reserved};
use vfio_migration_protocol::region::StateBits;
use vfio_migration_protocol::state::{Acceptance, Dialect};
use vfio_migration_protocol::{Device, Errno, State};

use crate::region::{By, give, read, region, segments, state, write};

fn refuses<T: core::fmt::Debug>(answer: Result<T, vfio_migration_protocol::CallError>) {
    assert_eq!(answer.expect_err("it is refused").errno, Errno::EINVAL);
}

/// A device in a state, by the shortest way that every dialect has.
fn in_state(settings: &str, bits: u64) -> Model {
    let mut model = region(settings, 1);
    if bits != 1 {
        write(&mut model, DeviceState, bits).expect("from running everything can be reached");
    }
    model
}

#[test]
fn every_change_is_done_or_refused_as_the_dialect_says() {
    for dialect in Dialect::ALL {
        for ndma in [false, true] {
            let settings = format!("size=0,dialect={dialect}{}", if ndma { ",p2p" } else { "" });
            if ndma && dialect != Dialect::Thread {
                continue;
            }
            for from in [0, 1, 2, 3, 4, 9, 11] {
                for to in 0..16 {
                    let [a, b] = [from, to].map(|bits| StateBits::new(u32::try_from(bits).unwrap()));
                    if !a.is_valid(ndma) || a.reserved(ndma) != 0 {
                        continue;
                    }
                    let mut model = in_state(&settings, from);
                    let loads = from == 4 && to != 4;
                    let answer = write(&mut model, DeviceState, to);
                    let (one, other) = (a.state(ndma), b.state(ndma));
                    let wanted = match dialect.accepts(one, other, ndma) {
                        _ if b.reserved(ndma) != 0 && dialect != Dialect::Qemu => false,
                        _ if dialect == Dialect::Qemu && b.with(one, ndma).map(StateBits::value) == Some(b.value()) => {
                            true
                        }
                        // Nothing was loaded: the device stays where it is.
                        _ if loads => false,
                        // One data cannot follow the other.
                        Acceptance::May if one == State::StopCopy && other.is_pre_copy() => false,
                        acceptance => acceptance != Acceptance::Never,
                    };
                    assert_eq!(answer.is_ok(), wanted, "{dialect} {from} -> {to}: {answer:?}");
                    let now = if wanted { to & u64::from(StateBits::known(ndma)) } else { from };
                    assert_eq!(state(&mut model), now, "{dialect} {from} -> {to}");
                }
            }
        }
    }
}

#[test]
fn registers_are_accessed_by_their_own_width_and_place() {
    let mut model = region("size=64KiB", 1);
    assert_eq!(read(&mut model, Reserved), Ok(0));
    let mut wrong = 0;
    for offset in 0..0x1000 {
        for len in [1, 2, 3, 4, 5, 8, 16, 32] {
            let registers = [(0, 4), (4, 4), (8, 8), (16, 8), (24, 8)];
            if !registers.contains(&(offset, len)) {
                refuses(model.region_read(offset, &mut vec![0; len]));
                refuses(model.region_write(offset, &vec![0; len]));
                wrong += 2;
            }
        }
    }
    for register in [Reserved, PendingBytes, DataOffset] {
        refuses(write(&mut model, register, 1));
        wrong += 1;
    }
    assert_eq!(model.count(CallKind::Misaccess), wrong);
    assert_eq!(state(&mut model), 1);
}

#[test]
fn data_is_accessed_inside_of_the_segment_only() {
    let mut model = in_state("size=64KiB,window=8KiB,segment=5000", 2);
    refuses(model.region_read(0x1000, &mut [0; 16]));
    assert!(read(&mut model, PendingBytes).unwrap() > 0);
    read(&mut model, DataOffset).unwrap();
    assert_eq!(read(&mut model, DataSize), Ok(5000));
    for (at, len) in [(0, 5001), (4990, 11), (5000, 1), (0x2000, 16), (u64::MAX - 0x1000, 100)] {
        refuses(model.region_read(0x1000 + at, &mut vec![0; len]));
    }
    assert_eq!(model.region_read(0x1000 + 4990, &mut [0; 10]), Ok(10));
    refuses(model.region_write(0x1000, &[0; 16]));
    refuses(write(&mut model, DataSize, 16));

    let mut model = in_state("size=64KiB,window=8KiB", 4);
    refuses(model.region_read(0x1000, &mut [0; 16]));
    refuses(model.region_write(0x1000 + 0x2000 - 10, &[0; 11]));
    refuses(write(&mut model, DataSize, 0x2001));
    refuses(write(&mut model, DataSize, u64::MAX));
}

#[test]
fn each_tolerance_lets_one_thing_pass() {
    use Tolerance::{EightBytes, ReservedBits, SameState, SingleBytes, SplitSegments};
    type Deed = fn(&mut Model, &mut Model) -> Result<(), vfio_migration_protocol::CallError>;
    let deeds: [(Tolerance, Deed); 5] = [
        (SameState, |source, _| write(source, DeviceState, 256 | 2)),
        (ReservedBits, |source, _| write(source, DeviceState, 0)),
        (EightBytes, |source, _| source.region_read(0x1000, &mut [0; 8]).map(drop)),
        (SingleBytes, |source, _| source.region_read(0x1001, &mut [0; 2]).map(drop)),
        (SplitSegments, |source, destination| {
            let mut segment = [0; 4096];
            source.region_read(0x1000, &mut segment)?;
            give(destination, &segment[..500], By::One)?;
            give(destination, &segment[500..], By::One)
        }),
    ];
    for (tolerance, deed) in deeds {
        for tolerated in Tolerance::ALL {
            let settings = format!("size=64KiB,window=4KiB,reserved=256,tolerate={tolerated}");
            let mut source = region(&settings, 1);
            write(&mut source, DeviceState, 256 | 2).unwrap();
            read(&mut source, DataOffset).unwrap();
            let mut destination = region(&settings, 2);
            write(&mut destination, DeviceState, 256 | 4).unwrap();
            let answer = deed(&mut source, &mut destination);
            assert_eq!(answer.is_ok(), tolerated == tolerance, "{tolerance} with {tolerated}: {answer:?}");
        }
    }
}

#[test]
fn libvfio_user_wants_its_order() {
    let mut model = region("size=64KiB,dialect=libvfio-user,window=4KiB", 1);
    assert_eq!(read(&mut model, PendingBytes), Ok(0));
    refuses(read(&mut model, DataOffset));
    refuses(read(&mut model, DataSize));
    write(&mut model, DeviceState, 2).unwrap();
    refuses(read(&mut model, DataOffset));
    read(&mut model, PendingBytes).unwrap();
    refuses(read(&mut model, DataSize));
    read(&mut model, DataOffset).unwrap();
    assert_eq!(read(&mut model, DataSize), Ok(4096));
    read(&mut model, PendingBytes).unwrap();
    refuses(read(&mut model, DataSize));
}

#[test]
fn bad_data_is_refused_and_the_device_stays_in_resuming() {
    let mut source = in_state("size=64KiB,window=4KiB", 2);
    let sent = segments(&mut source, By::One);
    let load = |sent: &[Vec<u8>]| {
        let mut destination = in_state("size=64KiB,window=4KiB", 4);
        let given = sent.iter().try_for_each(|segment| give(&mut destination, segment, By::One));
        let left = given.and_then(|()| write(&mut destination, DeviceState, 1));
        (left, state(&mut destination))
    };
    assert_eq!(load(&sent), (Ok(()), 1));
    let (mut swapped, mut twice, mut damaged) = (sent.clone(), sent.clone(), sent.clone());
    swapped.swap(1, 2);
    twice.insert(1, sent[0].clone());
    damaged[3][2000] ^= 1;
    for bad in [&sent[1..], &sent[..sent.len() - 1], &swapped, &twice, &damaged] {
        let (answer, state) = load(bad);
        refuses(answer);
        assert_eq!(state, 4);
    }
}

#[test]
fn a_region_device_has_no_data_fd_and_the_others_no_region() {
    let mut model = region("size=0", 1);
    let enotty = |error: vfio_migration_protocol::CallError| error.errno;
    assert_eq!(model.state().map_err(enotty), Err(Errno::ENOTTY));
    assert_eq!(model.set_state(State::Stop).map_err(enotty), Err(Errno::ENOTTY));
    assert_eq!(model.read(&mut [0; 9]).map_err(enotty), Err(Errno::ENOTTY));
    assert_eq!(model.data_size().map_err(enotty), Err(Errno::ENOTTY));
    let mut model = Model::new(&"size=0".parse().unwrap(), 1).unwrap();
    assert_eq!(model.region_read(0, &mut [0; 4]).map_err(enotty), Err(Errno::ENOTTY));
    assert_eq!(model.region_write(0, &[0; 4]).map_err(enotty), Err(Errno::ENOTTY));
    assert!(model.window().is_none() && model.region().is_none());
}
