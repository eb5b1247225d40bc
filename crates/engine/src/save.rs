use std::error::Error as StdError;

use vfio_migration_protocol::session::{SaveOptions, TrackerIndex};
use vfio_migration_protocol::{Device, Estimate, Memory, Outcome, Tracker};

use crate::session::{Hooks, Parts, Session, Unstarted, start_save, words};
use crate::{Error, Sink};

/// The source's end of a migration, before it starts: what to move, how, and whom to ask.
///
/// Objects are matched with those of the destination by id and passport, never by order.
///
/// ```
/// use vfio_migration::{SaveBuilder, SaveOptions};
/// let mut save = SaveBuilder::new(SaveOptions { depth: 8, ..SaveOptions::default() });
/// save.on_pause(|left| {
///     println!("stopping the guest with {left} to go");
///     Ok(())
/// });
/// ```
#[derive(Debug)]
pub struct SaveBuilder {
    options: SaveOptions,
    parts: Parts,
    hooks: Hooks,
}

impl SaveBuilder {
    /// A save of nothing yet. [`SaveOptions::mode`] does not matter: the sink knows it.
    pub fn new(options: SaveOptions) -> Self {
        Self { options, parts: Parts::default(), hooks: Hooks::default() }
    }

    /// Moves a device. The id is 1 to 255 bytes of UTF-8 and the same at both ends.
    pub fn device(&mut self, id: impl Into<String>, device: Box<dyn Device>) -> &mut Self {
        self.parts.device(id.into(), device);
        self
    }

    /// Adds something that reports writes to guest memory, for [`memory`](Self::memory) to refer to.
    pub fn tracker(&mut self, tracker: Box<dyn Tracker>) -> TrackerIndex {
        self.parts.tracker(tracker)
    }

    /// Moves a piece of guest memory. `page_size` in bytes, a power of two, is what its `trackers` are asked for; without
    /// trackers all of it is sent after the devices have stopped.
    pub fn memory(
        &mut self,
        id: impl Into<String>,
        memory: Box<dyn Memory>,
        page_size: u64,
        trackers: &[TrackerIndex],
    ) -> &mut Self {
        self.parts.memory(id.into(), memory, page_size, trackers);
        self
    }

    /// Stops the guest. When the hook returns, no vCPU runs and nobody touches the devices. It is told how many bytes
    /// pre-copy left to do. It runs on a thread of its own and may block; an error brings everything back.
    pub fn on_pause(
        &mut self,
        mut hook: impl FnMut(Estimate) -> Result<(), Box<dyn StdError + Send + Sync>> + Send + 'static,
    ) -> &mut Self {
        self.hooks.pause = Box::new(move |told| hook(told).map_err(|error| words(&*error)));
        self
    }

    /// Lets the guest run here after all. Called once if `pause` was started and the guest stays, never while in doubt.
    /// It is told the worst outcome of all devices.
    pub fn on_unpause(
        &mut self,
        mut hook: impl FnMut(Outcome) -> Result<(), Box<dyn StdError + Send + Sync>> + Send + 'static,
    ) -> &mut Self {
        self.hooks.unpause = Box::new(move |told| hook(told).map_err(|error| words(&*error)));
        self
    }

    /// Starts the session and returns at once; the connection stands already. When it fails, nothing was changed and the
    /// builder still holds everything but the sink, to be had back with [`into_parts`](Self::into_parts).
    ///
    /// # Errors
    /// `ERR_VFIO_USAGE` for objects that cannot be (an id twice, no object, a page size that is no power of two),
    /// `ERR_VFIO_HOST` if threads or random numbers are refused.
    pub fn start(&mut self, sink: Sink) -> Result<Session, Error> {
        start_save(self.options.clone(), &mut self.parts, &mut self.hooks, sink)
    }

    /// Everything that was added and not started.
    pub fn into_parts(self) -> Unstarted {
        self.parts.unstarted()
    }
}
