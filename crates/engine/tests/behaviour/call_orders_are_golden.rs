//! In which order a session calls devices and trackers is kept, and compared.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;

use vfio_migration::device::open;
use vfio_migration::protocol::trace::{Access, Change, Trace, diff};
use vfio_migration::{Recording, RestoreBuilder, RestoreOptions, SaveBuilder, SaveOptions, Sink, Source};
use vfio_migration_model::GuestMemory;

use crate::scene::{MEMORY, within};

/// A device whose guest does not work: nothing changes while it is read, so that loops differ only in how often they run.
fn moved(device: &'static str, options: SaveOptions) -> (Trace, Trace) {
    within("the migration", move || {
        let (near, far) = UnixStream::pair().unwrap();
        let (saved, restored) = (Recording::new(), Recording::new());
        let memory = || GuestMemory::new(0x1_0000_0000, MEMORY).unwrap();
        let address = format!("model:{device}");

        let (ram, mut save) = (memory(), SaveBuilder::new(options));
        let opened = open(&address, Some(ram.clone())).unwrap();
        let trackers: Vec<_> =
            opened.trackers.into_iter().map(|tracker| save.tracker(saved.tracker("log", tracker))).collect();
        save.device("gpu0", saved.device("0", opened.device)).memory("ram", Box::new(ram), 4096, &trackers);

        let (ram, mut restore) = (memory(), RestoreBuilder::new(RestoreOptions::default()));
        let opened = open(&address, Some(ram.clone())).unwrap();
        restore.device("gpu0", restored.device("0", opened.device)).memory("ram", Box::new(ram));

        let restoring = restore.start(Source::fd(far.into()).unwrap()).unwrap();
        let saving = save.start(Sink::fd(near.into()).unwrap()).unwrap();
        assert_eq!((saving.wait().failure, restoring.wait().failure), (None, None));
        (saved.trace(), restored.trace())
    })
}

/// Compares with the golden trace of this name, or writes it where `GOLDEN` is set. The device and the tracker have a thread
/// each: what is promised is the order of each, and that of the steps that wait for one another.
fn assert_golden(name: &str, trace: &Trace) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.trace"));
    if std::env::var_os("GOLDEN").is_some() {
        fs::write(&path, trace.fold().to_string()).unwrap();
    }
    let golden: Trace = fs::read_to_string(&path).unwrap().parse().unwrap();
    let parts: [fn(&Access) -> bool; 3] = [
        |access| access.device() == Some("0"),
        |access| access.device() == Some("log"),
        |access| !matches!(access.call(), "data-size" | "read" | "pre-copy-info"),
    ];
    for part in parts {
        let changes = diff(&golden.only(part), &trace.only(part));
        assert!(changes.iter().all(|change| matches!(change, Change::Both(_))), "{name}: {changes:#?}");
    }
}

#[test]
fn with_pre_copy_and_p2p() {
    let (save, restore) = moved("size=64KiB,pre-copy,p2p,dirty-tracking,dirty-rate=0", SaveOptions::default());
    assert_golden("save-pre-copy-p2p", &save);
    assert_golden("restore-pre-copy-p2p", &restore);
}

#[test]
fn with_stop_copy_only() {
    let (save, restore) = moved("size=64KiB,dirty-tracking,dirty-rate=0", SaveOptions::default());
    assert_golden("save-stop-copy", &save);
    assert_golden("restore-stop-copy", &restore);
}

#[test]
#[should_panic(expected = "tracker-stop")]
fn a_call_that_is_missing_is_seen() {
    let (save, _) = moved("size=64KiB,dirty-tracking,dirty-rate=0", SaveOptions::default());
    assert_golden("save-stop-copy", &save.only(|access| access.call() != "tracker-stop"));
}
