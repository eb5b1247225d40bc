//! A software device, and what is around it: time, memory, interrupts, its record.

use core::time::Duration;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use vfio_migration_model::{ForeignMemory, GuestMemory, Held, Model, ModelTracker, Port, Settings};
use vfio_migration_protocol::trace::Access;
use vfio_migration_protocol::{CallError, Capabilities, Device as _, Errno};

use super::config::Config;
use super::interrupts::Interrupts;
use super::record::{Record, ended};
use super::regions::Regions;
use super::space::View;
use crate::Place;

/// Time that passed without an access is forgotten beyond this: the device catches up with no more than that at once.
const LONGEST_LAG: Duration = Duration::from_millis(50);

/// One software device. It lives as long as the host; closing it for the last time makes it a new one, as the kernel's
/// reset does.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) place: Place,
    pub(super) settings: Settings,
    pub(super) regions: Regions,
    /// What it sees of the program's memory.
    pub(super) view: Arc<View>,
    pub(super) record: Arc<Record>,
    /// Dirty tracking says nothing: for tests that must fail then.
    blind: bool,
    nonce: u64,
    inside: Mutex<Inside>,
    trackers: Mutex<Trackers>,
    usage: Mutex<Usage>,
}

/// What a call changes.
#[derive(Debug)]
pub(super) struct Inside {
    pub(super) model: Model,
    pub(super) config: Config,
    pub(super) interrupts: Interrupts,
    /// The data fd that is connected to the device: how many were opened before it, and whether it is one to read from.
    pub(super) session: u64,
    /// How many devices there were before this one.
    generation: u64,
    /// The program knows about new initial data (`VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2`).
    pub(super) knows_reinit: bool,
    /// The memory behind BAR 2, and the whole migration region with its window.
    memory: Option<Arc<File>>,
    window: Option<Arc<File>>,
    /// Until when time has passed for the device.
    until: Instant,
    noted: Noted,
}

/// What the record knows already.
#[derive(Debug, Default)]
struct Noted {
    saved: Option<Held>,
    loaded: Option<Held>,
    touches: u64,
}

/// The device's own log, and the one of the IOMMU in front of it.
#[derive(Debug)]
struct Trackers {
    own: Option<ModelTracker>,
    iommu: ModelTracker,
}

/// Which log is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// The device's own.
    Own,
    /// That of the IOMMU.
    Iommu,
}

/// Who has the device.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    by: Option<By>,
    opens: u64,
}

/// By which way a device is open: not both at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Its group.
    Group,
    /// Its character device, bound to an iommufd.
    Cdev,
}

impl Device {
    pub(super) fn new(
        place: Place,
        settings: Settings,
        nonce: u64,
        record: Arc<Record>,
        blind: bool,
    ) -> Result<Self, CallError> {
        let view = Arc::new(View::default());
        let regions = Regions::new(&settings);
        let (inside, trackers) = made(&settings, nonce, &regions, &view)?;
        let (inside, trackers, usage) = (Mutex::new(inside), Mutex::new(trackers), Mutex::default());
        Ok(Self { place, settings, regions, view, record, blind, nonce, inside, trackers, usage })
    }

