//! The log against a device that takes few ranges, and says what it was asked.

use std::cell::RefCell;
use std::io::{PipeReader, pipe};
use std::thread::{sleep, spawn};
use std::time::Duration;

use super::*;

const PAGE: u64 = 4096;

/// A device with a log: takes at most `most` ranges, else answers `refusal`.
struct Device {
    most: usize,
    refusal: io::Errno,
    page_size: u64,
    report: RefCell<Vec<io::Result<()>>>,
    /// Pages that it says were written to.
    written: Vec<u64>,
    asked: RefCell<Vec<String>>,
}

impl Device {
    fn taking(most: usize, refusal: io::Errno) -> Self {
        let (report, asked) = (RefCell::default(), RefCell::default());
        Self { most, refusal, page_size: PAGE, report, written: Vec::new(), asked }
    }

    fn say(&self, words: String) {
        self.asked.borrow_mut().push(words);
    }
}

impl Calls for &Device {
    fn start(&self, ranges: &[IovaRange], _page_size: u64) -> io::Result<u64> {
        self.say(format!("start {}", ranges.len()));
        if ranges.len() > self.most { Err(self.refusal) } else { Ok(self.page_size) }
    }

    fn report(&self, range: IovaRange, page_size: u64, words: &mut [u64]) -> io::Result<()> {
        self.say(format!("report {}+{}", range.iova / PAGE, range.length / PAGE));
        self.report.borrow_mut().pop().unwrap_or(Ok(()))?;
        assert!(words.len() as u64 * 64 >= range.length.div_ceil(page_size), "room for every page");
        let first = range.iova / page_size;
        for page in self.written.iter().filter(|page| (first..first + range.length / page_size).contains(page)) {
            words[usize::try_from((page - first) / 64).unwrap()] |= 1 << ((page - first) % 64);
        }
        Ok(())
    }

    fn stop(&self) -> io::Result<()> {
        self.say("stop".into());
        Ok(())
    }
}

fn log(device: &Device, whose: Whose) -> Log<&Device> {
    Log { calls: device, whose, on: None, lost: false, interruption: Arc::default() }
}

fn pages(ranges: &[(u64, u64)]) -> Vec<IovaRange> {
    ranges.iter().map(|(first, count)| IovaRange { iova: first * PAGE, length: count * PAGE }).collect()
}

fn every_other(count: u64) -> Vec<IovaRange> {
    pages(&(0..count).map(|i| (i * 2, 1)).collect::<Vec<_>>())
}

#[test]
fn more_ranges_than_a_device_takes_are_merged_again() {
    for refusal in [io::Errno::TOOBIG, io::Errno::OPNOTSUPP] {
        let device = Device::taking(100, refusal);
        assert_eq!(log(&device, Whose::Ours).start(&every_other(1000), PAGE), Ok(PAGE));
        let most = rustix::param::page_size() / 16;
        let asked = device.asked.borrow();
        assert_eq!(asked[..3], [format!("start {most}"), format!("start {}", most / 2), format!("start {}", most / 4)]);
        assert_eq!(asked[3..], ["report 0+1", "stop"], "asked once, and stopped when it was dropped");
    }
}

#[test]
fn what_a_device_cannot_do_at_all_is_found_out_before_anything_moves() {
    let device = Device::taking(0, io::Errno::OPNOTSUPP);
    let error = log(&device, Whose::Ours).start(&every_other(4), PAGE).unwrap_err();
    assert_eq!(error.errno, Errno::EOPNOTSUPP);
    assert_eq!(*device.asked.borrow(), ["start 4", "start 2", "start 1"], "not started, so not stopped");

    // Kernels without IOMMUFD accept a log and cannot report it.
    let device =
        Device { report: RefCell::new(vec![Err(io::Errno::OPNOTSUPP)]), ..Device::taking(9, io::Errno::TOOBIG) };
    let error = log(&device, Whose::Ours).start(&every_other(4), PAGE).unwrap_err();
    assert_eq!(error.errno, Errno::EOPNOTSUPP);
    assert_eq!(*device.asked.borrow(), ["start 4", "report 0+1", "stop"]);
}

#[test]
fn a_page_size_that_makes_no_sense_is_refused() {
    for page_size in [0, 1, 2048, 3000, 4097] {
        let device = Device { page_size, ..Device::taking(9, io::Errno::TOOBIG) };
        assert!(log(&device, Whose::Ours).start(&every_other(4), PAGE).is_err(), "{page_size}");
        assert_eq!(*device.asked.borrow(), ["start 4", "stop"], "{page_size}");
    }
}

#[test]
fn a_range_is_reported_in_its_own_bits_and_what_is_not_watched_is_dirty() {
    let written = vec![3, 130, 200, 201, 400];
    let device = Device { written, ..Device::taking(9, io::Errno::TOOBIG) };
    let mut log = log(&device, Whose::Ours);
    log.start(&pages(&[(0, 100), (130, 100)]), PAGE).unwrap();
    let mut bits = Bitmap::new(240);
    log.report(pages(&[(2, 240)])[0], &mut bits).unwrap();
    let runs: Vec<_> = bits.runs().map(|(first, count)| (first + 2, count)).collect();
    assert_eq!(runs, [(3, 1), (100, 31), (200, 2), (230, 12)]);
    assert_eq!(device.asked.borrow()[2..], ["report 2+98", "report 130+100"], "each within one watched range");

    let mut bits = Bitmap::new(8);
    log.report(pages(&[(100, 8)])[0], &mut bits).unwrap();
    assert_eq!(bits.count(), 8, "nothing of it is watched");
}

