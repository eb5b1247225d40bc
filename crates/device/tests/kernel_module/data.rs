//! What is saved from one device and loaded into another.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use vfio_migration_protocol::State;
use vfio_migration_uapi::feature;

use crate::bench::{Bench, skipped};
use crate::open_device::{OpenDevice, Register, has_cdev};

/// Saves device 0 and loads device 1, which then has the secret.
fn moves(bench: &Bench, source: &OpenDevice, destination: &OpenDevice, most: usize) {
    let [from, to] = &bench.knobs;
    assert_ne!(from.get("secret"), to.get("secret"), "the test would prove nothing");
    source.set_register(Register::Scratch, from.get("secret") ^ 0x77);
    source.to(State::Stop);
    let announced = feature::data_size(source.fd()).expect("the size is known");
    let data = source.save();
    assert_eq!(data.len() as u64, announced);
    assert!(data.len() as u64 > from.get("size"));
    destination.load(&data, most).expect("the data is good");
    destination.to(State::Running);
    assert_eq!(to.get("secret"), from.get("secret"));
    assert_eq!(destination.register(Register::Scratch), from.get("secret") ^ 0x77);
    assert_eq!(from.count("reset") + to.count("reset"), 0);
}

#[test]
fn data_moves_whatever_its_size() {
    let Some(bench) = Bench::take() else { return };
    for size in [1, 4095, 4096, 4097, 1 << 20, (3 << 20) + 123, 64 << 20] {
        for knobs in &bench.knobs {
            knobs.set("size", size);
        }
        bench.knobs[0].set("secret", size + 1_000_000);
        bench.knobs[1].set("secret", 3);
        let (source, destination) = (OpenDevice::by_group(&bench.knobs[0]), OpenDevice::by_group(&bench.knobs[1]));
        moves(&bench, &source, &destination, 1 << 20);
    }
}

#[test]
fn data_moves_in_pieces_of_any_size() {
    let Some(bench) = Bench::take() else { return };
    for most in [1, 23, 24, 25, 4119, 4120, 4121] {
        for knobs in &bench.knobs {
            knobs.set("size", 9000);
        }
        bench.knobs[1].set("secret", 3);
        let (source, destination) = (OpenDevice::by_group(&bench.knobs[0]), OpenDevice::by_group(&bench.knobs[1]));
        moves(&bench, &source, &destination, most);
    }
}

#[test]
fn data_moves_by_character_device_too() {
    let Some(bench) = Bench::take() else { return };
    if !has_cdev(&bench.knobs[0]) {
        return skipped("this kernel has no iommufd");
    }
    let (source, destination) = (OpenDevice::by_cdev(&bench.knobs[0]), OpenDevice::by_group(&bench.knobs[1]));
    moves(&bench, &source, &destination, 1 << 20);
}

#[test]
fn no_data_at_all_is_data_of_a_device_without_memory() {
    let Some(bench) = Bench::take() else { return };
    for knobs in &bench.knobs {
        knobs.set("size", 0);
    }
    let (source, destination) = (OpenDevice::by_group(&bench.knobs[0]), OpenDevice::by_group(&bench.knobs[1]));
    assert_eq!(source.save(), [] as [u8; 0]);
    destination.load(&[], 1).expect("nothing is expected");
    assert_eq!(destination.state(), State::Stop);
}

#[test]
fn a_device_that_is_wiped_keeps_nothing_over_its_last_close() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    knobs.set("wipe", 1);
    let device = OpenDevice::by_group(knobs);
    assert_eq!((knobs.get("secret"), knobs.count("wipes")), (0, 1));
    knobs.set("secret", 99);
    // A second fd of the open device is neither a first open nor a last close.
    let again: OwnedFd = device.fd().try_clone_to_owned().expect("it is duplicated");
    drop(again);
    assert_eq!((knobs.get("secret"), knobs.count("wipes")), (99, 1));
    drop(device);
    assert_eq!((knobs.get("secret"), knobs.count("wipes"), knobs.count("reset")), (0, 2, 0));
}

#[test]
fn the_size_can_be_unknown_or_absurd() {
    let Some(bench) = Bench::take() else { return };
    let device = OpenDevice::by_group(&bench.knobs[0]);
    bench.knobs[0].set("data_size_mode", 1);
    assert_eq!(feature::data_size(device.fd()), Err(Errno::NOTTY));
    bench.knobs[0].set("data_size_mode", 2);
    assert!(feature::data_size(device.fd()).expect("an answer") > 1 << 63);
}
