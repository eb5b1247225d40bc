//! Data that is not what was saved: none of it gets through.

use rustix::io::Errno;
use vfio_migration_protocol::State;

use crate::bench::Bench;
use crate::open_device::OpenDevice;

/// Bytes of a record's header, of the head record and of a whole block's record.
const HEADER: usize = 24;
const HEAD: usize = HEADER + 24;
const BLOCK: usize = HEADER + 4096;

/// Device 0's data and device 1, each with three blocks.
fn ready(bench: &Bench) -> (Vec<u8>, OpenDevice) {
    for knobs in &bench.knobs {
        knobs.set("size", 3 * 4096);
        knobs.set("secret", 0xfeed);
    }
    (OpenDevice::by_group(&bench.knobs[0]).save(), OpenDevice::by_group(&bench.knobs[1]))
}

/// Loading fails in one way or another, the device does not leave resuming, and a reset helps.
fn refused(bench: &Bench, device: &OpenDevice, data: &[u8], what: &str) -> Errno {
    let error = device.load(data, 1 << 20).expect_err(what);
    assert_eq!(device.state(), State::Resuming, "{what}");
    assert_eq!(device.try_to(State::Running).unwrap_err(), Errno::INVAL, "{what}");
    assert_eq!(device.state(), State::Resuming, "{what}");
    device.reset().expect("a reset always works");
    assert_eq!((device.state(), bench.knobs[1].get("secret")), (State::Running, 0), "{what}");
    error
}

#[test]
fn every_wrong_bit_is_found() {
    let Some(bench) = Bench::take() else { return };
    let (data, device) = ready(&bench);
    let mut places: Vec<usize> = (0..HEAD + HEADER).chain(HEAD + 3 * BLOCK..data.len()).collect();
    places.extend((HEAD + HEADER..HEAD + 3 * BLOCK).step_by(509));
    for place in places {
        let mut wrong = data.clone();
        wrong[place] ^= 1 << (place % 8);
        refused(&bench, &device, &wrong, &format!("a wrong bit in byte {place}"));
    }
}

#[test]
fn data_that_ends_too_early_or_goes_on_is_refused() {
    let Some(bench) = Bench::take() else { return };
    let (data, device) = ready(&bench);
    for length in (0..data.len()).step_by(97).chain([data.len() - 1]) {
        let what = format!("only {length} bytes");
        assert_eq!(refused(&bench, &device, &data[..length], &what), Errno::INVAL, "{what}");
    }
    let longer = [&data[..], &data[..HEADER]].concat();
    assert_eq!(refused(&bench, &device, &longer, "more than all"), Errno::NOMEM);
}

#[test]
fn a_block_that_is_missing_or_of_another_device_is_found() {
    let Some(bench) = Bench::take() else { return };
    let (data, device) = ready(&bench);
    let without = [&data[..HEAD], &data[HEAD + BLOCK..]].concat();
    refused(&bench, &device, &without, "no first block");
    bench.knobs[0].set("secret", 0xbad);
    let other = OpenDevice::by_group(&bench.knobs[0]).save();
    let mixed = [&data[..HEAD], &other[HEAD..HEAD + BLOCK], &data[HEAD + BLOCK..]].concat();
    refused(&bench, &device, &mixed, "a block of another device");
    bench.knobs[0].set("size", 2 * 4096);
    refused(&bench, &device, &OpenDevice::by_group(&bench.knobs[0]).save(), "a device of another size");
}

#[test]
fn what_is_accepted_without_a_look_is_counted_and_lost() {
    let Some(bench) = Bench::take() else { return };
    let (mut data, device) = ready(&bench);
    bench.knobs[1].set("accept_corrupt", 1);
    data[0] ^= 1;
    device.load(&data, 1 << 20).expect("this driver believes anything");
    device.to(State::Running);
    assert_eq!((bench.knobs[1].count("corrupt-accepted"), bench.knobs[1].get("secret")), (1, 0));
}
