//! What is simulated, as a value and as a line of text that replays it.

mod bounds;
mod text;

use core::fmt;
use core::time::Duration;

use vfio_migration_model::{RegionSettings, Settings};
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{Command, Mode, RestoreOptions, SaveOptions};
use vfio_migration_protocol::state::Dialect;
use vfio_migration_protocol::{Capabilities, State};

use crate::fault::Fault;

/// A migration to simulate: the same scenario always takes the same course.
///
/// Its text names what differs from the default, and replays it:
///
/// ```
/// use vfio_migration_simulation::Scenario;
/// let scenario: Scenario = "seed=7 devices=stop-copy+p2p+pre-copy,stop-copy+p2p pages=8 fault=save:12:fails(5)".parse()?;
/// assert_eq!(scenario.devices.len(), 2);
/// assert_eq!(scenario.to_string().parse(), Ok(scenario));
/// # Ok::<(), vfio_migration_simulation::NotAScenario>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Decides everything that is left to chance: how long each call takes and when it takes effect, what the guest
    /// writes, in which order the destination lists its objects.
    pub seed: u64,
    /// What each device is capable of; one to four of them.
    pub devices: Vec<Capabilities>,
    /// Whose reading of the region protocol each device follows; those of `None`, and those after the last of the list,
    /// have a data fd.
    pub dialects: Vec<Option<Dialect>>,
    /// What the regions are like apart from their dialect.
    pub region: RegionSettings,
    /// The same of the destination's devices, where it is not as at the source.
    pub dialects_there: Option<Vec<Option<Dialect>>>,
    /// The same of the destination's regions, where they are not as at the source.
    pub region_there: Option<RegionSettings>,
    /// Bytes of data that each device has.
    pub data: u32,
    /// Pages of guest memory that move with the devices, 0 for none.
    pub pages: u32,
    /// What lies between the two ends. Decides the mode of the save's options.
    pub way: Way,
    /// Whether messages pass through the stream's codec as bytes.
    pub wire: bool,
    /// In which state the session finds the source's devices. The guest works only if they do.
    pub found: State,
    /// In which state the session finds the destination's devices.
    pub there: State,
    /// How the save goes.
    pub save: SaveOptions,
    /// How the restore goes.
    pub restore: RestoreOptions,
    /// What the link is like.
    pub link: LinkOptions,
    /// How long a call takes, about.
    pub call: Duration,
    /// What a device works in a millisecond: ticks.
    pub ticks: u32,
    /// Pages of guest memory that the guest writes to in a millisecond.
    pub writes: u32,
    /// Pages of its own that a device changes in a tick.
    pub churn: u32,
    /// After how many reads a device has new initial data.
    pub reinit_after: Option<u32>,
    /// What goes wrong inside of the source's first device.
    pub source_model: Vec<vfio_migration_model::Fault>,
    /// What goes wrong inside of the destination's first device.
    pub destination_model: Vec<vfio_migration_model::Fault>,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What the callers of the two ends wish, and when.
    pub commands: Vec<Order>,
    /// How doubt is settled once nothing goes on by itself.
    pub settle: Settle,
}

/// What lies between the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A connection, on which messages come back.
    Connected,
    /// A pipe: one-way, both ends at the same time.
    Pipe,
    /// A file: one-way, and the restore starts once the save has committed it.
    File,
}

/// What a link is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkOptions {
    /// From the last byte sent to the last byte received.
    pub latency: Duration,
    /// Bytes a second.
    pub bandwidth: u64,
    /// How many bytes may be under way or unread in one direction before the sender has to wait.
    pub capacity: u32,
}

/// A wish of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Whose caller.
    pub side: Side,
    /// Right before this step is carried out.
    pub number: u32,
    /// What.
    pub command: Command,
}

/// The text is not what [`Scenario`] or [`Fault`] write, or the scenario is larger than
/// [`check`](Scenario::check) allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAScenario {
    /// The part that is wrong.
    pub part: String,
    /// What is wrong with it, where it is not that nothing is called so.
    pub why: Option<String>,
}

