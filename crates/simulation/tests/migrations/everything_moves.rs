//! Where nothing goes wrong everything arrives, whatever the devices can do and however many there are.

use vfio_migration_protocol::Capabilities;
use vfio_migration_simulation::{Scenario, Step, Way, run};

use crate::sweep;

/// All sets of capabilities, with and without a DMA log.
fn sets() -> Vec<Capabilities> {
    Capabilities::FSM_SETS.into_iter().flat_map(|set| [set, set | Capabilities::DIRTY_TRACKING]).collect()
}

/// All groups of one device, and all of two and three of a few kinds.
fn groups() -> Vec<Vec<Capabilities>> {
    let quiet: Vec<_> = sets().into_iter().filter(|set| set.has(Capabilities::P2P)).collect();
    let mut groups: Vec<Vec<Capabilities>> = sets().into_iter().map(|set| vec![set]).collect();
    for one in &quiet {
        groups.extend(quiet.iter().map(|other| vec![*one, *other]));
        groups.push(vec![*one; 3]);
    }
    groups.push(quiet[..3].to_vec());
    groups
}

fn scenarios(more: &str) -> Vec<Scenario> {
    let base: Scenario = more.parse().expect("a scenario");
    let seeds = |seed| groups().into_iter().map(move |devices| (seed, devices));
    (1..4)
        .flat_map(seeds)
        .map(|(seed, devices)| Scenario { seed, devices, data: 6000, pages: 5, ..base.clone() })
        .collect()
}

#[test]
fn over_a_connection() {
    for way in ["", "depth=1", "depth=16 chunk=8192", "wire=no", "capacity=1", "pre-copy=no", "events=no", "data=0"] {
        sweep::all_sound(scenarios(way));
    }
}

#[test]
fn through_a_pipe_and_a_file() {
    for way in ["way=pipe", "way=file", "way=pipe depth=1 capacity=1", "way=file then=resume", "way=pipe then=resume"] {
        sweep::all_sound(scenarios(way));
    }
    for way in ["way=file run=no", "way=pipe then=resume run=yes"] {
        sweep::all_sound(scenarios(way));
    }
}

#[test]
fn without_memory_and_with_all_kinds_of_sizes() {
    for data in [0, 1, 7, 4095, 4096, 4097, 65_536, 300_000] {
        for set in sets() {
            let scenario = Scenario { devices: vec![set], data, pages: 0, ..Scenario::default() };
            for way in [Way::Connected, Way::Pipe, Way::File] {
                sweep::all_sound([Scenario { way, ..scenario.clone() }]);
            }
        }
    }
}

#[test]
fn over_links_of_all_kinds() {
    for link in [
        "latency=0",
        "latency=20000 bandwidth=10000000",
        "latency=5 bandwidth=1000000000 capacity=4096",
        "bandwidth=300000 call=500",
        "call=0",
        "call=3000",
    ] {
        for devices in ["stop-copy+p2p+pre-copy+dirty-tracking", "stop-copy+p2p,stop-copy+p2p+pre-copy"] {
            let text = format!("{link} devices={devices} data=20000");
            sweep::all_sound((1..6).map(|seed| format!("seed={seed} {text}").parse().expect("a scenario")));
        }
    }
}

#[test]
fn a_run_is_the_same_each_time() {
    for text in ["seed=5", "seed=6 way=pipe", "seed=7 devices=stop-copy+p2p,stop-copy+p2p fault=save:9:fails(5)"] {
        let scenario: Scenario = text.parse().expect("a scenario");
        let [one, same] = [0; 2].map(|_| run(&scenario).expect("a session").to_string());
        assert_eq!(one, same);
    }
}

#[test]
fn a_group_with_a_device_without_p2p_is_refused_unless_the_caller_says_that_there_is_no_p2p_traffic() {
    for other in ["stop-copy", "stop-copy+pre-copy"] {
        for group in
            [format!("stop-copy+p2p,{other}"), format!("{other},{other}"), format!("{other},stop-copy+p2p+pre-copy")]
        {
            let alone: Scenario = format!("devices={group}").parse().expect("a scenario");
            assert!(run(&alone).is_err(), "{group}");
            let source_only: Scenario = format!("devices={group} no-p2p-traffic=yes").parse().expect("a scenario");
            assert!(run(&source_only).is_err(), "{group}, at the destination");
            let both: Scenario =
                format!("devices={group} no-p2p-traffic=yes restore-no-p2p-traffic=yes").parse().expect("a scenario");
            sweep::all_sound([both]);
        }
    }
}

#[test]
fn a_dry_run_changes_nothing() {
    for devices in ["stop-copy", "stop-copy+p2p+pre-copy+dirty-tracking,stop-copy+p2p"] {
        let scenario: Scenario = format!("dry-run=yes devices={devices}").parse().expect("a scenario");
        let course = run(&scenario).expect("a session");
        course.expect_sound();
        assert_eq!(course.guests, [true, false]);
        assert_eq!(course.resets(), 0);
        let changes = |step: &&Step| {
            !matches!(step, Step::State | Step::Open | Step::Send(_) | Step::Disconnect | Step::DataSize)
        };
        let first = course.steps.iter().flatten().find(changes);
        assert_eq!(first, None, "{course}");
    }
}
