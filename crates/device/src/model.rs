//! The software device in this process, with a thread that lets its time pass.

mod delay;
mod guest;
mod region;
mod world;

use core::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use vfio_migration_model::{
    CallKind, FaultPlan, GroundTruth, GuestMemory, Model, ModelTracker, Port, Proof, RegionSettings, Register, Settings,
};
use vfio_migration_protocol::{
    Bitmap, CallError, Capabilities, Device, Estimate, Filled, IovaRange, Passport, PreCopyInfo, State, Table, Tracker,
};

use crate::address::{OpenError, Opened};
use crate::region::{RegionDevice, RegionOptions};
use delay::Delays;
pub use guest::Guest;
use region::ModelRegion;
use world::World;

/// Opens a model. Two models never hold the same secret, whatever their settings.
pub(crate) fn open(
    settings: &Settings,
    memory: Option<GuestMemory>,
    experimental: Option<RegionOptions>,
) -> Result<Opened, OpenError> {
    if settings.region.is_some() && experimental.is_none() {
        return Err(OpenError::Experimental(format!("model:{settings}")));
    }
    let nonce = RandomState::new().hash_one(0_u8);
    let model = match memory {
        Some(memory) => Model::with_memory(settings, nonce, memory),
        None => Model::new(settings, nonce),
    };
    let model = model.map_err(OpenError::Settings)?;
    let delays = Arc::new(Delays::default());
    let tracker = model.tracker().map(|tracker| TrackerBackend { tracker, delays: Arc::clone(&delays) });
    let (passport, capabilities, table) = (model.passport().clone(), model.capabilities(), model.table());
    let region = model.region().cloned().zip(model.window().cloned());
    let world = Arc::new(World::start(model).map_err(OpenError::Thread)?);
    let stopped = Arc::default();
    let handle = ModelHandle { world: Arc::clone(&world), delays: Arc::clone(&delays), stopped: Arc::clone(&stopped) };
    let device: Box<dyn Device> = match (&settings.region, region) {
        (Some(RegionSettings { dialect, .. }), Some((layout, window))) => {
            let options = RegionOptions { dialect: *dialect, ..experimental.unwrap_or_default() };
            let region = ModelRegion { world, delays, stopped, layout, window };
            let device = RegionDevice::new(region, passport, capabilities, options);
            Box::new(device.map_err(OpenError::Region)?)
        }
        _ => Box::new(DeviceBackend { world, delays, stopped, passport, capabilities, table }),
    };
    Ok(Opened {
        device,
        trackers: tracker.into_iter().map(|tracker| Box::new(tracker) as Box<dyn Tracker>).collect(),
        model: Some(handle),
        kernel: None,
    })
}

/// The world around a software device. A clone is a handle to the same.
///
/// The device goes on by itself while its state is a running one; its [`Guest`] is paused at first. The model is shared
/// with the device's calls: what a handle does waits for the call that is under way, but never for a planned delay.
///
/// ```
/// use std::time::Duration;
/// use vfio_migration_protocol::State;
/// let mut opened = vfio_migration_device::open("model:size=1MiB", None)?;
/// let model = opened.model.ok_or("a model has a handle")?;
/// model.guest().resume();
/// while model.counter() < 3 {
///     std::thread::sleep(Duration::from_millis(1));
/// }
/// model.guest().pause();
/// opened.device.set_state(State::Stop)?;
/// let proof = model.proof();
/// std::thread::sleep(Duration::from_millis(10));
/// assert_eq!(model.proof(), proof, "a stopped device does not change");
/// assert_eq!((model.touches(), model.resets()), (0, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ModelHandle {
    world: Arc<World>,
    delays: Arc<Delays>,
    stopped: Arc<Mutex<Option<Stopped>>>,
}

/// What a device held when it last entered stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// As one number to compare.
    pub proof: Proof,
    /// In how many ticks it had run.
    pub counter: u64,
}

impl fmt::Debug for ModelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the model: this may be called while somebody has it.
        f.debug_struct("ModelHandle").finish_non_exhaustive()
    }
}

impl ModelHandle {
    /// The guest that uses the device.
    pub fn guest(&self) -> Guest {
        Guest::new(Arc::clone(&self.world))
    }

    /// Does something with the model itself. Calls of the device wait meanwhile.
    pub fn with<T>(&self, work: impl FnOnce(&mut Model) -> T) -> T {
        self.world.with(work)
    }

    /// What the device holds, as one number to compare.
    pub fn proof(&self) -> Proof {
        self.with(|model| model.proof())
    }

