//! Where it cannot be known who owns the guest: both ends stop, keep everything, say so, and are settled by a late word or
//! by their callers.

use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::Command;
use vfio_migration_protocol::{EventKind, Outcome, State};
use vfio_migration_simulation::{CallFault, Course, Direction, Fault, LinkFault, Scenario, Step, run};

use crate::sweep;

const BASES: [&str; 3] = [
    "seed=71 data=6000 pages=2",
    "seed=72 devices=stop-copy+p2p,stop-copy+p2p+pre-copy data=5000 pages=0",
    "seed=73 devices=stop-copy data=5000 pages=1 wire=no",
];

/// The place of a message in its direction.
fn place(course: &Course, direction: Direction, name: &str) -> u32 {
    let place = course.messages[direction as usize].iter().position(|one| *one == name);
    u32::try_from(place.unwrap_or_else(|| panic!("no {name} in {course}"))).expect("a few messages")
}

fn at(course: &Course, direction: Direction, name: &str, what: LinkFault) -> Scenario {
    course.scenario.with(Fault::Link { direction, number: place(course, direction, name), what })
}

fn settled(scenario: &Scenario, settle: &str) -> Course {
    let scenario: Scenario = format!("{scenario} settle={settle}").parse().expect("a scenario");
    let course = run(&scenario).expect("a session");
    course.expect_sound();
    course
}

fn was_in_doubt(course: &Course, side: Side) -> bool {
    course.events(side).any(|event| matches!(event.kind, EventKind::InDoubt { .. }))
}

fn outcomes(course: &Course) -> [Option<Outcome>; 2] {
    [course.outcome(Side::Save), course.outcome(Side::Restore)]
}

#[test]
fn a_given_up_that_is_lost_leaves_both_in_doubt_with_everything_kept() {
    for base in BASES {
        let course = sweep::clean(base);
        for what in [LinkFault::Cut(0), LinkFault::Cut(300)] {
            let lost = at(&course, Direction::Forward, "given-up", what);
            let left = settled(&lost, "nobody");
            assert_eq!(left.in_doubt, [true, true], "{left}");
            assert_eq!(left.guests, [false, false], "{left}");
            let [source, destination] = &left.states;
            assert!(source.iter().all(|state| *state == Some(State::StopCopy)), "{left}");
            assert!(destination.iter().all(|state| *state == Some(State::Stop)), "{left}");

            for settle in ["source", "force"] {
                let back = settled(&lost, settle);
                assert_eq!(back.guests, [true, false], "{back}");
                assert_eq!(outcomes(&back), [Some(Outcome::Returned), Some(Outcome::Reset)], "{back}");
            }
            let moved = settled(&lost, "destination");
            assert_eq!(moved.guests, [false, true], "{moved}");
            assert_eq!(outcomes(&moved), [Some(Outcome::Completed), Some(Outcome::Completed)], "{moved}");
        }
    }
}

#[test]
fn a_running_that_is_lost_leaves_the_source_in_doubt_while_the_destination_runs() {
    for base in BASES {
        let course = sweep::clean(base);
        for what in [LinkFault::Cut(0), LinkFault::Mute] {
            let lost = at(&course, Direction::Back, "running", what);
            let left = settled(&lost, "nobody");
            assert_eq!((left.in_doubt, left.guests), ([true, false], [false, true]), "{left}");
            assert_eq!(left.outcome(Side::Restore), Some(Outcome::Completed), "{left}");
            // Its caller sees that the guest runs there, whatever it would have liked.
            for settle in ["source", "destination", "force"] {
                let moved = settled(&lost, settle);
                assert_eq!(moved.guests, [false, true], "{moved}");
                assert_eq!(outcomes(&moved), [Some(Outcome::Completed), Some(Outcome::Completed)], "{moved}");
            }
        }
    }
}

#[test]
fn a_late_running_settles_the_doubt() {
    for base in BASES {
        let course = sweep::clean(base);
        let late = settled(&at(&course, Direction::Back, "running", LinkFault::Stall), "nobody");
        assert!(was_in_doubt(&late, Side::Save), "{late}");
        assert_eq!((late.in_doubt, late.guests), ([false, false], [false, true]), "{late}");
        assert_eq!(outcomes(&late), [Some(Outcome::Completed), Some(Outcome::Completed)], "{late}");
    }
}

#[test]
fn a_late_given_up_settles_the_doubt() {
    for base in BASES {
        let course = sweep::clean(base);
        let late = settled(&at(&course, Direction::Forward, "given-up", LinkFault::Stall), "nobody");
        assert!(was_in_doubt(&late, Side::Save) && was_in_doubt(&late, Side::Restore), "{late}");
        assert_eq!((late.in_doubt, late.guests), ([false, false], [false, true]), "{late}");
        assert_eq!(outcomes(&late), [Some(Outcome::Completed), Some(Outcome::Completed)], "{late}");
    }
}

/// The destination's caller cancels right after `loaded`, so that `refused` crosses `given-up`.
fn crossing(course: &Course) -> Scenario {
    let loaded = course.steps[1].iter().position(|step| *step == Step::Send("loaded")).expect("it loads");
    let cancel = Command::Cancel("the caller does not want it any more".into());
    course.scenario.wishing(Side::Restore, u32::try_from(loaded).expect("a few steps"), cancel)
}

#[test]
fn a_refused_that_crosses_given_up_brings_the_guest_back() {
    for base in BASES {
        let back = settled(&crossing(&sweep::clean(base)), "nobody");
        assert!(back.messages[Direction::Forward as usize].contains(&"given-up"), "{back}");
        assert_eq!((back.in_doubt, back.guests), ([false, false], [true, false]), "{back}");
        assert_eq!(outcomes(&back), [Some(Outcome::Returned), Some(Outcome::Reset)], "{back}");
    }
}

