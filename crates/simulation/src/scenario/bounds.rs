//! How large a scenario may be: whoever reads one from outside, a page its address, is not hung by it.

use core::ops::RangeInclusive;
use core::time::Duration;

use vfio_migration_protocol::report::Side;

use super::{NotAScenario, Scenario};

/// How many devices.
const DEVICES: RangeInclusive<u64> = 1..=4;
/// Bytes of data of each device.
const DATA: RangeInclusive<u64> = 0..=512 << 10;
/// Pages of guest memory.
const PAGES: RangeInclusive<u64> = 0..=256;
/// Bytes of a chunk.
const CHUNK: RangeInclusive<u64> = 4 << 10..=256 << 10;
/// Chunks in flight.
const DEPTH: RangeInclusive<u64> = 1..=32;
/// What happens in a millisecond: ticks, pages written to; and what changes in a tick.
const WORK: RangeInclusive<u64> = 0..=64;
/// Bytes of a region's window.
const WINDOW: RangeInclusive<u64> = 4 << 10..=1 << 20;
/// Things that go wrong, and wishes, each.
const LISTED: RangeInclusive<u64> = 0..=64;
/// Times in microseconds: deadlines, budgets, latencies, calls.
const TIME: RangeInclusive<u64> = 0..=60_000_000;

impl Scenario {
    /// Whether it can be simulated. [`run`](crate::run) and the reader of its text ask.
    ///
    /// | word | from | to |
    /// |---|---|---|
    /// | `devices` | 1 | 4 of them |
    /// | `data` | 0 | 512 KiB |
    /// | `pages` | 0 | 256 |
    /// | `chunk` | 4 KiB | 256 KiB |
    /// | `depth` | 1 | 32 |
    /// | `ticks`, `writes`, `churn` | 0 | 64 |
    /// | the window in `region`, `region-there` | 4 KiB | 1 MiB |
    /// | every time | 0 | 60 s |
    /// | `fault`, `command`, `source-model`, `destination-model` | | 64 of each |
    ///
    /// How long a run takes does not depend on its sizes alone; so a run also ends with an error after
    /// [`MOST_MOMENTS`](crate::MOST_MOMENTS).
    pub fn check(&self) -> Result<(), NotAScenario> {
        let Self { save, restore, link, .. } = self;
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let within = |word: &'static str, value: u64, bounds: RangeInclusive<u64>| {
            let why = || format!("it goes from {} to {}", bounds.start(), bounds.end());
            if bounds.contains(&value) { Ok(()) } else { Err(NotAScenario::because(format!("{word}={value}"), why())) }
        };
        within("devices", count(self.devices.len()), DEVICES)?;
        within("data", self.data.into(), DATA)?;
        within("pages", self.pages.into(), PAGES)?;
        within("chunk", save.chunk.into(), CHUNK)?;
        within("depth", save.depth.into(), DEPTH)?;
        within("ticks", self.ticks.into(), WORK)?;
        within("writes", self.writes.into(), WORK)?;
        within("churn", self.churn.into(), WORK)?;
        within("region=window", self.region.window, WINDOW)?;
        if let Some(there) = &self.region_there {
            within("region-there=window", there.window, WINDOW)?;
        }
        let lists = [
            ("fault", self.faults.len()),
            ("command", self.commands.len()),
            ("source-model", self.source_model.len()),
            ("destination-model", self.destination_model.len()),
        ];
        lists.into_iter().try_for_each(|(word, listed)| within(word, count(listed), LISTED))?;
        let times = [
            ("deadline", save.deadline),
            ("budget", save.downtime_budget),
            ("max-pre-copy", save.max_pre_copy),
            ("poll", save.poll_interval),
            ("restore-deadline", restore.deadline),
            ("latency", link.latency),
            ("call", self.call),
        ];
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        times.into_iter().try_for_each(|(word, time)| within(word, micros(time), TIME))?;
        (0..self.devices.len()).try_for_each(|place| {
            let why = |error: vfio_migration_model::SettingsError| NotAScenario::because("devices", error.to_string());
            [Side::Save, Side::Restore]
                .into_iter()
                .try_for_each(|side| self.settings_of(side, place).check())
                .map_err(why)
        })
    }
}
