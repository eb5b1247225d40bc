//! Every kind of fault, at the call that it was planned for, and what it leaves behind.

use std::time::Duration;

use crate::transfer::{drain, errno, load, pair, save, write};
use vfio_migration_model::{Call, CallKind, Effect, Fault, FaultPlan, GuestMemory, Model, Settings};
use vfio_migration_protocol::{Bitmap, Device, Errno, Estimate, State, Then, Tracker};

#[test]
fn an_error_at_the_nth_call_and_only_there() {
    let (mut source, _) = pair("size=64KiB,fault=read@3:EAGAIN,trace");
    source.set_state(State::StopCopy).unwrap();
    let answers: Vec<bool> = (0..5).map(|_| source.read(&mut [0; 100]).is_ok()).collect();
    assert_eq!(answers, [true, true, false, true, true]);
    let third = Call { kind: CallKind::Read, to: None, value: None, answer: Err(Errno::EAGAIN) };
    assert_eq!(source.calls()[3], third);
    assert_eq!(source.calls()[3].to_string(), "read -> EAGAIN");
    assert_eq!(source.count(CallKind::Read), 5);
}

#[test]
fn every_call_can_fail_before_it_does_anything() {
    for kind in CallKind::FSM {
        let settings = format!("size=64KiB,pre-copy,p2p,dirty-tracking,fault={kind}@1:ENODEV");
        let (mut model, _) = pair(&settings);
        let mut tracker = model.tracker().unwrap();
        let range = GuestMemory::new(0, 4096).unwrap().range();
        let answer = match kind {
            CallKind::State => model.state().map(drop),
            CallKind::SetState => model.set_state(State::PreCopy),
            CallKind::Reset => model.reset(),
            CallKind::Read => model.read(&mut [0]).map(drop),
            CallKind::Write => model.write(&[0], false).map(drop),
            CallKind::PreCopyInfo => model.pre_copy_info().map(drop),
            CallKind::DataSize => model.data_size().map(drop),
            CallKind::TrackerStart => tracker.start(&[range], 4096).map(drop),
            CallKind::TrackerReport => tracker.report(range, &mut Bitmap::new(1)),
            CallKind::TrackerStop => tracker.stop(),
            of_a_region => unreachable!("{of_a_region}"),
        };
        assert_eq!(errno(answer), Errno::ENODEV, "{kind}");
        assert_eq!((model.current_state(), model.resets()), (State::Running, Some(0)));
    }
}

#[test]
fn calls_can_be_counted_in_one_state() {
    let (mut source, _) = pair("size=64KiB,pre-copy,fault=read@2/stop-copy:EIO,fault=set-state@1/pre-copy:EBUSY");
    source.set_state(State::PreCopy).unwrap();
    let mut buffer = vec![0; 1 << 20];
    for _ in 0..3 {
        source.read(&mut buffer).unwrap();
    }
    assert_eq!(errno(source.set_state(State::StopCopy)), Errno::EBUSY);
    source.set_state(State::StopCopy).unwrap();
    source.read(&mut buffer).unwrap();
    assert_eq!(errno(source.read(&mut buffer)), Errno::EIO);
    source.read(&mut buffer).unwrap();
}

#[test]
fn the_last_write_is_the_one_that_brings_the_end() {
    let settings = "size=64KiB,device-memory=8KiB";
    let whole = save(&mut pair(settings).0, 4096);
    for piece in [1, 47, 48, 4096, 32 << 10, whole.len()] {
        let (mut source, mut destination) = pair(&format!("{settings},fault=write@last:EIO"));
        let data = save(&mut source, 4096);
        destination.set_state(State::Resuming).unwrap();
        let pieces: Vec<_> = data.chunks(piece).collect();
        let (last, before) = pieces.split_last().expect("there is data");
        for piece in before {
            destination.write(piece, false).expect("it is not the last");
        }
        for attempt in 0..2 {
            assert_eq!(errno(destination.write(last, false)), Errno::EIO, "pieces of {piece}, {attempt}");
        }
        assert_eq!(errno(destination.set_state(State::Stop)), Errno::EINVAL, "nothing of it was kept");
    }
}

