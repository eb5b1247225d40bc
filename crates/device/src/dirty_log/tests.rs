use std::sync::{Arc, Mutex};

use super::*;

#[derive(Default)]
struct Log {
    calls: Vec<&'static str>,
}

/// Reports these pages, of its own size, each time, and fails without any; refuses to start without a size.
struct Fixed(Option<u64>, Vec<u64>, Arc<Mutex<Log>>);

impl Tracker for Fixed {
    fn start(&mut self, _: &[IovaRange], _: u64) -> Result<u64, CallError> {
        self.2.lock().unwrap().calls.push("start");
        self.0.ok_or(CallError::new(Errno::EIO))
    }

    fn report(&mut self, _: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
        self.1.iter().for_each(|page| into.set(*page));
        if self.1.is_empty() { Err(CallError::new(Errno::ENODEV)) } else { Ok(()) }
    }

    fn stop(&mut self) -> Result<(), CallError> {
        self.2.lock().unwrap().calls.push("stop");
        Ok(())
    }
}

fn range(iova: u64, length: u64) -> IovaRange {
    IovaRange { iova, length }
}

fn trackers(log: &Arc<Mutex<Log>>, sizes: [Option<u64>; 2]) -> Vec<Box<dyn Tracker>> {
    let one = Fixed(sizes[0], vec![0, 1, 5], Arc::clone(log));
    vec![Box::new(one), Box::new(Fixed(sizes[1], vec![1], Arc::clone(log)))]
}

fn drained(log: &mut DirtyLog, window: Option<IovaRange>) -> Vec<IovaRange> {
    log.drain(window).unwrap().ranges().collect()
}

/// Reports each of these pages of 4096 bytes once, wherever the reported range begins.
struct Once(Vec<u64>);

impl Tracker for Once {
    fn start(&mut self, _: &[IovaRange], _: u64) -> Result<u64, CallError> {
        Ok(0x1000)
    }

    fn report(&mut self, range: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
        let within = |page: &mut u64| (range.iova..range.iova + range.length).contains(&(*page * 0x1000));
        self.0.extract_if(.., within).for_each(|page| into.set(page - range.iova / 0x1000));
        Ok(())
    }

    fn stop(&mut self) -> Result<(), CallError> {
        Err(CallError::new(Errno::EIO))
    }
}

fn once(pages: &[u64], ranges: &[IovaRange]) -> DirtyLog {
    DirtyLog::start(&mut vec![Box::new(Once(pages.to_vec()))], ranges.to_vec(), 0x1000).unwrap()
}

#[test]
fn ranges_that_touch_are_one_wherever_what_is_watched_was_cut() {
    let mut log = once(&[1, 2, 3, 4, 9], &[range(0x3000, 0x3000), range(0, 0x3000), range(0x8000, 0x2000)]);
    let pages = log.drain(None).unwrap();
    assert_eq!(pages.count(), 5);
    assert_eq!(pages.ranges().collect::<Vec<_>>(), [range(0x1000, 0x4000), range(0x9000, 0x1000)]);
    assert_eq!(pages.ranges_from(0x3000).collect::<Vec<_>>(), [range(0x3000, 0x2000), range(0x9000, 0x1000)]);
    assert_eq!(pages.ranges_from(0x5000).collect::<Vec<_>>(), [range(0x9000, 0x1000)]);
    assert_eq!(pages.ranges_from(0xa000).next(), None);
    assert_eq!(drained(&mut log, None), []);
}

#[test]
fn what_is_given_back_is_read_again_once() {
    let mut log = once(&[1, 2, 3, 4, 70, 200], &[range(0, 0x3000), range(0x3000, 0x10_0000)]);
    let pages = log.drain(None).unwrap();
    log.give_back(&pages, 0x3000);
    assert_eq!(drained(&mut log, Some(range(0, 0x3000))), []);
    // Another part of it, that begins elsewhere.
    let later = log.drain(Some(range(0x4_0000, 0x9_0000))).unwrap();
    assert_eq!(later.ranges().collect::<Vec<_>>(), [range(0x4_6000, 0x1000), range(0xc_8000, 0x1000)]);
    log.give_back(&later, 0xc_8000);
    let rest = [range(0x3000, 0x2000), range(0xc_8000, 0x1000)];
    assert_eq!(drained(&mut log, None), rest);
    assert_eq!(drained(&mut log, None), []);
}

#[test]
fn a_snapshot_is_of_one_range() {
    let mut log = once(&[1, 5], &[range(0, 0x3000), range(0x4000, 0x4000)]);
    for outside in [range(0, 0x5000), range(0x2000, 0x2000), range(0x4800, 0x1000), range(0x10_0000, 0x1000)] {
        assert_eq!(log.snapshot(outside).unwrap_err().errno, Errno::EINVAL, "{outside:?}");
    }
    let pages = log.snapshot(range(0x5000, 0x2000)).unwrap();
    let bitmaps: Vec<_> = pages.bitmaps().map(|(range, pages)| (range, pages.words().to_vec())).collect();
    assert_eq!(bitmaps, [(range(0x5000, 0x2000), vec![1])]);
    assert_eq!(drained(&mut log, None), [range(0x1000, 0x1000)], "only the window was read");
    // What did not stop is given back all the same.
    let (trackers, stopped) = log.stop();
    assert_eq!((trackers.len(), stopped.unwrap_err().errno), (1, Errno::EIO));
}

