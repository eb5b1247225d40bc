//! The DMA engine, and what it knows for certain about what it wrote.

use vfio_migration_protocol::Bitmap;

use crate::guest_memory::GuestMemory;
use crate::log::SharedLog;
use crate::pages::{Domain, PageKey, below};

/// Which pages of guest memory a device wrote to since it was made, and what they held afterwards.
///
/// It holds for pages that nobody else writes to: devices that share a memory need a `lane` each.
#[derive(Clone, Debug)]
pub struct GroundTruth {
    written: Bitmap,
    digests: Vec<u64>,
    writes: u64,
}

impl GroundTruth {
    fn new(pages: u64) -> Self {
        let count = usize::try_from(pages).expect("the memory has as many pages");
        Self { written: Bitmap::new(pages), digests: vec![0; count], writes: 0 }
    }

    /// The pages that the device wrote to.
    pub const fn written(&self) -> &Bitmap {
        &self.written
    }

    /// How many pages it wrote, each time counted.
    pub const fn writes(&self) -> u64 {
        self.writes
    }

    /// The pages of `memory` that do not hold what the device last wrote to them: what a migration missed, if `memory`
    /// is the destination's before anything runs there.
    pub fn missed(&self, memory: &GuestMemory) -> Vec<u64> {
        let pages = (0u64..).zip(&self.digests);
        let wrong = pages.filter(|(page, digest)| self.written.get(*page) && memory.page_digest(*page) != **digest);
        wrong.map(|(page, _)| page).collect()
    }

    fn note(&mut self, page: u64, digest: u64) {
        self.written.set(page);
        self.writes += 1;
        if let Some(noted) = usize::try_from(page).ok().and_then(|page| self.digests.get_mut(page)) {
            *noted = digest;
        }
    }
}

#[derive(Debug)]
pub(crate) struct Dma {
    memory: GuestMemory,
    lane: (u64, u64),
    truth: GroundTruth,
    /// The device's own log, and the one of its IOMMU.
    logs: [SharedLog; 2],
}

impl Dma {
    pub(crate) fn new(memory: GuestMemory, lane: (u64, u64), logs: [SharedLog; 2]) -> Self {
        let truth = GroundTruth::new(memory.pages());
        Self { memory, lane, truth, logs }
    }

    pub(crate) const fn memory(&self) -> &GuestMemory {
        &self.memory
    }

    pub(crate) const fn truth(&self) -> &GroundTruth {
        &self.truth
    }

    /// How many pages of the memory the engine may write to.
    pub(crate) fn places(&self) -> u64 {
        let (k, n) = self.lane;
        self.memory.pages().saturating_sub(k).div_ceil(n)
    }

    /// Writes one page, at a place that `random` draws; `sequence` is different for every write of a device.
    pub(crate) fn write(&mut self, secret: u128, sequence: u64, random: u64) {
        let places = self.places();
        if places > 0 {
            self.write_page(secret, sequence, self.lane.0 + self.lane.1 * below(places, random), None);
        }
    }

    /// Writes a certain page, whose first word may be a certain one; says whether there is such a page.
    pub(crate) fn write_at(&mut self, secret: u128, sequence: u64, page: u64, first: Option<u64>) -> bool {
        self.write_page(secret, sequence, page, first)
    }

    /// Writes to the page that the log has lost, if it has: the DMA that was under way when the device stopped.
    /// Says whether it did.
    pub(crate) fn write_lost(&mut self, secret: u128, sequence: u64) -> bool {
        let lost = self.logs.iter().find_map(|log| log.lock().lost());
        lost.is_some_and(|page| self.write_page(secret, sequence, page, None))
    }

    fn write_page(&mut self, secret: u128, sequence: u64, page: u64, first: Option<u64>) -> bool {
        let key = PageKey::new(secret, Domain::Dma, page, sequence);
        let Some(digest) = self.memory.store_page(page, key, first) else { return false };
        self.truth.note(page, digest);
        self.logs.iter().for_each(|log| log.lock().mark(page));
        true
    }
}
