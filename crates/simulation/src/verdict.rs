//! What must hold once nothing happens any more.

use vfio_migration_protocol::State;
use vfio_migration_protocol::report::{Outcome, Side};
use vfio_migration_protocol::session::{Mode, Then, Unrecoverable};

use crate::invariants::Rule;
use crate::scenario::{Scenario, Settle, Way};
use crate::subject::Subject;
use crate::world::World;

/// How long a device that is still here has to show that it works.
const TICKS: u32 = 5;

/// Whether an end has said that it is in doubt.
pub(crate) const fn is_in_doubt(world: &World, side: Side) -> bool {
    match side {
        Side::Save => world.invariants.source.in_doubt,
        Side::Restore => world.invariants.destination.in_doubt,
    }
}

/// Judges a run that is over.
pub(crate) fn judge(world: &mut World, in_doubt: [bool; 2]) {
    ends(world, in_doubt);
    reports(world);
    somebody(world, in_doubt);
    source_stays(world);
    destination_leaves(world);
    arrived(world);
    hands_off(world);
    if is_clean(&world.scenario) {
        clean(world);
    }
}

/// Everything ends, but for what waits for a call that never returns, and for what is left in doubt.
fn ends(world: &mut World, in_doubt: [bool; 2]) {
    for side in [Side::Save, Side::Restore] {
        let end = &world.ends[side as usize];
        let (over, stuck) = (world.is_over(side), end.stuck > 0);
        // Nobody can settle what the other end may still do.
        let peer = &world.ends[1 - side as usize];
        let left = in_doubt[side as usize] && (world.scenario.settle == Settle::Nobody || peer.stuck > 0);
        let announced = match side {
            Side::Save => world.invariants.source.announced_overdue,
            Side::Restore => world.invariants.destination.announced_overdue,
        };
        if !over && !stuck && !left {
            world.broke(
                Rule::Ends,
                &format!("the {side:?} end has not ended, is in doubt: {}", in_doubt[side as usize]),
            );
        }
        if !over && stuck && !announced {
            world.broke(Rule::Named, &format!("the {side:?} end waits for ever and did not say overdue"));
        }
    }
}

/// Every end has a named outcome, and what it reports is so.
fn reports(world: &mut World) {
    for side in [Side::Save, Side::Restore] {
        let end = &world.ends[side as usize];
        if !end.finished {
            continue;
        }
        let Some(ending) = end.machine.ending() else {
            world.broke(Rule::Named, &format!("the {side:?} end has finished without an ending"));
            continue;
        };
        let mut wrong = Vec::new();
        for device in &end.devices {
            let Some(object) = ending.report.objects.iter().find(|object| object.id == device.id) else {
                wrong.push(format!("{} does not stand in the report", device.id));
                continue;
            };
            if object.outcome.is_none() {
                wrong.push(format!("{} has no outcome", device.id));
            }
            // A broken device need not have been looked at again; before the session looked, nothing is known.
            let known = object.state.is_none() && (device.excused || object.walked.is_empty());
            if !known && object.state != device.truth() && !device.excused {
                wrong.push(format!("{} is said to be in {:?} and is in {:?}", device.id, object.state, device.truth()));
            }
            let right = [device.resets, device.resets_tried].contains(&object.resets);
            if !right {
                wrong.push(format!(
                    "{} is said to be reset {} times, it was {}",
                    device.id, object.resets, device.resets
                ));
            }
        }
        let worst = ending.report.objects.iter().filter_map(|object| object.outcome).max();
        if worst.is_some_and(|worst| worst != ending.report.outcome) {
            wrong.push(format!("the outcome is {}, the worst of the devices {worst:?}", ending.report.outcome));
        }
        if ending.failure.is_some() != ending.report.failure.is_some() {
            wrong.push("the ending and the report do not agree on what failed".into());
        }
        if let Some(first) = wrong.first() {
            let what = format!("{side:?}: {first}");
            world.broke(Rule::Named, &what);
        }
    }
}

