//! A live migration written out by hand: two models, two memories, a guest that works until it is paused. It says what
//! the backend gives to a session, and that the proof of it can fail.

use vfio_migration_device::{Opened, open};
use vfio_migration_model::GuestMemory;
use vfio_migration_protocol::{Bitmap, Device, State, Then, Tracker};

const MEMORY: u64 = 4 << 20;
const SETTINGS: &str = "size=8MiB,pre-copy,p2p,dirty-tracking,dirty-rate=8,dma-rate=8";

struct Seen {
    identical: bool,
    missed: usize,
    counter_went_on: bool,
    resets: u64,
    touches: u64,
}

fn end(settings: &str) -> (Opened, GuestMemory) {
    let memory = GuestMemory::new(0x1_0000_0000, MEMORY).unwrap();
    (open(&format!("model:{SETTINGS}{settings}"), Some(memory.clone())).unwrap(), memory)
}

/// Reads what the source has for now and writes it to the destination.
fn pump(source: &mut dyn Device, destination: &mut dyn Device) -> Then {
    let mut buffer = vec![0; 1 << 20];
    loop {
        let filled = source.read(&mut buffer).unwrap();
        let mut rest = &buffer[..filled.len];
        while !rest.is_empty() {
            rest = &rest[destination.write(rest, false).unwrap()..];
        }
        if filled.then != Then::More {
            return filled.then;
        }
    }
}

fn copy(from: &GuestMemory, to: &GuestMemory, mut pages: Bitmap) {
    let mut page = vec![0; 4096];
    while let Some((first, _)) = pages.take_run(0, 1) {
        from.load(first * 4096, &mut page).unwrap();
        to.store(first * 4096, &page).unwrap();
    }
}

fn written(tracker: &mut dyn Tracker, memory: &GuestMemory) -> Bitmap {
    let mut dirty = Bitmap::new(memory.pages());
    tracker.report(memory.range(), &mut dirty).unwrap();
    dirty
}

fn migrate(source_settings: &str, destination_settings: &str) -> Seen {
    let (mut source, here) = end(source_settings);
    let (mut destination, there) = end(destination_settings);
    let (origin, target) = (source.model.unwrap(), destination.model.unwrap());
    origin.guest().resume();
    let tracker = &mut *source.trackers[0];
    tracker.start(&[here.range()], 4096).unwrap();
    source.device.set_state(State::PreCopy).unwrap();
    destination.device.set_state(State::Resuming).unwrap();
    let mut all = Bitmap::new(here.pages());
    all.fill();
    copy(&here, &there, all);
    for _ in 0..10 {
        assert_eq!(pump(&mut *source.device, &mut *destination.device), Then::Pause);
        copy(&here, &there, written(tracker, &here));
    }
    origin.guest().pause();
    source.device.set_state(State::PreCopyP2p).unwrap();
    source.device.set_state(State::StopCopy).unwrap();
    copy(&here, &there, written(tracker, &here));
    assert_eq!(pump(&mut *source.device, &mut *destination.device), Then::End);
    destination.device.set_state(State::Stop).unwrap();
    let identical = origin.proof() == target.proof() && there.pages_unlike(&here.page_digests()).is_empty();
    let (missed, counted) = (origin.missed(&there).len(), origin.counter());
    destination.device.set_state(State::Running).unwrap();
    target.guest().resume();
    while identical && target.counter() < counted + 5 {
        std::thread::yield_now();
    }
    source.device.set_state(State::Stop).unwrap();
    Seen {
        identical,
        missed,
        counter_went_on: target.counter() > counted,
        resets: origin.resets() + target.resets(),
        touches: origin.touches() + target.touches(),
    }
}

#[test]
fn everything_arrives() {
    let seen = migrate("", "");
    assert!(seen.identical && seen.counter_went_on);
    assert_eq!((seen.missed, seen.resets, seen.touches), (0, 0, 0));
}

#[test]
fn a_page_that_the_log_loses_is_missed() {
    let seen = migrate(",fault=tracker-report@5:lost-page", "");
    assert!(!seen.identical);
    assert_eq!(seen.missed, 1);
}

#[test]
fn a_destination_that_discards_is_caught() {
    let seen = migrate("", ",fault=write@2:discard");
    assert!(!seen.identical);
}
