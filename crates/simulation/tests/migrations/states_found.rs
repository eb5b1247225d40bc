//! What a session finds its devices in: a state to go back to, or somebody else's device.

use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::{Outcome, State};
use vfio_migration_simulation::{CallFault, Fault, Scenario, run};

use crate::sweep;

#[test]
fn a_device_that_was_found_stopped_or_quiet_moves_all_the_same() {
    for found in ["found=stop", "found=running-p2p", "there=stop", "there=running-p2p", "found=stop there=stop"] {
        for way in ["way=connected", "way=pipe", "way=file", "way=file run=no"] {
            for devices in ["stop-copy+p2p+pre-copy+dirty-tracking", "stop-copy+p2p,stop-copy+p2p+pre-copy"] {
                sweep::clean(&format!("seed=3 {found} {way} devices={devices} data=6000 pages=2"));
            }
        }
    }
}

#[test]
fn every_way_back_leads_to_the_state_that_was_found() {
    for found in ["stop", "running-p2p", "running"] {
        for devices in ["stop-copy+p2p+pre-copy+dirty-tracking", "stop-copy+p2p,stop-copy+p2p+pre-copy"] {
            let course = sweep::clean(&format!("seed=4 found={found} devices={devices} data=5000 pages=1"));
            let state: State = found.parse().expect("a state");
            // The destination refuses to load, at each of its writes.
            let writes = (0..).zip(&course.steps[Side::Restore as usize]).filter(|(_, step)| step.is_call());
            let fault = |number| Fault::Call { side: Side::Restore, number, what: CallFault::Fails(5) };
            let faults = writes.map(|(number, _)| course.scenario.with(fault(number)));
            sweep::all(faults.collect::<Vec<_>>(), |course| {
                if course.outcome(Side::Save) != Some(Outcome::Returned) {
                    return Ok(());
                }
                let back = course.states[Side::Save as usize].iter().all(|one| *one == Some(state));
                if back { Ok(()) } else { Err(format!("devices are in {:?}", course.states[Side::Save as usize])) }
            });
        }
    }
}

#[test]
fn every_fault_is_survived_from_other_states_too() {
    for found in ["found=stop", "found=running-p2p"] {
        let course = sweep::clean(&format!("seed=5 {found} there=stop data=5000 pages=1"));
        let mut scenarios: Vec<Scenario> = Vec::new();
        for side in [Side::Save, Side::Restore] {
            for (number, step) in (0..).zip(&course.steps[side as usize]) {
                scenarios.extend(step.faults(side, number).into_iter().map(|fault| course.scenario.with(fault)));
            }
        }
        sweep::all_sound(scenarios);
    }
}

#[test]
fn a_device_that_somebody_else_may_be_using_is_left_alone() {
    for state in ["pre-copy", "pre-copy-p2p", "stop-copy", "resuming"] {
        for place in ["found", "there"] {
            let scenario: Scenario = format!("{place}={state} data=5000 pages=0").parse().expect("a scenario");
            let course = run(&scenario).expect("a session");
            course.expect_sound();
            let side = if place == "found" { Side::Save } else { Side::Restore };
            assert_eq!(course.states[side as usize], [Some(state.parse().expect("a state"))], "{course}");
            assert_eq!((course.outcome(side), course.resets()), (Some(Outcome::Returned), 0), "{course}");
            assert!(course.failure(side).is_some_and(|why| why.contains(state)), "{course}");
        }
    }
}
