use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use vfio_migration_protocol::session::{DeviceObject, RestoreObject, SaveObject, TrackerIndex};
use vfio_migration_protocol::{Device, Estimate, Memory, Outcome, Tracker};

/// What a builder has collected: everything that a session's workers will own.
#[derive(Default)]
pub(crate) struct Parts {
    pub(super) objects: Vec<Part>,
    pub(super) trackers: Vec<Box<dyn Tracker>>,
}

/// One object and what belongs to it.
pub(super) enum Part {
    Device { id: String, device: Box<dyn Device> },
    Memory { id: String, memory: Box<dyn Memory>, page_size: u64, trackers: Vec<TrackerIndex> },
}

impl Parts {
    pub(crate) fn device(&mut self, id: String, device: Box<dyn Device>) {
        self.objects.push(Part::Device { id, device });
    }

    pub(crate) fn memory(&mut self, id: String, memory: Box<dyn Memory>, page_size: u64, trackers: &[TrackerIndex]) {
        self.objects.push(Part::Memory { id, memory, page_size, trackers: trackers.to_vec() });
    }

    pub(crate) fn tracker(&mut self, tracker: Box<dyn Tracker>) -> TrackerIndex {
        let index = u32::try_from(self.trackers.len()).expect("nobody adds 2^32 trackers");
        self.trackers.push(tracker);
        TrackerIndex(index)
    }

    /// What a save tells its machine about the objects.
    pub(super) fn to_save(&self) -> Vec<SaveObject> {
        let describe = |part: &Part| match part {
            Part::Device { id, device } => SaveObject::Device(DeviceObject::of(id, &**device)),
            Part::Memory { id, memory, page_size, trackers } => SaveObject::Memory {
                id: id.clone(),
                range: memory.range(),
                page_size: *page_size,
                trackers: trackers.clone(),
            },
        };
        self.objects.iter().map(describe).collect()
    }

    /// What a restore tells its machine about the objects.
    pub(super) fn to_restore(&self) -> Vec<RestoreObject> {
        let describe = |part: &Part| match part {
            Part::Device { id, device } => RestoreObject::Device(DeviceObject::of(id, &**device)),
            Part::Memory { id, memory, .. } => RestoreObject::Memory { id: id.clone(), range: memory.range() },
        };
        self.objects.iter().map(describe).collect()
    }

    pub(crate) fn unstarted(self) -> Unstarted {
        let (mut devices, mut memories) = (Vec::new(), Vec::new());
        for part in self.objects {
            match part {
                Part::Device { id, device } => devices.push((id, device)),
                Part::Memory { id, memory, .. } => memories.push((id, memory)),
            }
        }
        Unstarted { devices, memories, trackers: self.trackers }
    }
}

/// What a session was to be made of that did not start: all of it as it was, each kind in the order in which it was added.
pub struct Unstarted {
    /// The devices with their ids.
    pub devices: Vec<(String, Box<dyn Device>)>,
    /// The pieces of guest memory with their ids.
    pub memories: Vec<(String, Box<dyn Memory>)>,
    /// The trackers; a restore has none.
    pub trackers: Vec<Box<dyn Tracker>>,
}

impl fmt::Debug for Unstarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { devices, memories, trackers } = self;
        let devices: Vec<_> = devices.iter().map(|(id, _)| id).collect();
        let memories: Vec<_> = memories.iter().map(|(id, _)| id).collect();
        let mut all = f.debug_struct("Unstarted");
        all.field("devices", &devices).field("memories", &memories).field("trackers", &trackers.len()).finish()
    }
}

impl Part {
    /// A way to make a blocked call of it return, if it has one.
    pub(super) fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        match self {
            Self::Device { device, .. } => device.interrupter(),
            Self::Memory { .. } => None,
        }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.objects.iter().map(|part| match part {
            Part::Device { id, .. } | Part::Memory { id, .. } => id,
        });
        f.debug_list().entries(ids).finish()
    }
}

/// A hook's error in the caller's own words, with what caused it.
pub(crate) fn words(error: &(dyn StdError + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

/// The caller's hooks. Those that were not set succeed at once.
pub(crate) struct Hooks {
    pub(crate) pause: Box<dyn FnMut(Estimate) -> Result<(), String> + Send>,
    pub(crate) unpause: Box<dyn FnMut(Outcome) -> Result<(), String> + Send>,
    pub(crate) configure: Box<dyn FnMut() -> Result<(), String> + Send>,
    pub(crate) take_over: Box<dyn FnMut() -> Result<(), String> + Send>,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            pause: Box::new(|_| Ok(())),
            unpause: Box::new(|_| Ok(())),
            configure: Box::new(|| Ok(())),
            take_over: Box::new(|| Ok(())),
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hooks")
    }
}