#[test]
fn calls_can_be_counted_over_all_kinds() {
    let (mut source, _) = pair("size=64KiB,fault=any@3:EBUSY");
    assert!(source.state().is_ok() && source.data_size().is_ok());
    assert_eq!(errno(source.set_state(State::Stop)), Errno::EBUSY);
    assert!(source.set_state(State::Stop).is_ok());
}

#[test]
fn a_path_can_end_half_way() {
    for (arcs, stays) in [(1, State::RunningP2p), (2, State::Stop), (3, State::StopCopy), (9, State::StopCopy)] {
        let (mut source, _) = pair(&format!("size=64KiB,pre-copy,p2p,fault=set-state@1:EIO:{arcs}"));
        assert_eq!(errno(source.set_state(State::StopCopy)), Errno::EIO);
        assert_eq!(source.state(), Ok(stays), "after {arcs} arcs");
    }
}

#[test]
fn without_a_number_for_the_data_fd_the_state_is_reached_and_the_fd_is_lost() {
    let (mut source, mut destination) = pair("size=64KiB,fault=set-state@1:EMFILE:9");
    assert_eq!(errno(source.set_state(State::StopCopy)), Errno::EMFILE);
    assert_eq!(source.state(), Ok(State::StopCopy));
    assert_eq!(errno(source.read(&mut [0; 8])), Errno::EBADF);
    source.set_state(State::Stop).unwrap();
    assert_eq!(source.set_state(State::StopCopy), Ok(()));
    assert!(source.read(&mut [0; 8]).is_ok());

    assert_eq!(errno(destination.set_state(State::Resuming)), Errno::EMFILE);
    assert_eq!(errno(destination.write(&[0], false)), Errno::EBADF);
    assert_eq!(errno(destination.set_state(State::Stop)), Errno::EINVAL);
}

#[test]
fn a_device_can_enter_error_in_the_middle() {
    let (mut source, mut destination) = pair("size=64KiB,pre-copy,fault=read@2:error,fault=write@2:error");
    source.set_state(State::PreCopy).unwrap();
    assert!(source.read(&mut [0; 8]).is_ok());
    assert_eq!(errno(source.read(&mut [0; 8])), Errno::EIO);
    assert_eq!(source.state(), Ok(State::Error));
    assert_eq!(errno(source.read(&mut [0; 8])), Errno::ENODEV);
    let counted = source.proof();
    source.advance(9);
    assert_eq!(source.proof(), counted, "nothing goes on in error");

    destination.set_state(State::Resuming).unwrap();
    assert!(destination.write(&[], false).is_ok());
    assert_eq!(errno(destination.write(&[], false)), Errno::EIO);
    assert_eq!(destination.state(), Ok(State::Error));
    assert_eq!(destination.reset(), Ok(()));
}

#[test]
fn short_reads_and_writes_lose_nothing() {
    let (mut source, mut destination) = pair("size=64KiB,fault=read@1+:short:7,fault=write@1+:short:5");
    source.set_state(State::StopCopy).unwrap();
    assert_eq!(source.read(&mut [0; 100]).map(|filled| filled.len), Ok(7));
    source.set_state(State::Stop).unwrap();
    let data = save(&mut source, 1000);
    destination.set_state(State::Resuming).unwrap();
    assert_eq!(destination.write(&data[..100], false), Ok(5));
    assert_eq!(write(&mut destination, &data[5..], 1000), Ok(()));
    assert_eq!(destination.set_state(State::Stop), Ok(()));
    assert_eq!(destination.proof(), source.proof());
}

#[test]
fn an_error_after_some_bytes_loses_them() {
    let (mut source, mut destination) = pair("size=64KiB,fault=read@2:EIO:10");
    source.set_state(State::StopCopy).unwrap();
    let mut start = [0; 100];
    source.read(&mut start).unwrap();
    assert_eq!(errno(source.read(&mut [0; 100])), Errno::EIO);
    let mut data = start.to_vec();
    assert_eq!(drain(&mut source, 1000, &mut data), Then::End);
    assert_eq!(errno(load(&mut destination, &data, 1000)), Errno::EINVAL);
}

