//! The trackers of the library beside the truth: every page that the device wrote is reported, while memory is taken from
//! it and given back; what cannot track is found out at the start; every log is stopped.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};

use vfio_migration_device::kernel::tracker::{Container, DeviceLog, FirstThatWorks, MappedLog, Maps, PageTable, Whose};
use vfio_migration_protocol::{Bitmap, Errno, IovaRange, Tracker};
use vfio_migration_uapi::mapping::Mapping;
use vfio_migration_uapi::{cdev, container, iommufd};

use crate::bench::{Bench, Knobs, length, skipped};
use crate::open_device::{OpenDevice, Register, Way, has_cdev};

const PAGE: u64 = 4096;
/// The area that the device writes to: pieces of the same memory, since what counts is where it was written.
const AREA: IovaRange = IovaRange { iova: 5 << 30, length: PIECES * PIECE };
const PIECES: u64 = 256;
const PIECE: u64 = 512 * PAGE;

const ROUNDS: u64 = 60;
const WRITES: u64 = 2000;

const fn piece(number: u64) -> IovaRange {
    IovaRange { iova: AREA.iova + number * PIECE, length: PIECE }
}

fn ready(device: &OpenDevice) -> Mapping {
    let memory = Mapping::anonymous(length(PIECE)).expect("memory");
    for number in 0..PIECES {
        device.map(memory.whole(), piece(number).iova);
    }
    device.set_register(Register::Seed, 7);
    device.set_register(Register::Iova, AREA.iova);
    device.set_register(Register::Length, AREA.length);
    memory
}

fn descriptor(fd: impl AsFd) -> OwnedFd {
    fd.as_fd().try_clone_to_owned().expect("a descriptor is left")
}

fn container_of(device: &OpenDevice) -> OwnedFd {
    match &device.way {
        Way::Group { container, .. } => descriptor(container),
        Way::Cdev { .. } => panic!("a device that was opened by its cdev has no container"),
    }
}

/// A container's log that knows all pieces.
fn container_log(device: &OpenDevice) -> MappedLog<Container<OwnedFd>> {
    let log = MappedLog::new(Container::new(container_of(device)), Whose::Ours);
    for number in 0..PIECES {
        log.maps().mapped(piece(number)).expect("pieces do not overlap");
    }
    log
}

/// Adds what the tracker reports of the whole area.
fn report(tracker: &mut dyn Tracker, page_size: u64, pages: &mut BTreeSet<u64>) {
    let mut bits = Bitmap::new(AREA.length / page_size);
    tracker.report(AREA, &mut bits).expect("the log is read");
    for (first, count) in bits.runs() {
        let from = (AREA.iova + first * page_size) / PAGE;
        pages.extend(from..from + count * page_size / PAGE);
    }
}

/// Lets the device write at random, and takes pieces from it and gives them back meanwhile: what was reported and the
/// truth.
fn write_about(
    knobs: &Knobs,
    device: &OpenDevice,
    memory: &Mapping,
    tracker: &mut dyn Tracker,
    unmap: impl Fn(IovaRange),
    map: impl Fn(IovaRange),
) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let page_size = tracker.start(&[AREA], PAGE).expect("the tracker starts");
    let mut reported = BTreeSet::new();
    for round in 0..ROUNDS {
        device.set_register(Register::Doorbell, WRITES);
        let gone = piece(round * 7 % PIECES);
        unmap(gone);
        device.map(memory.whole(), gone.iova);
        map(gone);
        if round % 5 == 4 {
            report(tracker, page_size, &mut reported);
        }
    }
    while device.register(Register::Doorbell) > 0 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    // The device runs on and writes no more, so this is the last of it.
    report(tracker, page_size, &mut reported);
    tracker.stop().expect("the tracker stops");
    let (written, failed) = (device.register(Register::Written), device.register(Register::Failed));
    assert!(written >= 100_000, "only {written} writes, {failed} failed");
    (reported, knobs.truth())
}

fn complete(what: &str, (reported, truth): &(BTreeSet<u64>, BTreeSet<u64>)) {
    let missing: Vec<_> = truth.difference(reported).take(5).collect();
    assert!(missing.is_empty(), "{what}: written and not reported: {missing:?}");
    assert!(truth.len() > 20_000, "{what}: only {} pages were written", truth.len());
    println!("{what}: {} pages written, {} more reported", truth.len(), reported.len() - truth.len());
}

#[test]
fn a_container_loses_no_page_over_unmaps() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let device = OpenDevice::by_group(knobs);
    let memory = ready(&device);
    let mut log = container_log(&device);
    let maps: Maps<_> = log.maps();
    let unmap = |range| maps.unmap(range).expect("it is mapped");
    let map = |range| maps.mapped(range).expect("it was unmapped");
    let outcome = write_about(knobs, &device, &memory, &mut log, unmap, map);
    complete("container", &outcome);
}

