//! The DMA log against the ground truth, and its answers in the kernel's terms.

use vfio_migration_model::{GuestMemory, Model, ModelTracker, Settings};
use vfio_migration_protocol::{Bitmap, CallError, Device, Errno, IovaRange, State, Tracker};

const BASE: u64 = 0x8000_0000;
const MEMORY: u64 = 1 << 20;

fn device(settings: &str) -> (Model, ModelTracker, GuestMemory) {
    let memory = GuestMemory::new(BASE, MEMORY).unwrap();
    let settings = Settings::parse(&format!("size=0,dirty-tracking,{settings}")).unwrap();
    let mut model = Model::with_memory(&settings, 1, memory.clone()).unwrap();
    let tracker = model.tracker().unwrap();
    model.start();
    (model, tracker, memory)
}

const fn range(iova: u64, length: u64) -> IovaRange {
    IovaRange { iova, length }
}

fn report(tracker: &mut ModelTracker, range: IovaRange, page: u64) -> Bitmap {
    let mut dirty = Bitmap::new(range.length.div_ceil(page));
    tracker.report(range, &mut dirty).unwrap();
    dirty
}

#[test]
fn what_is_copied_by_the_log_is_what_the_device_wrote() {
    let (mut model, mut tracker, memory) = device("dma-rate=3,p2p,pre-copy");
    let copy = GuestMemory::new(BASE, MEMORY).unwrap();
    tracker.start(&[memory.range()], 4096).unwrap();
    let mut page = vec![0; 4096];
    for state in [State::Running, State::PreCopy, State::PreCopyP2p, State::StopCopy, State::Stop] {
        model.set_state(state).unwrap();
        for _ in 0..20 {
            model.advance(5);
            let mut dirty = report(&mut tracker, memory.range(), 4096);
            while let Some((first, 1)) = dirty.take_run(0, 1) {
                memory.load(first * 4096, &mut page).unwrap();
                copy.store(first * 4096, &page).unwrap();
            }
        }
    }
    let truth = model.ground_truth().unwrap();
    assert_eq!(truth.writes(), 3 * 20 * 5 * 3);
    assert_eq!(truth.missed(&copy), [] as [u64; 0]);
    assert_eq!(memory.differing_pages(&copy), [] as [u64; 0]);
    // The proof can fail: a page that was not copied is named.
    let written = truth.written().next(0).unwrap();
    copy.store(written * 4096 + 17, &[1, 2, 3]).unwrap();
    assert_eq!(truth.missed(&copy), [written]);
}

#[test]
fn a_report_clears_its_range_and_only_sets_bits() {
    let (mut model, mut tracker, memory) = device("dma-rate=16");
    tracker.start(&[memory.range()], 4096).unwrap();
    model.advance(100);
    let (low, high) = (range(BASE, MEMORY / 2), range(BASE + MEMORY / 2, MEMORY / 2));
    let mut dirty = Bitmap::new(128);
    dirty.set(77);
    let all_written = model.ground_truth().unwrap().written().clone();
    tracker.report(high, &mut dirty).unwrap();
    assert!((0..128).all(|page| dirty.get(page) == (page == 77 || all_written.get(page + 128))));
    assert!(report(&mut tracker, high, 4096).is_empty());
    let dirty = report(&mut tracker, low, 4096);
    assert!((0..128).all(|page| dirty.get(page) == all_written.get(page)));
}

#[test]
fn only_what_is_in_a_range_is_logged() {
    let (mut model, mut tracker, memory) = device("dma-rate=16");
    let ranges = [range(BASE + 0x8000, 0x4000), range(0, BASE), range(BASE + 0x2000, 0x1000)];
    tracker.start(&ranges, 4096).unwrap();
    model.advance(100);
    let dirty = report(&mut tracker, memory.range(), 4096);
    let logged: Vec<u64> = (0..256).filter(|page| dirty.get(*page)).collect();
    assert_eq!(logged, [2, 8, 9, 10, 11]);
}

#[test]
fn the_device_chooses_the_page_size() {
    let (mut model, mut tracker, memory) = device("log-page=64KiB,dma-rate=1");
    assert_eq!(tracker.start(&[memory.range()], 4096), Ok(64 << 10));
    model.advance(2);
    let written = model.ground_truth().unwrap().written().clone();
    let dirty = report(&mut tracker, memory.range(), 64 << 10);
    let expected = (0..16).filter(|page| (0..16).any(|small| written.get(page * 16 + small)));
    assert!(expected.eq((0..16).filter(|page| dirty.get(*page))));
    assert!(!written.is_empty());
}

