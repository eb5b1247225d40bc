//! Groups, links, options and up to four things that go wrong at once, all drawn from a seed.

use core::time::Duration;

use vfio_migration_model::{Mapped, RegionSettings};
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{Command, RestoreOptions, SaveOptions, Then, Unrecoverable};
use vfio_migration_protocol::state::Dialect;
use vfio_migration_protocol::{Capabilities, State};
use vfio_migration_simulation::{
    Dice, Direction, Fault, LinkFault, LinkOptions, Scenario, Settle, Step, Stray, Way, run,
};

use crate::sweep;

fn pick<T: Copy>(dice: &mut Dice, from: &[T]) -> T {
    from[usize::try_from(dice.roll(from.len() as u64)).expect("an index")]
}

/// A migration in which nothing goes wrong.
fn drawn(seed: u64) -> Scenario {
    let mut dice = Dice::new(seed);
    let count = 1 + usize::try_from(dice.roll(3)).expect("a few");
    let traffic = dice.roll(5) > 0;
    let sets: Vec<Capabilities> =
        Capabilities::FSM_SETS.into_iter().filter(|set| count == 1 || !traffic || set.has(Capabilities::P2P)).collect();
    let logs = dice.roll(3) > 0;
    let device = |dice: &mut Dice| {
        let set = pick(dice, &sets);
        if logs { set | Capabilities::DIRTY_TRACKING } else { set }
    };
    let devices = (0..count).map(|_| device(&mut dice)).collect();
    let way = pick(&mut dice, &[Way::Connected, Way::Connected, Way::Connected, Way::Pipe, Way::File]);
    let base = Scenario::default();
    Scenario {
        seed,
        devices,
        data: pick(&mut dice, &[0, 1, 3000, 9000, 20_000]),
        pages: pick(&mut dice, &[0, 1, 3, 7]),
        way,
        found: pick(&mut dice, &[State::Running, State::Running, State::Running, State::RunningP2p, State::Stop]),
        there: pick(&mut dice, &[State::Running, State::Running, State::Running, State::RunningP2p, State::Stop]),
        wire: dice.roll(4) > 0,
        save: SaveOptions {
            depth: pick(&mut dice, &[1, 2, 4]),
            chunk: pick(&mut dice, &[4096, 8192]),
            then: pick(&mut dice, &[Then::Stop, Then::Stop, Then::Resume]),
            unrecoverable: pick(&mut dice, &[Unrecoverable::Leave, Unrecoverable::Reset]),
            no_p2p_traffic: !traffic,
            max_pre_copy: Duration::from_millis(pick(&mut dice, &[3, 100])),
            pre_copy: dice.roll(6) > 0,
            ..base.save
        },
        restore: RestoreOptions {
            run: pick(&mut dice, &[None, None, Some(true), Some(false)]),
            no_p2p_traffic: !traffic,
            deadline: Duration::from_millis(pick(&mut dice, &[60, 200, 500])),
        },
        link: LinkOptions {
            latency: Duration::from_micros(pick(&mut dice, &[0, 50, 3000])),
            bandwidth: pick(&mut dice, &[2_000_000, 100_000_000]),
            capacity: pick(&mut dice, &[1, 10_000, 100_000]),
        },
        call: Duration::from_micros(pick(&mut dice, &[0, 20, 700])),
        churn: pick(&mut dice, &[0, 1, 4]),
        reinit_after: pick(&mut dice, &[None, None, Some(3)]),
        settle: pick(&mut dice, &[Settle::Nobody, Settle::Source, Settle::Destination, Settle::Force]),
        ..base
    }
}

