use vfio_migration_model::Proof;
use vfio_migration_protocol::report::Side;

use crate::end::End;

/// What the source held when everything there had stopped, and whether that is what the destination has before anything
/// runs there.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    left: Option<Contents>,
    /// Why what arrived is not what left.
    pub(crate) arrived: Option<Result<(), String>>,
}

#[derive(Debug)]
struct Contents {
    proofs: Vec<Proof>,
    counters: Vec<u64>,
    pages: Vec<u64>,
}

impl Contents {
    fn of(end: &End) -> Self {
        Self {
            proofs: end.devices.iter().map(|device| device.model.proof()).collect(),
            counters: end.devices.iter().map(crate::subject::Subject::counter).collect(),
            pages: end.memory.as_ref().map(vfio_migration_model::GuestMemory::page_digests).unwrap_or_default(),
        }
    }
}

impl Snapshot {
    /// Keeps what the source holds once everything there has stopped.
    pub(crate) fn look(&mut self, ends: &[End; 2]) {
        let source = &ends[Side::Save as usize];
        if self.left.is_none() && !source.dead && !source.works() {
            self.left = Some(Contents::of(source));
        }
    }

    /// The destination is about to run, or will not: compares.
    pub(crate) fn compare(&mut self, destination: &End) {
        let (Some(left), None) = (&self.left, &self.arrived) else { return };
        let here = Contents::of(destination);
        let device = left.proofs.iter().zip(&here.proofs).position(|(left, here)| left != here);
        let pages: Vec<usize> =
            (0..left.pages.len()).filter(|page| left.pages.get(*page) != here.pages.get(*page)).collect();
        self.arrived = Some(match (device, pages.is_empty()) {
            (None, true) if left.counters == here.counters => Ok(()),
            (Some(device), _) => Err(format!("device{device} is not what it was")),
            (None, false) => Err(format!("pages {pages:?} of guest memory are not what they were")),
            (None, true) => Err("a counter has jumped".into()),
        });
    }
}