impl NotAScenario {
    /// Nothing that can stand in a scenario.
    pub(crate) fn unknown(part: impl Into<String>) -> Self {
        Self { part: part.into(), why: None }
    }

    /// What would be a part if it were otherwise.
    pub(crate) fn because(part: impl Into<String>, why: impl Into<String>) -> Self {
        Self { part: part.into(), why: Some(why.into()) }
    }
}

impl fmt::Display for NotAScenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is no part of a scenario", self.part)?;
        self.why.as_ref().map_or(Ok(()), |why| write!(f, ": {why}"))
    }
}

impl core::error::Error for NotAScenario {}

/// How the callers settle doubt: by looking at both ends, which the ends themselves cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Not at all: the run ends in doubt.
    Nobody,
    /// Where both are possible, the source keeps the guest.
    Source,
    /// Where both are possible, the destination has the guest.
    Destination,
    /// The source takes the guest back without asking, because its caller sees that the destination does not run.
    Force,
}

impl Scenario {
    /// The mode of the session.
    pub const fn mode(&self) -> Mode {
        match self.way {
            Way::Connected => Mode::Connected,
            Way::Pipe | Way::File => Mode::OneWay,
        }
    }

    /// What a device of one end is. Nothing goes wrong in it.
    pub(crate) fn settings_of(&self, side: Side, place: usize) -> Settings {
        let there = side == Side::Restore;
        let dialects = self.dialects_there.as_ref().filter(|_| there).unwrap_or(&self.dialects);
        let region = self.region_there.as_ref().filter(|_| there).unwrap_or(&self.region);
        let dialect = dialects.get(place).copied().flatten();
        Settings {
            size: self.data.into(),
            capabilities: self.devices[place],
            seed: self.seed ^ place as u64,
            dirty_rate: self.churn.into(),
            dma_rate: 1,
            lane: (place as u64, self.devices.len() as u64),
            reinit_after: self.reinit_after.map(u64::from),
            region: dialect.map(|dialect| RegionSettings { dialect, ..region.clone() }),
            ..Settings::default()
        }
    }

    /// The same with one thing more that goes wrong.
    #[must_use]
    pub fn with(&self, fault: Fault) -> Self {
        let mut scenario = self.clone();
        scenario.faults.push(fault);
        scenario
    }

    /// The same with one wish more.
    #[must_use]
    pub fn wishing(&self, side: Side, number: u32, command: Command) -> Self {
        let mut scenario = self.clone();
        scenario.commands.push(Order { side, number, command });
        scenario
    }
}

impl Default for Scenario {
    /// One device that can do everything, a little memory, a fast link, and deadlines that are short for a simulation. A
    /// region's window has room for a part of the data.
    fn default() -> Self {
        let [.., all] = Capabilities::FSM_SETS;
        let devices = vec![all | Capabilities::DIRTY_TRACKING];
        let save = SaveOptions {
            chunk: 4096,
            depth: 4,
            deadline: Duration::from_millis(200),
            downtime_budget: Duration::from_millis(5),
            max_pre_copy: Duration::from_millis(100),
            poll_interval: Duration::from_millis(1),
            ..SaveOptions::default()
        };
        Self {
            seed: 1,
            devices,
            dialects: Vec::new(),
            region: RegionSettings { window: 8 << 10, ..RegionSettings::default() },
            dialects_there: None,
            region_there: None,
            data: 20 << 10,
            pages: 16,
            way: Way::Connected,
            wire: true,
            found: State::Running,
            there: State::Running,
            save,
            restore: RestoreOptions { deadline: Duration::from_millis(200), ..RestoreOptions::default() },
            link: LinkOptions { latency: Duration::from_micros(50), bandwidth: 100 << 20, capacity: 32 << 10 },
            call: Duration::from_micros(20),
            ticks: 4,
            writes: 2,
            churn: 1,
            reinit_after: None,
            source_model: Vec::new(),
            destination_model: Vec::new(),
            faults: Vec::new(),
            commands: Vec::new(),
            settle: Settle::Source,
        }
    }
}
