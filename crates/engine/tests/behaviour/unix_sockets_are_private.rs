//! A unix socket is for its owner, takes the place only of a dead one, and goes away with its listener.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use vfio_migration::{Address, Code, Interrupt, Listener, RestoreOptions, SaveOptions, Sink, TransportOptions};

use crate::scene::{DEVICE, Folder, assert_moved, origin, target, within};

fn bind(path: &Path) -> Result<Listener, vfio_migration::Error> {
    Listener::bind(&Address::Unix(path.into()), &TransportOptions::default())
}

#[test]
fn and_carry_a_migration() {
    let folder = Folder::new("private");
    let path = folder.path("socket");
    let listener = bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (mut origin, mut target) = (origin(DEVICE, SaveOptions::default()), target(DEVICE, RestoreOptions::default()));
    let address = Address::Unix(path.clone());
    let connecting = std::thread::spawn(move || Sink::connect(&address, &TransportOptions::default()).unwrap());
    let source = listener.accept().unwrap();
    assert!(!path.exists(), "one source was taken, and nobody else can come");
    let restoring = target.restore.start(source).unwrap();
    let saving = origin.save.start(connecting.join().unwrap()).unwrap();
    let (saved, restored) = within("the migration", move || (saving.wait(), restoring.wait()));
    assert_moved(&origin, &saved, &target, &restored);
}

#[test]
fn and_a_stale_one_is_replaced() {
    let folder = Folder::new("stale");
    let path = folder.path("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a listener of std leaves its file behind");
    let listener = bind(&path).unwrap();
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn and_a_live_one_is_not_even_disturbed() {
    let folder = Folder::new("live");
    let path = folder.path("socket");
    let live = UnixListener::bind(&path).unwrap();
    live.set_nonblocking(true).unwrap();
    let error = bind(&path).unwrap_err();
    assert_eq!(error.code, Code::Exists);
    assert_eq!(live.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody has knocked");
    assert!(path.exists());
}

#[test]
fn and_what_is_no_socket_stays() {
    let folder = Folder::new("nosocket");
    let path = folder.path("socket");
    fs::write(&path, "precious").unwrap();
    assert_eq!(bind(&path).unwrap_err().code, Code::Exists);
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[test]
fn and_somebody_elses_file_is_not_removed() {
    let folder = Folder::new("elses");
    let path = folder.path("socket");
    let listener = bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    drop(listener);
    assert!(path.exists());
}

#[test]
fn and_a_path_that_is_too_long_is_named() {
    let path = Path::new("/tmp").join("s".repeat(120));
    for error in
        [bind(&path).unwrap_err(), Sink::connect(&Address::Unix(path), &TransportOptions::default()).unwrap_err()]
    {
        assert_eq!(error.code, Code::Usage);
        assert!(error.what.contains("at most 107 bytes"), "{error}");
    }
}

#[test]
fn and_waiting_ends_when_it_is_interrupted_or_late() {
    let folder = Folder::new("waiting");
    let interrupt = Interrupt::new().unwrap();
    let options = TransportOptions { interrupt: Some(interrupt.clone()), ..TransportOptions::default() };
    let listener = Listener::bind(&Address::Unix(folder.path("a")), &options).unwrap();
    let connect_options = options.clone();
    let nobody = Address::Unix(folder.path("nobody"));
    let accepting = std::thread::spawn(move || listener.accept().unwrap_err());
    let connecting = std::thread::spawn(move || Sink::connect(&nobody, &connect_options).unwrap_err());
    std::thread::sleep(Duration::from_millis(30));
    interrupt.trigger();
    let (accepted, connected) = within("the waits", move || (accepting.join().unwrap(), connecting.join().unwrap()));
    assert_eq!((accepted.code, connected.code), (Code::Cancelled, Code::Cancelled));

    let options = TransportOptions { wait: Some(Duration::from_millis(50)), ..TransportOptions::default() };
    let listener = Listener::bind(&Address::Unix(folder.path("b")), &options).unwrap();
    assert_eq!(listener.accept().unwrap_err().code, Code::Deadline);
    assert_eq!(Sink::connect(&Address::Unix(folder.path("none")), &options).unwrap_err().code, Code::Transport);
}
