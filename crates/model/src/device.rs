//! The device: what it does while it runs, what its guest does to it, and what a harness may know.

mod fsm;
mod region;
mod registers;
mod session;

use core::time::Duration;

use vfio_migration_protocol::{Capabilities, Estimate, Passport, PreCopyInfo, State, Table};

use crate::calls::{Call, CallKind, Recorder};
use crate::data::{REGISTERS, VERSION};
use crate::dma::{Dma, GroundTruth};
use crate::fault::FaultPlan;
use crate::guest_memory::GuestMemory;
use crate::log::{Log, ModelTracker, SharedLog};
use crate::pages::{Contents, PAGE_SIZE, below, draw_secret, mix};
use crate::peers::Port;
use crate::proof::{Held, Proof};
use crate::settings::{Settings, SettingsError};

use region::Region;
pub use registers::{INTERRUPTS, Register, Scratch};
use session::Session;

/// A software device. Migration goes through its [`Device`](vfio_migration_protocol::Device) methods; everything else
/// here is the world around it.
///
/// - [`advance`](Self::advance) lets time pass: in a running state the counter counts, and once the guest has
///   [started](Self::start) the device it changes pages of its own, writes to guest memory and to its peers. In stop,
///   stop-copy, resuming and error nothing changes at all. A device that was just made, or reset, is `running` and not
///   started, as a real one that no driver has set up.
/// - [`tracker`](Self::tracker) gives its DMA log, to be used from any thread.
/// - [`proof`](Self::proof), [`ground_truth`](Self::ground_truth), [`calls`](Self::calls) and the counters say what
///   happened. They are no calls to the device: faults do not hit them.
///
/// Two models with the same settings and different nonces hold different secrets. `nonce` stands for all that makes a
/// device this one and no other: a source and a destination must not have the same.
///
/// ```
/// use vfio_migration_model::{GuestMemory, Model, Register, Settings};
/// use vfio_migration_protocol::{Bitmap, Tracker};
///
/// let memory = GuestMemory::new(0x4000_0000, 1 << 20)?;
/// let settings = Settings::parse("size=1MiB,pre-copy,dirty-tracking")?;
/// let mut model = Model::with_memory(&settings, 1, memory.clone())?;
/// let mut tracker = model.tracker().ok_or("no tracker")?;
/// tracker.start(&[memory.range()], 4096)?;
/// model.start();
/// model.advance(100);
/// let mut dirty = Bitmap::new(memory.pages());
/// tracker.report(memory.range(), &mut dirty)?;
/// assert_eq!(&dirty, model.ground_truth().ok_or("no memory")?.written());
/// assert_eq!(model.register(Register::Counter), 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Model {
    settings: Settings,
    nonce: u64,
    passport: Passport,
    table: Table,
    state: State,
    contents: Contents,
    registers: [u64; REGISTERS],
    session: Session,
    region: Option<Region>,
    dma: Option<Dma>,
    log: SharedLog,
    iommu_log: SharedLog,
    recorder: Recorder,
    port: Port,
    peers: Vec<Port>,
    resets: u64,
    touches: u64,
    delay: Duration,
    stuck_info: Option<PreCopyInfo>,
    stuck_size: Option<Estimate>,
    /// The next load that succeeds is damaged, by the fault plan.
    rot: bool,
    /// Interrupts that nobody has taken.
    interrupts: u64,
    notes_ends: bool,
    saved: Option<Held>,
    loaded: Option<Held>,
}

impl Model {
    /// A device without guest memory.
    pub fn new(settings: &Settings, nonce: u64) -> Result<Self, SettingsError> {
        Self::build(settings, nonce, None)
    }

    /// A device whose DMA writes to `memory`, by the lane that the settings give.
    pub fn with_memory(settings: &Settings, nonce: u64, memory: GuestMemory) -> Result<Self, SettingsError> {
        Self::build(settings, nonce, Some(memory))
    }

