//! Devices with a migration region move as others do, and their segments arrive as they left.

use std::os::unix::net::UnixStream;

use vfio_migration::device::RegionOptions;
use vfio_migration::protocol::region::Oversized;
use vfio_migration::{
    Address, Finished, Listener, Outcome, RestoreOptions, SaveOptions, Sink, Source, State, TransportOptions,
};
use vfio_migration_model::CallKind;

use crate::scene::{Folder, Origin, Target, assert_identical, assert_moved, origin, target, target_with, within};

/// A device that works hard, and whose segments are larger and smaller than a chunk.
const DEVICE: &str = "size=1MiB,dirty-tracking,dirty-rate=4,dma-rate=4,trace,protocol=region,window=128KiB";

/// Every dialect, with NDMA and without, with data in pre-copy and without.
const DIALECTS: [&str; 6] = [
    "dialect=thread",
    "dialect=thread,pre-copy",
    "dialect=thread,pre-copy,p2p",
    "dialect=qemu,pre-copy",
    "dialect=libvfio-user",
    "dialect=libvfio-user,pre-copy",
];

const WINDOWS: [&str; 4] = ["mmap=none", "mmap=whole", "mmap=sparse", "mmap=sparse,segment=1000..128KiB,reserved=256"];

/// The segments that a device had taken from it, or was given: their sizes, in order.
fn segments(model: &vfio_migration::device::ModelHandle, kind: CallKind) -> Vec<u64> {
    let calls = model.with(|model| model.calls());
    let moved = calls.into_iter().filter(|call| call.kind == kind && call.answer.is_ok());
    moved.filter_map(|call| call.value).filter(|size| *size > 0).collect()
}

fn assert_segments(origin: &Origin, target: &Target) {
    let (left, came) =
        (segments(&origin.model, CallKind::ReadDataSize), segments(&target.model, CallKind::WriteDataSize));
    assert!(left.len() >= 8, "the data is more than one window: {left:?}");
    assert_eq!(left, came, "segments arrive as they left");
}

fn moved(device: &str, options: SaveOptions, sink: Sink, source: impl FnOnce() -> Source + Send + 'static) {
    let (mut origin, mut target) = (origin(device, options), target(device, RestoreOptions::default()));
    let saving = origin.save.start(sink).unwrap();
    let restoring = target.restore.start(within("the connection", source)).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    assert_moved(&origin, &saved, &target, &restored);
    assert_segments(&origin, &target);
    assert_eq!((origin.heard(), target.heard()), (vec!["pause".into()], vec!["configure".into(), "takeOver".into()]));
    let validated: Vec<_> = restored.report.objects.iter().filter_map(|object| object.validated).collect();
    assert_eq!(validated, [device.contains("thread")], "leaving resuming for stop shows that the data is whole");
}

#[test]
fn through_every_window() {
    for (dialect, window) in DIALECTS.into_iter().flat_map(|dialect| WINDOWS.map(|window| (dialect, window))) {
        for chunk in [4096, 1 << 20] {
            let (near, far) = UnixStream::pair().unwrap();
            let options = SaveOptions { chunk, ..SaveOptions::default() };
            let source = move || Source::fd(far.into()).unwrap();
            moved(&format!("{DEVICE},{dialect},{window}"), options, Sink::fd(near.into()).unwrap(), source);
        }
    }
}

#[test]
fn over_tcp_and_a_unix_socket() {
    let folder = Folder::new("regions");
    let unix = format!("unix:{}", folder.path("socket").display());
    for (address, dialect) in ["tcp:127.0.0.1:0", &unix].into_iter().flat_map(|one| DIALECTS.map(|other| (one, other)))
    {
        let listener = Listener::bind(&address.parse().unwrap(), &TransportOptions::default()).unwrap();
        let sink = Sink::connect(listener.address(), &TransportOptions::default()).unwrap();
        moved(&format!("{DEVICE},{dialect}"), SaveOptions::default(), sink, move || listener.accept().unwrap());
    }
}

fn restored_from(address: &Address, device: &str, options: RestoreOptions) -> (Target, Finished) {
    let mut target = target(device, options);
    let source = Listener::bind(address, &TransportOptions::default()).unwrap().accept().unwrap();
    let session = target.restore.start(source).unwrap();
    let finished = within("the restore", move || session.wait());
    (target, finished)
}

#[test]
fn through_a_file() {
    for dialect in DIALECTS {
        let folder = Folder::new("regions-file");
        let device = format!("{DEVICE},{dialect},mmap=sparse");
        let address = Address::File(folder.path("state"));
        let mut origin = origin(&device, SaveOptions::default());
        let sink = Sink::connect(&address, &TransportOptions::default()).unwrap();
        let session = origin.save.start(sink).unwrap();
        let saved = within("the save", move || session.wait());
        assert_eq!((&saved.failure, saved.report.outcome), (&None, Outcome::Completed));

        // Kept for later, it waits in stop, or where it is if nothing but its run leads out of resuming.
        let waits = if dialect.contains("thread") { State::Stop } else { State::Resuming };
        let (kept, restored) =
            restored_from(&address, &device, RestoreOptions { run: Some(false), ..RestoreOptions::default() });
        assert_eq!((&restored.failure, restored.devices[0].state), (&None, Some(waits)));
        kept.assert_never_ran();

        let (target, restored) = restored_from(&address, &device, RestoreOptions::default());
        assert_eq!((&restored.failure, restored.devices[0].state), (&None, Some(State::Running)));
        assert_identical(&origin, &target);
        assert_segments(&origin, &target);
    }
}

/// The check of segments sees what it is there to see.
#[test]
#[should_panic(expected = "segments arrive as they left")]
fn and_segments_that_are_cut_on_the_way_are_seen() {
    let (near, far) = UnixStream::pair().unwrap();
    let narrow = format!("{DEVICE},tolerate=split-segments").replace("window=128KiB", "window=64KiB");
    let split = RegionOptions { oversized: Oversized::Split, ..RegionOptions::default() };
    let (mut origin, mut target) =
        (origin(DEVICE, SaveOptions::default()), target_with(&narrow, RestoreOptions::default(), split));
    let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    assert_moved(&origin, &saved, &target, &restored);
    assert_segments(&origin, &target);
}

#[test]
fn and_a_source_that_cancels_in_pre_copy_has_its_device_back() {
    for dialect in ["dialect=thread,pre-copy,p2p", "dialect=qemu,pre-copy", "dialect=libvfio-user,pre-copy"] {
        let (near, far) = UnixStream::pair().unwrap();
        let device = format!("{DEVICE},{dialect}");
        let options = SaveOptions { rate: Some(100 << 10), chunk: 4096, ..SaveOptions::default() };
        let (mut origin, mut target) = (origin(&device, options), target(&device, RestoreOptions::default()));
        let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
        let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
        let (saved, restored) = within("the migration", move || {
            saving.events().find(|event| matches!(event.kind, vfio_migration::EventKind::Progress { .. }));
            saving.cancel("enough").unwrap();
            (saving.wait(), restoring.wait())
        });
        assert_eq!((saved.report.outcome, restored.report.outcome), (Outcome::Returned, Outcome::Reset));
        assert_eq!(saved.devices[0].state, Some(State::Running));
        origin.assert_works();
        target.assert_never_ran();
        // libvfio-user's devices go back over a stop, and the guest is paused for that.
        let paused: &[&str] = if dialect.contains("libvfio-user") { &["pause", "unpause returned"] } else { &[] };
        assert_eq!(origin.heard(), paused);
        assert_eq!(origin.model.resets(), 0);
    }
}