#[test]
fn after_an_error_everything_is_dirty_and_stays_so() {
    let device = Device::taking(9, io::Errno::TOOBIG);
    let mut log = log(&device, Whose::Ours);
    log.start(&pages(&[(0, 100)]), PAGE).unwrap();
    device.report.borrow_mut().push(Err(io::Errno::IO));
    let mut bits = Bitmap::new(100);
    assert_eq!(log.report(pages(&[(0, 100)])[0], &mut bits).unwrap_err().errno, Errno::EIO);
    assert_eq!(bits.count(), 100);
    assert!(log.report(pages(&[(0, 100)])[0], &mut Bitmap::new(100)).is_err(), "the device would answer now");
    log.stop().unwrap();
    log.start(&pages(&[(0, 100)]), PAGE).unwrap();
    assert!(log.report(pages(&[(0, 100)])[0], &mut Bitmap::new(100)).is_ok(), "a new log");
}

#[test]
fn a_signal_loses_nothing() {
    let device = Device { written: vec![5], ..Device::taking(9, io::Errno::TOOBIG) };
    let mut log = log(&device, Whose::Ours);
    log.start(&pages(&[(0, 100)]), PAGE).unwrap();
    device.report.borrow_mut().extend([Err(io::Errno::INTR), Err(io::Errno::INTR)]);
    let mut bits = Bitmap::new(100);
    log.report(pages(&[(0, 100)])[0], &mut bits).unwrap();
    assert_eq!(bits.runs().collect::<Vec<_>>(), [(5, 1)]);
}

#[test]
fn a_borrowed_log_is_read_and_nothing_else() {
    let device = Device { written: vec![5], ..Device::taking(0, io::Errno::INVAL) };
    let mut log = log(&device, Whose::Borrowed { page_size: PAGE });
    assert_eq!(log.start(&pages(&[(0, 100)]), 65536), Ok(PAGE));
    log.report(pages(&[(0, 100)])[0], &mut Bitmap::new(100)).unwrap();
    log.stop().unwrap();
    drop(log);
    assert_eq!(*device.asked.borrow(), ["report 0+100"]);
}

/// A device whose reports wait for a byte, and that counts how often the log is stopped.
struct Blocking {
    bytes: PipeReader,
    stops: std::sync::mpsc::Sender<()>,
}

impl Calls for Blocking {
    fn start(&self, _: &[IovaRange], page_size: u64) -> io::Result<u64> {
        Ok(page_size)
    }

    fn report(&self, _: IovaRange, _: u64, _: &mut [u64]) -> io::Result<()> {
        rustix::io::read(&self.bytes, &mut [0; 1]).map(drop)
    }

    fn stop(&self) -> io::Result<()> {
        self.stops.send(()).map_err(|_| io::Errno::PIPE)
    }
}

/// Makes a call that blocks, and interrupts it until it has returned.
fn interrupted<T: Send + 'static>(
    mut log: Log<Blocking>,
    call: impl FnOnce(&mut Log<Blocking>) -> Result<T, CallError> + Send + 'static,
) -> (Log<Blocking>, Result<T, CallError>) {
    let interrupt = interrupter(&log.interruption);
    let calling = spawn(move || {
        let answer = call(&mut log);
        (log, answer)
    });
    while !calling.is_finished() {
        sleep(Duration::from_millis(1));
        interrupt();
    }
    calling.join().unwrap()
}

#[test]
fn a_call_that_blocks_is_interrupted_and_the_log_is_stopped_all_the_same() {
    let (bytes, source) = pipe().unwrap();
    let (stops, stopped) = std::sync::mpsc::channel();
    let log = Log {
        calls: Blocking { bytes, stops },
        whose: Whose::Ours,
        on: None,
        lost: false,
        interruption: Arc::default(),
    };
    let range = pages(&[(0, 64)]);

    let watched = range.clone();
    let (mut log, started) = interrupted(log, move |log| log.start(&watched, PAGE));
    assert_eq!(started.unwrap_err().errno, Errno::EINTR, "it asks once");
    assert_eq!(stopped.try_iter().count(), 1);

    rustix::io::write(&source, &[0]).unwrap();
    assert_eq!(log.start(&range, PAGE), Ok(PAGE), "that was meant for another call");
    let whole = range[0];
    let (mut log, report) = interrupted(log, move |log| log.report(whole, &mut Bitmap::new(64)));
    assert_eq!(report.unwrap_err().errno, Errno::EINTR);
    assert_eq!(log.report(whole, &mut Bitmap::new(64)).unwrap_err().errno, Errno::EIO, "the log is lost");
    log.stop().unwrap();
    assert_eq!(stopped.try_iter().count(), 1);
}