    fn build(settings: &Settings, nonce: u64, memory: Option<GuestMemory>) -> Result<Self, SettingsError> {
        settings.check()?;
        let settings = settings.clone();
        let own_memory = match settings.device_memory {
            0 => None,
            size => {
                Some(GuestMemory::new(0, size).map_err(|_| SettingsError::TooLarge(format!("device-memory={size}")))?)
            }
        };
        let log = |page| SharedLog::new(Log::new(memory.as_ref().map(GuestMemory::range), settings.lane, page));
        let (log, iommu_log) = (log(settings.log_page), log(PAGE_SIZE));
        let mut passport = Passport::new()
            .needs("device", "model")
            .needs("format", VERSION.to_string())
            .needs("size", settings.size.to_string());
        if settings.device_memory > 0 {
            passport = passport.needs("device-memory", settings.device_memory.to_string());
        }
        Ok(Self {
            nonce,
            passport: passport
                .says("capabilities", settings.capabilities.to_string())
                .says("seed", settings.seed.to_string()),
            table: settings.table(),
            state: State::Running,
            contents: Contents::new(draw_secret(settings.seed, nonce, 0), settings.size, own_memory),
            registers: [0; REGISTERS],
            session: Session::None,
            region: Region::new(&settings)?,
            dma: memory.map(|memory| Dma::new(memory, settings.lane, [log.clone(), iommu_log.clone()])),
            log,
            iommu_log,
            recorder: Recorder::new(settings.faults.clone(), settings.trace),
            port: Port::new(State::Running),
            peers: Vec::new(),
            resets: 0,
            touches: 0,
            delay: Duration::ZERO,
            stuck_info: None,
            stuck_size: None,
            rot: false,
            interrupts: 0,
            notes_ends: false,
            saved: None,
            loaded: None,
            settings,
        })
    }

    /// What the model was made from.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    // What the device does.

    /// Lets `ticks` pass. It costs time in proportion to the ticks and the rates of the settings: whoever shares the
    /// model advances by a few at a time.
    pub fn advance(&mut self, ticks: u64) {
        if !self.state.is_running() {
            return;
        }
        if self.registers[Register::Control.index()] == 0 {
            let counter = &mut self.registers[Register::Counter.index()];
            *counter = counter.wrapping_add(ticks);
            return;
        }
        for _ in 0..ticks {
            let counter = &mut self.registers[Register::Counter.index()];
            *counter = counter.wrapping_add(1);
            let tick = mix(*counter ^ mix(self.settings.seed));
            self.change_pages(tick);
            let places = self.places();
            for write in 0..self.settings.dma_rate.min(places) {
                self.write_memory(mix(tick.wrapping_add(write) ^ 2));
            }
            if !self.state.is_quiet() {
                self.peers.iter().for_each(Port::write);
            }
        }
    }

    /// Connects this device to a peer, to which it then writes while it may.
    pub fn connect(&mut self, peer: &Port) {
        self.peers.push(peer.clone());
    }

    /// What peers of this device write to.
    pub fn port(&self) -> Port {
        self.port.clone()
    }

    // What the guest does.

    /// The guest's driver sets the device up: from now on it works while it runs.
    pub fn start(&mut self) {
        // Refused where the guest must not touch the device, and counted there.
        let _ = self.write_register(Register::Control, 1);
    }

    // What a harness may know.

    /// What the device holds, as one number to compare.
    pub fn proof(&self) -> Proof {
        if self.settings.empty_stream {
            return Proof::EMPTY;
        }
        self.contents.proof(&self.registers)
    }

    /// The guest memory that the DMA engine writes to.
    pub fn memory(&self) -> Option<&GuestMemory> {
        self.dma.as_ref().map(Dma::memory)
    }

    /// What the DMA engine knows for certain about what it wrote.
    pub fn ground_truth(&self) -> Option<&GroundTruth> {
        self.dma.as_ref().map(Dma::truth)
    }

    /// The device's DMA log, if the settings say `dirty-tracking`. All trackers of a model share one log.
    pub fn tracker(&self) -> Option<ModelTracker> {
        let tracker = || ModelTracker::new(self.log.clone(), self.recorder.clone());
        self.settings.capabilities.has(Capabilities::DIRTY_TRACKING).then(tracker)
    }

    /// The log of the IOMMU in front of the device: it knows the same writes, whatever the settings say. Faults hit it as
    /// they hit the device's log.
    pub fn iommu_tracker(&self) -> ModelTracker {
        ModelTracker::new(self.iommu_log.clone(), self.recorder.clone())
    }

    /// The device's own memory, which its guest writes to by itself, if the settings say `device-memory`.
    pub const fn device_memory(&self) -> Option<&GuestMemory> {
        self.contents.memory()
    }

    /// Gives the device another memory of the same size, from whoever maps it for the guest.
    ///
    /// # Errors
    /// Gives it back if the size is another.
    pub fn set_device_memory(&mut self, memory: GuestMemory) -> Result<(), GuestMemory> {
        self.contents.set_memory(memory)
    }

    /// From now on the device notes what it holds when a save or a load ends. It looks at every page of its own then.
    pub const fn note_ends(&mut self) {
        self.notes_ends = true;
    }

