//! A link that is cut, falls silent, stalls or damages what it carries, at every message of both directions.

use vfio_migration_protocol::report::Side;
use vfio_migration_simulation::{Course, Direction, Fault, LinkFault, Scenario};

use crate::sweep;

const CUTS: [LinkFault; 3] = [LinkFault::Cut(0), LinkFault::Cut(1), LinkFault::Cut(30)];
const SETTLES: [&str; 3] = ["settle=source", "settle=destination", "settle=nobody"];

fn every_message(course: &Course, faults: &[LinkFault]) -> Vec<Scenario> {
    let mut scenarios = Vec::new();
    for direction in [Direction::Forward, Direction::Back] {
        let count = u32::try_from(course.messages[direction as usize].len()).expect("a few messages");
        for number in 0..count {
            let faults = faults.iter().map(|what| Fault::Link { direction, number, what: *what });
            scenarios.extend(faults.map(|fault| course.scenario.with(fault)));
        }
    }
    scenarios
}

fn every_step(course: &Course, fault: impl Fn(Side, u32) -> Fault) -> Vec<Scenario> {
    let steps = |side: Side| (0..).zip(&course.steps[side as usize]).map(move |(number, _)| (side, number));
    let all = [Side::Save, Side::Restore].into_iter().flat_map(steps);
    all.map(|(side, number)| course.scenario.with(fault(side, number))).collect()
}

const BASES: [&str; 4] = [
    "seed=31 data=9000 pages=3",
    "seed=32 devices=stop-copy+p2p+pre-copy,stop-copy+p2p data=5000 pages=2",
    "seed=33 devices=stop-copy data=5000 pages=0",
    "seed=34 wire=no depth=1 data=9000 pages=2",
];

#[test]
fn cut_at_every_message() {
    for (base, settle) in BASES.iter().flat_map(|base| SETTLES.map(|settle| (base, settle))) {
        let course = sweep::clean(&format!("{base} {settle}"));
        sweep::all_sound(every_message(&course, &CUTS));
    }
}

#[test]
fn silent_in_one_direction_from_every_message_on() {
    for (base, settle) in BASES.iter().flat_map(|base| SETTLES.map(|settle| (base, settle))) {
        let course = sweep::clean(&format!("{base} {settle}"));
        sweep::all_sound(every_message(&course, &[LinkFault::Mute]));
    }
}

#[test]
fn stalled_at_every_message() {
    for (base, settle) in BASES.iter().flat_map(|base| SETTLES.map(|settle| (base, settle))) {
        let course = sweep::clean(&format!("{base} {settle}"));
        sweep::all_sound(every_message(&course, &[LinkFault::Stall]));
    }
}

#[test]
fn silent_in_both_directions_from_every_step_on() {
    for (base, settle) in BASES.iter().flat_map(|base| SETTLES.map(|settle| (base, settle))) {
        let course = sweep::clean(&format!("{base} {settle}"));
        sweep::all_sound(every_step(&course, |side, number| Fault::Silent { side, number }));
    }
}

#[test]
fn damaged_at_every_message() {
    for base in BASES {
        for seed in 0..4 {
            let course = sweep::clean(&format!("{base} seed={}", 40 + seed));
            sweep::all_sound(every_message(&course, &[LinkFault::Flip]));
        }
    }
}

#[test]
fn one_way_streams_cut_or_damaged_at_every_message() {
    for base in
        ["seed=35 way=pipe", "seed=36 way=file", "seed=37 way=pipe then=resume run=yes", "seed=38 way=file run=no"]
    {
        let course = sweep::clean(&format!("{base} data=9000 pages=2"));
        sweep::all_sound(every_message(
            &course,
            &[LinkFault::Cut(0), LinkFault::Cut(1), LinkFault::Flip, LinkFault::Mute],
        ));
        sweep::all_sound(every_step(&course, |side, number| Fault::Silent { side, number }));
    }
}

#[test]
fn either_end_killed_at_every_step() {
    let one_way = ["seed=39 way=pipe data=9000 pages=2", "seed=39 way=file data=9000 pages=2"];
    for (base, settle) in BASES.iter().chain(&one_way).flat_map(|base| SETTLES.map(|settle| (base, settle))) {
        let course = sweep::clean(&format!("{base} {settle}"));
        sweep::all_sound(every_step(&course, |side, number| Fault::Killed { side, number }));
    }
}