    /// Does something with the device: first the time passes that has passed, and afterwards it has interrupted, noted
    /// what it knows, and taken as long as its plan of faults says.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Inside) -> T) -> T {
        let mut inside = self.lock();
        inside.pass();
        let answer = work(&mut inside);
        for _ in 0..inside.model.take_interrupts().min(1) {
            inside.interrupts.raise();
        }
        self.note(&mut inside);
        let delay = inside.model.take_delay();
        drop(inside);
        wait(delay);
        answer
    }

    /// One call to the device, and its line in the record: `line` makes it of the answer.
    pub(super) fn call<T>(
        &self,
        call: &str,
        work: impl FnOnce(&mut Inside) -> Result<T, CallError>,
        line: impl FnOnce(Access, &Result<T, CallError>) -> Access,
    ) -> Result<T, CallError> {
        self.with(|inside| {
            let state = inside.model.current_state();
            let answer = work(inside);
            self.record.add(|| ended(line(self.line(call).within(state), &answer), &answer));
            answer
        })
    }

    /// One call to one of its logs. EINVAL: it has none.
    pub(super) fn track<T>(
        &self,
        log: Log,
        call: &str,
        work: impl FnOnce(&mut ModelTracker) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        // What the device wrote until now belongs into the answer.
        let state = self.with(|inside| inside.model.current_state());
        let mut trackers = self.trackers.lock().unwrap_or_else(PoisonError::into_inner);
        let tracker = match log {
            Log::Own => trackers.own.as_mut(),
            Log::Iommu => Some(&mut trackers.iommu),
        };
        let tracker = tracker.ok_or_else(|| CallError::because(Errno::ENOTTY, "the device has no log of its own"))?;
        let answer = work(tracker);
        let delay = tracker.take_delay();
        self.record.add(|| ended(self.line(call).within(state), &answer));
        drop(trackers);
        wait(delay);
        answer
    }

    /// Whether the device's logs are to be believed.
    pub(super) const fn is_blind(&self) -> bool {
        self.blind
    }

    /// Bytes of the pages of one of its logs.
    pub(super) const fn log_page(&self, log: Log) -> u64 {
        match log {
            Log::Own => self.settings.log_page,
            Log::Iommu => vfio_migration_model::PAGE_SIZE,
        }
    }

    /// Whether it can do something that its settings say.
    pub(super) fn can(&self, capability: Capabilities) -> bool {
        self.settings.capabilities.has(capability)
    }

    /// The file behind BAR 2, or behind the migration region, for whoever maps it.
    pub(super) fn files(&self) -> (Option<Arc<File>>, Option<Arc<File>>) {
        let inside = self.lock();
        (inside.memory.clone(), inside.window.clone())
    }

    /// Takes the device for one way of using it. EBUSY: it is used the other way; EINVAL: it is bound already.
    pub(super) fn take(&self, by: By) -> Result<(), Errno> {
        let mut usage = self.usage();
        match (usage.by, by) {
            (None, _) => usage.by = Some(by),
            (Some(By::Cdev), By::Cdev) => return Err(Errno::EINVAL),
            _ => return Err(Errno::EBUSY),
        }
        Ok(())
    }

    /// Nobody uses it any more.
    pub(super) fn give_back(&self) {
        self.usage().by = None;
    }

    /// One more has it open.
    pub(super) fn opened(&self) {
        self.usage().opens += 1;
    }

    /// One less has it open. The last one leaves a new device behind.
    pub(super) fn closed(&self) {
        let mut usage = self.usage();
        usage.opens = usage.opens.saturating_sub(1);
        if usage.opens > 0 {
            return;
        }
        self.note_registers();
        let mut inside = self.lock();
        // Another device, with another secret: what it does not load it cannot have.
        inside.generation = inside.generation.wrapping_add(1);
        let nonce = self.nonce.wrapping_add(inside.generation);
        let Ok((mut fresh, trackers)) = made(&self.settings, nonce, &self.regions, &self.view) else { return };
        fresh.generation = inside.generation;
        fresh.session = inside.session + 1;
        *inside = fresh;
        *self.trackers.lock().unwrap_or_else(PoisonError::into_inner) = trackers;
    }

    /// Whether anybody has it open.
    pub(super) fn is_open(&self) -> bool {
        self.usage().opens > 0
    }

    /// What peers of this device write to.
    pub(super) fn port(&self) -> Port {
        self.lock().model.port()
    }

    /// Connects this device to a peer, to which it then writes while it may.
    pub(super) fn connect(&self, peer: &Port) {
        self.lock().model.connect(peer);
    }

    /// Writes down what the registers hold, how often the device was reset, and what came from its peers.
    pub(super) fn note_registers(&self) {
        let inside = self.lock();
        let (state, held) = (inside.model.current_state(), inside.model.held());
        let (resets, port) = (inside.model.resets().unwrap_or(0), inside.model.port());
        let note = |name| Access::note(name).of(self.place.index()).within(state);
        self.record.add(|| held.registers.iter().fold(note("registers"), Access::with));
        self.record.add(|| note("resets").with(resets));
        self.record.add(|| note("peers").with(port.received()).with(port.too_late()));
    }

    /// The beginning of a line.
    pub(super) fn line(&self, call: &str) -> Access {
        Access::new(call).of(self.place.index())
    }

    fn note(&self, inside: &mut Inside) {
        let (saved, loaded, touches) = (inside.model.saved(), inside.model.loaded(), inside.model.touches());
        let state = inside.model.current_state();
        let note = |name| Access::note(name).of(self.place.index()).within(state);
        let held = |name, held: &Held| held.registers.iter().fold(note(name).with(held.proof), Access::with);
        if let Some(now) = saved.filter(|_| saved != inside.noted.saved) {
            self.record.add(|| held("saved", &now));
        }
        if let Some(now) = loaded.filter(|_| loaded != inside.noted.loaded) {
            self.record.add(|| held("loaded", &now));
        }
        if touches != inside.noted.touches {
            self.record.add(|| note("touched"));
        }
        inside.noted = Noted { saved, loaded, touches };
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Lets the time pass that has passed.
    fn pass(&mut self) {
        let tick = self.model.settings().tick;
        let lag = self.until.elapsed();
        if lag > LONGEST_LAG.max(tick) {
            self.until += lag.saturating_sub(LONGEST_LAG.max(tick));
        }
        let ticks = u32::try_from(self.until.elapsed().as_nanos() / tick.as_nanos().max(1)).unwrap_or(u32::MAX);
        self.until += tick.saturating_mul(ticks);
        self.model.advance(ticks.into());
    }
}

