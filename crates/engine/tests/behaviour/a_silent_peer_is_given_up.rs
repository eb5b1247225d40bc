//! A peer that connects and says nothing is waited for until the deadline, and everything goes back.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use vfio_migration::{Code, Outcome, RestoreOptions, SaveOptions, Sink, Source};

use crate::scene::{DEVICE, origin, target, within};

const DEADLINE: Duration = Duration::from_millis(200);

#[test]
fn by_a_save() {
    let (near, _far) = UnixStream::pair().unwrap();
    let mut origin = origin(DEVICE, SaveOptions { deadline: DEADLINE, ..SaveOptions::default() });
    let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let saved = within("the save", move || saving.wait());
    assert_eq!(saved.failure.unwrap().code, Code::Deadline);
    assert_eq!(saved.report.outcome, Outcome::Returned);
    assert_eq!(origin.heard(), Vec::<String>::new(), "the guest was not even paused");
    origin.assert_works();
}

#[test]
fn by_a_restore() {
    let (_near, far) = UnixStream::pair().unwrap();
    let mut target = target(DEVICE, RestoreOptions { deadline: DEADLINE, ..RestoreOptions::default() });
    let restoring = target.restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let restored = within("the restore", move || restoring.wait());
    assert_eq!(restored.failure.unwrap().code, Code::Deadline);
    target.assert_never_ran();
    assert_eq!(target.model.resets(), 0, "nothing was changed yet");
}

#[test]
fn or_answers_with_something_else() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let mut origin = origin(DEVICE, SaveOptions::default());
    let saving = origin.save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let talking = std::thread::spawn(move || {
        far.write_all(&[b'x'; 4096]).unwrap();
        let _ = far.shutdown(std::net::Shutdown::Write);
        std::io::copy(&mut far, &mut std::io::sink()).unwrap();
    });
    let saved = within("the save", move || saving.wait());
    assert_eq!(saved.failure.unwrap().code, Code::StreamCorrupt);
    within("the talker", move || talking.join().unwrap());
    origin.assert_works();
}