/// Never nobody: the guest is somewhere, or in doubt with everything kept.
fn somebody(world: &mut World, in_doubt: [bool; 2]) {
    let [source, destination] = &world.ends;
    if source.guest.running || destination.guest.running || in_doubt.contains(&true) {
        return;
    }
    if world.invariants.owners.false_word {
        return;
    }
    // A guest that was not running when the session began stays so.
    let paused = !source.guest.ran;
    // Whose hook or call never returned has the guest in its hands, or its caller has.
    let stuck = source.stuck > 0 || destination.stuck > 0;
    // A host that died took what it had with it.
    let died = source.dead || destination.dead;
    let one_way = world.scenario.mode() == Mode::OneWay;
    // A one-way stream that is whole can be restored, now or later.
    let kept = one_way && world.invariants.source.given_up;
    // A caller whose own hook failed was told, and has the guest.
    let hook = world.scenario.faults.iter().any(|fault| fault.to_string().contains("fails"))
        && (world.invariants.source.unpauses > 0 || world.invariants.destination.failed);
    if !stuck && !died && !kept && !hook && !paused {
        let outcomes = [source, destination].map(|end| end.machine.ending().map(|ending| ending.report.outcome));
        world.broke(Rule::NeverNobody, &format!("the guest runs nowhere; source and destination came to {outcomes:?}"));
    }
}

/// What the source keeps works, in the states in which it was found; what it gave away is at rest.
fn source_stays(world: &mut World) {
    let allowed = world.scenario.save.unrecoverable == Unrecoverable::Reset;
    let paused = world.invariants.source.pause_settled == Some(true);
    let source = &mut world.ends[Side::Save as usize];
    if source.dead || !source.finished {
        return;
    }
    let Some(outcome) = source.machine.ending().map(|ending| ending.report.outcome) else { return };
    let mut wrong = None;
    if source.guest.running {
        let before: Vec<u64> = source.devices.iter().map(Subject::counter).collect();
        source.devices.iter_mut().for_each(|device| device.advance(TICKS));
        for (device, before) in source.devices.iter().zip(before) {
            let works = device.truth() == Some(device.found) && device.counter() == before + u64::from(TICKS);
            let works = works || !device.found.is_running() && device.truth() == Some(device.found);
            // A device that went wrong may be lost or reset, and still has to have that name.
            // On its way back it would stop, and its guest was not paused for that.
            let back = device.truth().filter(|state| state.is_pre_copy());
            let back = back.and_then(|state| device.table().path(state, device.found).ok());
            let stays = !paused && back.is_some_and(|path| path.iter().any(|state| !state.is_running()));
            let named = stays && outcome == Outcome::Returned
                || device.excused && (outcome != Outcome::Returned || device.is_running() || !device.touched);
            if !works && !named {
                wrong = Some(format!("{} is in {:?}, and came to {outcome}", device.id, device.truth()));
            }
            if device.resets > 0 && !allowed {
                wrong = Some(format!("{} was reset", device.id));
            }
        }
    } else if outcome == Outcome::Completed && world.invariants.source.unpauses == 0 {
        let moving = source.devices.iter().find(|device| device.truth() != Some(State::Stop) && !device.excused);
        wrong = moving.map(|device| format!("{} has moved and is in {:?}", device.id, device.truth()));
    }
    let logging = world.invariants.source.left_logging();
    let wrong = wrong.or_else(|| logging.map(|tracker| format!("tracker {} was never stopped", tracker.0)));
    if let Some(wrong) = wrong {
        world.broke(Rule::GoesOn, &wrong);
    }
}

/// A destination that did not get the guest keeps nothing of it.
fn destination_leaves(world: &mut World) {
    let destination = &world.ends[Side::Restore as usize];
    let outcome = destination.machine.ending().map(|ending| ending.report.outcome);
    if destination.dead || !matches!(outcome, Some(Outcome::Returned | Outcome::Reset)) {
        return;
    }
    if let Some(device) = destination.devices.iter().find(|device| device.carries) {
        let what = format!("{} is left in {:?} with the guest's data in it", device.id, device.truth());
        world.broke(Rule::NoReset, &what);
    }
}

