use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use vfio_migration_model::{RegionSettings, Settings};
use vfio_migration_protocol::Capabilities;
use vfio_migration_protocol::session::{Command, Then, Unrecoverable};
use vfio_migration_protocol::state::Dialect;

use super::{NotAScenario, Order, Scenario, Settle, Way};
use crate::fault::{parse_side, side_name, split_place};
use crate::moment::wish_name;

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plain, mine) = (words(&Self::default()), words(self));
        let mut between = "";
        for ((key, value), (_, usual)) in mine.iter().zip(&plain) {
            if value != usual || *key == "seed" {
                write!(f, "{between}{key}={value}")?;
                between = " ";
            }
        }
        self.source_model.iter().try_for_each(|fault| write!(f, " source-model={fault}"))?;
        self.destination_model.iter().try_for_each(|fault| write!(f, " destination-model={fault}"))?;
        self.faults.iter().try_for_each(|fault| write!(f, " fault={fault}"))?;
        self.commands.iter().try_for_each(|order| write!(f, " command={order}"))
    }
}

impl FromStr for Scenario {
    type Err = NotAScenario;

    fn from_str(text: &str) -> Result<Self, NotAScenario> {
        let mut scenario = Self::default();
        for word in text.split_ascii_whitespace() {
            word.split_once('=')
                .and_then(|(key, value)| set(&mut scenario, key, value))
                .ok_or_else(|| NotAScenario::unknown(word))?;
        }
        scenario.check()?;
        Ok(scenario)
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", side_name(self.side), self.number, wish_name(&self.command))
    }
}

impl FromStr for Order {
    type Err = NotAScenario;

    fn from_str(text: &str) -> Result<Self, NotAScenario> {
        let not = || NotAScenario::unknown(text);
        let (place, number, command) = split_place(text).ok_or_else(not)?;
        let command = match command {
            "cancel" => Command::Cancel("the caller does not want it any more".into()),
            "switchover" => Command::Switchover,
            "take-back" => Command::TakeBack { force: false },
            "force" => Command::TakeBack { force: true },
            "discard" => Command::Discard,
            "claim" => Command::Claim,
            _ => return Err(not()),
        };
        Ok(Self { side: parse_side(place).ok_or_else(not)?, number, command })
    }
}

/// Everything but faults and commands, which may be there many times. Times are in microseconds.
fn words(scenario: &Scenario) -> Vec<(&'static str, String)> {
    let Scenario { save, restore, link, .. } = scenario;
    let number = |number: u64| number.to_string();
    let micros = |time: Duration| time.as_micros().to_string();
    let yes = |yes: bool| if yes { "yes" } else { "no" }.to_string();
    let way = match scenario.way {
        Way::Connected => "connected",
        Way::Pipe => "pipe",
        Way::File => "file",
    };
    let settle = match scenario.settle {
        Settle::Nobody => "nobody",
        Settle::Source => "source",
        Settle::Destination => "destination",
        Settle::Force => "force",
    };
    let then = match save.then {
        Then::Stop => "stop",
        Then::Resume => "resume",
    };
    let unrecoverable = match save.unrecoverable {
        Unrecoverable::Leave => "leave",
        Unrecoverable::Reset => "reset",
    };
    vec![
        ("seed", number(scenario.seed)),
        ("devices", scenario.devices.iter().map(Capabilities::to_string).collect::<Vec<_>>().join(",")),
        ("dialects", dialects_text(&scenario.dialects)),
        ("region", region_text(&scenario.region)),
        ("dialects-there", scenario.dialects_there.as_deref().map_or(SAME.into(), dialects_text)),
        ("region-there", scenario.region_there.as_ref().map_or(SAME.into(), region_text)),
        ("data", number(scenario.data.into())),
        ("pages", number(scenario.pages.into())),
        ("way", way.into()),
        ("wire", yes(scenario.wire)),
        ("found", scenario.found.to_string()),
        ("there", scenario.there.to_string()),
        ("chunk", number(save.chunk.into())),
        ("depth", number(save.depth.into())),
        ("deadline", micros(save.deadline)),
        ("budget", micros(save.downtime_budget)),
        ("max-pre-copy", micros(save.max_pre_copy)),
        ("poll", micros(save.poll_interval)),
        ("pre-copy", yes(save.pre_copy)),
        ("rate", save.rate.map_or("none".into(), number)),
        ("then", then.into()),
        ("unrecoverable", unrecoverable.into()),
        ("no-p2p-traffic", yes(save.no_p2p_traffic)),
        ("dry-run", yes(save.dry_run)),
        ("events", yes(!save.no_events)),
        ("restore-deadline", micros(restore.deadline)),
        ("run", restore.run.map_or("none".into(), yes)),
        ("restore-no-p2p-traffic", yes(restore.no_p2p_traffic)),
        ("latency", micros(link.latency)),
        ("bandwidth", number(link.bandwidth)),
        ("capacity", number(link.capacity.into())),
        ("call", micros(scenario.call)),
        ("ticks", number(scenario.ticks.into())),
        ("writes", number(scenario.writes.into())),
        ("churn", number(scenario.churn.into())),
        ("reinit-after", scenario.reinit_after.map_or("none".into(), |reads| reads.to_string())),
        ("settle", settle.into()),
    ]
}