    /// What the device held when the last byte of its last save was read, if it was to note that.
    pub const fn saved(&self) -> Option<Held> {
        self.saved
    }

    /// What the device held when its last load was found complete, before it ran, if it was to note that.
    pub const fn loaded(&self) -> Option<Held> {
        self.loaded
    }

    /// What the device holds now.
    pub fn held(&self) -> Held {
        Held { proof: self.proof(), registers: self.registers }
    }

    /// The state, without a call to the device.
    pub const fn current_state(&self) -> State {
        self.state
    }

    /// How many calls of one kind came.
    pub fn count(&self, kind: CallKind) -> u64 {
        self.recorder.count(kind)
    }

    /// All calls in order, trackers' too, if the settings say `trace`; else none.
    pub fn calls(&self) -> Vec<Call> {
        self.recorder.trace()
    }

    /// How often the guest touched the device where it must not.
    pub const fn touches(&self) -> u64 {
        self.touches
    }

    /// How long the last calls should have taken, by the fault plan; clears it. Whoever has a clock waits.
    pub fn take_delay(&mut self) -> Duration {
        core::mem::take(&mut self.delay)
    }

    /// Changes what goes wrong from now on. Calls are counted on.
    pub fn set_faults(&mut self, plan: FaultPlan) {
        self.recorder.set_plan(plan);
    }

    /// The device has new initial data, as with `reinit-after`. Nothing happens unless it is in pre-copy.
    pub fn reinit(&mut self) {
        if let (Session::Save(save), true) = (&mut self.session, self.state.is_pre_copy()) {
            save.reinit();
        }
    }

    fn change_pages(&mut self, tick: u64) {
        let pages = self.contents.pages();
        let set = self.settings.working_set.map_or(pages, |bytes| bytes.div_ceil(PAGE_SIZE).min(pages));
        for change in 0..self.settings.dirty_rate.min(set) {
            let page = below(set, mix(tick.wrapping_add(change) ^ 1));
            self.contents.change(page);
            if let Session::Save(save) = &mut self.session {
                save.mark(page);
            }
        }
    }

    /// How many pages of memory the free-running DMA may write to.
    fn places(&self) -> u64 {
        match self.buffer() {
            Some((_, pages)) => pages - 1,
            None if self.settings.dma_buffer => 0,
            None => self.dma.as_ref().map_or(0, Dma::places),
        }
    }

    /// The pages of memory that the guest gave the device: the first, and how many. The first is the doorbell's.
    fn buffer(&self) -> Option<(u64, u64)> {
        let memory = self.memory().filter(|_| self.settings.dma_buffer)?;
        let [address, length] = [Scratch::A, Scratch::B].map(|one| self.register(Register::Scratch(one)));
        let first = address.checked_sub(memory.range().iova)? / PAGE_SIZE;
        let pages = (length / PAGE_SIZE).min(memory.pages().checked_sub(first)?);
        (pages > 0).then_some((first, pages))
    }

    /// Writes a page at a place that `random` draws.
    fn write_memory(&mut self, random: u64) {
        let buffer = self.buffer();
        if let Some(dma) = &mut self.dma {
            let writes = &mut self.registers[Register::DmaWrites.index()];
            *writes = writes.wrapping_add(1);
            match buffer {
                Some((first, pages)) => {
                    dma.write_at(self.contents.secret(), *writes, first + 1 + below(pages - 1, random), None);
                }
                None => dma.write(self.contents.secret(), *writes, random),
            }
        }
    }

    /// Writes a page that begins with `first`.
    fn write_page(&mut self, page: u64, first: u64) {
        if let Some(dma) = &mut self.dma {
            let writes = &mut self.registers[Register::DmaWrites.index()];
            *writes = writes.wrapping_add(1);
            dma.write_at(self.contents.secret(), *writes, page, Some(first));
        }
    }

    /// The device stops: what it had begun is finished first.
    fn finish_writes(&mut self) {
        if let Some(dma) = &mut self.dma {
            let writes = &mut self.registers[Register::DmaWrites.index()];
            if dma.write_lost(self.contents.secret(), writes.wrapping_add(1)) {
                *writes = writes.wrapping_add(1);
            }
        }
    }

    /// Forgets everything, as a reset does.
    fn renew(&mut self) {
        self.contents.renew(draw_secret(self.settings.seed, self.nonce, self.resets));
        self.registers = [0; REGISTERS];
        self.interrupts = 0;
    }
}