/// A device that was just powered on.
fn made(settings: &Settings, nonce: u64, regions: &Regions, view: &Arc<View>) -> Result<(Inside, Trackers), CallError> {
    let wrong = |error: &dyn core::fmt::Display| CallError::because(Errno::EINVAL, error.to_string());
    let failed = |error: std::io::Error| {
        let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_linux);
        CallError::because(errno, format!("there is no memory for a device: {error}"))
    };
    let foreign: Arc<dyn ForeignMemory> = Arc::<View>::clone(view);
    let reached = GuestMemory::foreign(View::REACH.iova, View::REACH.length, foreign).map_err(|error| wrong(&error))?;
    let mut model = Model::with_memory(settings, nonce, reached).map_err(|error| wrong(&error))?;
    model.note_ends();
    let memory = match regions.memory {
        0 => None,
        size => {
            let file = shared("device-memory", size).map_err(failed)?;
            let foreign = Arc::new(Part { file: Arc::clone(&file), start: 0 });
            let given = GuestMemory::foreign(0, settings.device_memory, foreign).map_err(|error| wrong(&error))?;
            model.set_device_memory(given).map_err(|_| wrong(&"the device's memory has another size"))?;
            Some(file)
        }
    };
    let window = match &regions.migration {
        None => None,
        Some(layout) => {
            let file = shared("migration-region", layout.size).map_err(failed)?;
            let foreign = Arc::new(Part { file: Arc::clone(&file), start: layout.data });
            let given = GuestMemory::foreign(0, layout.size - layout.data, foreign).map_err(|error| wrong(&error))?;
            model.set_window(given).map_err(|_| wrong(&"the region's window has another size"))?;
            Some(file)
        }
    };
    let trackers = Trackers { own: model.tracker(), iommu: model.iommu_tracker() };
    let inside = Inside {
        config: Config::new(regions.memory),
        interrupts: Interrupts::default(),
        session: 0,
        generation: 0,
        knows_reinit: false,
        memory,
        window,
        until: Instant::now(),
        noted: Noted::default(),
        model,
    };
    Ok((inside, trackers))
}

/// Memory that a program can map: a file without a name.
fn shared(name: &str, size: u64) -> std::io::Result<Arc<File>> {
    let file = rustix::fs::memfd_create(name, rustix::fs::MemfdFlags::CLOEXEC)?;
    rustix::fs::ftruncate(&file, size)?;
    Ok(Arc::new(file.into()))
}

/// A part of such a file, up to its end.
#[derive(Debug)]
struct Part {
    file: Arc<File>,
    start: u64,
}

impl ForeignMemory for Part {
    fn load(&self, offset: u64, into: &mut [u8]) -> Result<(), CallError> {
        self.file.read_exact_at(into, self.start + offset).map_err(|_| Errno::EFAULT.into())
    }

    fn store(&self, offset: u64, from: &[u8]) -> Result<(), CallError> {
        self.file.write_all_at(from, self.start + offset).map_err(|_| Errno::EFAULT.into())
    }
}

fn wait(delay: Duration) {
    if !delay.is_zero() {
        std::thread::sleep(delay);
    }
}
