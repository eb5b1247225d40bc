//! Dirty tracking beside the truth: the device's own log, and the type1 container's.

use std::collections::BTreeSet;
use std::os::fd::AsFd;

use rustix::io::Errno;
use vfio_migration_uapi::layout::DmaLoggingRange;
use vfio_migration_uapi::mapping::Mapping;
use vfio_migration_uapi::{container, feature};

use crate::bench::{Bench, Knobs, length, skipped};
use crate::open_device::{OpenDevice, Register, Way, has_cdev};

const IOVA: u64 = 3 << 30;
/// The area is mapped in pieces of so many pages, all of them the same memory: what counts here is where it was written.
const PIECE: u64 = 512;
const PIECES: u64 = 512;
const PAGE: u64 = 4096;

const ROUNDS: u64 = 50;
const WRITES: u64 = 2000;

/// Where a piece begins.
fn piece(number: u64) -> u64 {
    IOVA + number * PIECE * PAGE
}

fn map_piece(device: &OpenDevice, memory: &Mapping, number: u64) {
    device.map(memory.whole(), piece(number));
}

/// Adds the pages of a bitmap that begins at `iova`.
fn collect(pages: &mut BTreeSet<u64>, iova: u64, bitmap: &[u64], page_size: u64) {
    for (word, bits) in bitmap.iter().enumerate() {
        for bit in (0..64).filter(|bit| bits >> bit & 1 == 1) {
            let first = (iova + (word as u64 * 64 + bit) * page_size) / PAGE;
            pages.extend(first..first + page_size / PAGE);
        }
    }
}

/// Lets the device write while pieces are taken from it and given back. `unmap` says what was dirty in a piece that
/// goes, `ask` what was in all the others.
fn write_about(
    device: &OpenDevice,
    memory: &Mapping,
    mut unmap: impl FnMut(u64, &mut BTreeSet<u64>),
    mut ask: impl FnMut(&mut BTreeSet<u64>),
) -> BTreeSet<u64> {
    let mut dirty = BTreeSet::new();
    for round in 0..ROUNDS {
        device.set_register(Register::Doorbell, WRITES / 2);
        unmap(round % PIECES, &mut dirty);
        device.set_register(Register::Doorbell, WRITES / 2);
        map_piece(device, memory, round % PIECES);
        if round % 5 == 0 {
            ask(&mut dirty);
        }
    }
    ask(&mut dirty);
    assert_eq!(device.register(Register::Counter), ROUNDS * WRITES);
    assert!(device.register(Register::Failed) > 0, "some pieces were not mapped");
    dirty
}

fn ready(device: &OpenDevice) -> Mapping {
    let memory = Mapping::anonymous(length(PIECE * PAGE)).expect("memory");
    for number in 0..PIECES {
        map_piece(device, &memory, number);
    }
    device.set_register(Register::Seed, 42);
    device.set_register(Register::Iova, IOVA);
    device.set_register(Register::Length, PIECES * PIECE * PAGE);
    memory
}

/// Everything that the log has, at its own page size.
fn report(device: &OpenDevice, page_size: u64, pages: &mut BTreeSet<u64>) {
    let range = DmaLoggingRange { iova: IOVA, length: PIECES * PIECE * PAGE };
    let mut bitmap = vec![0; length((range.length / page_size).div_ceil(64))];
    feature::report_dma_logging(device.fd(), range, page_size, &mut bitmap).expect("the log is read");
    collect(pages, IOVA, &bitmap, page_size);
}

/// The kernel reports logs only with iommufd: without it START and STOP still succeed.
fn logs_are_reported(knobs: &Knobs, device: &OpenDevice) -> bool {
    let range = DmaLoggingRange { iova: IOVA, length: PAGE };
    feature::start_dma_logging(device.fd(), &[range], PAGE).expect("logging starts");
    let reported = feature::report_dma_logging(device.fd(), range, PAGE, &mut [0]);
    feature::stop_dma_logging(device.fd()).expect("logging stops");
    match reported {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error, Errno::OPNOTSUPP);
            assert!(!has_cdev(knobs), "this kernel has iommufd");
            skipped("this kernel reports no DMA logs");
            false
        }
    }
}

