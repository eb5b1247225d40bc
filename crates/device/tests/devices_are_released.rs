//! Releasing a device ends what is under way and closes it, and does not wait for ever.

use std::time::{Duration, Instant};

use vfio_migration_device::{open, release};
use vfio_migration_protocol::{Errno, State};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn what_is_under_way_is_aborted() {
    for (state, resets) in [
        (State::Running, 0),
        (State::Stop, 0),
        (State::PreCopy, 0),
        (State::PreCopyP2p, 0),
        (State::StopCopy, 0),
        (State::Resuming, 1),
    ] {
        let opened = open("model:size=64KiB,pre-copy,p2p", None).unwrap();
        let (mut device, model) = (opened.device, opened.model.unwrap());
        device.set_state(state).unwrap();
        assert_eq!(release(device, State::Running, SOON), Ok(State::Running), "{state}");
        assert_eq!(model.resets(), resets, "{state}");
    }
}

#[test]
fn a_call_that_does_not_end_is_not_waited_for() {
    let opened = open("model:size=64KiB,fault=set-state@2:delay:3600s", None).unwrap();
    let (mut device, model) = (opened.device, opened.model.unwrap());
    device.set_state(State::StopCopy).unwrap();
    let start = Instant::now();
    let error = release(device, State::Running, Duration::from_millis(50)).unwrap_err();
    assert_eq!(error.errno, Errno::ETIMEDOUT);
    assert!(start.elapsed() < SOON);
    model.release_delays();
}
