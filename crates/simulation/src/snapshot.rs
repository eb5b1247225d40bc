use vfio_migration_model::{GuestMemory, Held};
use vfio_migration_protocol::report::Side;

use crate::end::End;

/// What the source held when everything there had stopped, and whether that is what the destination has before anything
/// runs there.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    left: Option<Contents>,
    /// Which pages of guest memory were not what they had been, before the first device was asked to run.
    pages: Option<Vec<usize>>,
    /// Why what arrived is not what left.
    pub(crate) arrived: Option<Result<(), String>>,
}

#[derive(Debug)]
struct Contents {
    devices: Vec<Held>,
    pages: Vec<u64>,
}

impl Snapshot {
    /// Keeps what the source holds once everything there has stopped.
    pub(crate) fn look(&mut self, ends: &[End; 2]) {
        let source = &ends[Side::Save as usize];
        if self.left.is_none() && !source.dead && !source.works() {
            let devices = source.devices.iter().map(|device| device.model().held()).collect();
            self.left = Some(Contents { devices, pages: digests(source) });
        }
    }

    /// The destination is about to run, or will not: compares. Of a device that leaves resuming only for running nobody
    /// knows before what it holds, so all of them are compared once the last one has left it.
    pub(crate) fn compare(&mut self, destination: &End) {
        let (Some(left), None) = (&self.left, &self.arrived) else { return };
        if !destination.devices.iter().all(|device| device.carries) {
            return;
        }
        let pages = self.pages.get_or_insert_with(|| {
            let here = digests(destination);
            (0..left.pages.len()).filter(|page| left.pages.get(*page) != here.get(*page)).collect()
        });
        let Some(here) = destination.devices.iter().map(|device| device.came).collect::<Option<Vec<Held>>>() else {
            return;
        };
        let device = left.devices.iter().zip(&here).position(|(left, here)| left != here);
        self.arrived = Some(match (device, pages.is_empty()) {
            (None, true) => Ok(()),
            (Some(device), _) => Err(format!("device{device} is not what it was")),
            (None, false) => Err(format!("pages {pages:?} of guest memory are not what they were")),
        });
    }
}

fn digests(end: &End) -> Vec<u64> {
    end.memory.as_ref().map(GuestMemory::page_digests).unwrap_or_default()
}