#[test]
fn a_container_whose_unmaps_do_not_ask_loses_pages() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let device = OpenDevice::by_group(knobs);
    let memory = ready(&device);
    let mut log = container_log(&device);
    let container = container_of(&device);
    // Behind the tracker's back.
    let unmap = |range: IovaRange| {
        assert_eq!(container::unmap(container.as_fd(), range.iova, range.length), Ok(range.length));
    };
    let (reported, truth) = write_about(knobs, &device, &memory, &mut log, unmap, |_| {});
    assert!(truth.difference(&reported).count() > 0, "this shows that the other test can fail");
}

#[test]
fn the_first_tracker_that_works_is_taken() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    let device = OpenDevice::by_group(knobs);
    let memory = ready(&device);
    let containers = container_log(&device);
    let maps = containers.maps();
    let device_log = DeviceLog::new(descriptor(device.fd()), Whose::Ours);
    let mut tracker = FirstThatWorks::new().or("device", device_log).or("container", containers);
    let unmap = |range| maps.unmap(range).expect("it is mapped");
    let map = |range| maps.mapped(range).expect("it was unmapped");
    let page_size = tracker.start(&[AREA], PAGE).expect("one of them works");
    // Kernels without iommufd accept the device's log, and cannot report it.
    let expected = if has_cdev(knobs) { "device" } else { "container" };
    assert_eq!((tracker.chosen(), page_size), (Some(expected), PAGE));
    tracker.stop().expect("it stops");
    assert_eq!((knobs.count("log-start"), knobs.count("log-stop")), (1, 1), "stopped, by whichever way");

    let outcome = write_about(knobs, &device, &memory, &mut tracker, unmap, map);
    complete(expected, &outcome);
    assert_eq!((knobs.count("log-start"), knobs.count("log-stop")), (2, 2));
}

#[test]
fn a_device_log_loses_no_page_by_cdev() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    if !has_cdev(knobs) {
        return skipped("a device log by cdev: this kernel has no iommufd");
    }
    let device = OpenDevice::by_cdev(knobs);
    let memory = ready(&device);
    let mut log = DeviceLog::new(descriptor(device.fd()), Whose::Ours);
    let unmap = |range: IovaRange| device.unmap(range.iova, range.length);
    let outcome = write_about(knobs, &device, &memory, &mut log, unmap, |_| {});
    complete("device log by cdev", &outcome);
}

#[test]
fn an_emulated_device_has_no_page_table() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    if !has_cdev(knobs) {
        return skipped("page tables: this kernel has no iommufd");
    }
    let mut names = std::fs::read_dir(format!("/sys/devices/platform/vfio-testdev.{}/vfio-dev", knobs.number)).unwrap();
    let name = names.next().unwrap().unwrap().file_name();
    let open = |path: &std::path::Path| std::fs::File::options().read(true).write(true).open(path).unwrap();
    let device = open(&std::path::Path::new("/dev/vfio/devices").join(name));
    let fd = open("/dev/iommu".as_ref());
    let id = cdev::bind(device.as_fd(), fd.as_fd(), None).expect("the device is bound");
    let ioas = iommufd::alloc_ioas(fd.as_fd()).expect("an address space");
    let table = PageTable::make(fd.as_fd(), id, ioas).expect("that there is none is no error");
    assert!(table.is_none());
}

#[test]
fn more_ranges_than_the_kernel_takes_are_merged() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    if !has_cdev(knobs) {
        return skipped("ranges of a device log: this kernel has no iommufd");
    }
    let device = OpenDevice::by_group(knobs);
    let _memory = ready(&device);
    let ranges: Vec<_> =
        (0..1000).map(|number| IovaRange { iova: AREA.iova + number * 16 * PAGE, length: 8 * PAGE }).collect();
    let mut log = DeviceLog::new(descriptor(device.fd()), Whose::Ours);
    assert_eq!(log.start(&ranges, PAGE), Ok(PAGE));
    device.set_register(Register::Doorbell, 10_000);
    while device.register(Register::Doorbell) > 0 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let mut reported = BTreeSet::new();
    report(&mut log, PAGE, &mut reported);
    let missing = knobs.truth().difference(&reported).count();
    assert_eq!(missing, 0, "what is not watched counts as written to");
    drop(log);
    assert_eq!(knobs.count("log-stop"), 1, "dropped, so stopped");
}

#[test]
fn a_report_that_fails_makes_everything_dirty_and_the_log_is_stopped() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    if !has_cdev(knobs) {
        return skipped("reports of a device log that fail: this kernel has no iommufd");
    }
    let device = OpenDevice::by_group(knobs);
    let _memory = ready(&device);
    let mut log = DeviceLog::new(descriptor(device.fd()), Whose::Ours);
    log.start(&[AREA], PAGE).expect("it starts");
    knobs.fault("log-report 1 errno 5");
    let mut bits = Bitmap::new(AREA.length / PAGE);
    assert_eq!(log.report(AREA, &mut bits).unwrap_err().errno, Errno::EIO);
    assert_eq!(bits.count(), bits.pages());
    log.stop().expect("it stops");
    assert_eq!(knobs.count("log-stop"), 1);
}
