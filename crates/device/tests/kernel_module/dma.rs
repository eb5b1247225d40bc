//! When the device writes to memory, and that it tells the truth about it.

use std::time::{Duration, Instant};

use vfio_migration_protocol::State;
use vfio_migration_uapi::mapping::Mapping;

use crate::bench::{Bench, Knobs, length};
use crate::open_device::{OpenDevice, Register, read_to_end, write_all};

const IOVA: u64 = 1 << 32;
const PAGES: u64 = 64;

/// An open device with memory that it may write to.
fn with_memory(knobs: &Knobs) -> (OpenDevice, Mapping) {
    let device = OpenDevice::by_group(knobs);
    let memory = Mapping::anonymous(length(PAGES * 4096)).expect("memory");
    device.map(memory.whole(), IOVA);
    device.set_register(Register::Iova, IOVA);
    device.set_register(Register::Length, PAGES * 4096);
    (device, memory)
}

/// The pages that are not zero any more.
fn written(memory: &Mapping) -> Vec<u64> {
    let mut page = [0; 4096];
    let changed = |number: &u64| {
        memory.read(length(number * 4096), &mut page).expect("it is in the mapping");
        page != [0; 4096]
    };
    (0..PAGES).filter(changed).map(|page| IOVA / 4096 + page).collect()
}

/// Waits until `done`, for as long as a slow machine may take.
fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_truth_is_what_is_in_memory() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let (device, memory) = with_memory(knobs);
    device.set_register(Register::Doorbell, 40);
    let truth: Vec<u64> = knobs.truth().into_iter().collect();
    assert!(!truth.is_empty() && truth.len() < length(PAGES));
    assert_eq!((written(&memory), knobs.get("truth_pages")), (truth.clone(), truth.len() as u64));
    assert_eq!((device.register(Register::Written), device.register(Register::Failed)), (40, 0));
}

#[test]
fn a_write_that_failed_does_not_count() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let (device, memory) = with_memory(knobs);
    knobs.fault("dma 1+ errno 14");
    device.set_register(Register::Doorbell, 10);
    knobs.fault("clear");
    device.unmap(IOVA, PAGES * 4096);
    device.set_register(Register::Doorbell, 10);
    assert_eq!((device.register(Register::Written), device.register(Register::Failed)), (0, 20));
    assert_eq!((written(&memory), knobs.truth().len()), (vec![], 0));
}

#[test]
fn nothing_is_written_but_in_running_and_pre_copy() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let (device, _memory) = with_memory(knobs);
    device.set_register(Register::Control, 1);
    for state in [State::RunningP2p, State::PreCopyP2p, State::StopCopy, State::Stop] {
        wait("a write", || knobs.count("dma-written") > 0);
        device.try_to(state).expect("the arc is legal");
        knobs.set("truth", 0);
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(knobs.truth().len(), 0, "{state}");
        device.to(State::Running);
        wait("the next write", || !knobs.truth().is_empty());
    }
    let fd = device.open_data(State::PreCopy);
    knobs.set("truth", 0);
    wait("a write in pre-copy", || !knobs.truth().is_empty());
    drop(fd);
    // Nobody touched a register while that was forbidden.
    assert_eq!(knobs.count("forbidden"), 0);
}

#[test]
fn a_doorbell_that_is_rung_too_late_is_heard_at_the_destination() {
    let Some(bench) = Bench::take() else { return };
    let (source, _memory) = with_memory(&bench.knobs[0]);
    source.to(State::RunningP2p);
    source.set_register(Register::Doorbell, 30);
    assert_eq!((source.register(Register::Written), bench.knobs[0].count("forbidden")), (0, 2));
    let data = source.save();
    let (destination, memory) = with_memory(&bench.knobs[1]);
    destination.load(&data, 1 << 20).expect("the data is good");
    destination.to(State::Running);
    wait("what was asked for at the source", || destination.register(Register::Written) == 30);
    let truth: Vec<u64> = bench.knobs[1].truth().into_iter().collect();
    assert_eq!(written(&memory), truth);
    assert_eq!(destination.register(Register::Interrupt), 1);
}

#[test]
fn a_device_that_works_all_the_time_moves_in_pre_copy() {
    let Some(bench) = Bench::take() else { return };
    for knobs in &bench.knobs {
        knobs.set("initial_size", 1 << 20);
    }
    let (source, _memory) = with_memory(&bench.knobs[0]);
    source.set_register(Register::Control, 1);
    let fd = source.open_data(State::PreCopy);
    let mut data = Vec::new();
    for _ in 0..20 {
        assert_eq!(crate::open_device::read_to_pause(&fd, &mut data), Err(rustix::io::Errno::NOMSG));
        crate::open_device::precopy_info(&fd).expect("it is asked in pre-copy");
        std::thread::sleep(Duration::from_millis(3));
    }
    source.to(State::StopCopy);
    data.extend(read_to_end(&fd));
    let (destination, _memory) = with_memory(&bench.knobs[1]);
    let resume = destination.open_data(State::Resuming);
    write_all(&resume, &data).expect("the data is good");
    destination.to(State::Stop);
    assert!(data.len() > (1 << 20) + 20 * 4096, "the memory did not change: {} bytes", data.len());
    assert!(source.register(Register::Written) > 20);
    assert_eq!(destination.register(Register::Written), source.register(Register::Written));
    assert_eq!(bench.knobs[1].get("secret"), bench.knobs[0].get("secret"));
}
