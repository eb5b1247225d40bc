//! What the tests share: both ends of a migration over software devices, and what must hold after it.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use vfio_migration::device::{ModelHandle, open};
use vfio_migration::{
    CallError, Capabilities, Device, Estimate, Filled, Finished, Outcome, Passport, PreCopyInfo, RestoreBuilder,
    RestoreOptions, SaveBuilder, SaveOptions, State, Table,
};
use vfio_migration_model::{GuestMemory, Proof};

/// Bytes of guest memory at each end.
pub(crate) const MEMORY: u64 = 2 << 20;
/// A device that can do everything, and works hard.
pub(crate) const DEVICE: &str = "size=4MiB,pre-copy,p2p,dirty-tracking,dirty-rate=8,dma-rate=8";

/// The source: a device with its guest at work, and the guest's memory.
pub(crate) struct Origin {
    pub(crate) save: SaveBuilder,
    pub(crate) model: ModelHandle,
    pub(crate) memory: GuestMemory,
    /// What the hooks were told, in order.
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
}

/// The destination: a device without a guest yet.
pub(crate) struct Target {
    pub(crate) restore: RestoreBuilder,
    pub(crate) model: ModelHandle,
    pub(crate) heard: Arc<Mutex<Vec<String>>>,
    /// What the device and the memory held once everything was loaded and nothing ran yet.
    pub(crate) arrived: Arc<Mutex<Option<Arrived>>>,
}

/// What a device and the guest's memory hold.
#[derive(Clone)]
pub(crate) struct Arrived {
    pub(crate) proof: Proof,
    /// One number a page.
    pub(crate) digests: Vec<u64>,
}

pub(crate) fn origin(settings: &str, options: SaveOptions) -> Origin {
    let memory = GuestMemory::new(0x1_0000_0000, MEMORY).unwrap();
    let opened = open(&format!("model:{settings}"), Some(memory.clone())).unwrap();
    let model = opened.model.unwrap();
    model.guest().resume();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let mut save = SaveBuilder::new(options);
    let trackers: Vec<_> = opened.trackers.into_iter().map(|tracker| save.tracker(tracker)).collect();
    save.device("gpu0", opened.device).memory("ram", Box::new(memory.clone()), 4096, &trackers);
    let (guest, words) = (model.guest(), Arc::clone(&heard));
    save.on_pause(move |_left| {
        words.lock().unwrap().push("pause".into());
        guest.pause();
        Ok(())
    });
    let (guest, words) = (model.guest(), Arc::clone(&heard));
    save.on_unpause(move |outcome| {
        words.lock().unwrap().push(format!("unpause {outcome}"));
        guest.resume();
        Ok(())
    });
    Origin { save, model, memory, heard }
}

pub(crate) fn target(settings: &str, options: RestoreOptions) -> Target {
    let memory = GuestMemory::new(0x1_0000_0000, MEMORY).unwrap();
    let opened = open(&format!("model:{settings}"), Some(memory.clone())).unwrap();
    let model = opened.model.unwrap();
    let (heard, arrived) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None)));
    let witness =
        Witness { device: opened.device, model: model.clone(), memory: memory.clone(), arrived: Arc::clone(&arrived) };
    let mut restore = RestoreBuilder::new(options);
    restore.device("gpu0", Box::new(witness)).memory("ram", Box::new(memory.clone()));
    let words = Arc::clone(&heard);
    restore.on_configure(move || {
        words.lock().unwrap().push("configure".into());
        Ok(())
    });
    let (guest, words) = (model.guest(), Arc::clone(&heard));
    restore.on_take_over(move || {
        words.lock().unwrap().push("takeOver".into());
        guest.resume();
        Ok(())
    });
    Target { restore, model, heard, arrived }
}

impl Origin {
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The guest works here as if nothing had happened.
    pub(crate) fn assert_works(&self) {
        assert!(self.model.guest().runs(), "the guest of the source runs");
        assert_works(&self.model);
    }
}