#[test]
fn refusals_are_the_kernels() {
    let (_, mut tracker, memory) = device("");
    let mut bits = Bitmap::new(256);
    let errno = |answer: Result<u64, CallError>| answer.unwrap_err().errno;
    assert_eq!(tracker.stop(), Ok(()));
    assert_eq!(tracker.report(memory.range(), &mut bits).unwrap_err().errno, Errno::EINVAL);
    assert_eq!(errno(tracker.start(&[], 4096)), Errno::EINVAL);
    let many: Vec<IovaRange> = (0..257).map(|number| range(number << 20, 4096)).collect();
    assert_eq!(errno(tracker.start(&many, 4096)), Errno::E2BIG);
    assert_eq!(errno(tracker.start(&[range(BASE + 1, 4096)], 4096)), Errno::EINVAL);
    assert_eq!(errno(tracker.start(&[range(BASE, 4097)], 4096)), Errno::EINVAL);
    assert_eq!(errno(tracker.start(&[range(BASE, 4096)], 3000)), Errno::EINVAL);
    assert_eq!(errno(tracker.start(&[range(BASE, 4096)], 0)), Errno::EINVAL);
    assert_eq!(errno(tracker.start(&[range(u64::MAX - 4095, 4096)], 4096)), Errno::EOVERFLOW);
    assert_eq!(errno(tracker.start(&[range(BASE, 8192), range(BASE + 4096, 4096)], 4096)), Errno::EINVAL);
    assert_eq!(tracker.start(&many[..256], 4096), Ok(4096));
    assert_eq!(errno(tracker.start(&[memory.range()], 4096)), Errno::EINVAL, "a second start");
    assert_eq!(tracker.report(range(u64::MAX - 4095, 8192), &mut bits).unwrap_err().errno, Errno::EOVERFLOW);
    assert_eq!((tracker.stop(), tracker.stop()), (Ok(()), Ok(())));
    assert_eq!(tracker.start(&[memory.range()], 4096), Ok(4096));
}

#[test]
fn a_reset_does_not_stop_the_log_and_a_stop_empties_it() {
    let (mut model, mut tracker, memory) = device("dma-rate=8");
    tracker.start(&[memory.range()], 4096).unwrap();
    model.reset().unwrap();
    model.advance(10);
    assert!(report(&mut tracker, memory.range(), 4096).is_empty(), "nobody started the device after its reset");
    model.start();
    model.advance(10);
    tracker.stop().unwrap();
    tracker.start(&[memory.range()], 4096).unwrap();
    assert!(report(&mut tracker, memory.range(), 4096).is_empty());
    model.advance(10);
    assert!(!report(&mut tracker, memory.range(), 4096).is_empty());
}

#[test]
fn devices_share_a_memory_by_lanes() {
    let memory = GuestMemory::new(BASE, MEMORY).unwrap();
    let model = |lane| {
        let settings = Settings::parse(&format!("size=0,dma-rate=9,lane={lane}/3")).unwrap();
        let mut model = Model::with_memory(&settings, lane, memory.clone()).unwrap();
        model.start();
        model
    };
    let mut models = [0, 1, 2].map(model);
    for _ in 0..50 {
        for model in &mut models {
            model.advance(1);
        }
    }
    for (lane, model) in (0..).zip(&models) {
        let truth = model.ground_truth().unwrap();
        assert!((0..256).filter(|page| truth.written().get(*page)).all(|page| page % 3 == lane));
        assert_eq!(truth.missed(&memory), [] as [u64; 0]);
        assert_eq!(truth.writes(), 50 * 9);
    }
}

#[test]
fn a_log_without_memory_or_beyond_it_reports_nothing() {
    let mut model = Model::new(&Settings::parse("size=0,dirty-tracking").unwrap(), 1).unwrap();
    let mut tracker = model.tracker().unwrap();
    tracker.start(&[range(0, 1 << 40)], 4096).unwrap();
    model.start();
    model.advance(10);
    assert!(report(&mut tracker, range(0, 1 << 20), 4096).is_empty());
    assert!(Model::new(&Settings::default(), 1).unwrap().tracker().is_none());
}
