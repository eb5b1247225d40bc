//! Devices with a migration region: every call of both ends with every fault that fits it, every access to either region
//! with everything that may be wrong with it, links that fail, and wishes at every step.

use vfio_migration_model::{At, CallKind, Effect, Fault as ModelFault, Which};
use vfio_migration_protocol::report::Side;
use vfio_migration_simulation::Scenario;

use crate::faults_at_every_call::matrix;
use crate::regions_move::{GROUPS, KINDS};
use crate::sweep;

#[test]
fn of_one_device_at_every_call() {
    for kind in KINDS {
        matrix(&format!("seed=111 {kind} data=9000 pages=2"), 150);
    }
}

#[test]
fn of_a_group_at_every_call() {
    for kind in GROUPS {
        matrix(&format!("seed=112 {kind} data=3000 pages=1"), 150);
    }
}

#[test]
fn one_way_at_every_call() {
    for way in ["way=pipe", "way=file", "way=file run=no", "way=file then=resume", "way=pipe then=resume run=yes"] {
        for kind in [KINDS[3], KINDS[6], GROUPS[0], GROUPS[4]] {
            matrix(&format!("seed=113 {way} {kind} data=3000 pages=1"), 150);
        }
    }
}

#[test]
fn with_a_source_that_may_be_reset_at_every_call() {
    for kind in [KINDS[3], KINDS[6], GROUPS[3]] {
        matrix(&format!("seed=114 {kind} unrecoverable=reset data=9000 pages=0"), 150);
        matrix(&format!("seed=114 {kind} settle=destination data=9000 pages=0"), 150);
    }
}

/// What a device does that only a comparison of both ends shows.
const fn lies(effect: Effect) -> bool {
    matches!(effect, Effect::Discard | Effect::Rot)
}

/// Everything that may be wrong with each of the first accesses to the region of one end.
fn every_access(text: &str, side: Side) -> Vec<Scenario> {
    let effects: Vec<Effect> = CallKind::ALL.into_iter().flat_map(Effect::all_for).filter(|one| !lies(*one)).collect();
    let clean = sweep::clean(text).scenario;
    let mut scenarios = Vec::new();
    for number in 1..=60 {
        for which in [Which::Nth(number), Which::From(number)] {
            for (place, effect) in effects.iter().enumerate() {
                if effects[..place].contains(effect) || matches!(effect, Effect::Delay(_) | Effect::LostPage) {
                    continue;
                }
                let mut scenario = clean.clone();
                let at = At { kind: None, which, within: None };
                let faults = match side {
                    Side::Save => &mut scenario.source_model,
                    Side::Restore => &mut scenario.destination_model,
                };
                faults.push(ModelFault { at, effect: *effect });
                scenarios.push(scenario);
            }
        }
    }
    scenarios
}

#[test]
fn of_one_device_at_every_access() {
    for kind in [KINDS[1], KINDS[3], KINDS[4], KINDS[6]] {
        for side in [Side::Save, Side::Restore] {
            let text = format!("seed=115 {kind} data=9000 pages=0 region=window=8KiB,segment=500..5000");
            let count = sweep::all_sound(every_access(&text, side));
            assert!(count > 500, "only {count}");
        }
    }
}