/// The same with a region in each device, or in some: every dialect where the group needs no barrier, and the one that
/// knows NDMA where it does.
fn with_regions(seed: u64) -> Scenario {
    let mut scenario = drawn(seed);
    let mut dice = Dice::new(seed).split(5);
    let traffic = !scenario.save.no_p2p_traffic;
    let some = [Some(Dialect::Thread), Some(Dialect::Thread), None];
    let all =
        [Some(Dialect::Thread), Some(Dialect::Qemu), Some(Dialect::LibvfioUser), Some(Dialect::LibvfioUser), None];
    let barrier = traffic && scenario.devices.len() > 1;
    for device in &mut scenario.devices {
        let dialect = if barrier { pick(&mut dice, &some) } else { pick(&mut dice, &all) };
        scenario.dialects.push(dialect);
        if matches!(dialect, Some(Dialect::Qemu | Dialect::LibvfioUser)) {
            *device = Capabilities::from_bits(device.bits() & !Capabilities::P2P.bits());
            // From a stop these have no way on.
            (scenario.found, scenario.there) = (State::Running, State::Running);
        }
    }
    let (window, segment) =
        pick(&mut dice, &[(4 << 10, None), (8 << 10, Some((70, 8 << 10))), (64 << 10, Some((100, 3000)))]);
    let mapped = pick(&mut dice, &[Mapped::Nothing, Mapped::Whole, Mapped::Sparse]);
    // A region does not say that there is new initial data.
    scenario.reinit_after = scenario.reinit_after.filter(|_| scenario.dialects.iter().all(Option::is_none));
    scenario.region = RegionSettings { window, segment, mapped, ..RegionSettings::default() };
    scenario
}

/// One thing more that goes wrong, or that somebody wishes.
fn spoil(dice: &mut Dice, scenario: &Scenario, steps: &[Vec<Step>; 2], messages: &[Vec<&str>; 2]) -> Scenario {
    let side = pick(dice, &[Side::Save, Side::Restore]);
    let steps = &steps[side as usize];
    // A little beyond the end too: what went wrong before makes a run longer.
    let number = u32::try_from(dice.roll(steps.len() as u64 + 8)).expect("a few steps");
    match dice.roll(10) {
        0..6 => {
            let usual = Step::SetState { from: scenario.found, to: scenario.found, arcs: 1 };
            let step = steps.get(number as usize).copied().filter(|step| step.is_call()).unwrap_or(usual);
            let what = pick(dice, &step.call_faults());
            scenario.with(Fault::Call { side, number, what })
        }
        6 => scenario.with(pick(dice, &[Fault::Silent { side, number }, Fault::Killed { side, number }])),
        7 => {
            let direction = pick(dice, &[Direction::Forward, Direction::Back]);
            let count = messages[direction as usize].len() as u64;
            let number = u32::try_from(dice.roll(count + 4)).expect("a few messages");
            let mut faults =
                vec![LinkFault::Cut(0), LinkFault::Cut(20), LinkFault::Mute, LinkFault::Stall, LinkFault::Flip];
            if !scenario.wire {
                // Well-formed lies: no codec stands before the machine.
                let strays = if direction == Direction::Forward { &Stray::FORWARD[..] } else { &Stray::BACK[..] };
                faults.extend(strays.iter().map(|stray| LinkFault::Stray(*stray)));
            }
            scenario.with(Fault::Link { direction, number, what: pick(dice, &faults) })
        }
        _ => {
            let cancel = || Command::Cancel("the caller does not want it any more".into());
            let command = match dice.roll(8) {
                0..3 => cancel(),
                3 => Command::Switchover,
                4 => Command::TakeBack { force: false },
                5 => Command::TakeBack { force: true },
                6 => Command::Claim,
                _ => Command::Discard,
            };
            scenario.wishing(side, number, command)
        }
    }
}

fn many(seeds: core::ops::Range<u64>, drawn: fn(u64) -> Scenario) {
    let scenarios = seeds.flat_map(|seed| {
        let scenario = drawn(seed);
        let clean = run(&scenario).expect("a session");
        let mut dice = Dice::new(seed).split(9);
        let spoilt: Vec<Scenario> = (1..5)
            .map(|count| {
                (0..count).fold(scenario.clone(), |spoilt, _| spoil(&mut dice, &spoilt, &clean.steps, &clean.messages))
            })
            .collect();
        core::iter::once(scenario).chain(spoilt)
    });
    sweep::all_sound(scenarios);
}

/// How many seeds, unless the environment asks for more.
fn count() -> u64 {
    std::env::var("SIMULATION_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(600)
}

#[test]
fn whatever_goes_wrong_at_once() {
    many(0..count(), drawn);
}

#[test]
fn whatever_else_goes_wrong_at_once() {
    many(1_000_000..1_000_000 + count(), drawn);
}

#[test]
fn whatever_goes_wrong_at_once_with_regions() {
    many(2_000_000..2_000_000 + count(), with_regions);
}
