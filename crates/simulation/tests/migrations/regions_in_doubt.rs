//! Where nobody can know whether a region device takes its data before the guest was given up: what comes of it then, and
//! that everything else is known before. And the proof that somebody watches.

use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::Command;
use vfio_migration_protocol::{Outcome, State};
use vfio_migration_simulation::{CallFault, Course, Direction, Fault, LinkFault, Rule, Step, run};

use crate::sweep;

const LIBVFIO_USER: &str = "dialects=libvfio-user devices=stop-copy+pre-copy pages=0 data=9000";
const THREAD: &str = "dialects=thread devices=stop-copy+pre-copy pages=0 data=9000";
/// The source's device says too early that nothing is left. The data lacks its end, which the other device alone can see:
/// it ends with a segment.
const CUT_SHORT: &str = "source-model=read-pending-bytes@1/stop-copy:zero depth=1";

fn course(text: &str) -> Course {
    run(&text.parse().unwrap_or_else(|error| panic!("{error}"))).expect("a session")
}

fn sound(text: &str) -> Course {
    let course = course(text);
    course.expect_sound();
    course
}

fn outcomes(course: &Course) -> [Option<Outcome>; 2] {
    [course.outcome(Side::Save), course.outcome(Side::Restore)]
}

fn said(course: &Course, direction: Direction, message: &str) -> bool {
    course.messages[direction as usize].contains(&message)
}

/// An fsm device's refusal is heard before `loaded`; so is that of a region that breaks the segments.
#[test]
fn what_is_refused_while_it_is_written_goes_back_before_given_up() {
    for (base, fault) in [
        (LIBVFIO_USER, "destination-model=write-data-size@2:EIO"),
        (THREAD, "destination-model=write-data-size@2:EINVAL"),
        (THREAD, "destination-model=write-window@1:flip"),
        (LIBVFIO_USER, "source-model=read-window@1:flip"),
        // Another read was on its way, and brings part of a segment.
        (THREAD, "source-model=read-pending-bytes@1/stop-copy:zero seed=122"),
    ] {
        let course = sound(&format!("seed=121 {base} {fault} settle=nobody"));
        assert_eq!((course.guests, course.in_doubt), ([true, false], [false, false]), "{course}");
        assert!(!said(&course, Direction::Forward, "given-up"), "{course}");
        assert_eq!(outcomes(&course), [Some(Outcome::Returned), Some(Outcome::Reset)], "{course}");
    }
}

/// Data that a region device refuses only when it leaves resuming: nobody has heard of it before `given-up`, whether it
/// has no arc to stop or has refused that one and still is in resuming.
#[test]
fn data_that_a_device_refuses_after_given_up_leaves_it_to_the_callers() {
    for base in [LIBVFIO_USER, THREAD] {
        let left = sound(&format!("seed=122 {base} {CUT_SHORT} settle=nobody"));
        assert!(said(&left, Direction::Back, "loaded") && said(&left, Direction::Back, "failed"), "{left}");
        assert_eq!((left.in_doubt, left.guests), ([true, true], [false, false]), "{left}");
        assert_eq!(left.states, [[Some(State::StopCopy)], [Some(State::Resuming)]], "everything is kept: {left}");

        let back = sound(&format!("seed=122 {base} {CUT_SHORT} settle=source"));
        assert!(said(&back, Direction::Forward, "withdraw") && said(&back, Direction::Back, "refused"), "{back}");
        assert_eq!(outcomes(&back), [Some(Outcome::Returned), Some(Outcome::Reset)], "{back}");
        assert_eq!(back.guests, [true, false], "{back}");
    }
}

/// The same from a device with a data fd is known before the guest is given up.
#[test]
fn a_data_fd_shows_it_before() {
    let fsm = "devices=stop-copy+pre-copy pages=0 data=9000 depth=1";
    let clean = sweep::clean(&format!("seed=122 {fsm}"));
    let stops = |step: &Step| matches!(step, Step::SetState { to: State::StopCopy, .. });
    let stops = clean.steps[0].iter().position(stops).expect("it stops");
    let read = clean.steps[0].iter().skip(stops).position(|step| *step == Step::ReadDevice).expect("it reads") + stops;
    let course = sound(&format!("seed=122 {fsm} fault=save:{read}:ends"));
    assert!(!said(&course, Direction::Forward, "given-up"), "{course}");
    assert_eq!(course.guests, [true, false], "{course}");
}

