//! A call that the fault plan delays: it takes that long, the model does not wait for it, and it can be released.

use std::thread;
use std::time::{Duration, Instant};

use vfio_migration_device::open;
use vfio_migration_model::CallKind;
use vfio_migration_protocol::{IovaRange, State};

#[test]
fn a_delayed_call_takes_that_long() {
    let mut opened =
        open("model:size=0,dirty-tracking,fault=state@1:delay:30ms,fault=tracker-start@1:delay:30ms", None).unwrap();
    let start = Instant::now();
    assert_eq!(opened.device.state(), Ok(State::Running));
    assert!(start.elapsed() >= Duration::from_millis(30));
    let start = Instant::now();
    opened.trackers[0].start(&[IovaRange { iova: 0, length: 4096 }], 4096).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(30));
}

#[test]
fn the_model_goes_on_meanwhile_and_the_call_can_be_released() {
    let opened = open("model:size=1MiB,fault=set-state@1:delay:3600s", None).unwrap();
    let (mut device, model) = (opened.device, opened.model.unwrap());
    thread::scope(|scope| {
        let call = scope.spawn(move || device.set_state(State::Running));
        while model.count(CallKind::SetState) == 0 {
            thread::yield_now();
        }
        let counted = model.counter();
        while model.counter() < counted + 5 {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!call.is_finished());
        model.release_delays();
        assert_eq!(call.join().unwrap(), Ok(()));
    });
}
