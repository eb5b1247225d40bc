//! Every wish of either caller at every step.

use vfio_migration_protocol::Outcome;
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{Command, NotNow};
use vfio_migration_simulation::{Course, Fault, LinkFault, Scenario};

use crate::sweep;

const BASES: [&str; 6] = [
    "seed=51 data=9000 pages=3",
    "seed=52 devices=stop-copy+p2p+pre-copy,stop-copy+p2p data=5000 pages=2",
    "seed=53 devices=stop-copy data=5000 pages=0",
    "seed=54 way=pipe data=9000 pages=2",
    "seed=55 way=file data=5000 pages=0",
    "seed=56 way=file then=resume data=5000 pages=2",
];

fn wishes() -> [Command; 6] {
    [
        Command::Cancel("the caller does not want it any more".into()),
        Command::Switchover,
        Command::TakeBack { force: false },
        Command::TakeBack { force: true },
        Command::Discard,
        Command::Claim,
    ]
}

fn every_step(course: &Course, side: Side, command: &Command) -> Vec<Scenario> {
    let steps = (0..).zip(&course.steps[side as usize]);
    steps.map(|(number, _)| course.scenario.wishing(side, number, command.clone())).collect()
}

/// Whose guest it is in the end, when it is nobody's fault.
fn one_owner(course: &Course) -> Result<(), String> {
    let [here, there] = course.guests;
    let stays = course.scenario.way != vfio_migration_simulation::Way::Connected;
    let in_order = here != there || stays && !here;
    if in_order { Ok(()) } else { Err(format!("guests run here and there: {here} and {there}")) }
}

#[test]
fn cancelling_the_source_brings_everything_back_or_comes_too_late() {
    for base in BASES {
        let course = sweep::clean(base);
        let cancel = Command::Cancel("the caller does not want it any more".into());
        let (mut followed, mut late) = (0, 0);
        sweep::all(every_step(&course, Side::Save, &cancel), |course| {
            one_owner(course)?;
            match (course.answers.first(), course.outcome(Side::Save)) {
                (Some(Ok(())), Some(Outcome::Returned)) if course.guests == [true, false] => Ok(()),
                (Some(Err(NotNow::TooLate | NotNow::Ending)), Some(Outcome::Completed)) => Ok(()),
                other => Err(format!("answer and outcome are {other:?}")),
            }
        });
        for scenario in every_step(&course, Side::Save, &cancel) {
            let course = vfio_migration_simulation::run(&scenario).expect("a session");
            match course.answers.first() {
                Some(Ok(())) => followed += 1,
                _ => late += 1,
            }
        }
        assert!(followed > 10 && late > 0, "{base}: {followed} followed, {late} too late");
    }
}

#[test]
fn cancelling_the_destination_brings_everything_back_or_comes_too_late() {
    for base in BASES {
        let course = sweep::clean(base);
        let cancel = Command::Cancel("the caller does not want it any more".into());
        sweep::all(every_step(&course, Side::Restore, &cancel), |course| {
            one_owner(course)?;
            let followed = course.answers.first() == Some(&Ok(()));
            let completed = course.outcome(Side::Restore) == Some(Outcome::Completed);
            if followed == completed { Err(format!("cancelled: {followed}, completed: {completed}")) } else { Ok(()) }
        });
    }
}

#[test]
fn the_switchover_comes_when_it_is_wished_for() {
    for base in BASES {
        let course = sweep::clean(base);
        sweep::all(every_step(&course, Side::Save, &Command::Switchover), |course| {
            let completed = course.outcome(Side::Save) == Some(Outcome::Completed);
            if completed { Ok(()) } else { Err(format!("it came to {:?}", course.outcome(Side::Save))) }
        });
    }
}

#[test]
fn any_wish_at_any_step_of_a_sound_migration_leaves_one_owner() {
    for base in BASES {
        let course = sweep::clean(base);
        for side in [Side::Save, Side::Restore] {
            for command in wishes() {
                sweep::all(every_step(&course, side, &command), one_owner);
            }
        }
    }
}

#[test]
fn wishes_that_make_sense_only_in_doubt_are_refused_without_it() {
    let course = sweep::clean("seed=57 data=5000 pages=0");
    for (side, command) in [
        (Side::Save, Command::TakeBack { force: true }),
        (Side::Save, Command::TakeBack { force: false }),
        (Side::Save, Command::Discard),
        (Side::Save, Command::Claim),
        (Side::Restore, Command::Claim),
        (Side::Restore, Command::Discard),
        (Side::Restore, Command::TakeBack { force: true }),
    ] {
        sweep::all(every_step(&course, side, &command), |course| match course.answers.first() {
            Some(Err(NotNow::NotInDoubt | NotNow::Ending)) => Ok(()),
            other => Err(format!("{side:?} answered {other:?} to {command:?}")),
        });
    }
}

#[test]
fn both_callers_cancel_at_the_same_time() {
    let base = "seed=58 data=5000 pages=1";
    let course = sweep::clean(base);
    let cancel = || Command::Cancel("the caller does not want it any more".into());
    let [save, restore] = [0, 1].map(|side: usize| u32::try_from(course.steps[side].len()).expect("a few"));
    let pairs = (0..save).step_by(3).flat_map(|here| (0..restore).step_by(3).map(move |there| (here, there)));
    let scenarios = pairs.map(|(here, there)| {
        course.scenario.wishing(Side::Save, here, cancel()).wishing(Side::Restore, there, cancel())
    });
    sweep::all(scenarios, one_owner);
}

#[test]
fn cancelling_while_a_call_does_not_end() {
    let course = sweep::clean("seed=59 data=5000 pages=1");
    let cancel = || Command::Cancel("the caller does not want it any more".into());
    let mut scenarios = Vec::new();
    for side in [Side::Save, Side::Restore] {
        for (number, step) in (0..).zip(&course.steps[side as usize]) {
            for what in step.call_faults() {
                use vfio_migration_simulation::CallFault::{LateAnswer, LateEffect, Never};
                if matches!(what, LateAnswer | LateEffect | Never) {
                    let late = course.scenario.with(Fault::Call { side, number, what });
                    scenarios.push(late.wishing(Side::Save, number, cancel()));
                    scenarios.push(late.wishing(Side::Restore, number, cancel()));
                    scenarios.push(late.wishing(side, number + 1, cancel()));
                }
            }
        }
    }
    sweep::all_sound(scenarios);
}

#[test]
fn cancelling_on_a_link_that_is_cut() {
    let course = sweep::clean("seed=60 data=5000 pages=1");
    let cancel = || Command::Cancel("the caller does not want it any more".into());
    let mut scenarios = Vec::new();
    for direction in [vfio_migration_simulation::Direction::Forward, vfio_migration_simulation::Direction::Back] {
        for (number, _) in (0..).zip(&course.messages[direction as usize]) {
            let cut = course.scenario.with(Fault::Link { direction, number, what: LinkFault::Cut(5) });
            scenarios.push(cut.wishing(Side::Save, number, cancel()));
            scenarios.push(cut.wishing(Side::Restore, number, cancel()));
        }
    }
    sweep::all_sound(scenarios);
}