#[test]
fn what_all_trackers_say_is_one_ascending_list() {
    let log = Arc::default();
    let mut both = trackers(&log, [Some(0x1000), Some(0x2000)]);
    let all = vec![range(0x20_0000, 0x8000), range(0, 0x8000)];
    let mut dirty = DirtyLog::start(&mut both, all, 0x1000).unwrap();
    assert_eq!((both.len(), dirty.page_size()), (0, 0x2000));
    // Pages 0, 1 and 5 of one; page 1 of the other, twice as large, joins them.
    let each = |iova| [range(iova, 0x4000), range(iova + 0x5000, 0x1000)];
    assert_eq!(drained(&mut dirty, None), [each(0), each(0x20_0000)].concat());
    assert_eq!(dirty.drain(None).unwrap().page_size(), 0x1000, "the smaller one says more");
    // A window cuts off what lies beyond it, but no page of any tracker.
    assert_eq!(drained(&mut dirty, Some(range(0x20_0000, 0x2000))), [range(0x20_0000, 0x2000)]);
    assert_eq!(drained(&mut dirty, Some(range(0x20_0000, 0x10_0000))), each(0x20_0000));
    for cuts in [range(0x1000, 0x1000), range(0x20_0000, 0x3000)] {
        assert_eq!(dirty.drain(Some(cuts)).unwrap_err().errno, Errno::EINVAL, "{cuts:?}");
    }
    assert_eq!(drained(&mut dirty, Some(range(0x10_0000, 0x1000))), []);
    let (trackers, stopped) = dirty.stop();
    assert_eq!((trackers.len(), stopped), (2, Ok(())));
    assert_eq!(log.lock().unwrap().calls, ["start", "start", "stop", "stop"]);
}

#[test]
fn one_that_does_not_start_leaves_none_running() {
    let log = Arc::default();
    let mut both = trackers(&log, [Some(0x1000), None]);
    let error = DirtyLog::start(&mut both, vec![range(0, 0x8000)], 0x1000).unwrap_err();
    assert_eq!((error.errno, both.len()), (Errno::EIO, 2));
    assert_eq!(log.lock().unwrap().calls, ["start", "start", "stop", "stop"]);
    // Dropping stops as well.
    let mut one = trackers(&log, [Some(0x1000), Some(0x1000)]);
    drop(DirtyLog::start(&mut one, vec![range(0, 0x8000)], 0x1000).unwrap());
    assert_eq!(log.lock().unwrap().calls[4..], ["start", "start", "stop", "stop"]);
}

#[test]
fn a_tracker_that_fails_loses_the_log_for_good() {
    let log = Arc::default();
    let mut both = trackers(&log, [Some(0x1000), Some(0x1000)]);
    both.push(Box::new(Fixed(Some(0x1000), Vec::new(), Arc::clone(&log))));
    let mut dirty = DirtyLog::start(&mut both, vec![range(0, 0x8000)], 0x1000).unwrap();
    // A window that cannot be loses nothing: no tracker was asked.
    assert_eq!(dirty.drain(Some(range(0x800, 0x1000))).unwrap_err().errno, Errno::EINVAL);
    assert_eq!(dirty.drain(None).unwrap_err().errno, Errno::ENODEV);
    assert_eq!(dirty.drain(Some(range(0x10_0000, 0x1000))).unwrap_err().errno, Errno::ENODEV);
    assert_eq!(dirty.lost().unwrap().errno, Errno::ENODEV);
    assert_eq!(dirty.snapshot(range(0, 0x1000)).unwrap_err().errno, Errno::ENODEV);
    assert_eq!(dirty.stop().0.len(), 3);
}

#[test]
fn ranges_that_cannot_be_are_refused_before_anything_starts() {
    let log = Arc::default();
    let mut both = trackers(&log, [Some(0x1000), Some(0x1000)]);
    let bad = [
        vec![],
        vec![range(0, 0)],
        vec![range(0x800, 0x1000)],
        vec![range(0, 0x1800)],
        vec![range(u64::MAX - 0xfff, 0x1000)],
        vec![range(0x1000, 0x1000), range(0, 0x2000)],
    ];
    for ranges in bad {
        let error = DirtyLog::start(&mut both, ranges.clone(), 0x1000).unwrap_err();
        assert_eq!(error.errno, Errno::EINVAL, "{ranges:?}");
    }
    for size in [0, 3000] {
        assert!(DirtyLog::start(&mut both, vec![range(0, 0x8000)], size).is_err());
    }
    assert!(log.lock().unwrap().calls.is_empty());
    let none = DirtyLog::start(&mut Vec::new(), vec![range(0, 0x8000)], 0x1000).unwrap_err();
    assert_eq!(none.errno, Errno::EOPNOTSUPP);
}
