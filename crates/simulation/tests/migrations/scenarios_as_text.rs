//! A scenario's text replays it.

use vfio_migration_protocol::report::Side;
use vfio_migration_simulation::{Fault, LinkFault, Scenario, Step, Stray};

fn same(text: &str) {
    let scenario: Scenario = text.parse().expect("a scenario");
    assert_eq!(scenario.to_string(), text);
    assert_eq!(scenario.to_string().parse(), Ok(scenario));
}

#[test]
fn it_names_what_differs_from_the_default() {
    assert_eq!(Scenario::default().to_string(), "seed=1");
    same("seed=7");
    same("seed=7 devices=stop-copy+p2p,stop-copy+p2p+pre-copy data=0 pages=3 way=file wire=no");
    same("seed=7 chunk=8192 depth=1 deadline=1000 budget=7 max-pre-copy=9 poll=3 pre-copy=no rate=1000000");
    same("seed=7 then=resume unrecoverable=reset no-p2p-traffic=yes dry-run=yes events=no");
    same("seed=7 restore-deadline=5 run=no restore-no-p2p-traffic=yes latency=1 bandwidth=2 capacity=3");
    same("seed=7 call=1 ticks=2 writes=3 churn=0 reinit-after=5 settle=nobody");
    same("seed=7 dialects=thread,fsm,libvfio-user region=window=16KiB,mmap=sparse,segment=100..9KiB");
    same("seed=7 devices=stop-copy+pre-copy dialects=qemu region=");
    same(
        "seed=7 devices=stop-copy,stop-copy dialects=qemu,fsm dialects-there=thread,fsm region-there=window=16KiB,mmap=whole",
    );
    same("seed=7 source-model=read@3:flip destination-model=write@1+:discard");
    same("seed=7 fault=save:1:fails(5) fault=forward:3:cut(20) command=restore:4:claim command=save:5:force");
}

#[test]
fn every_fault_has_a_text() {
    let steps = [
        Step::SetState {
            from: vfio_migration_protocol::State::Running,
            to: vfio_migration_protocol::State::Stop,
            arcs: 2,
        },
        Step::PreCopyInfo,
        Step::ReadDevice,
        Step::WriteDevice,
        Step::TrackerStart,
        Step::Commit,
    ];
    let calls = steps.into_iter().flat_map(|step| step.faults(Side::Save, 3));
    let strays = Stray::FORWARD.into_iter().chain(Stray::BACK).map(LinkFault::Stray);
    let links = [LinkFault::Cut(7), LinkFault::Mute, LinkFault::Stall, LinkFault::Flip].into_iter().chain(strays);
    let direction = vfio_migration_simulation::Direction::Back;
    let links = links.map(|what| Fault::Link { direction, number: 9, what });
    let all: Vec<Fault> = calls.chain(links).collect();
    for fault in &all {
        assert_eq!(fault.to_string().parse().as_ref(), Ok(fault));
    }
    assert!(all.len() > 50);
}

#[test]
fn what_is_no_scenario_is_refused_by_name() {
    for (text, part) in [
        ("sed=7", "sed=7"),
        ("seed", "seed"),
        ("seed=x", "seed=x"),
        ("devices=p3p", "devices=p3p"),
        ("way=sideways", "way=sideways"),
        ("fault=save:1:explodes", "fault=save:1:explodes"),
        ("fault=save:1:fails", "fault=save:1:fails"),
        ("fault=save:x:breaks", "fault=save:x:breaks"),
        ("fault=sideways:1:cut(1)", "fault=sideways:1:cut(1)"),
        ("command=save:1:sing", "command=save:1:sing"),
        ("seed=1 wire=perhaps", "wire=perhaps"),
        ("dialects=thread,cockney", "dialects=thread,cockney"),
        ("region=window=7", "region=window=7"),
        ("region=window=8KiB,size=0", "region=window=8KiB,size=0"),
    ] {
        let error = text.parse::<Scenario>().expect_err("no scenario");
        assert_eq!(error.part, part);
    }
}