#[test]
fn delays_are_reported_to_whoever_has_a_clock() {
    let (mut model, _) = pair("size=0,dirty-tracking,fault=set-state@1:delay:3s,fault=tracker-stop@2:delay:5ms");
    model.set_state(State::Stop).unwrap();
    assert_eq!(model.take_delay(), Duration::from_secs(3));
    assert_eq!(model.take_delay(), Duration::ZERO);
    let mut tracker = model.tracker().unwrap();
    tracker.stop().unwrap();
    assert_eq!(tracker.take_delay(), Duration::ZERO);
    tracker.stop().unwrap();
    assert_eq!(tracker.take_delay(), Duration::from_millis(5));
}

#[test]
fn estimates_can_be_wrong() {
    let wrong = [
        ("unknown", Estimate::Unknown, false),
        ("zero", Estimate::Known(0), false),
        ("huge", Estimate::Known(1 << 62), false),
        ("stuck", Estimate::Known(0), true),
    ];
    for (effect, expected, stuck) in wrong {
        let settings = format!("size=64KiB,pre-copy,fault=data-size@2:{effect},fault=pre-copy-info@2:{effect}");
        let (mut source, _) = pair(&settings);
        source.set_state(State::PreCopy).unwrap();
        let (size, info) = (source.data_size().unwrap(), source.pre_copy_info().unwrap());
        let (second_size, second_info) = (source.data_size().unwrap(), source.pre_copy_info().unwrap());
        drain(&mut source, 4096, &mut Vec::new());
        let (last_size, last_info) = (source.data_size().unwrap(), source.pre_copy_info().unwrap());
        if stuck {
            assert_eq!((second_size, second_info), (size, info));
            assert_eq!((last_size, last_info), (size, info), "it goes on saying so");
        } else {
            assert_eq!((second_size, second_info.initial, second_info.dirty), (expected, expected, expected));
            assert!(last_size != size && last_info.initial == Estimate::Known(0), "only once");
        }
    }
}

#[test]
fn a_page_that_the_log_lost_is_missed() {
    for faulty in [false, true] {
        let memory = GuestMemory::new(0, 1 << 20).unwrap();
        let copy = GuestMemory::new(0, 1 << 20).unwrap();
        let settings = Settings::parse("size=0,dirty-tracking,dma-rate=5").unwrap();
        let mut model = Model::with_memory(&settings, 1, memory.clone()).unwrap();
        if faulty {
            model.set_faults(Fault::nth(CallKind::TrackerReport, 2, Effect::LostPage).into());
        }
        let mut tracker = model.tracker().unwrap();
        tracker.start(&[memory.range()], 4096).unwrap();
        model.start();
        for round in 0..5 {
            model.advance(10);
            if round == 4 {
                model.set_state(State::StopCopy).unwrap();
            }
            let mut dirty = Bitmap::new(memory.pages());
            tracker.report(memory.range(), &mut dirty).unwrap();
            while let Some((page, _)) = dirty.take_run(0, 1) {
                let mut bytes = vec![0; 4096];
                memory.load(page * 4096, &mut bytes).unwrap();
                copy.store(page * 4096, &bytes).unwrap();
            }
        }
        let missed = model.ground_truth().unwrap().missed(&copy);
        assert_eq!(missed.len(), usize::from(faulty));
        assert_eq!(memory.differing_pages(&copy), missed);
    }
}

#[test]
fn a_page_is_lost_even_if_nothing_was_written() {
    let memory = GuestMemory::new(0, 1 << 20).unwrap();
    let settings = Settings::parse("size=0,dirty-tracking,dma-rate=0,lane=1/2").unwrap();
    let mut model = Model::with_memory(&settings, 1, memory.clone()).unwrap();
    model.set_faults(Fault::nth(CallKind::TrackerReport, 1, Effect::LostPage).into());
    let mut tracker = model.tracker().unwrap();
    tracker.start(&[memory.range()], 4096).unwrap();
    tracker.report(memory.range(), &mut Bitmap::new(256)).unwrap();
    model.set_state(State::Stop).unwrap();
    let empty = GuestMemory::new(0, 1 << 20).unwrap();
    assert_eq!(model.ground_truth().unwrap().missed(&empty), [1]);
}

