//! The proof that somebody watches: things are broken on purpose, where no session can see it, and the run says so.

use vfio_migration_protocol::State;
use vfio_migration_protocol::report::Side;
use vfio_migration_simulation::{CallFault, Course, Direction, Fault, LinkFault, Rule, Scenario, Step, run};

use crate::sweep;

fn course(text: &str) -> Course {
    let scenario: Scenario = text.parse().expect("a scenario");
    run(&scenario).expect("a session")
}

fn lying(course: &Course, side: Side, step: impl Fn(&Step) -> bool) -> Course {
    let number = course.steps[side as usize].iter().position(step).unwrap_or_else(|| panic!("no such step: {course}"));
    let number = u32::try_from(number).expect("a few steps");
    run(&course.scenario.with(Fault::Call { side, number, what: CallFault::Lies })).expect("a session")
}

#[test]
fn a_log_that_loses_a_page_is_found_out() {
    for seed in 1..6 {
        let course = course(&format!("seed={seed} data=5000 pages=12 source-model=tracker-report@1:lost-page"));
        assert!(course.broke(Rule::Arrived), "{course}");
    }
}

#[test]
fn a_destination_that_throws_its_data_away_is_found_out() {
    for way in ["way=connected", "way=pipe", "way=file"] {
        for write in 1..4 {
            let course = course(&format!("seed=3 {way} data=9000 pages=0 destination-model=write@{write}:discard"));
            assert!(course.broke(Rule::Arrived), "{course}");
        }
    }
}

#[test]
fn a_device_that_damages_what_it_has_verified_is_found_out() {
    let course = course("seed=4 data=9000 pages=0 destination-model=write@2:rot");
    assert!(course.broke(Rule::Arrived), "{course}");
}

#[test]
fn a_bit_of_a_device_that_is_flipped_after_verification_is_refused_by_the_device() {
    let course = course("seed=5 data=9000 pages=0 destination-model=write@2:flip");
    course.expect_sound();
    assert_eq!(course.guests, [true, false], "{course}");
}

#[test]
fn a_bit_of_memory_that_is_flipped_after_verification_is_found_out() {
    // The last frame of memory: no later one makes up for it.
    let clean = sweep::clean("seed=6 data=3000 pages=6 writes=0 ticks=1");
    let written = clean.steps[1].iter().rposition(|step| *step == Step::WriteMemory);
    assert!(written.is_some(), "{clean}");
    let mut found = 0;
    for (number, name) in (0..).zip(&clean.messages[Direction::Forward as usize]) {
        if *name == "data" {
            let fault = Fault::Link { direction: Direction::Forward, number, what: LinkFault::Spoil };
            let course = run(&clean.scenario.with(fault)).expect("a session");
            found += usize::from(course.broke(Rule::Arrived));
            let refused = course.guests == [true, false];
            assert!(course.broke(Rule::Arrived) || refused || written_again(&course), "{course}");
        }
    }
    assert!(found > 0, "no flip was found out: {clean}");
}

/// A spoilt page that was sent once more is sound in the end.
fn written_again(course: &Course) -> bool {
    course.violations.is_empty() && course.guests == [false, true]
}

#[test]
fn a_pause_that_does_not_pause_is_found_out() {
    let clean = sweep::clean("seed=7 data=9000 pages=4");
    let lying = lying(&clean, Side::Save, |step| *step == Step::Hook("pause"));
    assert!(lying.broke(Rule::PauseFirst), "{lying}");
}

#[test]
fn a_device_that_says_grace_and_is_not_is_found_out() {
    let clean = sweep::clean("seed=8 devices=stop-copy+p2p,stop-copy+p2p+pre-copy data=5000 pages=0");
    let lying =
        lying(&clean, Side::Save, |step| matches!(step, Step::SetState { to, .. } if to.is_quiet() && to.is_running()));
    assert!(lying.broke(Rule::Barrier), "{lying}");
}

#[test]
fn a_device_that_says_stopped_and_is_not_is_noticed_by_its_session() {
    let clean = sweep::clean("seed=9 data=5000 pages=0");
    let lying = lying(&clean, Side::Save, |step| matches!(step, Step::SetState { to, .. } if !to.is_running()));
    lying.expect_sound();
    assert_eq!(lying.guests, [true, false], "{lying}");
}

#[test]
fn two_owners_are_found_out() {
    // The destination fails to take over and brings its device back to stop; the device says so and goes on working.
    let clean = sweep::clean("seed=10 data=5000 pages=0 settle=source");
    let steps = &clean.steps[1];
    let runs = steps.iter().rposition(|step| matches!(step, Step::SetState { to: State::Running, .. }));
    let number = u32::try_from(runs.expect("it runs")).expect("a few steps");
    let failing = clean.scenario.with(Fault::Call { side: Side::Restore, number, what: CallFault::Part(1, 24) });
    let failing = run(&failing).expect("a session");
    failing.expect_sound();
    let lying = lying(&failing, Side::Restore, |step| {
        matches!(step, Step::SetState { from: State::RunningP2p, to: State::Stop, .. })
    });
    assert!(lying.broke(Rule::RefusedAtRest), "{lying}");
    // It is reset after it was refused; until then both have the guest.
    let reset = lying.steps[1].iter().position(|step| *step == Step::Reset).expect("it is reset");
    let number = u32::try_from(reset).expect("a few steps");
    let slow = Fault::Call { side: Side::Restore, number, what: CallFault::LateEffect };
    let slow = run(&lying.scenario.with(slow)).expect("a session");
    assert!(slow.broke(Rule::OneOwner), "{slow}");
}
