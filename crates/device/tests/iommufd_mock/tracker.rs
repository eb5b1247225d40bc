//! The tracker reports exactly what was written: over several mappings, holes, unmaps, and sizes of pages.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;

use vfio_migration_device::kernel::tracker::{MappedLog, PageTable, Whose};
use vfio_migration_protocol::{Bitmap, Errno, IovaRange, Tracker};
use vfio_migration_uapi::iommufd;
use vfio_migration_uapi::iommufd::AfterReport;
use vfio_migration_uapi::layout::IoasIovaRange;

use crate::bench::{Bench, PAGE, numbers, pages, report};

/// Mappings of several lengths, side by side and apart: the first page, and how many.
const MAPPINGS: [(u64, u64); 5] = [(0, 64), (64, 1), (65, 7), (200, 64), (300, 33)];
/// What reports are about: the mappings with the holes between and behind them.
const WHOLE: IovaRange = pages(0, 400);

type Log<'a> = MappedLog<PageTable<BorrowedFd<'a>>>;

/// Everything mapped, and told to a tracker that has started: the mappings, what they leave out, the page table, and the
/// tracker.
fn started(bench: &Bench) -> ([IovaRange; 5], BTreeSet<u64>, u32, Log<'_>) {
    let ranges = MAPPINGS.map(|(first, count)| bench.map(first, count));
    let (table, mut log) = bench.tracked(Whose::Ours);
    let maps = log.maps();
    let mut holes = numbers(WHOLE);
    for range in ranges {
        maps.mapped(range).expect("mappings do not overlap");
        holes.retain(|page| !numbers(range).contains(page));
    }
    assert_eq!(log.start(&[WHOLE], PAGE), Ok(PAGE));
    (ranges, holes, table, log)
}

fn union(one: &BTreeSet<u64>, other: &BTreeSet<u64>) -> BTreeSet<u64> {
    one.union(other).copied().collect()
}

#[test]
fn what_was_written_is_reported_once_and_holes_always() {
    let Some(bench) = Bench::take() else { return };
    let (ranges, holes, table, mut log) = started(&bench);
    assert_eq!(holes.len(), 400 - (64 + 1 + 7 + 64 + 33));
    assert_eq!(report(&mut log, WHOLE), holes, "nothing was written yet");
    let mut total = 0;
    for round in 0..100 {
        let mut written = BTreeSet::new();
        for range in ranges {
            written.extend(bench.write(table, range, 2 + round % 40));
        }
        assert_eq!(report(&mut log, WHOLE), union(&written, &holes), "round {round}");
        assert_eq!(report(&mut log, WHOLE), holes, "a report clears");
        total += written.len();
    }
    println!("{total} pages written and reported");
    assert!(total > 1000, "only {total} pages were written");
    log.stop().expect("it stops");
}

#[test]
fn a_report_of_a_part_keeps_the_rest_for_later() {
    let Some(bench) = Bench::take() else { return };
    let (ranges, _, table, mut log) = started(&bench);
    let written = bench.write(table, ranges[0], 3);
    let mut reported = BTreeSet::new();
    for first in (0..64).step_by(8) {
        let part = report(&mut log, pages(first, 8));
        assert!(part.is_subset(&numbers(pages(first, 8))));
        reported.extend(part);
    }
    assert_eq!(reported, written);
}

#[test]
fn what_was_written_to_memory_that_is_unmapped_is_in_the_next_report() {
    let Some(bench) = Bench::take() else { return };
    let (ranges, holes, table, mut log) = started(&bench);
    let maps = log.maps();
    for round in 0..20 {
        let mut written = BTreeSet::new();
        for range in ranges {
            written.extend(bench.write(table, range, 5));
        }
        maps.unmap(ranges[3]).expect("it is mapped");
        assert_eq!(bench.map(200, 64), ranges[3]);
        maps.mapped(ranges[3]).expect("it was unmapped");
        assert_eq!(report(&mut log, WHOLE), union(&written, &holes), "round {round}");
    }
}

#[test]
fn an_unmap_behind_the_back_of_the_tracker_loses_pages() {
    let Some(bench) = Bench::take() else { return };
    let (ranges, holes, table, mut log) = started(&bench);
    let written = bench.write(table, ranges[3], 2);
    assert_eq!(iommufd::unmap(bench.fd(), bench.ioas, ranges[3].iova, ranges[3].length), Ok(ranges[3].length));
    assert_eq!(bench.map(200, 64), ranges[3]);
    let reported = report(&mut log, WHOLE);
    assert!(!written.is_empty() && written.is_disjoint(&reported), "this shows that the other tests can fail");
    assert_eq!(reported, holes);
}

