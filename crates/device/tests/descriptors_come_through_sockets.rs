//! `fd:unix:PATH`: whatever the program at the socket does, what it did is said, and nothing of what it sent stays open.
#![cfg(target_os = "linux")]

use core::mem::MaybeUninit;
use std::env;
use std::fs::File;
use std::io::{IoSlice, Read, Write, pipe};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketType, bind, listen,
    sendmsg, socket,
};
use vfio_migration_device::{Address, Fault, OpenError, OpenOptions};

/// Where a socket can be: gone with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("vfio-migration-{name}-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        Self(path)
    }

    /// A program that does something with the first who connects.
    fn with(name: &str, act: impl FnOnce(UnixStream) + Send + 'static) -> Self {
        let place = Self::new(name);
        let listener = UnixListener::bind(&place.0).unwrap();
        thread::spawn(move || act(listener.accept().unwrap().0));
        place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What opening it says, within a minute.
fn refused(path: &Path) -> (Fault, String) {
    refused_within(path, Duration::from_secs(60))
}

fn refused_within(path: &Path, wait: Duration) -> (Fault, String) {
    let address: Address = format!("fd:unix:{}", path.display()).parse().unwrap();
    let error = address.open(OpenOptions { wait: Some(wait), ..OpenOptions::default() }).unwrap_err();
    let OpenError::Kernel(error) = error else { panic!("{error:?}") };
    assert!(!error.remedy.is_empty());
    (error.fault, error.to_string())
}

fn says((fault, error): &(Fault, String), expected: Fault, words: &[&str]) {
    assert_eq!(*fault, expected, "{error}");
    for words in words {
        assert!(error.contains(words), "'{words}' is missing: {error}");
    }
}

fn send(socket: &UnixStream, descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(ancillary.push(SendAncillaryMessage::ScmRights(descriptors)));
    sendmsg(socket, &[IoSlice::new(b"x")], &mut ancillary, SendFlags::empty()).unwrap();
}

#[test]
fn nobody_listens() {
    let gone = Place::new("nobody");
    says(&refused(&gone.0), Fault::Usage, &["cannot connect", &gone.0.display().to_string(), "start the program"]);
}

#[test]
fn nobody_accepts() {
    let place = Place::new("full");
    let listener = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&listener, &SocketAddrUnix::new(&place.0).unwrap()).unwrap();
    listen(&listener, 0).unwrap();
    // The queue holds one.
    let _first = UnixStream::connect(&place.0).unwrap();
    let answer = refused_within(&place.0, Duration::from_millis(50));
    says(&answer, Fault::Usage, &["cannot connect", "it accepted nobody within 50 ms"]);
}

#[test]
fn the_program_stays_silent() {
    let (over, until) = std::sync::mpsc::channel::<()>();
    let silent = Place::with("silent", move |socket| {
        let _ = until.recv();
        drop(socket);
    });
    let answer = refused_within(&silent.0, Duration::from_millis(50));
    says(&answer, Fault::Usage, &["said nothing within 50 ms", "SCM_RIGHTS"]);
    drop(over);
}

#[test]
fn the_program_goes_away() {
    let closes = Place::with("closes", drop);
    says(&refused(&closes.0), Fault::Usage, &["it closed the connection", "SCM_RIGHTS"]);
    // Its end comes while the connection still waits to be accepted.
    let leaves = Place::new("leaves");
    let listener = UnixListener::bind(&leaves.0).unwrap();
    let asking = thread::spawn({
        let path = leaves.0.clone();
        move || refused(&path)
    });
    while rustix::event::poll(&mut [rustix::event::PollFd::new(&listener, rustix::event::PollFlags::IN)], None) != Ok(1)
    {
    }
    drop(listener);
    says(&asking.join().unwrap(), Fault::Usage, &["it closed the connection"]);
}

#[test]
fn the_program_sends_something_else() {
    let talks = Place::with("talks", |mut socket| socket.write_all(b"hello").unwrap());
    says(&refused(&talks.0), Fault::Usage, &["a message without descriptors"]);
    let one = Place::with("pipe", |socket| send(&socket, &[pipe().unwrap().0.as_fd()]));
    says(&refused(&one.0), Fault::Unsupported, &["is a pipe, not a VFIO device"]);
    let two = Place::with("two", |socket| {
        send(&socket, &[pipe().unwrap().0.as_fd(), File::open("/dev/null").unwrap().as_fd()]);
    });
    says(&refused(&two.0), Fault::Unsupported, &["gives a pipe, the character device null, and no VFIO device"]);
}

#[test]
fn the_program_sends_too_many_and_none_of_them_stays_open() {
    for count in [4, 5, 16] {
        let (mut read, write) = pipe().unwrap();
        let many = Place::with(&format!("many-{count}"), move |socket| send(&socket, &vec![write.as_fd(); count]));
        let answer = refused(&many.0);
        match count {
            4 => says(&answer, Fault::Unsupported, &["gives a pipe, a pipe, a pipe, a pipe, and no VFIO device"]),
            _ => says(
                &answer,
                Fault::Usage,
                &["it sent more than 4 descriptors: a pipe, a pipe, a pipe, a pipe, and others", "of one device"],
            ),
        }
        // Ends only when the last copy of the writing end is closed.
        assert_eq!(read.read(&mut [0]).unwrap(), 0);
    }
}

const CROWDED: &str = "VFIO_MIGRATION_TEST_CROWDED";

/// Only in a process of its own, which [`a_process_that_may_open_no_more_says_so`] starts.
#[test]
fn a_crowded_process_asks() {
    let Ok(path) = env::var(CROWDED) else { return };
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = Some(64);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    let mut files: Vec<_> = core::iter::repeat_with(|| File::open("/dev/null")).map_while(Result::ok).collect();
    // Room for the socket and one of the two descriptors that come.
    files.truncate(files.len() - 2);
    let answer = refused(Path::new(&path));
    drop(files);
    says(&answer, Fault::Host, &["more descriptors than this process can open", "ulimit -n"]);
    println!("it was asked");
}

#[test]
fn a_process_that_may_open_no_more_says_so() {
    let two = Place::with("crowded", |socket| {
        let null = File::open("/dev/null").unwrap();
        send(&socket, &[null.as_fd(), null.as_fd()]);
    });
    let mut test = Command::new(env::current_exe().unwrap());
    test.args(["--exact", "a_crowded_process_asks", "--nocapture"]).env(CROWDED, &two.0);
    let output = test.output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && words.contains("it was asked"),
        "{words}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
