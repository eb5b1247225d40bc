//! What reports say is what happened.

use core::time::Duration;

use State::{PreCopy, PreCopyP2p, Resuming, Running, RunningP2p, Stop, StopCopy};
use vfio_migration_protocol::report::{Report, Side};
use vfio_migration_protocol::{Outcome, State};
use vfio_migration_simulation::Course;

use crate::sweep;

const BASES: [&str; 4] = [
    "seed=81 data=20000 pages=6",
    "seed=82 devices=stop-copy+p2p+pre-copy,stop-copy+p2p data=9000 pages=3",
    "seed=83 devices=stop-copy data=5000 pages=2",
    "seed=84 devices=stop-copy+pre-copy data=30000 pages=0 latency=3000 bandwidth=5000000",
];

fn report(course: &Course, side: Side) -> &Report {
    &course.endings[side as usize].as_ref().unwrap_or_else(|| panic!("{side:?} has not ended: {course}")).report
}

/// How long it took an end from one line to another.
fn between(course: &Course, side: Side, from: &str, to: &str) -> Duration {
    when(course, side, to)
        .checked_sub(when(course, side, from))
        .unwrap_or_else(|| panic!("{to} before {from}: {course}"))
}

/// When a line of one end that contains these words was logged first.
fn when(course: &Course, side: Side, words: &str) -> Duration {
    let line =
        course.moments.iter().find(|moment| moment.side == Some(side) && moment.what.to_string().contains(words));
    line.unwrap_or_else(|| panic!("no '{words}' in {course}")).at
}

#[test]
fn the_downtime_is_from_pause_until_running_and_its_parts_make_it_up() {
    for base in BASES {
        let course = sweep::clean(base);
        let downtime = report(&course, Side::Save).downtime.expect("it has switched over");
        let seen = between(&course, Side::Save, "hook pause", "<- running");
        assert_eq!(downtime.total, seen, "{course}");
        let parts =
            downtime.pause + downtime.grace + downtime.stop + downtime.drain + downtime.load + downtime.take_over;
        assert_eq!(parts, downtime.total, "{downtime:?}: {course}");
        let paused = between(&course, Side::Save, "hook pause", "= hook pause");
        assert_eq!(downtime.pause, paused, "{course}");
    }
}

#[test]
fn a_one_way_end_knows_its_own_part_of_the_downtime() {
    for way in ["way=pipe", "way=file"] {
        let course = sweep::clean(&format!("seed=85 {way} data=9000 pages=2"));
        let save = report(&course, Side::Save).downtime.expect("it has switched over");
        let here = between(&course, Side::Save, "hook pause", "= commit");
        assert_eq!(save.total, here, "{course}");
        let restore = report(&course, Side::Restore).downtime.expect("it has taken over");
        let there = between(&course, Side::Restore, "hook configure", "= hook takeOver");
        assert_eq!(restore.total, there, "{course}");
    }
}

#[test]
fn both_ends_count_the_same_bytes() {
    for base in BASES.into_iter().chain(["seed=86 way=pipe data=9000 pages=2", "seed=87 way=file data=0 pages=1"]) {
        let course = sweep::clean(base);
        let [save, restore] = [Side::Save, Side::Restore].map(|side| report(&course, side));
        assert_eq!(save.bytes, restore.bytes, "{course}");
        for side in [save, restore] {
            assert_eq!(side.objects.iter().map(|object| object.bytes).sum::<u64>(), side.bytes, "{course}");
        }
        for object in &save.objects {
            let other = restore.objects.iter().find(|other| other.id == object.id).expect("the same objects");
            assert_eq!(object.bytes, other.bytes, "{}: {course}", object.id);
        }
        let pages = u64::from(course.scenario.pages) * 4096;
        assert!(save.bytes >= pages + u64::from(course.scenario.data), "{course}");
    }
}

#[test]
fn the_states_walked_are_those_that_were_entered() {
    let course = sweep::clean("seed=88 devices=stop-copy+p2p+pre-copy data=9000 pages=0");
    let walked =
        |side| -> Vec<State> { report(&course, side).objects[0].walked.iter().map(|step| step.state).collect() };
    assert_eq!(walked(Side::Save), [Running, PreCopy, PreCopyP2p, StopCopy, Stop], "{course}");
    assert_eq!(walked(Side::Restore), [Running, RunningP2p, Stop, Resuming, Stop, RunningP2p, Running], "{course}");
    for side in [Side::Save, Side::Restore] {
        let walked = &report(&course, side).objects[0].walked;
        assert!(walked.windows(2).all(|pair| pair[0].at <= pair[1].at), "{course}");
    }
}

#[test]
fn each_device_has_its_own_outcome_and_the_worst_is_the_sessions() {
    // The second device of the source is gone when it is to be stopped.
    let clean = sweep::clean("seed=89 devices=stop-copy+p2p,stop-copy+p2p data=5000 pages=0");
    let carried_out = &clean.steps[0];
    let stops = carried_out
        .iter()
        .rposition(|step| matches!(step, vfio_migration_simulation::Step::SetState { to: State::StopCopy, .. }));
    let number = stops.expect("it stops");
    let scenario = format!("{} fault=save:{number}:vanishes", clean.scenario).parse().expect("a scenario");
    let course = vfio_migration_simulation::run(&scenario).expect("a session");
    course.expect_sound();
    let save = report(&course, Side::Save);
    assert_eq!(save.outcome, Outcome::Lost, "{course}");
    let outcomes: Vec<_> = save.objects.iter().map(|object| object.outcome).collect();
    assert_eq!(outcomes, [Some(Outcome::Returned), Some(Outcome::Lost)], "{course}");
    assert_eq!(course.guests, [true, false], "the VMM decides: {course}");
}

#[test]
fn an_unrecoverable_device_is_reset_only_if_the_caller_said_so() {
    for (word, outcome, resets) in [("leave", Outcome::Lost, 0), ("reset", Outcome::Reset, 1)] {
        let clean = sweep::clean(&format!("seed=90 data=5000 pages=0 unrecoverable={word}"));
        let stops = clean.steps[0]
            .iter()
            .position(|step| matches!(step, vfio_migration_simulation::Step::SetState { to: State::StopCopy, .. }));
        let number = stops.expect("it stops");
        let scenario = format!("{} fault=save:{number}:breaks", clean.scenario).parse().expect("a scenario");
        let course = vfio_migration_simulation::run(&scenario).expect("a session");
        course.expect_sound();
        assert_eq!(report(&course, Side::Save).outcome, outcome, "{course}");
        assert_eq!(report(&course, Side::Save).resets(), resets, "{course}");
    }
}