impl Target {
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// No guest ran here.
    pub(crate) fn assert_never_ran(&self) {
        assert!(!self.model.guest().runs(), "no guest runs at the destination");
        assert!(!self.heard().contains(&"takeOver".to_owned()));
    }
}

pub(crate) fn assert_works(model: &ModelHandle) {
    let before = model.counter();
    within("the counter goes on", {
        let model = model.clone();
        move || {
            while model.counter() < before + 3 {
                thread::yield_now();
            }
        }
    });
}

/// Everything has moved, and nothing was lost.
pub(crate) fn assert_moved(origin: &Origin, saved: &Finished, target: &Target, restored: &Finished) {
    assert_eq!((&saved.failure, &restored.failure), (&None, &None));
    assert_eq!((saved.report.outcome, restored.report.outcome), (Outcome::Completed, Outcome::Completed));
    assert_identical(origin, target);
    assert_eq!(saved.report.resets() + restored.report.resets(), 0);
    assert_eq!(origin.model.touches() + target.model.touches(), 0, "nobody touched a device where it must not");
    assert_eq!(saved.devices[0].state, Some(State::Stop));
    assert_eq!(restored.devices[0].state, Some(State::Running));
    assert!(!origin.model.guest().runs() && target.model.guest().runs(), "the guest runs at the destination only");
    assert_works(&target.model);
}

/// What arrived is what the source holds, page by page, and the counter went on from there.
pub(crate) fn assert_identical(origin: &Origin, target: &Target) {
    let Arrived { proof, digests } = target.arrived.lock().unwrap().clone().expect("everything was loaded");
    assert_eq!(proof, origin.model.proof(), "the device's data");
    assert_eq!(origin.memory.pages_unlike(&digests), Vec::<u64>::new(), "guest memory, page by page");
    assert!(target.model.counter() >= origin.model.counter(), "the counter goes on");
    assert_eq!((origin.model.resets(), target.model.resets()), (0, 0));
}

/// Runs something that must end, however long it takes on a busy machine.
pub(crate) fn within<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, answer) = channel();
    let acting = thread::spawn(move || done.send(act()));
    match answer.recv_timeout(Duration::from_secs(60)) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) => panic!("this does not end: {what}"),
        Err(RecvTimeoutError::Disconnected) => match acting.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(_) => unreachable!("an answer that was sent is received"),
        },
    }
}

/// Numbers drawn from a seed.
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// A folder of its own that goes away with the test.
pub(crate) struct Folder(pub(crate) std::path::PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("vfio-migration-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }

    /// The names of what is in it.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A device that remembers what it and the memory held when it had loaded everything.
struct Witness {
    device: Box<dyn Device>,
    model: ModelHandle,
    memory: GuestMemory,
    arrived: Arc<Mutex<Option<Arrived>>>,
}

impl Device for Witness {
    fn passport(&self) -> &Passport {
        self.device.passport()
    }

    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn table(&self) -> Table {
        self.device.table()
    }

    fn state(&mut self) -> Result<State, CallError> {
        self.device.state()
    }

    fn set_state(&mut self, to: State) -> Result<(), CallError> {
        let loaded = to == State::Stop && self.device.state() == Ok(State::Resuming);
        self.device.set_state(to)?;
        if loaded {
            let (proof, digests) = (self.model.proof(), self.memory.page_digests());
            *self.arrived.lock().unwrap() = Some(Arrived { proof, digests });
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), CallError> {
        self.device.reset()
    }

    fn read(&mut self, into: &mut [u8]) -> Result<Filled, CallError> {
        self.device.read(into)
    }

    fn write(&mut self, data: &[u8], segment_end: bool) -> Result<usize, CallError> {
        self.device.write(data, segment_end)
    }

    fn pre_copy_info(&mut self) -> Result<PreCopyInfo, CallError> {
        self.device.pre_copy_info()
    }

    fn data_size(&mut self) -> Result<Estimate, CallError> {
        self.device.data_size()
    }

    fn resets(&self) -> Option<u64> {
        self.device.resets()
    }
}
