//! Both ends of a migration over software devices, on a virtual clock and a simulated link: for tests, for matrices of
//! faults, for the browser. One thread, no I/O; the same [`Scenario`] always takes the same course, and its text replays
//! it.
//!
//! [`run`] drives the machines of both ends to their end. Every action takes time, devices and guest work meanwhile, and
//! everything that can go wrong does so where the scenario says: a [`Fault`] at any call of either end or at any
//! message, a wish of a caller at any step. After every step the rules of a session are checked from outside, on what
//! really happens to devices and guests: [`Rule`] names them. The [`Course`] says what happened and what was broken.
//!
//! | module | what lives there |
//! |---|---|
//! | `scenario`, `fault` | what is simulated and what goes wrong in it, as values and as text |
//! | `world` | the clock, the queue of what will happen, the link |
//! | `end` | one end: its machine, its devices, memory, trackers, hooks |
//! | `invariants`, `verdict` | what must hold after every step, and at the end |
//! | `course`, `moment`, `situation` | what a run leaves behind: a log of values, for people and for pictures |
//!
//! ```
//! use vfio_migration_simulation::{Scenario, run};
//! use vfio_migration_protocol::report::Side;
//!
//! // The first device of the source fails its fifth call with EIO.
//! let scenario: Scenario = "seed=7 fault=save:5:fails(5)".parse()?;
//! let course = run(&scenario).expect("a session");
//! course.expect_sound();
//! println!("{course}");
//! assert!(course.failure(Side::Save).is_some());
//! # Ok::<(), vfio_migration_simulation::NotAScenario>(())
//! ```
#![forbid(unsafe_code)]

mod codec;
mod course;
mod dice;
mod end;
mod fault;
mod guest;
mod invariants;
mod link;
mod machine;
mod moment;
mod queue;
mod run;
mod scenario;
mod situation;
mod snapshot;
mod step;
mod subject;
mod verdict;
mod world;

pub use course::Course;
pub use dice::Dice;
pub use fault::{CallFault, Direction, Fault, LinkFault, Stray};
pub use invariants::{Rule, Violation};
pub use moment::{Moment, What};
pub use run::{MOST_MOMENTS, NotSimulated, run};
pub use scenario::{LinkOptions, NotAScenario, Order, Scenario, Settle, Way};
pub use situation::{EndSituation, Owner, Place, Situation};
pub use step::Step;
