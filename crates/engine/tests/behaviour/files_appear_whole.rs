//! A file stands under its name only when it is complete, and is replaced only if that was asked for.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use vfio_migration::{
    Address, Code, Finished, Listener, Outcome, RestoreOptions, SaveOptions, Sink, State, Then, TransportOptions,
};

use crate::scene::{DEVICE, Folder, Origin, assert_identical, assert_works, origin, target, within};

fn address(path: &Path) -> Address {
    Address::File(path.into())
}

fn overwriting() -> TransportOptions {
    TransportOptions { overwrite: true, ..TransportOptions::default() }
}

fn save_to(path: &Path, options: SaveOptions, transport: &TransportOptions) -> (Origin, Finished) {
    let mut origin = origin(DEVICE, options);
    let sink = Sink::connect(&address(path), transport).unwrap();
    let session = origin.save.start(sink).unwrap();
    let finished = within("the save", move || session.wait());
    (origin, finished)
}

fn restore_from(path: &Path, options: RestoreOptions) -> (crate::scene::Target, Finished) {
    let mut target = target(DEVICE, options);
    let source = Listener::bind(&address(path), &TransportOptions::default()).unwrap().accept().unwrap();
    let session = target.restore.start(source).unwrap();
    let finished = within("the restore", move || session.wait());
    (target, finished)
}

#[test]
fn and_hold_a_stopped_device() {
    let folder = Folder::new("whole");
    let path = folder.path("state");
    let (origin, saved) = save_to(&path, SaveOptions::default(), &TransportOptions::default());
    assert_eq!((&saved.failure, saved.report.outcome), (&None, Outcome::Completed));
    assert_eq!(saved.devices[0].state, Some(State::Stop));
    assert!(!origin.model.guest().runs());
    assert_eq!(folder.names(), ["state"], "no temporary file is left");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "it holds a guest's secrets");

    let (target, restored) = restore_from(&path, RestoreOptions::default());
    assert_eq!((&restored.failure, restored.report.outcome), (&None, Outcome::Completed));
    assert_eq!(restored.devices[0].state, Some(State::Running));
    assert_identical(&origin, &target);
    assert_eq!(target.heard(), ["configure", "takeOver"]);
}

#[test]
fn and_hold_a_snapshot_of_a_device_that_goes_on() {
    let folder = Folder::new("snapshot");
    let path = folder.path("state");
    let options = SaveOptions { then: Then::Resume, ..SaveOptions::default() };
    let (origin, saved) = save_to(&path, options, &TransportOptions::default());
    assert_eq!(saved.failure, None);
    assert_eq!(saved.devices[0].state, Some(State::Running));
    origin.assert_works();

    let (target, restored) = restore_from(&path, RestoreOptions::default());
    assert_eq!(restored.failure, None);
    assert_eq!(restored.devices[0].state, Some(State::Stop), "a snapshot's guest still runs elsewhere");
    target.assert_never_ran();

    let (target, restored) = restore_from(&path, RestoreOptions { run: Some(true), ..RestoreOptions::default() });
    assert_eq!(restored.failure, None);
    assert_works(&target.model);
}

#[test]
fn and_are_replaced_only_if_asked() {
    let folder = Folder::new("replaced");
    let path = folder.path("state");
    fs::write(&path, "precious").unwrap();
    let error = Sink::connect(&address(&path), &TransportOptions::default()).unwrap_err();
    assert_eq!(error.code, Code::Exists);
    assert_eq!(fs::read(&path).unwrap(), b"precious");

    let (_, saved) = save_to(&path, SaveOptions::default(), &overwriting());
    assert_eq!(saved.failure, None);
    assert!(fs::metadata(&path).unwrap().len() > 4 << 20);
    assert_eq!(folder.names(), ["state"]);
}

#[test]
fn and_a_link_stays_a_link() {
    let folder = Folder::new("link");
    let (path, link) = (folder.path("state"), folder.path("link"));
    fs::write(&path, "old").unwrap();
    symlink(&path, &link).unwrap();
    let (_, saved) = save_to(&link, SaveOptions::default(), &overwriting());
    assert_eq!(saved.failure, None);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::metadata(&path).unwrap().len() > 4 << 20);
}

#[test]
fn and_nobody_is_replaced_who_came_meanwhile() {
    let folder = Folder::new("meanwhile");
    let path = folder.path("state");
    let mut origin = origin(DEVICE, SaveOptions::default());
    let sink = Sink::connect(&address(&path), &TransportOptions::default()).unwrap();
    fs::write(&path, "precious").unwrap();
    let session = origin.save.start(sink).unwrap();
    let saved = within("the save", move || session.wait());
    assert_eq!(saved.failure.unwrap().code, Code::Transport);
    assert_eq!(saved.report.outcome, Outcome::Returned);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    assert_eq!(folder.names(), ["state"]);
    origin.assert_works();
    assert_eq!(origin.heard(), ["pause", "unpause returned"]);
}

#[test]
fn and_a_failed_save_leaves_nothing() {
    let folder = Folder::new("failed");
    let path = folder.path("state");
    let mut origin = origin(&format!("{DEVICE},fault=read@3:EIO"), SaveOptions::default());
    let sink = Sink::connect(&address(&path), &TransportOptions::default()).unwrap();
    assert_eq!(folder.names().len(), 1);
    assert!(folder.names()[0].starts_with(".state.partial-"));
    let session = origin.save.start(sink).unwrap();
    let saved = within("the save", move || session.wait());
    let failure = saved.failure.unwrap();
    assert_eq!((failure.code, failure.object.as_deref()), (Code::DeviceFailed, Some("gpu0")));
    assert_eq!(failure.state, Some(State::Running), "what the device says now");
    assert_eq!(folder.names(), Vec::<String>::new());
    origin.assert_works();
}

#[test]
fn and_a_sink_that_is_never_used_leaves_nothing() {
    let folder = Folder::new("unused");
    drop(Sink::connect(&address(&folder.path("state")), &TransportOptions::default()).unwrap());
    assert_eq!(folder.names(), Vec::<String>::new());
}

#[test]
fn and_only_files_are_files() {
    let folder = Folder::new("kinds");
    let connect = |path: &Path| Sink::connect(&address(path), &overwriting()).unwrap_err();
    assert_eq!(connect(&folder.0).code, Code::Usage);
    assert_eq!(connect(&folder.path("none/state")).code, Code::Transport);
    let socket = folder.path("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let error = connect(&socket);
    assert_eq!(error.code, Code::Usage);
    assert!(error.what.contains("unix:PATH"));
    let before = fs::metadata("/dev/null").unwrap().ino();
    drop(Sink::connect(&address(Path::new("/dev/null")), &TransportOptions::default()).unwrap());
    assert_eq!(fs::metadata("/dev/null").unwrap().ino(), before, "a device is written in place");
}
