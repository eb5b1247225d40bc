//! However a session ends, no thread and no file descriptor of it is left. In a process of its own, to count them.

#[path = "behaviour/scene.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod scene;

use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use scene::{Draw, Folder, origin, target, within};
use vfio_migration::{Address, EventKind, Listener, RestoreOptions, SaveOptions, Sink, Source, TransportOptions};

const SMALL: &str = "size=256KiB,pre-copy,p2p,dirty-tracking,dirty-rate=4,dma-rate=2";

fn count() -> [usize; 2] {
    ["fd", "task"].map(|what| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count())
}

/// Threads leave the list of the kernel a moment after they were joined.
fn assert_back_to(before: [usize; 2], what: &str) {
    let until = Instant::now() + Duration::from_secs(10);
    while count() != before {
        assert!(Instant::now() < until, "{what} leaves [descriptors, threads] {:?} of {before:?}", count());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn session(sink: Sink, source: Source, cancel_after: Option<(Duration, bool)>) {
    let mut origin = origin(SMALL, SaveOptions { chunk: 16 << 10, ..SaveOptions::default() });
    let mut target = target(SMALL, RestoreOptions::default());
    let restoring = target.restore.start(source).unwrap();
    let saving = origin.save.start(sink).unwrap();
    within("the session", move || {
        if let Some((after, the_save)) = cancel_after {
            std::thread::sleep(after);
            // It may be too late, which is another end that must leave nothing.
            let _ = if the_save { saving.cancel("enough") } else { restoring.cancel("enough") };
        }
        // Hands that are kept do not keep anything open.
        let controls = [saving.control(), restoring.control()];
        drop((saving.wait(), restoring.wait()));
        controls
    });
}

#[test]
fn of_any_session() {
    let folder = Folder::new("left");
    let before = count();
    let pair = || {
        let (near, far) = UnixStream::pair().unwrap();
        (Sink::fd(near.into()).unwrap(), Source::fd(far.into()).unwrap())
    };
    let (sink, source) = pair();
    session(sink, source, None);
    assert_back_to(before, "a migration over a socket pair");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    drop(listener);
    session(Sink::fd(near.into()).unwrap(), Source::fd(far.into()).unwrap(), None);
    assert_back_to(before, "a migration over TCP");

    let (reader, writer) = std::io::pipe().unwrap();
    session(Sink::fd(writer.into()).unwrap(), Source::fd(reader.into()).unwrap(), None);
    assert_back_to(before, "a migration through a pipe");

    let address = Address::File(folder.path("state"));
    let sink = Sink::connect(&address, &TransportOptions::default()).unwrap();
    let saving = origin(SMALL, SaveOptions::default()).save.start(sink).unwrap();
    drop(within("the save", move || saving.wait()));
    let source = Listener::bind(&address, &TransportOptions::default()).unwrap().accept().unwrap();
    let restoring = target(SMALL, RestoreOptions::default()).restore.start(source).unwrap();
    drop(within("the restore", move || restoring.wait()));
    assert_back_to(before, "a file");

    let mut draw = Draw(10);
    for round in 0..40 {
        let (sink, source) = pair();
        session(sink, source, Some((Duration::from_micros(draw.below(15_000)), round % 2 == 0)));
    }
    assert_back_to(before, "a cancelled migration");

    let (sink, far) = (pair().0, pair().1);
    drop((sink, far));
    let mut origin = origin(SMALL, SaveOptions::default());
    let saving = origin.save.start(pair().0).unwrap();
    let events = saving.events();
    drop((saving, origin));
    within("the dropped session", move || {
        events.filter(|event| matches!(event.kind, EventKind::Failed { .. })).count()
    });
    assert_back_to(before, "a session that was dropped");
}
