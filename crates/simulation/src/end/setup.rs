use core::time::Duration;
use std::collections::BTreeMap;

use vfio_migration_model::device::Scratch;
use vfio_migration_model::{FaultPlan, GuestMemory, Model, Register, Settings};
use vfio_migration_protocol::Capabilities;
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{Failure, Restore, RestoreObject, Save, SaveObject, SaveOptions, TrackerIndex};

use super::{End, Thing, Watch};
use crate::codec::Codec;
use crate::dice::Dice;
use crate::guest::{Guest, PAGE};
use crate::machine::Machine;
use crate::scenario::{Scenario, Way};
use crate::subject::Subject;

/// Where guest memory lies for the devices.
const BASE: u64 = 0x1_0000_0000;
/// How much the devices have worked before anything begins.
const BEFORE: u64 = 20;

impl End {
    /// The source: its guest and its devices work.
    pub(crate) fn source(scenario: &Scenario) -> Result<Self, Failure> {
        let mut world = World::new(scenario, Side::Save);
        for (place, device) in world.devices.iter_mut().enumerate() {
            device.model_mut().start();
            let mark = scenario.seed ^ place as u64;
            let written = device.model_mut().write_register(Register::Scratch(Scratch::A), mark);
            debug_assert_eq!(written, Ok(()), "a running device takes what its guest writes");
            device.model_mut().advance(BEFORE);
        }
        world.devices.iter_mut().for_each(|device| device.find_in(scenario.found));
        let tracked = scenario.devices.iter().all(|device| device.has(Capabilities::DIRTY_TRACKING));
        let trackers = if tracked && scenario.pages > 0 { world.trackers() } else { Vec::new() };
        let watched_by = (0..).zip(&trackers).map(|(place, _)| TrackerIndex(place)).collect::<Vec<_>>();
        let objects = world.things.iter().map(|thing| match *thing {
            Thing::Device(place) => SaveObject::Device(world.devices[place].object()),
            Thing::Memory(place) => SaveObject::Memory {
                id: piece_name(place),
                range: world.pieces[place].range(),
                page_size: PAGE,
                trackers: watched_by.clone(),
            },
        });
        let options = SaveOptions { mode: scenario.mode(), ..scenario.save.clone() };
        let save = Save::new(options, [7; 16], objects.collect())?;
        Ok(world.end(scenario, Machine::Save(Box::new(save)), trackers))
    }

    /// The destination: nothing works there yet. It lists its objects in an order of its own.
    pub(crate) fn destination(scenario: &Scenario) -> Result<Self, Failure> {
        let mut world = World::new(scenario, Side::Restore);
        world.devices.iter_mut().for_each(|device| device.find_in(scenario.there));
        let mut dice = Dice::new(scenario.seed).split(3);
        for place in (1..world.things.len()).rev() {
            let other = usize::try_from(dice.roll(place as u64 + 1)).unwrap_or(0);
            world.things.swap(place, other);
        }
        let objects = world.things.iter().map(|thing| match *thing {
            Thing::Device(place) => RestoreObject::Device(world.devices[place].object()),
            Thing::Memory(place) => RestoreObject::Memory { id: piece_name(place), range: world.pieces[place].range() },
        });
        let restore = Restore::new(scenario.restore.clone(), objects.collect())?;
        Ok(world.end(scenario, Machine::Restore(Box::new(restore)), Vec::new()))
    }
}

/// What there is at an end before its session.
struct World {
    side: Side,
    things: Vec<Thing>,
    devices: Vec<Subject>,
    memory: Option<GuestMemory>,
    pieces: Vec<GuestMemory>,
}

impl World {
    fn new(scenario: &Scenario, side: Side) -> Self {
        let length = u64::from(scenario.pages) * PAGE;
        let memory = GuestMemory::new(BASE, length).ok();
        // Two pieces where there is enough for two: large memory is cut into several objects.
        let cut = u64::from(scenario.pages / 3) * PAGE;
        let parts = if cut > 0 { vec![(0, cut), (cut, length - cut)] } else { vec![(0, length)] };
        let part = |memory: &GuestMemory| parts.iter().filter_map(|(at, len)| memory.part(*at, *len).ok()).collect();
        let pieces: Vec<GuestMemory> = memory.as_ref().map(part).unwrap_or_default();
        let devices: Vec<Subject> =
            (0..scenario.devices.len()).map(|place| subject(scenario, side, place, memory.as_ref())).collect();
        let doors: Vec<_> = devices.iter().map(|device| device.model().port()).collect();
        let mut devices = devices;
        for (place, device) in devices.iter_mut().enumerate() {
            // Every device writes to every other one: the barrier is needed.
            let peers = doors.iter().enumerate().filter(|(peer, _)| *peer != place && !scenario.save.no_p2p_traffic);
            peers.for_each(|(_, port)| device.model_mut().connect(port));
        }
        let things = (0..devices.len()).map(Thing::Device).chain((0..pieces.len()).map(Thing::Memory)).collect();
        Self { side, things, devices, memory, pieces }
    }

    fn trackers(&self) -> Vec<Watch> {
        let logs = self.devices.iter().filter_map(|device| device.model().tracker());
        let devices = logs.map(|log| Watch { device: Some(log), lie: None });
        core::iter::once(Watch { device: None, lie: None }).chain(devices).collect()
    }

    fn end(self, scenario: &Scenario, machine: Machine, trackers: Vec<Watch>) -> End {
        let Self { side, things, devices, memory, pieces } = self;
        let dice = Dice::new(scenario.seed).split(if side == Side::Save { 1 } else { 2 });
        let works = scenario.found.is_running() && !scenario.found.is_quiet();
        let (chunk, depth) = (scenario.save.chunk as usize, scenario.save.depth);
        End {
            side,
            machine,
            things,
            devices,
            guest: Guest::new(side == Side::Save && works, memory.clone(), dice),
            memory,
            pieces,
            trackers,
            codec: Codec::default(),
            chunks: vec![vec![0; chunk]; depth as usize],
            free: if side == Side::Restore { (0..depth).rev().collect() } else { Vec::new() },
            lines: BTreeMap::new(),
            steps: Vec::new(),
            faults: scenario.faults.clone(),
            epoch: Duration::ZERO,
            wake: None,
            started: side == Side::Save || scenario.way != Way::File,
            finished: false,
            dead: false,
            closed: false,
            deaf: false,
            failed: false,
            renames: scenario.way == Way::File,
            stuck: 0,
        }
    }
}

/// The name of a device.
pub(crate) fn device_name(place: usize) -> String {
    format!("device{place}")
}

/// The name of a piece of memory.
pub(super) fn piece_name(place: usize) -> String {
    format!("memory{place}")
}

fn subject(scenario: &Scenario, side: Side, place: usize, memory: Option<&GuestMemory>) -> Subject {
    let plans = if side == Side::Save { &scenario.source_model } else { &scenario.destination_model };
    let faults = plans.iter().filter(|_| place == 0).fold(FaultPlan::none(), |plan, fault| plan.with(*fault));
    let settings = Settings { faults, ..scenario.settings_of(side, place) };
    let nonce = 2 * place as u64 + u64::from(side == Side::Restore);
    let model = match memory {
        Some(memory) => Model::with_memory(&settings, nonce, memory.clone()),
        None => Model::new(&settings, nonce),
    };
    Subject::new(device_name(place), model.expect("a scenario's settings fit a model"))
}
