//! What the tests share: both ends of a migration over software devices, and what must hold after it.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use vfio_migration::device::{Address, ModelHandle, OpenOptions, Opened, RegionOptions};
use vfio_migration::{Finished, Outcome, RestoreBuilder, RestoreOptions, SaveBuilder, SaveOptions, State};
use vfio_migration_model::GuestMemory;

/// Bytes of guest memory at each end.
pub(crate) const MEMORY: u64 = 2 << 20;
/// A device that can do everything, and works hard.
pub(crate) const DEVICE: &str = "size=4MiB,pre-copy,p2p,dirty-tracking,dirty-rate=8,dma-rate=8";

/// What a device is at each end: `(here, there)`. One that speaks fsm, and such with a region whose windows differ.
pub(crate) const SMALL_PAIRS: [(&str, &str); 3] = [
    (SMALL, SMALL),
    (
        "size=256KiB,pre-copy,p2p,dirty-tracking,dirty-rate=4,dma-rate=2,protocol=region,window=128KiB,segment=1KiB..32KiB",
        "size=256KiB,pre-copy,p2p,dirty-tracking,dirty-rate=4,dma-rate=2,protocol=region,window=32KiB,mmap=sparse",
    ),
    (
        "size=256KiB,pre-copy,dirty-tracking,dirty-rate=4,dma-rate=2,protocol=region,dialect=libvfio-user,segment=16KiB",
        "size=256KiB,pre-copy,dirty-tracking,dirty-rate=4,dma-rate=2,protocol=region,dialect=libvfio-user,window=64KiB",
    ),
];
const SMALL: &str = "size=256KiB,pre-copy,p2p,dirty-tracking,dirty-rate=4,dma-rate=2";

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
    /// What each page of the guest's memory held once everything was loaded and nothing ran yet.
    pub(crate) digests: Arc<Mutex<Option<Vec<u64>>>>,
}

/// Opens a software device, one with a region too.
pub(crate) fn open_model(settings: &str, memory: Option<GuestMemory>, region: RegionOptions) -> Opened {
    let address: Address = format!("model:{settings}").parse().unwrap();
    address.open(OpenOptions { memory, region: Some(region), ..OpenOptions::default() }).unwrap()
}

pub(crate) fn origin(settings: &str, options: SaveOptions) -> Origin {
    let memory = GuestMemory::new(0x1_0000_0000, MEMORY).unwrap();
    let opened = open_model(settings, Some(memory.clone()), RegionOptions::default());
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
    target_with(settings, options, RegionOptions::default())
}

/// A destination whose device, if it has a region, is driven so.
pub(crate) fn target_with(settings: &str, options: RestoreOptions, region: RegionOptions) -> Target {
    let memory = GuestMemory::new(0x1_0000_0000, MEMORY).unwrap();
    let opened = open_model(settings, Some(memory.clone()), region);
    let model = opened.model.unwrap();
    let (heard, digests) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(None)));
    let mut restore = RestoreBuilder::new(options);
    restore.device("gpu0", opened.device).memory("ram", Box::new(memory.clone()));
    let (words, seen) = (Arc::clone(&heard), Arc::clone(&digests));
    restore.on_configure(move || {
        words.lock().unwrap().push("configure".into());
        *seen.lock().unwrap() = Some(memory.page_digests());
        Ok(())
    });
    let (guest, words) = (model.guest(), Arc::clone(&heard));
    restore.on_take_over(move || {
        words.lock().unwrap().push("takeOver".into());
        guest.resume();
        Ok(())
    });
    Target { restore, model, heard, digests }
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
    let stopped = target.model.stopped().expect("everything was loaded");
    let digests = target.digests.lock().unwrap().clone().expect("everything was loaded");
    assert_eq!(stopped.proof, origin.model.proof(), "the device's data");
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