fn set(scenario: &mut Scenario, key: &str, value: &str) -> Option<()> {
    let Scenario { save, restore, link, .. } = scenario;
    let micros = || value.parse().ok().map(Duration::from_micros);
    let yes = || match value {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    };
    match key {
        "seed" => scenario.seed = value.parse().ok()?,
        "devices" => scenario.devices = value.split(',').map(capabilities).collect::<Option<_>>()?,
        "dialects" => scenario.dialects = dialects(value)?,
        "region" => scenario.region = region(value)?,
        "dialects-there" => scenario.dialects_there = if value == SAME { None } else { Some(dialects(value)?) },
        "region-there" => scenario.region_there = if value == SAME { None } else { Some(region(value)?) },
        "data" => scenario.data = value.parse().ok()?,
        "pages" => scenario.pages = value.parse().ok()?,
        "way" => {
            scenario.way = match value {
                "connected" => Way::Connected,
                "pipe" => Way::Pipe,
                "file" => Way::File,
                _ => return None,
            };
        }
        "wire" => scenario.wire = yes()?,
        "found" => scenario.found = value.parse().ok()?,
        "there" => scenario.there = value.parse().ok()?,
        "chunk" => save.chunk = value.parse().ok()?,
        "depth" => save.depth = value.parse().ok()?,
        "deadline" => save.deadline = micros()?,
        "budget" => save.downtime_budget = micros()?,
        "max-pre-copy" => save.max_pre_copy = micros()?,
        "poll" => save.poll_interval = micros()?,
        "pre-copy" => save.pre_copy = yes()?,
        "rate" => save.rate = if value == "none" { None } else { Some(value.parse().ok()?) },
        "then" => {
            save.then = match value {
                "stop" => Then::Stop,
                "resume" => Then::Resume,
                _ => return None,
            };
        }
        "unrecoverable" => {
            save.unrecoverable = match value {
                "leave" => Unrecoverable::Leave,
                "reset" => Unrecoverable::Reset,
                _ => return None,
            };
        }
        "no-p2p-traffic" => save.no_p2p_traffic = yes()?,
        "dry-run" => save.dry_run = yes()?,
        "events" => save.no_events = !yes()?,
        "restore-deadline" => restore.deadline = micros()?,
        "run" => restore.run = if value == "none" { None } else { Some(yes()?) },
        "restore-no-p2p-traffic" => restore.no_p2p_traffic = yes()?,
        "latency" => link.latency = micros()?,
        "bandwidth" => link.bandwidth = value.parse().ok()?,
        "capacity" => link.capacity = value.parse().ok()?,
        "call" => scenario.call = micros()?,
        "ticks" => scenario.ticks = value.parse().ok()?,
        "writes" => scenario.writes = value.parse().ok()?,
        "churn" => scenario.churn = value.parse().ok()?,
        "reinit-after" => {
            scenario.reinit_after = if value == "none" { None } else { Some(value.parse().ok()?) };
        }
        "source-model" => scenario.source_model.push(value.parse().ok()?),
        "destination-model" => scenario.destination_model.push(value.parse().ok()?),
        "settle" => {
            scenario.settle = match value {
                "nobody" => Settle::Nobody,
                "source" => Settle::Source,
                "destination" => Settle::Destination,
                "force" => Settle::Force,
                _ => return None,
            };
        }
        "fault" => scenario.faults.push(value.parse().ok()?),
        "command" => scenario.commands.push(value.parse().ok()?),
        _ => return None,
    }
    Some(())
}

fn capabilities(text: &str) -> Option<Capabilities> {
    let known = [Capabilities::STOP_COPY, Capabilities::P2P, Capabilities::PRE_COPY, Capabilities::DIRTY_TRACKING];
    let by_name = |name: &str| known.into_iter().find(|one| one.to_string() == name);
    text.split('+').try_fold(Capabilities::from_bits(0), |set, name| by_name(name).map(|one| set | one))
}

/// What the destination's devices are that are as the source's.
const SAME: &str = "same";

/// What a device without a region has instead of a dialect.
const NO_REGION: &str = "fsm";

fn dialects_text(dialects: &[Option<Dialect>]) -> String {
    let name = |dialect: &Option<Dialect>| dialect.map_or_else(|| NO_REGION.into(), |dialect| dialect.to_string());
    dialects.iter().map(name).collect::<Vec<_>>().join(",")
}

fn dialects(names: &str) -> Option<Vec<Option<Dialect>>> {
    let mut dialects = Vec::new();
    for name in names.split(',') {
        dialects.push(if name == NO_REGION { None } else { Some(name.parse().ok()?) });
    }
    Some(dialects)
}

/// The settings of a model's region, as a model writes them: `window=8KiB,mmap=sparse`.
fn region_text(region: &RegionSettings) -> String {
    let text = region.to_string();
    let own = text.split(',').filter(|part| !part.is_empty() && !part.starts_with("protocol="));
    own.collect::<Vec<_>>().join(",")
}

fn region(text: &str) -> Option<RegionSettings> {
    let settings = Settings::parse(&format!("protocol=region,{text}")).ok()?;
    // Anything but a region's own settings would be lost.
    let region = settings.region.clone()?;
    (Settings { region: None, ..settings } == Settings::default()).then_some(region)
}
