//! An address space with a device that iommufd made up, and what was written to by it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use vfio_migration_device::kernel::tracker::{MappedLog, PageTable, Whose};
use vfio_migration_protocol::{Bitmap, IovaRange, Tracker};
use vfio_migration_uapi::iommufd;
use vfio_migration_uapi::iommufd_mock::{self, ADDRESSES, MockDevice};
use vfio_migration_uapi::mapping::{Access, Mapping};

/// The smallest page that trackers have, and the page of the made-up IOMMU: two of these are one of those.
pub(crate) const PAGE: u64 = 4096;
const HALF: u64 = 2048;

/// One address space and its memory, for one test.
pub(crate) struct Bench {
    iommufd: File,
    pub(crate) ioas: u32,
    memory: Mapping,
    random: Cell<u64>,
}

impl Bench {
    /// `None`, with a line that says why, where there is no such kernel.
    ///
    /// # Panics
    /// In the test bed, which says that it has booted one: there no test may be skipped.
    pub(crate) fn take() -> Option<Self> {
        let missing = |why: String| {
            assert!(std::env::var_os("VFIO_TEST_MOCK").is_none(), "{why}");
            println!("skipped: {why}");
        };
        let iommufd = match File::options().read(true).write(true).open("/dev/iommu") {
            Ok(file) => file,
            Err(error) => {
                missing(format!("no iommufd to try: /dev/iommu: {error}"));
                return None;
            }
        };
        let ioas = iommufd::alloc_ioas(iommufd.as_fd()).expect("an address space");
        // Otherwise newer kernels join pages, and one bit stands for all of them.
        iommufd::set_huge_pages(iommufd.as_fd(), ioas, false).expect("small pages");
        let probe = iommufd_mock::make_device(iommufd.as_fd(), ioas, true);
        if probe == Err(Errno::NOTTY) {
            missing("this kernel has no devices for iommufd's own tests (CONFIG_IOMMUFD_TEST)".to_owned());
            return None;
        }
        let device = probe.expect("a device");
        iommufd::destroy(iommufd.as_fd(), device.id).expect("the device ends");
        let memory = Mapping::anonymous(usize::try_from(64 * PAGE).unwrap()).expect("memory");
        Some(Self { iommufd, ioas, memory, random: Cell::new(0x2545_f491_4f6c_dd1d) })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.iommufd.as_fd()
    }

    pub(crate) fn device(&self, tracks_dirty: bool) -> MockDevice {
        iommufd_mock::make_device(self.fd(), self.ioas, tracks_dirty).expect("a device")
    }

    /// A device that is attached to a page table with dirty tracking: the id of the table, and a tracker over it.
    pub(crate) fn tracked(&self, whose: Whose) -> (u32, MappedLog<PageTable<BorrowedFd<'_>>>) {
        let device = self.device(true);
        let table = PageTable::make(self.fd(), device.device, self.ioas).expect("a page table");
        let table = table.expect("this IOMMU tracks dirty pages");
        let id = table.id();
        iommufd_mock::attach(self.fd(), device, id).expect("the device is attached");
        (id, MappedLog::new(table, whose))
    }

    /// Maps pages from the `first` of the address space on, at most 64 in one mapping.
    pub(crate) fn map(&self, first: u64, count: u64) -> IovaRange {
        let range = pages(first, count);
        let piece = self.memory.piece(0, usize::try_from(range.length).unwrap()).expect("as many pages as there are");
        iommufd::map(self.fd(), self.ioas, piece, range.iova, Access::ReadWrite).expect("it is mapped");
        range
    }

    /// Writes to one half of a page in `chance`, and answers with the pages.
    pub(crate) fn write(&self, table: u32, range: IovaRange, chance: u64) -> BTreeSet<u64> {
        let halves = range.length / HALF;
        let mut bits = vec![0; usize::try_from(halves.div_ceil(64)).unwrap()];
        let mut written = BTreeSet::new();
        for half in 0..halves {
            if self.random().is_multiple_of(chance) {
                bits[usize::try_from(half / 64).unwrap()] |= 1 << (half % 64);
                written.insert((range.iova + half * HALF) / PAGE);
            }
        }
        iommufd_mock::write_to(self.fd(), table, range.iova, range.length, HALF, &bits).expect("pages are marked");
        written
    }

    /// A number that is the same in every run.
    fn random(&self) -> u64 {
        let mut next = self.random.get();
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        self.random.set(next);
        next >> 11
    }
}

/// Pages of the address space, counted from where mappings may begin.
pub(crate) const fn pages(first: u64, count: u64) -> IovaRange {
    IovaRange { iova: ADDRESSES.0 + first * PAGE, length: count * PAGE }
}

/// The numbers of all pages of a range.
pub(crate) fn numbers(range: IovaRange) -> BTreeSet<u64> {
    (range.iova / PAGE..(range.iova + range.length) / PAGE).collect()
}

/// The pages that a tracker reports in a range.
pub(crate) fn report(tracker: &mut dyn Tracker, range: IovaRange) -> BTreeSet<u64> {
    let mut bits = Bitmap::new(range.length / PAGE);
    tracker.report(range, &mut bits).expect("the log is read");
    let first = range.iova / PAGE;
    bits.runs().flat_map(|(from, count)| first + from..first + from + count).collect()
}
