//! What a course says as data is what happened: a picture can be drawn from it.

use serde_json::Value;
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::{EventKind, State};
use vfio_migration_simulation::{Course, Owner, Place, Rule, Scenario, What, run};

use crate::sweep;

fn json(course: &Course) -> Value {
    serde_json::to_value(course).expect("a course is plain data")
}

/// What the last situation says is what the course says at its end, before anybody looks whether the guest works.
fn ends_as_it_ended(course: &Course) {
    let last = course.situations.last().expect("a situation");
    assert_eq!(last.save.guest, course.guests[0], "{course}");
    assert_eq!(last.restore.guest, course.guests[1], "{course}");
    for side in [Side::Save, Side::Restore] {
        let places: Vec<Place> = course.states[side as usize].iter().map(|state| (*state).into()).collect();
        assert_eq!(last.at(side).devices, places, "{course}");
    }
}

#[test]
fn a_migration_goes_from_the_source_to_the_destination() {
    for text in ["seed=1", "seed=2 way=pipe", "seed=3 way=file", "seed=4 dialects=thread", "seed=5 wire=no"] {
        let course = sweep::clean(text);
        let (first, last) = (&course.situations[0], course.situations.last().expect("a situation"));
        assert_eq!((first.owner, first.save.guest, first.restore.guest), (Owner::Save, true, false), "{course}");
        assert_eq!((last.owner, last.save.guest, last.restore.guest), (Owner::Restore, false, true), "{course}");
        assert_eq!(last.save.devices, [Place::In(State::Stop)], "{course}");
        assert_eq!(last.restore.devices, [Place::In(State::Running)], "{course}");
        let bytes = [Side::Save, Side::Restore].map(|side| last.at(side).bytes);
        let reported = course.endings.clone().map(|ending| ending.expect("it has ended").report.bytes);
        assert_eq!(bytes, reported, "{course}");
        assert!(last.save.over && last.restore.over, "{course}");
        ends_as_it_ended(&course);
    }
}

#[test]
fn every_change_of_a_device_is_a_moment_and_none_is_told_twice() {
    for text in
        ["seed=6", "seed=7 fault=save:9:breaks", "seed=8 fault=restore:7:vanishes", "seed=9 fault=save:20:killed"]
    {
        let course = run(&text.parse().expect("a scenario")).expect("a session");
        course.expect_sound();
        let mut now = [course.situations[0].save.devices[0], course.situations[0].restore.devices[0]];
        for moment in &course.moments {
            if let (What::Changed { from, to, .. }, Some(side)) = (&moment.what, moment.side) {
                assert_eq!(*from, now[side as usize], "{moment}: {course}");
                assert_ne!(from, to, "{moment}: {course}");
                now[side as usize] = *to;
            }
        }
        let last = course.situations.last().expect("a situation");
        assert_eq!(now, [last.save.devices[0], last.restore.devices[0]], "{course}");
        ends_as_it_ended(&course);
    }
}

#[test]
fn steps_and_messages_have_the_numbers_that_faults_name() {
    let course = sweep::clean("seed=10 devices=stop-copy+p2p,stop-copy+p2p+pre-copy");
    for side in [Side::Save, Side::Restore] {
        let here = || course.moments.iter().filter(|moment| moment.side == Some(side));
        let steps: Vec<_> = here()
            .filter_map(|moment| match &moment.what {
                What::Step { number, step, .. } => Some((*number, *step)),
                _ => None,
            })
            .collect();
        let carried_out: Vec<_> = (0..).zip(course.steps[side as usize].iter().copied()).collect();
        assert_eq!(steps, carried_out, "{course}");
        let sent: Vec<_> = here()
            .filter_map(|moment| match &moment.what {
                What::Sent { number, message, .. } => Some((*number, *message)),
                _ => None,
            })
            .collect();
        let named: Vec<_> = (0..).zip(course.messages[side as usize].iter().copied()).collect();
        assert_eq!(sent, named, "{course}");
    }
}

#[test]
fn times_never_go_back_and_every_moment_has_its_situation() {
    let course = sweep::clean("seed=11 way=file");
    assert!(course.moments.windows(2).all(|pair| pair[0].at <= pair[1].at && pair[0].then <= pair[1].then), "{course}");
    assert!(course.moments.iter().all(|moment| moment.then < course.situations.len()), "{course}");
    assert!(course.situations.windows(2).all(|pair| pair[0] != pair[1]), "{course}");
}

#[test]
fn lost_words_leave_the_owner_open() {
    let clean = sweep::clean("seed=12 data=5000 pages=0");
    let place = clean.messages[0].iter().position(|name| *name == "given-up").expect("it is given up");
    let text = format!("{} settle=nobody fault=forward:{place}:cut(0)", clean.scenario);
    let course = run(&text.parse().expect("a scenario")).expect("a session");
    course.expect_sound();
    let last = course.situations.last().expect("a situation");
    assert_eq!(last.owner, Owner::Open, "{course}");
    assert!(last.save.in_doubt && last.restore.in_doubt, "{course}");
    let settled: Scenario = text.replace("settle=nobody", "settle=source").parse().expect("a scenario");
    let course = run(&settled).expect("a session");
    assert_eq!(course.situations.last().map(|last| last.owner), Some(Owner::Save), "{course}");
}

#[test]
fn a_broken_rule_is_a_moment_too() {
    let course = run(&"seed=3 data=9000 pages=0 destination-model=write@2:discard".parse().expect("a scenario"));
    let course = course.expect("a session");
    assert!(course.broke(Rule::Arrived), "{course}");
    let broken = course.moments.iter().filter(|moment| matches!(moment.what, What::Broken { .. })).count();
    assert_eq!(broken, course.violations.len(), "{course}");
    let written = json(&course);
    assert_eq!(written["broken"][0]["rule"], Rule::Arrived.to_string());
}

#[test]
fn as_json_it_has_everything_that_a_picture_needs() {
    let course = sweep::clean("seed=13 data=9000 pages=2 fault=save:3:late-answer");
    let written = json(&course);
    assert_eq!(written["scenario"], course.scenario.to_string());
    assert_eq!(written["moments"].as_array().map(Vec::len), Some(course.moments.len()));
    assert_eq!(written["situations"].as_array().map(Vec::len), Some(course.situations.len()));
    assert_eq!(written["reports"]["save"]["side"], "save");
    assert_eq!(written["reports"]["restore"]["outcome"], "completed");
    assert_eq!(written["arrived"], true);
    assert_eq!(written["devices"][0]["id"], "device0");
    assert_eq!(written["devices"][0]["protocol"], "fsm");
    assert_eq!(written["devices"][0]["capabilities"], course.scenario.devices[0].to_string());
    assert_eq!(written["broken"], Value::Array(Vec::new()));
    for (moment, written) in course.moments.iter().zip(written["moments"].as_array().expect("moments")) {
        assert_eq!(written["text"], moment.what.to_string());
        assert_eq!(written["then"], moment.then);
        assert!(written["type"].is_string(), "{written}");
    }
    let phases = course.events(Side::Save).filter(|event| matches!(event.kind, EventKind::Phase { .. })).count();
    let told = written["moments"]
        .as_array()
        .expect("moments")
        .iter()
        .filter(|moment| moment["side"] == "save" && moment["event"]["type"] == "phase");
    assert_eq!(told.count(), phases);
    let first = &written["situations"][0];
    assert_eq!(first["owner"], "save");
    assert_eq!(first["save"]["devices"][0], "running");
    assert_eq!(first["save"]["guest"], true);
}