#[test]
fn a_destination_that_discards_is_caught_by_the_proof_alone() {
    for at in [1, 2, 9] {
        let (mut source, mut destination) = pair(&format!("size=64KiB,fault=write@{at}:discard"));
        let data = save(&mut source, 4096);
        assert_eq!(load(&mut destination, &data, 4096), Ok(()), "it says that all is well");
        assert_ne!(destination.proof(), source.proof());
    }
    let (_, mut destination) = pair("size=64KiB,fault=write@1:discard");
    assert_eq!(load(&mut destination, b"not even data", 4096), Ok(()));
}

#[test]
fn a_bit_flipped_on_the_way_is_refused() {
    let (mut source, mut destination) = pair("size=64KiB,fault=read@3:flip");
    let data = save(&mut source, 4096);
    assert_eq!(errno(load(&mut destination, &data, 4096)), Errno::EINVAL);
    let (mut source, mut destination) = pair("size=64KiB,fault=write@3:flip");
    let data = save(&mut source, 4096);
    assert_eq!(errno(load(&mut destination, &data, 4096)), Errno::EINVAL);
    assert_eq!(destination.count(CallKind::Write), 3, "the write that brought it failed");
}

#[test]
fn damage_after_the_devices_own_verification_is_caught_by_the_proof() {
    for size in [0, 1, 65_536] {
        let (mut source, mut destination) = pair(&format!("size={size},fault=write@1:rot"));
        let data = save(&mut source, 4096);
        assert_eq!(load(&mut destination, &data, 4096), Ok(()));
        assert_ne!(destination.proof(), source.proof());
    }
}

#[test]
fn a_plan_can_change_while_calls_are_counted_on() {
    let (mut source, _) = pair("size=64KiB");
    source.state().unwrap();
    source.set_faults(FaultPlan::none().with("state@2:EIO".parse().unwrap()));
    assert_eq!(errno(source.state()), Errno::EIO);
    assert!(source.state().is_ok());
}

#[test]
fn under_any_seeded_fault_every_call_still_answers() {
    for seed in 0..3000 {
        let (mut source, mut destination) = pair("size=20000,pre-copy,p2p,dirty-tracking");
        source.set_faults(FaultPlan::seeded(seed, 12));
        destination.set_faults(FaultPlan::seeded(seed ^ 0xffff, 12));
        let mut tracker = source.tracker().unwrap();
        let range = GuestMemory::new(0, 1 << 16).unwrap().range();
        let _ = tracker.start(&[range], 4096);
        let _ = source.set_state(State::PreCopy);
        let _ = destination.set_state(State::Resuming);
        let mut buffer = [0; 3000];
        let mut good = true;
        for round in 0..30 {
            let _ = (source.pre_copy_info(), source.data_size(), source.state(), destination.state());
            let _ = tracker.report(range, &mut Bitmap::new(16));
            source.advance(1);
            match source.read(&mut buffer) {
                Ok(filled) => good &= destination.write(&buffer[..filled.len], false) == Ok(filled.len),
                Err(_) => good = false,
            }
            if round == 8 {
                good &= source.set_state(State::StopCopy).is_ok();
            }
        }
        let loaded = destination.set_state(State::Stop).is_ok();
        // Whoever took every answer for what it is knows whether all is there: a silent loss needs a lying device.
        let identical = source.proof() == destination.proof();
        assert!(!(good && loaded) || identical || destination_lies(seed ^ 0xffff), "seed {seed}");
        let _ = (tracker.stop(), source.reset(), destination.reset());
        assert!(source.resets() <= Some(1) && destination.resets() <= Some(1));
    }
}

fn destination_lies(seed: u64) -> bool {
    let plan = FaultPlan::seeded(seed, 12);
    plan.faults().iter().any(|fault| matches!(fault.effect, Effect::Discard | Effect::Rot))
}
