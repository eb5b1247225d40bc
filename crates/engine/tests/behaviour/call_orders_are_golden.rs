//! In which order a session calls devices and trackers is kept, and compared.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vfio_migration::device::{ModelHandle, RegionOptions};
use vfio_migration::protocol::region::StateBits;
use vfio_migration::protocol::trace::{Access, Change, Trace, diff};
use vfio_migration::{Recording, RestoreBuilder, RestoreOptions, SaveBuilder, SaveOptions, Sink, Source};
use vfio_migration_model::{Call, CallKind, GuestMemory};

use crate::scene::{MEMORY, open_model, within};

/// A device whose guest does not work: nothing changes while it is read, so that loops differ only in how often they run.
fn moved(device: &'static str, options: SaveOptions) -> (Trace, Trace) {
    let ([saved, restored], _) = moved_with_models(device, options);
    (saved, restored)
}

/// The same with the models of both ends.
fn moved_with_models(device: &'static str, options: SaveOptions) -> ([Trace; 2], [ModelHandle; 2]) {
    within("the migration", move || {
        let (near, far) = UnixStream::pair().unwrap();
        let (saved, restored) = (Recording::new(), Recording::new());
        let memory = || GuestMemory::new(0x1_0000_0000, MEMORY).unwrap();

        let (ram, mut save) = (memory(), SaveBuilder::new(options));
        let opened = open_model(device, Some(ram.clone()), RegionOptions::default());
        let source = opened.model.unwrap();
        let trackers: Vec<_> =
            opened.trackers.into_iter().map(|tracker| save.tracker(saved.tracker("log", tracker))).collect();
        save.device("gpu0", saved.device("0", opened.device)).memory("ram", Box::new(ram), 4096, &trackers);

        let (ram, mut restore) = (memory(), RestoreBuilder::new(RestoreOptions::default()));
        let opened = open_model(device, Some(ram.clone()), RegionOptions::default());
        let destination = opened.model.unwrap();
        restore.device("gpu0", restored.device("0", opened.device)).memory("ram", Box::new(ram));

        let restoring = restore.start(Source::fd(far.into()).unwrap()).unwrap();
        let saving = save.start(Sink::fd(near.into()).unwrap()).unwrap();
        assert_eq!((saving.wait().failure, restoring.wait().failure), (None, None));
        ([saved.trace(), restored.trace()], [source, destination])
    })
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.trace"))
}

/// Compares with the golden trace of this name, or writes it where `GOLDEN` is set. The device and the tracker have a thread
/// each: what is promised is the order of each, and that of the steps that wait for one another.
fn assert_golden(name: &str, trace: &Trace) {
    if std::env::var_os("GOLDEN").is_some() {
        fs::write(golden(name), trace.fold().to_string()).unwrap();
    }
    assert_same(name, trace);
}

/// Compares with the golden trace of this name.
fn assert_same(name: &str, trace: &Trace) {
    let golden: Trace = fs::read_to_string(golden(name)).unwrap().parse().unwrap();
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

/// Pre-copy goes on until nothing is left, and nobody asks what is left while that is read, however slow it is.
fn however_slow() -> SaveOptions {
    SaveOptions { downtime_budget: Duration::ZERO, poll_interval: Duration::from_millis(500), ..SaveOptions::default() }
}

#[test]
fn with_pre_copy_and_p2p() {
    let (save, restore) = moved("size=64KiB,pre-copy,p2p,dirty-tracking,dirty-rate=0", however_slow());
    assert_golden("save-pre-copy-p2p", &save);
    assert_golden("restore-pre-copy-p2p", &restore);
}

#[test]
fn with_stop_copy_only() {
    let (save, restore) = moved("size=64KiB,dirty-tracking,dirty-rate=0", SaveOptions::default());
    assert_golden("save-stop-copy", &save);
    assert_golden("restore-stop-copy", &restore);
}

/// What was done to a region, access by access.
fn accesses(model: &ModelHandle) -> Trace {
    let ndma = model.with(|model| model.region().is_some_and(|region| region.ndma));
    let mut trace = Trace::default();
    for Call { kind, to, value, answer } in model.with(|model| model.calls()) {
        let access = Access::new(&kind.to_string()).of("0");
        let value = value.unwrap_or(0);
        let state = || StateBits::new(u32::try_from(value).unwrap()).state(ndma);
        let access = match kind {
            CallKind::ReadDeviceState => access.giving(state()),
            CallKind::WriteDeviceState => access.with(to.unwrap()),
            CallKind::ReadDataOffset => access.giving(format_args!("{value:#x}")),
            CallKind::ReadPendingBytes | CallKind::ReadDataSize | CallKind::ReadWindow => {
                access.giving(format_args!("{value}B"))
            }
            CallKind::WriteDataSize | CallKind::WriteWindow => access.with(format_args!("{value}B")),
            // What a tracker hears is not done to the region.
            _ => continue,
        };
        trace.push(answer.map_or_else(|errno| Access::new(&kind.to_string()).of("0").failing(errno), |()| access));
    }
    trace
}

/// The calls of both ends and what they did to the regions.
fn assert_region_golden(name: &str, device: &'static str) {
    let options = however_slow();
    let ([save, restore], [source, destination]) = moved_with_models(device, options);
    assert_golden(&format!("save-region-{name}"), &save);
    assert_golden(&format!("restore-region-{name}"), &restore);
    assert_golden(&format!("save-region-{name}-accesses"), &accesses(&source));
    assert_golden(&format!("restore-region-{name}-accesses"), &accesses(&destination));
}

const LIBVFIO_USER: &str =
    "size=64KiB,dirty-tracking,dirty-rate=0,trace,protocol=region,window=16KiB,dialect=libvfio-user";

#[test]
fn with_a_region_and_ndma() {
    let device = "size=64KiB,pre-copy,p2p,dirty-tracking,dirty-rate=0,trace,protocol=region,window=128KiB";
    assert_region_golden("ndma", device);
}

#[test]
fn with_a_region_whose_data_is_mapped() {
    let device = "size=64KiB,dirty-tracking,dirty-rate=0,trace,protocol=region,window=16KiB,mmap=whole";
    assert_region_golden("mapped", device);
}

#[test]
fn with_a_region_as_strict_as_libvfio_users() {
    assert_region_golden("libvfio-user", LIBVFIO_USER);
}

#[test]
#[should_panic(expected = "write-data-size")]
fn an_access_that_is_missing_is_seen() {
    let (_, [_, destination]) = moved_with_models(LIBVFIO_USER, however_slow());
    let less = accesses(&destination).only(|access| access.call() != "write-data-size");
    assert_same("restore-region-libvfio-user-accesses", &less);
}

#[test]
#[should_panic(expected = "tracker-stop")]
fn a_call_that_is_missing_is_seen() {
    let (save, _) = moved("size=64KiB,dirty-tracking,dirty-rate=0", SaveOptions::default());
    assert_same("save-stop-copy", &save.only(|access| access.call() != "tracker-stop"));
}
