//! What a device holds is at the destination, whatever its size and however its bytes are cut.

use crate::transfer::{drain, load, pair, save, write};
use vfio_migration_model::{Model, Register, Scratch, Settings};
use vfio_migration_protocol::{Device, Errno, State, Then};

#[test]
fn any_size_in_any_pieces() {
    for size in [0, 1, 7, 8, 4095, 4096, 4097, 8191, 20_000] {
        for (reads, writes) in [(1, 1), (3, 5), (16, 4096), (4096, 16), (100_000, 100_000)] {
            let (mut source, mut destination) = pair(&format!("size={size}"));
            let data = save(&mut source, reads);
            assert_ne!(destination.proof(), source.proof());
            assert_eq!(load(&mut destination, &data, writes), Ok(()), "size {size} in {reads} and {writes}");
            assert_eq!(destination.proof(), source.proof());
        }
    }
}

#[test]
fn the_cut_does_not_change_the_data() {
    let (mut one, _) = pair("size=100000");
    let (mut other, _) = pair("size=100000");
    assert_eq!(save(&mut one, 13), save(&mut other, 65_536));
}

#[test]
fn a_hundred_times_there_and_back() {
    let (mut here, mut there) = pair("size=300000,pre-copy,p2p,dirty-rate=3");
    for trip in 0..100 {
        let data = save(&mut here, 5000);
        load(&mut there, &data, 3000).unwrap();
        assert_eq!(here.proof(), there.proof(), "trip {trip}");
        there.set_state(State::Running).unwrap();
        there.advance(5);
        here.set_state(State::Stop).unwrap();
        (here, there) = (there, here);
    }
    assert_eq!(here.register(Register::Counter), 20 + 100 * 5);
    assert_eq!((here.resets(), there.resets()), (Some(0), Some(0)));
}

#[test]
fn registers_go_on_at_the_destination() {
    let (mut source, mut destination) = pair("size=0");
    source.write_register(Register::Doorbell, 0).unwrap();
    source.write_register(Register::Scratch(Scratch::C), 0x1234).unwrap();
    assert_eq!(source.write_register(Register::Counter, 1).unwrap_err().errno, Errno::EINVAL);
    let data = save(&mut source, 4096);
    load(&mut destination, &data, 4096).unwrap();
    assert!(Register::ALL.iter().all(|register| source.register(*register) == destination.register(*register)));
    destination.advance(5);
    assert_eq!(destination.register(Register::Counter), 20, "a stopped device does not count");
    destination.set_state(State::Running).unwrap();
    destination.advance(5);
    assert_eq!(destination.register(Register::Counter), 25);
    assert_eq!(destination.register(Register::Scratch(Scratch::C)), 0x1234);
}

#[test]
fn a_device_that_holds_nothing_has_no_data() {
    let (mut source, mut destination) = pair("size=0,empty-stream,pre-copy");
    source.set_state(State::PreCopy).unwrap();
    assert_eq!(drain(&mut source, 10, &mut Vec::new()), Then::Pause);
    assert_eq!(save(&mut source, 10), [] as [u8; 0]);
    assert_eq!(load(&mut destination, &[], 1), Ok(()));
    assert_eq!(destination.proof(), source.proof());
    destination.set_state(State::Resuming).unwrap();
    assert_eq!(destination.write(&[0], false).unwrap_err().errno, Errno::ENOMEM);
}

#[test]
fn a_stopped_device_does_not_change() {
    let (mut source, mut destination) = pair("size=1MiB,pre-copy,p2p");
    for state in [State::Stop, State::StopCopy, State::Resuming] {
        let device = if state == State::Resuming { &mut destination } else { &mut source };
        device.set_state(state).unwrap();
        let before = device.proof();
        device.advance(1000);
        assert!(device.write_register(Register::Control, 1).is_err());
        assert_eq!(device.proof(), before, "{state}");
    }
    assert_eq!((source.touches(), destination.touches()), (2, 1));
}

#[test]
fn every_running_state_works() {
    for state in [State::Running, State::RunningP2p, State::PreCopy, State::PreCopyP2p] {
        let (mut source, _) = pair("size=1MiB,pre-copy,p2p");
        source.set_state(state).unwrap();
        let before = source.proof();
        source.advance(1);
        assert_ne!(source.proof(), before, "{state}");
    }
}

#[test]
fn a_guess_is_not_the_data() {
    let settings = Settings::parse("size=64KiB,seed=5").unwrap();
    let (mut source, mut destination) = (Model::new(&settings, 1).unwrap(), Model::new(&settings, 2).unwrap());
    let data = save(&mut source, 4096);
    // The destination's own pages, of the same versions, under the source's header.
    let guess = save(&mut destination, 4096);
    destination.set_state(State::Stop).unwrap();
    destination.set_state(State::Resuming).unwrap();
    assert_eq!(write(&mut destination, &data[..64], 64), Ok(()));
    assert_eq!(write(&mut destination, &guess[64..], 4096).unwrap_err().errno, Errno::EINVAL);
}

#[test]
fn the_same_calls_give_the_same_device() {
    let run = |seed: u64, nonce| {
        let settings = Settings::parse(&format!("size=1MiB,seed={seed}")).unwrap();
        let mut model = Model::new(&settings, nonce).unwrap();
        model.start();
        model.advance(50);
        save(&mut model, 4096)
    };
    assert_eq!(run(1, 1), run(1, 1));
    assert_ne!(run(1, 1), run(2, 1));
    assert_ne!(run(1, 1), run(1, 2));
}

#[test]
fn a_device_of_a_terabyte_costs_little_until_it_is_used() {
    let mut model = Model::new(&Settings::parse("size=1TiB,working-set=1MiB,pre-copy").unwrap(), 1).unwrap();
    model.start();
    model.advance(3);
    model.set_state(State::PreCopy).unwrap();
    assert_eq!(model.read(&mut vec![0; 1 << 20]).map(|filled| filled.len), Ok(1 << 20));
}