#[test]
fn a_given_up_that_is_lost_leaves_both_in_doubt_with_everything_kept() {
    for (base, waits) in [(LIBVFIO_USER, State::Resuming), (THREAD, State::Stop)] {
        let clean = sweep::clean(&format!("seed=123 {base}"));
        let place = clean.messages[0].iter().position(|name| *name == "given-up").expect("it is given up");
        let number = u32::try_from(place).expect("a few messages");
        let fault = Fault::Link { direction: Direction::Forward, number, what: LinkFault::Cut(0) };
        let lost = clean.scenario.with(fault);
        let left = sound(&format!("{lost} settle=nobody"));
        assert_eq!((left.in_doubt, left.guests), ([true, true], [false, false]), "{left}");
        assert_eq!(left.states, [[Some(State::StopCopy)], [Some(waits)]], "{left}");
        let moved = sound(&format!("{lost} settle=destination"));
        assert_eq!(outcomes(&moved), [Some(Outcome::Completed), Some(Outcome::Completed)], "{moved}");
        let back = sound(&format!("{lost} settle=source"));
        assert_eq!(outcomes(&back), [Some(Outcome::Returned), Some(Outcome::Reset)], "{back}");
    }
}

/// Leaving resuming counts as leaving stop: from the first request on the destination does not refuse by itself.
#[test]
fn a_change_that_fails_after_given_up_ends_in_doubt() {
    for group in ["dialects=libvfio-user", "dialects=libvfio-user,fsm no-p2p-traffic=yes restore-no-p2p-traffic=yes"] {
        let devices = if group.contains("fsm") { "stop-copy,stop-copy" } else { "stop-copy" };
        let clean = sweep::clean(&format!("seed=124 {group} devices={devices} pages=0 data=5000"));
        let first = |step: &Step| matches!(step, Step::SetState { from: State::Resuming, to: State::Running, .. });
        let number = clean.steps[1].iter().position(first).expect("it leaves resuming for running");
        let number = u32::try_from(number).expect("a few steps");
        for what in [CallFault::Fails(5), CallFault::LateEffect, CallFault::LateAnswer] {
            let failing = clean.scenario.with(Fault::Call { side: Side::Restore, number, what });
            let left = sound(&format!("{failing} settle=nobody"));
            assert_eq!((left.in_doubt, left.guests), ([true, true], [false, false]), "{left}");
            assert!(said(&left, Direction::Back, "failed"), "{left}");
            let back = sound(&format!("{failing} settle=source"));
            assert_eq!(back.guests, [true, false], "{back}");
        }
        let cancel = Command::Cancel("the caller does not want it any more".into());
        let late = run(&clean.scenario.wishing(Side::Restore, number + 1, cancel)).expect("a session");
        assert!(late.answers.iter().all(Result::is_err), "{late}");
    }
}

/// Every wish of either caller at every step, and every cut of the link.
#[test]
fn wishes_and_cuts_leave_one_owner() {
    for base in [LIBVFIO_USER, THREAD] {
        let clean = sweep::clean(&format!("seed=125 {base}"));
        let mut scenarios = Vec::new();
        for side in [Side::Save, Side::Restore] {
            for (number, _) in (0..).zip(&clean.steps[side as usize]) {
                let cancel = || Command::Cancel("the caller does not want it any more".into());
                let wishes = [cancel(), Command::Switchover, Command::TakeBack { force: true }, Command::Claim];
                scenarios.extend(wishes.map(|wish| clean.scenario.wishing(side, number, wish)));
                let ends = [Fault::Silent { side, number }, Fault::Killed { side, number }];
                scenarios.extend(ends.map(|fault| clean.scenario.with(fault)));
            }
        }
        for direction in [Direction::Forward, Direction::Back] {
            for (number, _) in (0..).zip(&clean.messages[direction as usize]) {
                let cuts = [LinkFault::Cut(0), LinkFault::Cut(30), LinkFault::Mute, LinkFault::Stall, LinkFault::Flip];
                let cuts = cuts.map(|what| clean.scenario.with(Fault::Link { direction, number, what }));
                scenarios.extend(cuts);
            }
        }
        assert!(sweep::all_sound(scenarios) > 200, "{base}");
    }
}

#[test]
fn a_region_that_throws_its_data_away_or_damages_it_is_found_out() {
    for base in [LIBVFIO_USER, THREAD] {
        for (way, fault) in [
            ("way=connected", "discard"),
            ("way=connected", "rot"),
            ("way=file", "rot"),
            ("way=file run=no", "rot"),
            ("way=file run=no", "discard"),
        ] {
            let course = course(&format!("seed=126 {base} {way} destination-model=write-data-size@1:{fault}"));
            assert!(course.broke(Rule::Arrived), "{course}");
        }
    }
}

#[test]
fn a_pause_that_does_not_pause_is_found_out_on_the_way_back_too() {
    let text = format!("seed=127 {LIBVFIO_USER} data=60000");
    let clean = sweep::clean(&text);
    let cancel = clean.steps[0].iter().position(|step| *step == Step::ReadDevice).expect("it reads");
    let cancelled = sound(&format!("{text} command=save:{cancel}:cancel"));
    let pause = cancelled.steps[0].iter().position(|step| *step == Step::Hook("pause")).expect("it pauses");
    let lying = course(&format!("{} fault=save:{pause}:lies", cancelled.scenario));
    assert!(lying.violations.iter().any(|violation| violation.rule == Rule::PauseFirst), "{lying}");
}
