//! Pipes and FIFOs carry a one-way stream, and the caller's descriptors keep their flags.

use std::fs::File;
use std::io::pipe;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, mknodat};
use vfio_migration::{
    Address, Code, Listener, Outcome, RestoreOptions, SaveOptions, Sink, Source, State, TransportOptions,
};

use crate::scene::{DEVICE, Folder, assert_identical, origin, target, within};

fn move_over(sink: Sink, source: Source) {
    let (mut origin, mut target) = (origin(DEVICE, SaveOptions::default()), target(DEVICE, RestoreOptions::default()));
    let restoring = target.restore.start(source).unwrap();
    let saving = origin.save.start(sink).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    assert_eq!((&saved.failure, &restored.failure), (&None, &None));
    assert_eq!(saved.devices[0].state, Some(State::Stop));
    assert_eq!(restored.report.outcome, Outcome::Completed);
    assert_identical(&origin, &target);
}

#[test]
fn through_a_pipe() {
    let (reader, writer) = pipe().unwrap();
    move_over(Sink::fd(writer.into()).unwrap(), Source::fd(reader.into()).unwrap());
}

#[test]
fn through_a_pipe_whose_flags_are_somebody_elses() {
    for flags in [OFlags::empty(), OFlags::NONBLOCK] {
        let (reader, writer) = pipe().unwrap();
        let (reader, writer): (OwnedFd, OwnedFd) = (reader.into(), writer.into());
        let (near, far) = (reader.try_clone().unwrap(), writer.try_clone().unwrap());
        for end in [&near, &far] {
            fcntl_setfl(end, flags).unwrap();
        }
        move_over(Sink::fd(writer).unwrap(), Source::fd(reader).unwrap());
        for end in [&near, &far] {
            assert_eq!(fcntl_getfl(end).unwrap() & OFlags::NONBLOCK, flags);
        }
    }
}

#[test]
fn through_a_fifo() {
    let folder = Folder::new("fifo");
    let path = folder.path("fifo");
    mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let address = Address::File(path.clone());
    let elsewhere = address.clone();
    // The reader waits until something has been written, the writer until somebody reads.
    let reading =
        std::thread::spawn(move || Listener::bind(&elsewhere, &TransportOptions::default()).unwrap().accept().unwrap());
    let sink = Sink::connect(&address, &TransportOptions::default()).unwrap();
    let mut origin = origin(DEVICE, SaveOptions::default());
    let saving = origin.save.start(sink).unwrap();
    let mut target = target(DEVICE, RestoreOptions::default());
    let source = within("the reader comes", move || reading.join().unwrap());
    let restoring = target.restore.start(source).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    assert_eq!((&saved.failure, &restored.failure), (&None, &None));
    assert_identical(&origin, &target);
    assert!(std::fs::metadata(&path).is_ok(), "a FIFO is written in place");
}

#[test]
fn and_a_reader_that_leaves_is_noticed() {
    let (reader, writer) = pipe().unwrap();
    let mut origin = origin(DEVICE, SaveOptions::default());
    let sink = Sink::fd(writer.into()).unwrap();
    drop(reader);
    let saving = origin.save.start(sink).unwrap();
    let saved = within("the save", move || saving.wait());
    assert_eq!(saved.failure.unwrap().code, Code::Transport);
    origin.assert_works();
}

#[test]
fn and_a_full_disk_is_said() {
    let sinks = [
        Sink::connect(&Address::File("/dev/full".into()), &TransportOptions::default()).unwrap(),
        Sink::fd(File::options().write(true).open("/dev/full").unwrap().into()).unwrap(),
    ];
    for sink in sinks {
        let mut origin = origin(DEVICE, SaveOptions::default());
        let saving = origin.save.start(sink).unwrap();
        let saved = within("the save", move || saving.wait());
        let failure = saved.failure.unwrap();
        assert_eq!(failure.code, Code::Transport);
        assert!(failure.what.contains("No space left on device"), "{failure}");
        assert_eq!(saved.report.outcome, Outcome::Returned);
        origin.assert_works();
    }
}

#[test]
fn and_a_stuck_reader_does_not_keep_a_cancelled_save() {
    let (_reader, writer) = pipe().unwrap();
    let mut origin = origin(DEVICE, SaveOptions::default());
    let saving = origin.save.start(Sink::fd(writer.into()).unwrap()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    saving.cancel("enough").unwrap();
    let saved = within("the save", move || saving.wait());
    assert_eq!(saved.failure.unwrap().code, Code::Cancelled);
    origin.assert_works();
}

#[test]
fn and_a_silent_writer_does_not_keep_a_cancelled_restore() {
    let (reader, _writer) = pipe().unwrap();
    let mut target = target(DEVICE, RestoreOptions::default());
    let restoring = target.restore.start(Source::fd(reader.into()).unwrap()).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(30));
    restoring.cancel("enough").unwrap();
    let restored = within("the restore", move || restoring.wait());
    assert_eq!(restored.failure.unwrap().code, Code::Cancelled);
    target.assert_never_ran();
}