/// All that was written is reported, and nothing else.
fn log_is_exact(knobs: &Knobs, device: &OpenDevice) {
    if !logs_are_reported(knobs, device) {
        return;
    }
    let memory = ready(device);
    let whole = DmaLoggingRange { iova: IOVA, length: PIECES * PIECE * PAGE };
    assert_eq!(feature::start_dma_logging(device.fd(), &[whole], PAGE), Ok(PAGE));
    let logged = write_about(
        device,
        &memory,
        |number, _| device.unmap(piece(number), PIECE * PAGE),
        |pages| report(device, PAGE, pages),
    );
    let truth = knobs.truth();
    assert!(truth.len() > 50_000);
    assert_eq!(logged, truth);
    let mut again = BTreeSet::new();
    report(device, PAGE, &mut again);
    assert_eq!(again.len(), 0, "a report clears");
    // Two stops are one, and after them there is no log.
    assert_eq!((feature::stop_dma_logging(device.fd()), feature::stop_dma_logging(device.fd())), (Ok(()), Ok(())));
    assert_eq!(feature::report_dma_logging(device.fd(), whole, PAGE, &mut vec![0; 4096]), Err(Errno::INVAL));
}

#[test]
fn the_log_of_a_device_is_the_truth_by_group() {
    let Some(bench) = Bench::take() else { return };
    log_is_exact(&bench.knobs[0], &OpenDevice::by_group(&bench.knobs[0]));
}

#[test]
fn the_log_of_a_device_is_the_truth_by_character_device() {
    let Some(bench) = Bench::take() else { return };
    if !has_cdev(&bench.knobs[0]) {
        return skipped("this kernel has no iommufd");
    }
    log_is_exact(&bench.knobs[0], &OpenDevice::by_cdev(&bench.knobs[0]));
}

#[test]
fn a_log_may_have_larger_pages_and_knows_only_its_ranges() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let device = OpenDevice::by_group(knobs);
    if !logs_are_reported(knobs, &device) {
        return;
    }
    knobs.set("log_page_size", 16 * PAGE);
    let _memory = ready(&device);
    let half = DmaLoggingRange { iova: IOVA, length: PIECES / 2 * PIECE * PAGE };
    assert_eq!(feature::start_dma_logging(device.fd(), &[half], PAGE), Ok(16 * PAGE));
    assert_eq!(feature::start_dma_logging(device.fd(), &[half], PAGE), Err(Errno::INVAL));
    device.set_register(Register::Doorbell, 100);
    let mut logged = BTreeSet::new();
    report(&device, 16 * PAGE, &mut logged);
    let inside = knobs.truth().into_iter().filter(|page| page * PAGE < half.iova + half.length);
    let expected: BTreeSet<u64> = inside.flat_map(|page| page / 16 * 16..page / 16 * 16 + 16).collect();
    assert!(expected.len() > 16);
    assert_eq!(logged, expected);
}

/// The container's bits of all pieces, with or without those of the pieces that went.
fn container_collects(asks_at_unmap: bool) -> Option<(BTreeSet<u64>, BTreeSet<u64>)> {
    let bench = Bench::take()?;
    let device = OpenDevice::by_group(&bench.knobs[0]);
    let memory = ready(&device);
    let Way::Group { container, .. } = &device.way else { unreachable!("it was opened by its group") };
    let container = container.as_fd();
    container::start_dirty_tracking(container).expect("tracking starts");
    let dirty = write_about(
        &device,
        &memory,
        |number, pages| {
            if !asks_at_unmap {
                return device.unmap(piece(number), PIECE * PAGE);
            }
            let mut bitmap = [0; (PIECE / 64) as usize];
            let unmapped = container::unmap_dirty(container, piece(number), PIECE * PAGE, PAGE, &mut bitmap);
            assert_eq!(unmapped, Ok(PIECE * PAGE));
            collect(pages, piece(number), &bitmap, PAGE);
        },
        |pages| {
            for number in 0..PIECES {
                let mut bitmap = [0; (PIECE / 64) as usize];
                container::dirty(container, piece(number), PIECE * PAGE, PAGE, &mut bitmap).expect("bits");
                collect(pages, piece(number), &bitmap, PAGE);
            }
        },
    );
    Some((dirty, bench.knobs[0].truth()))
}

#[test]
fn a_container_reports_all_that_was_written() {
    let Some((dirty, truth)) = container_collects(true) else { return };
    println!("{} pages reported, {} written", dirty.len(), truth.len());
    assert!(truth.len() > 50_000 && truth.is_subset(&dirty));
}

#[test]
fn a_container_that_is_not_asked_at_an_unmap_loses_pages() {
    let Some((dirty, truth)) = container_collects(false) else { return };
    assert!(truth.difference(&dirty).count() > 0, "the test above would prove nothing");
}