#[test]
fn a_late_refused_settles_the_doubt() {
    for base in BASES {
        let crossing = crossing(&sweep::clean(base));
        let number = place(&settled(&crossing, "nobody"), Direction::Back, "refused");
        let late = crossing.with(Fault::Link { direction: Direction::Back, number, what: LinkFault::Stall });
        let late = settled(&late, "nobody");
        assert!(was_in_doubt(&late, Side::Save), "{late}");
        assert_eq!((late.in_doubt, late.guests), ([false, false], [true, false]), "{late}");
    }
}

/// The step of the destination at which the last device is asked to run, and the one at which the guest is taken over.
fn last_steps(course: &Course) -> [u32; 2] {
    let steps = &course.steps[Side::Restore as usize];
    let runs = steps.iter().rposition(|step| matches!(step, Step::SetState { to: State::Running, .. }));
    let takes_over = steps.iter().position(|step| *step == Step::Hook("takeOver"));
    [runs, takes_over].map(|place| u32::try_from(place.expect("it takes over")).expect("a few steps"))
}

#[test]
fn a_destination_that_failed_before_it_took_over_withdraws_when_it_is_asked_to() {
    for base in BASES {
        let course = sweep::clean(base);
        let [runs, _] = last_steps(&course);
        for what in [CallFault::Fails(5), CallFault::LateEffect, CallFault::LateAnswer, CallFault::Part(1, 24)] {
            let failing = course.scenario.with(Fault::Call { side: Side::Restore, number: runs, what });
            let left = settled(&failing, "nobody");
            assert_eq!((left.in_doubt, left.guests), ([true, true], [false, false]), "{left}");
            assert!(left.states[1].iter().all(|state| *state == Some(State::Stop)), "{left}");

            let back = settled(&failing, "source");
            assert!(back.messages[Direction::Forward as usize].contains(&"withdraw"), "{back}");
            assert!(back.messages[Direction::Back as usize].contains(&"refused"), "{back}");
            assert_eq!(outcomes(&back), [Some(Outcome::Returned), Some(Outcome::Reset)], "{back}");
            assert_eq!(back.guests, [true, false], "{back}");

            let moved = settled(&failing, "destination");
            assert_eq!(moved.guests, [false, true], "{moved}");
            assert_eq!(moved.outcome(Side::Save), Some(Outcome::Completed), "{moved}");
        }
    }
}

#[test]
fn a_destination_whose_guest_may_have_run_leaves_it_to_the_callers() {
    for base in BASES {
        let course = sweep::clean(base);
        let [_, number] = last_steps(&course);
        for what in [CallFault::Fails(5), CallFault::LateEffect, CallFault::LateAnswer] {
            let failing = course.scenario.with(Fault::Call { side: Side::Restore, number, what });
            let left = settled(&failing, "nobody");
            assert_eq!((left.in_doubt, left.guests), ([true, true], [false, false]), "{left}");
            assert!(left.states[1].iter().all(|state| *state == Some(State::Stop)), "{left}");

            let back = settled(&failing, "source");
            assert!(back.messages[Direction::Forward as usize].contains(&"withdraw"), "{back}");
            assert!(!back.messages[Direction::Back as usize].contains(&"refused"), "{back}");
            assert_eq!(back.guests, [true, false], "{back}");

            let moved = settled(&failing, "destination");
            assert_eq!(moved.guests, [false, true], "{moved}");
        }
    }
}

#[test]
fn every_call_after_given_up_fails_and_either_caller_settles_it() {
    for base in BASES {
        let course = sweep::clean(base);
        let loaded = course.steps[1].iter().position(|step| *step == Step::Send("loaded")).expect("it loads");
        for (number, step) in (0..).zip(&course.steps[1]).skip(loaded + 1) {
            for what in step.call_faults() {
                for settle in ["nobody", "source", "destination", "force"] {
                    let failing = course.scenario.with(Fault::Call { side: Side::Restore, number, what });
                    settled(&failing, settle);
                }
            }
        }
    }
}

#[test]
fn a_commit_that_may_have_happened_leaves_the_source_in_doubt() {
    for way in ["pipe", "file"] {
        let course = sweep::clean(&format!("seed=74 way={way} data=5000 pages=1"));
        let commit = course.steps[0].iter().position(|step| *step == Step::Commit).expect("it commits");
        let number = u32::try_from(commit).expect("a few steps");
        let maybe = course.scenario.with(Fault::Call { side: Side::Save, number, what: CallFault::Maybe });
        let left = settled(&maybe, "nobody");
        assert_eq!((left.in_doubt, left.guests[0]), ([true, false], false), "{left}");
        let moved = settled(&maybe, "source");
        assert_eq!(moved.guests, [false, true], "{moved}");
        assert_eq!(moved.outcome(Side::Save), Some(Outcome::Completed), "{moved}");
    }
    let course = sweep::clean("seed=75 way=file data=5000 pages=1");
    let commit = course.steps[0].iter().position(|step| *step == Step::Commit).expect("it commits");
    let number = u32::try_from(commit).expect("a few steps");
    let failing = course.scenario.with(Fault::Call { side: Side::Save, number, what: CallFault::Fails(28) });
    let back = settled(&failing, "nobody");
    assert_eq!((back.guests, back.started), ([true, false], [true, false]), "{back}");
    assert_eq!(back.outcome(Side::Save), Some(Outcome::Returned), "{back}");
}