/// What runs at the destination, or is kept there to run, is what stopped at the source.
fn arrived(world: &mut World) {
    let destination = &mut world.ends[Side::Restore as usize];
    if destination.dead {
        return;
    }
    let completed = destination.machine.ending().is_some_and(|ending| ending.report.outcome == Outcome::Completed);
    let rests = |device: &Subject| device.truth() == Some(State::Stop) || device.waits_in_resuming();
    let kept = destination.devices.iter().all(|device| device.carries && rests(device));
    let mut refused = false;
    if completed && kept {
        for device in destination.devices.iter_mut().filter(|device| device.waits_in_resuming()) {
            // Only now it says whether it takes its data, which the report leaves open.
            refused |= device.leave_resuming().is_err();
        }
        world.snapshot.compare(destination);
    }
    let there = world.ends[Side::Restore as usize].guest.running || completed && !refused;
    let wrong = match &world.snapshot.arrived {
        Some(Err(why)) => Some(why.clone()),
        None if there => Some("it was never compared".into()),
        _ => None,
    };
    if let Some(wrong) = wrong {
        world.broke(Rule::Arrived, &wrong);
    }
}

/// Nobody touched a device where nobody may.
fn hands_off(world: &mut World) {
    let devices = || world.ends.iter().flat_map(|end| &end.devices);
    let touched = devices().find(|device| device.model().touches() > 0 && !device.excused);
    let late = devices().find(|device| device.model().port().too_late() > 0);
    // A device that breaks while its peers work is written to, whatever anybody does.
    let broken = devices().any(|device| device.excused);
    let wrong = match (touched, late) {
        (Some(device), _) => Some(format!("{} was touched {} times", device.id, device.model().touches())),
        (None, Some(device)) if !broken => Some(format!(
            "peers wrote {} times to {} after it had stopped",
            device.model().port().too_late(),
            device.id
        )),
        _ => None,
    };
    if let Some(wrong) = wrong {
        world.broke(Rule::HandsOff, &wrong);
    }
}

/// Nothing goes wrong in it, and nobody wishes for anything that ends it.
fn is_clean(scenario: &Scenario) -> bool {
    let Scenario { faults, commands, source_model, destination_model, save, found, there, .. } = scenario;
    // In other states somebody else has the device.
    let free = |state: &State| matches!(state, State::Running | State::RunningP2p | State::Stop);
    free(found)
        && free(there)
        && faults.is_empty()
        && commands.is_empty()
        && source_model.is_empty()
        && destination_model.is_empty()
        && !save.dry_run
}

fn clean(world: &mut World) {
    let snapshot = world.scenario.way != Way::Connected && world.scenario.save.then == Then::Resume;
    let stays = world.scenario.restore.run.is_some_and(|run| !run) && world.scenario.way != Way::Connected;
    let runs = !stays && (!snapshot || world.scenario.restore.run == Some(true));
    let mut wrong = Vec::new();
    for side in [Side::Save, Side::Restore] {
        let Some(ending) = world.ends[side as usize].machine.ending() else {
            wrong.push(format!("{side:?} has no ending"));
            continue;
        };
        if ending.report.outcome != Outcome::Completed {
            wrong.push(format!("{side:?} came to {}", ending.report.outcome));
        }
        if let Some(failure) = &ending.report.failure {
            wrong.push(format!("{side:?}: {failure}"));
        }
        if ending.report.resets() > 0 {
            wrong.push(format!("{side:?} has reset something"));
        }
    }
    let guests = [world.ends[0].guest.running, world.ends[1].guest.running];
    if guests != [snapshot && world.ends[0].guest.ran, runs] {
        wrong.push(format!("guests run here and there: {guests:?}"));
    }
    if let Some(first) = wrong.first() {
        let first = first.clone();
        world.broke(Rule::Clean, &first);
    }
}
