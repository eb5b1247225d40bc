//! Every call that either end makes, with every fault that fits it.

use vfio_migration_protocol::report::Side;
use vfio_migration_simulation::{Course, Fault, Scenario, What};

use crate::sweep;

/// The clean course once more for each call and each fault that fits it.
fn every_fault(course: &Course) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for side in [Side::Save, Side::Restore] {
        for (number, step) in (0..).zip(&course.steps[side as usize]) {
            let faults = step.call_faults().into_iter().map(|what| Fault::Call { side, number, what });
            scenarios.extend(faults.map(|fault| course.scenario.with(fault)));
        }
    }
    scenarios
}

/// A clean course, and all of its [`every_fault`].
pub(crate) fn matrix(text: &str, at_least: usize) {
    let course = sweep::clean(text);
    let count = sweep::all(every_fault(&course), |course| {
        let hit = course.moments.iter().any(|moment| matches!(moment.what, What::Fault { .. }));
        if hit { Ok(()) } else { Err("nothing went wrong".into()) }
    });
    assert!(count >= at_least, "only {count} runs");
}

#[test]
fn of_one_device_with_everything() {
    matrix("seed=11 data=9000 pages=4", 500);
}

#[test]
fn of_one_device_with_everything_settled_by_the_destination() {
    matrix("seed=12 data=9000 pages=4 settle=destination", 500);
}

#[test]
fn of_one_device_with_stop_copy_only() {
    matrix("seed=13 devices=stop-copy data=9000 pages=2", 150);
}

#[test]
fn of_one_device_without_p2p() {
    matrix("seed=14 devices=stop-copy+pre-copy data=9000 pages=0", 200);
}

#[test]
fn of_two_devices() {
    matrix("seed=15 devices=stop-copy+p2p+pre-copy,stop-copy+p2p data=5000 pages=2", 400);
}

#[test]
fn of_two_devices_that_may_be_reset() {
    matrix("seed=16 devices=stop-copy+p2p+pre-copy,stop-copy+p2p data=5000 pages=0 unrecoverable=reset", 300);
}

#[test]
fn of_three_devices() {
    let devices =
        "stop-copy+p2p+pre-copy+dirty-tracking,stop-copy+p2p+dirty-tracking,stop-copy+p2p+pre-copy+dirty-tracking";
    matrix(&format!("seed=17 devices={devices} data=3000 pages=3"), 800);
}

#[test]
fn through_a_pipe() {
    matrix("seed=18 way=pipe data=9000 pages=2", 300);
}

#[test]
fn through_a_file() {
    matrix("seed=19 way=file devices=stop-copy+p2p+pre-copy,stop-copy+p2p data=5000 pages=2", 300);
}

#[test]
fn of_a_snapshot() {
    matrix("seed=20 way=file then=resume data=9000 pages=2", 300);
}

#[test]
fn of_a_snapshot_that_runs() {
    matrix("seed=21 way=pipe then=resume run=yes devices=stop-copy+p2p,stop-copy+p2p data=5000 pages=0", 300);
}

#[test]
fn of_a_stream_that_stays_in_stop() {
    matrix("seed=22 way=file run=no data=5000 pages=0", 150);
}