#[test]
fn bits_that_somebody_else_takes_are_missed() {
    let Some(bench) = Bench::take() else { return };
    let (ranges, holes, table, mut log) = started(&bench);
    let written = union(&bench.write(table, ranges[0], 2), &bench.write(table, ranges[4], 2));
    let theirs = IoasIovaRange { start: ranges[0].iova, last: ranges[0].iova + PAGE * 32 - 1 };
    let mut words = [0; 1];
    iommufd::dirty(bench.fd(), table, theirs, PAGE, AfterReport::Clear, &mut words).expect("they read the log");
    let taken: BTreeSet<u64> = written.intersection(&numbers(pages(0, 32))).copied().collect();
    assert!(!taken.is_empty() && u64::from(words[0].count_ones()) == taken.len() as u64);
    let missed: BTreeSet<u64> = union(&written, &holes).difference(&report(&mut log, WHOLE)).copied().collect();
    assert_eq!(missed, taken, "this shows that the other tests can fail");
}

#[test]
fn a_log_of_larger_pages_marks_the_whole_page() {
    let Some(bench) = Bench::take() else { return };
    let range = bench.map(0, 64);
    let (table, mut log) = bench.tracked(Whose::Ours);
    log.maps().mapped(range).expect("it is the only one");
    assert_eq!(log.start(&[range], 8 * PAGE), Ok(8 * PAGE));
    let written = bench.write(table, range, 20);
    let mut bits = Bitmap::new(8);
    log.report(range, &mut bits).expect("the log is read");
    let reported: BTreeSet<u64> = bits.runs().flat_map(|(first, count)| first..first + count).collect();
    let first = range.iova / PAGE;
    assert_eq!(reported, written.iter().map(|page| (page - first) / 8).collect());
    assert!((1..8).contains(&reported.len()), "some pages are clean");
}

#[test]
fn a_log_starts_empty_and_a_borrowed_one_is_left_running() {
    let Some(bench) = Bench::take() else { return };
    let range = bench.map(0, 64);
    let (table, mut log) = bench.tracked(Whose::Ours);
    log.maps().mapped(range).expect("it is the only one");
    // The caller's own log has bits; one that we start has none of them.
    iommufd::set_dirty_tracking(bench.fd(), table, true).expect("the caller starts it");
    assert!(!bench.write(table, range, 2).is_empty());
    log.start(&[range], PAGE).expect("it starts again");
    assert_eq!(report(&mut log, range), BTreeSet::new());
    drop(log);

    iommufd::set_dirty_tracking(bench.fd(), table, true).expect("the caller starts it once more");
    let written = bench.write(table, range, 2);
    let borrowed = Whose::Borrowed { page_size: PAGE };
    let mut log = MappedLog::new(PageTable::new(bench.fd(), table, bench.ioas), borrowed);
    log.maps().mapped(range).expect("it is the only one");
    log.start(&[range], PAGE).expect("it is there");
    assert_eq!(report(&mut log, range), written, "what stood in it is not lost");
    log.stop().expect("it lets go");
    drop(log);
    // Writes can be marked only while the table tracks.
    assert!(!bench.write(table, range, 2).is_empty());
}

#[test]
fn a_lent_table_is_read_and_nothing_is_unmapped_in_it() {
    let Some(bench) = Bench::take() else { return };
    let range = bench.map(0, 64);
    let (table, _log) = bench.tracked(Whose::Ours);
    let mut lent = MappedLog::new(PageTable::lent(bench.fd(), table), Whose::Ours);
    let maps = lent.maps();
    // Told of no mapping, it takes what it watches for one.
    assert_eq!(lent.start(&[range], PAGE), Ok(PAGE));
    for round in 0..10 {
        let written = bench.write(table, range, 2 + round);
        assert_eq!(report(&mut lent, range), written, "round {round}");
        assert_eq!(report(&mut lent, range), BTreeSet::new());
    }
    let error = maps.unmap(range).expect_err("it is not ours");
    assert_eq!(error.errno, Errno::EPERM);
    // After an unmap that failed nothing is known; the memory is where it was.
    assert_eq!(lent.report(range, &mut Bitmap::new(64)).map_err(|error| error.errno), Err(Errno::EIO));
    lent.stop().expect("it stops");
    assert_eq!(iommufd::unmap(bench.fd(), bench.ioas, range.iova, range.length), Ok(range.length));
}
