//! Messages that have no business where they come, at every place: well-formed, so that no codec finds them out.

use vfio_migration_simulation::{Direction, Fault, LinkFault, Scenario, Stray};

use crate::sweep;

fn every_place(text: &str) -> Vec<Scenario> {
    let course = sweep::clean(text);
    let mut scenarios = Vec::new();
    for (direction, strays) in [(Direction::Forward, &Stray::FORWARD[..]), (Direction::Back, &Stray::BACK[..])] {
        // Also after the last message.
        let count = u32::try_from(course.messages[direction as usize].len()).expect("a few messages");
        for number in 0..count {
            let faults = strays.iter().map(|stray| Fault::Link { direction, number, what: LinkFault::Stray(*stray) });
            scenarios.extend(faults.map(|fault| course.scenario.with(fault)));
        }
    }
    scenarios
}

#[test]
fn to_one_device() {
    sweep::all_sound(every_place("seed=61 wire=no data=9000 pages=2"));
}

#[test]
fn to_two_devices() {
    sweep::all_sound(every_place("seed=62 wire=no devices=stop-copy+p2p+pre-copy,stop-copy+p2p data=5000 pages=0"));
}

#[test]
fn through_a_pipe() {
    sweep::all_sound(every_place("seed=63 wire=no way=pipe data=5000 pages=1"));
}
