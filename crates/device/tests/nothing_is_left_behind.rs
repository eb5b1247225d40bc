//! No thread outlives its device and handles. Alone in its process: it counts threads.
#![cfg(target_os = "linux")]

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use vfio_migration_device::{ModelHandle, open};

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// A thread that was joined may stay in the list for a moment.
fn settle_at(count: usize) -> bool {
    let start = Instant::now();
    while threads() != count && start.elapsed() < Duration::from_secs(10) {
        sleep(Duration::from_millis(1));
    }
    threads() == count
}

#[test]
fn a_thread_ends_with_the_last_of_device_and_handles() {
    let before = threads();
    let opened: Vec<_> = (0..5).map(|_| open("model:size=64KiB,dirty-tracking", None).unwrap()).collect();
    assert_eq!(threads(), before + 5);
    let (mut handles, mut rest) = (Vec::new(), Vec::new());
    for opened in opened {
        handles.push(opened.model.unwrap());
        rest.push((opened.device, opened.trackers));
    }
    let guests: Vec<_> = handles.iter().map(ModelHandle::guest).collect();
    for guest in &guests {
        guest.resume();
    }
    drop(handles);
    drop(guests);
    assert_eq!(threads(), before + 5, "the devices are there");
    drop(rest);
    assert!(settle_at(before), "{} threads are left of {before}", threads());
    drop(open("model:size=64KiB,tick=86400s", None).unwrap());
    assert!(settle_at(before), "a long tick is no reason to wait");
}