    /// In how many ticks the device ran, wherever it was.
    pub fn counter(&self) -> u64 {
        self.with(|model| model.register(Register::Counter))
    }

    /// What the device held when it last was asked to stop and did, or left resuming. A restored device has then loaded everything, and
    /// does not run yet: no hook is called at that moment.
    pub fn stopped(&self) -> Option<Stopped> {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest memory that the device's DMA writes to.
    pub fn memory(&self) -> Option<GuestMemory> {
        self.with(|model| model.memory().cloned())
    }

    /// What the DMA engine knows for certain about what it wrote.
    pub fn ground_truth(&self) -> Option<GroundTruth> {
        self.with(|model| model.ground_truth().cloned())
    }

    /// The pages of `memory` that do not hold what this device last wrote to them.
    pub fn missed(&self, memory: &GuestMemory) -> Vec<u64> {
        self.ground_truth().map_or_else(Vec::new, |truth| truth.missed(memory))
    }

    /// How often the device was reset.
    pub fn resets(&self) -> u64 {
        self.with(|model| model.resets().unwrap_or(0))
    }

    /// How often the guest touched the device where it must not.
    pub fn touches(&self) -> u64 {
        self.with(|model| model.touches())
    }

    /// How many calls of one kind the device, or its tracker, received.
    pub fn count(&self, kind: CallKind) -> u64 {
        self.with(|model| model.count(kind))
    }

    /// What peers of this device write to.
    pub fn port(&self) -> Port {
        self.with(|model| model.port())
    }

    /// Connects this device to a peer, to which it then writes while it may.
    pub fn connect(&self, peer: &Port) {
        self.with(|model| model.connect(peer));
    }

    /// Changes what goes wrong from now on.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.with(|model| model.set_faults(plan));
    }

    /// Ends all delays of the fault plan, those under way and those to come: a call that hangs returns now.
    pub fn release_delays(&self) {
        self.delays.release();
    }
}

struct DeviceBackend {
    world: Arc<World>,
    delays: Arc<Delays>,
    stopped: Arc<Mutex<Option<Stopped>>>,
    passport: Passport,
    capabilities: Capabilities,
    table: Table,
}

impl DeviceBackend {
    /// Does one call, and then waits as long as the fault plan says, without the model.
    fn call<T>(&self, work: impl FnOnce(&mut Model) -> T) -> T {
        let (answer, delay) = self.world.with(|model| (work(model), model.take_delay()));
        self.delays.wait(delay);
        answer
    }
}

impl Device for DeviceBackend {
    fn passport(&self) -> &Passport {
        &self.passport
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn table(&self) -> Table {
        self.table
    }

    fn state(&mut self) -> Result<State, CallError> {
        self.call(Device::state)
    }

    fn set_state(&mut self, to: State) -> Result<(), CallError> {
        self.call(|model| {
            model.set_state(to)?;
            if to == State::Stop {
                let seen = Stopped { proof: model.proof(), counter: model.register(Register::Counter) };
                *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
            }
            Ok(())
        })
    }

    fn reset(&mut self) -> Result<(), CallError> {
        self.call(Device::reset)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<Filled, CallError> {
        self.call(|model| model.read(into))
    }

    fn write(&mut self, data: &[u8], segment_end: bool) -> Result<usize, CallError> {
        self.call(|model| model.write(data, segment_end))
    }

    fn pre_copy_info(&mut self) -> Result<PreCopyInfo, CallError> {
        self.call(Device::pre_copy_info)
    }

    fn data_size(&mut self) -> Result<Estimate, CallError> {
        self.call(Device::data_size)
    }

    fn resets(&self) -> Option<u64> {
        self.world.with(|model| model.resets())
    }
}

struct TrackerBackend {
    tracker: ModelTracker,
    delays: Arc<Delays>,
}

impl TrackerBackend {
    fn call<T>(&mut self, work: impl FnOnce(&mut ModelTracker) -> T) -> T {
        let answer = work(&mut self.tracker);
        self.delays.wait(self.tracker.take_delay());
        answer
    }
}

impl Tracker for TrackerBackend {
    fn start(&mut self, ranges: &[IovaRange], page_size: u64) -> Result<u64, CallError> {
        self.call(|tracker| tracker.start(ranges, page_size))
    }

    fn report(&mut self, range: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
        self.call(|tracker| tracker.report(range, into))
    }

    fn stop(&mut self) -> Result<(), CallError> {
        self.call(Tracker::stop)
    }
}
