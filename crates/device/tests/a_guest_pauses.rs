//! The guest's thread: what it does, and what it does no more once the guest is paused.

use std::thread::sleep;
use std::time::Duration;

use vfio_migration_device::{ModelHandle, Opened, open};
use vfio_migration_model::{GuestMemory, Register};
use vfio_migration_protocol::State;

const A_WHILE: Duration = Duration::from_millis(20);

fn opened(address: &str) -> (Opened, ModelHandle) {
    let memory = GuestMemory::new(0, 1 << 20).unwrap();
    let opened = open(address, Some(memory)).unwrap();
    let model = opened.model.clone().unwrap();
    (opened, model)
}

fn writes(model: &ModelHandle) -> u64 {
    model.ground_truth().unwrap().writes()
}

fn rings(model: &ModelHandle) -> u64 {
    model.with(|model| model.register(Register::Doorbell))
}

/// Waits for what must come; the test harness has its own limit.
fn until(condition: impl Fn() -> bool) {
    while !condition() {
        sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_guest_is_paused_at_first_and_the_device_is_idle() {
    let (_opened, model) = opened("model:size=1MiB");
    until(|| model.counter() > 20);
    assert!(!model.guest().runs());
    assert_eq!((rings(&model), writes(&model)), (0, 0));
}

#[test]
fn a_paused_guest_touches_nothing_and_the_device_goes_on() {
    let (mut opened, model) = opened("model:size=1MiB,p2p");
    let guest = model.guest();
    guest.resume();
    until(|| rings(&model) > 5 && writes(&model) > 5);
    guest.pause();
    let (rung, written, counted) = (rings(&model), writes(&model), model.counter());
    until(|| model.counter() > counted + 20);
    assert_eq!(rings(&model), rung);
    assert!(writes(&model) > written, "its DMA goes on by itself");

    opened.device.set_state(State::Stop).unwrap();
    let (proof, written) = (model.proof(), writes(&model));
    sleep(A_WHILE);
    assert_eq!((model.proof(), writes(&model)), (proof, written));
    assert_eq!(model.touches(), 0);
}

#[test]
fn a_guest_that_was_not_paused_is_noticed() {
    let (mut opened, model) = opened("model:size=1MiB");
    model.guest().resume();
    opened.device.set_state(State::Stop).unwrap();
    until(|| model.touches() > 0);
}

#[test]
fn pausing_and_resuming_often_and_from_several_threads() {
    let (mut opened, model) = opened("model:size=1MiB,tick=100us");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let guest = model.guest();
            scope.spawn(move || {
                for _ in 0..200 {
                    guest.resume();
                    guest.pause();
                }
            });
        }
        for _ in 0..500 {
            opened.device.state().unwrap();
        }
    });
    model.guest().pause();
    let rung = rings(&model);
    sleep(A_WHILE);
    assert_eq!(rings(&model), rung);
}
