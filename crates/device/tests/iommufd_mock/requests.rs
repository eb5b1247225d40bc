//! The requests themselves: what clears, what keeps, and what is refused.

use rustix::io::Errno;
use vfio_migration_device::kernel::tracker::{PageTable, Whose};
use vfio_migration_protocol::IovaRange;
use vfio_migration_uapi::layout::IoasIovaRange;
use vfio_migration_uapi::{iommufd, iommufd::AfterReport, iommufd_mock};

use crate::bench::{Bench, PAGE, pages};

/// The bits of a range of up to 64 pages.
fn ask(bench: &Bench, table: u32, range: IovaRange, after: AfterReport) -> Result<u64, Errno> {
    let asked = IoasIovaRange { start: range.iova, last: range.iova + range.length - 1 };
    let mut words = [0];
    iommufd::dirty(bench.fd(), table, asked, PAGE, after, &mut words).map(|()| words[0])
}

#[test]
fn bits_stay_until_they_are_cleared() {
    let Some(bench) = Bench::take() else { return };
    let range = bench.map(0, 64);
    let (table, _log) = bench.tracked(Whose::Ours);
    iommufd::set_dirty_tracking(bench.fd(), table, true).expect("it starts");
    let first = range.iova / PAGE;
    let written = bench.write(table, range, 4).iter().fold(0, |bits, page| bits | 1 << (page - first));
    assert_ne!(written, 0);
    for _ in 0..3 {
        assert_eq!(ask(&bench, table, range, AfterReport::Keep), Ok(written));
    }
    assert_eq!(ask(&bench, table, range, AfterReport::Clear), Ok(written));
    assert_eq!(ask(&bench, table, range, AfterReport::Keep), Ok(0));
    assert_eq!(ask(&bench, table, range, AfterReport::Clear), Ok(0));
}

#[test]
fn holes_and_tables_that_do_not_track_are_refused() {
    let Some(bench) = Bench::take() else { return };
    let ranges = [bench.map(0, 32), bench.map(48, 16)];
    let (table, _log) = bench.tracked(Whose::Ours);
    assert_eq!(ask(&bench, table, ranges[0], AfterReport::Clear), Err(Errno::INVAL), "tracking is off");
    iommufd::set_dirty_tracking(bench.fd(), table, true).expect("it starts");
    assert_eq!(ask(&bench, table, ranges[0], AfterReport::Clear), Ok(0));
    // A hole, one that begins or ends with a mapping, and one inside.
    for hole in [pages(70, 20), pages(16, 32), pages(40, 16), pages(0, 64)] {
        assert_eq!(ask(&bench, table, hole, AfterReport::Clear), Err(Errno::INVAL), "{hole:?}");
    }
}

#[test]
fn a_device_whose_iommu_does_not_track_has_no_such_page_table() {
    let Some(bench) = Bench::take() else { return };
    let device = bench.device(false);
    assert_eq!(iommufd::hw_info(bench.fd(), device.device).map(iommufd::Hardware::tracks_dirty), Ok(false));
    assert_eq!(iommufd::alloc_page_table(bench.fd(), device.device, bench.ioas, true), Err(Errno::OPNOTSUPP));
    assert!(PageTable::make(bench.fd(), device.device, bench.ioas).expect("that there is none is no error").is_none());
    // A table that tracks nothing can be had; it cannot be told to, and the device cannot use one that tracks.
    let plain = iommufd::alloc_page_table(bench.fd(), device.device, bench.ioas, false).expect("a page table");
    assert_eq!(iommufd::set_dirty_tracking(bench.fd(), plain, true), Err(Errno::OPNOTSUPP));
    let (tracking, _log) = bench.tracked(Whose::Ours);
    assert_eq!(iommufd_mock::attach(bench.fd(), device, tracking), Err(Errno::INVAL));
}

#[test]
fn ids_that_name_nothing_are_refused() {
    let Some(bench) = Bench::take() else { return };
    let range = bench.map(0, 1);
    let nothing = u32::MAX / 2;
    assert_eq!(iommufd::set_dirty_tracking(bench.fd(), nothing, true), Err(Errno::NOENT));
    assert_eq!(ask(&bench, nothing, range, AfterReport::Clear), Err(Errno::NOENT));
    assert!(PageTable::make(bench.fd(), nothing, bench.ioas).expect("no device, so no tracking").is_none());
}
