use std::error::Error as StdError;

use vfio_migration_protocol::session::RestoreOptions;
use vfio_migration_protocol::{Device, Memory};

use crate::session::{Hooks, Parts, Session, Unstarted, start_restore, words};
use crate::{Error, Source};

/// How the engine runs a restore, besides the rules in [`RestoreOptions`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreSettings {
    /// How many chunks may wait for their devices; 4. When all are taken, nothing more is read from the source.
    pub depth: u32,
    /// Largest chunk that is accepted, in bytes; 64 MiB. A stream with larger ones is refused as incompatible.
    pub largest_chunk: u32,
}

impl Default for RestoreSettings {
    fn default() -> Self {
        Self { depth: 4, largest_chunk: 64 << 20 }
    }
}

/// The destination's end of a migration, before it starts.
///
/// ```
/// use vfio_migration::{RestoreBuilder, RestoreOptions};
/// let mut restore = RestoreBuilder::new(RestoreOptions::default());
/// restore.on_take_over(|| {
///     println!("letting the guest run");
///     Ok(())
/// });
/// ```
#[derive(Debug)]
pub struct RestoreBuilder {
    options: RestoreOptions,
    settings: RestoreSettings,
    parts: Parts,
    hooks: Hooks,
}

impl RestoreBuilder {
    /// A restore of nothing yet.
    pub fn new(options: RestoreOptions) -> Self {
        Self { options, settings: RestoreSettings::default(), parts: Parts::default(), hooks: Hooks::default() }
    }

    /// Sets how the engine runs it.
    pub fn settings(&mut self, settings: RestoreSettings) -> &mut Self {
        self.settings = settings;
        self
    }

    /// Takes a device's data. The id is the same as at the source.
    pub fn device(&mut self, id: impl Into<String>, device: Box<dyn Device>) -> &mut Self {
        self.parts.device(id.into(), device);
        self
    }

    /// Takes a piece of guest memory.
    pub fn memory(&mut self, id: impl Into<String>, memory: Box<dyn Memory>) -> &mut Self {
        self.parts.memory(id.into(), memory, 0, &[]);
        self
    }

    /// All is loaded, nothing has left resuming: restores PCI config and interrupts, which are not in the data. An error
    /// refuses the guest.
    pub fn on_configure(
        &mut self,
        mut hook: impl FnMut() -> Result<(), Box<dyn StdError + Send + Sync>> + Send + 'static,
    ) -> &mut Self {
        self.hooks.configure = Box::new(move || hook().map_err(|error| words(&*error)));
        self
    }

    /// The devices run: lets the guest run.
    pub fn on_take_over(
        &mut self,
        mut hook: impl FnMut() -> Result<(), Box<dyn StdError + Send + Sync>> + Send + 'static,
    ) -> &mut Self {
        self.hooks.take_over = Box::new(move || hook().map_err(|error| words(&*error)));
        self
    }

    /// Starts the session and returns at once. When it fails, nothing was changed and the builder still holds
    /// everything, as that of a save.
    ///
    /// # Errors
    /// As [`SaveBuilder::start`](crate::SaveBuilder::start).
    pub fn start(&mut self, source: Source) -> Result<Session, Error> {
        start_restore(self.options.clone(), &self.settings, &mut self.parts, &mut self.hooks, source)
    }

    /// Everything that was added and not started.
    pub fn into_parts(self) -> Unstarted {
        self.parts.unstarted()
    }
}
