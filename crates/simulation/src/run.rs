use core::fmt;
use core::time::Duration;

use vfio_migration_protocol::State;
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{Command, Failure};

use crate::course::Course;
use crate::end::End;
use crate::invariants::Rule;
use crate::scenario::{NotAScenario, Scenario, Settle};
use crate::subject::Subject;
use crate::verdict;
use crate::world::World;

/// After so many deadlines nothing is going to happen by itself any more.
const PATIENCE: u32 = 25;

/// Most moments that a run may have, a few hundred times as many as one of ordinary size has.
pub const MOST_MOMENTS: usize = 50_000;

/// Why there is no course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotSimulated {
    /// The scenario is none.
    Scenario(NotAScenario),
    /// A session refuses to begin with such objects or options.
    Session(Failure),
    /// It goes on for more than [`MOST_MOMENTS`]. The scenario's text.
    TooLong(String),
}

impl From<NotAScenario> for NotSimulated {
    fn from(error: NotAScenario) -> Self {
        Self::Scenario(error)
    }
}

impl From<Failure> for NotSimulated {
    fn from(failure: Failure) -> Self {
        Self::Session(failure)
    }
}

impl fmt::Display for NotSimulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scenario(error) => error.fmt(f),
            Self::Session(failure) => failure.fmt(f),
            Self::TooLong(scenario) => {
                write!(f, "the simulation goes on for more than {MOST_MOMENTS} moments: {scenario}")
            }
        }
    }
}

impl core::error::Error for NotSimulated {}

/// Simulates a migration to its end.
///
/// Fails where the scenario is out of its [bounds](Scenario::check), where a session refuses to begin with such objects
/// or options, and where it goes on for too long.
///
/// ```
/// use vfio_migration_simulation::{Scenario, run};
/// use vfio_migration_protocol::Outcome;
/// use vfio_migration_protocol::report::Side;
///
/// let course = run(&Scenario::default()).expect("the default scenario is a session");
/// course.expect_sound();
/// assert_eq!(course.outcome(Side::Save), Some(Outcome::Completed));
/// assert_eq!(course.outcome(Side::Restore), Some(Outcome::Completed));
/// assert_eq!(course.resets(), 0);
/// ```
pub fn run(scenario: &Scenario) -> Result<Course, NotSimulated> {
    scenario.check()?;
    let mut world = World::new(scenario, End::source(scenario)?, End::destination(scenario)?);
    let deadline = scenario.save.deadline.max(scenario.restore.deadline);
    let patience = deadline * PATIENCE + scenario.save.max_pre_copy;
    world.run(patience);
    settle(&mut world, patience);
    if world.is_too_long() {
        return Err(NotSimulated::TooLong(scenario.to_string()));
    }
    let in_doubt = [Side::Save, Side::Restore].map(|side| !world.is_over(side) && verdict::is_in_doubt(&world, side));
    let states = [0, 1].map(|side: usize| world.ends[side].devices.iter().map(Subject::truth).collect());
    verdict::judge(&mut world, in_doubt);
    Ok(finish(world, states, in_doubt))
}

/// The callers settle the doubt, if there is any, by looking at both ends.
fn settle(world: &mut World, patience: Duration) {
    let wish = world.scenario.settle;
    if wish == Settle::Nobody {
        return;
    }
    let (mut asked, mut claimed) = (false, false);
    for _ in 0..6 {
        let doubt = [Side::Save, Side::Restore].map(|side| !world.is_over(side) && verdict::is_in_doubt(world, side));
        let [source, destination] = &world.ends;
        let (there, here) = (destination.guest.running, source.guest.running);
        // What cannot have the guest any more: it has ended without it, died, or never began.
        let without_destination = world.is_over(Side::Restore) && !there;
        let source_without = world.is_over(Side::Save) && !here;
        let next = match doubt {
            [true, _] if there => (Side::Save, Command::Discard),
            [true, _] if without_destination => (Side::Save, Command::TakeBack { force: true }),
            [false, true] if here || !source_without && !world.is_over(Side::Save) => (Side::Restore, Command::Discard),
            [false, true] if source_without && !claimed => (Side::Restore, Command::Claim),
            [true, true] if wish == Settle::Destination && !claimed => (Side::Restore, Command::Claim),
            [true, true] if wish == Settle::Force && !asked => (Side::Save, Command::TakeBack { force: true }),
            [true, true] if wish == Settle::Source && !asked => (Side::Save, Command::TakeBack { force: false }),
            [_, true] => (Side::Restore, Command::Discard),
            [true, false] if !asked => (Side::Save, Command::TakeBack { force: false }),
            _ => return,
        };
        asked |= matches!(next.1, Command::TakeBack { .. });
        claimed |= next.1 == Command::Claim;
        let (side, command) = next;
        let answer = world.command_now(side, &command);
        if answer.is_err() {
            let what = format!("{side:?} is in doubt and does not follow {command:?}: {answer:?}");
            world.broke(Rule::Commands, &what);
            return;
        }
        let until = world.now + patience;
        world.run(until);
    }
}

fn finish(world: World, states: [Vec<Option<State>>; 2], in_doubt: [bool; 2]) -> Course {
    let over = [Side::Save, Side::Restore].map(|side| world.is_over(side));
    let World { scenario, now, ends, messages, invariants, snapshot, answers, most_held, .. } = world;
    let World { moments, situations, .. } = world;
    let [source, destination] = &ends;
    Course {
        endings: [source.machine.ending().cloned(), destination.machine.ending().cloned()],
        guests: [source.guest.running, destination.guest.running],
        stuck: [source.stuck > 0 && !over[0], destination.stuck > 0 && !over[1]],
        started: [source.started, destination.started],
        in_doubt,
        violations: invariants.violations,
        arrived: snapshot.arrived.map(|arrived| arrived.is_ok()),
        took: now,
        states,
        steps: ends.map(|end| end.steps),
        messages,
        scenario,
        moments,
        situations,
        answers,
        most_held,
    }
}
