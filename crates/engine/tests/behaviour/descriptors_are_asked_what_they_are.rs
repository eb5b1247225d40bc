//! A file descriptor that cannot carry a stream is refused at once, with the reason.

use std::fs::File;
use std::io::pipe;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use rustix::fs::{CWD, OFlags, openat};
use rustix::net::{AddressFamily, SocketType, socket};
use vfio_migration::{Code, Mode, Sink, Source};

use crate::scene::Folder;

fn refused(fd: impl Into<OwnedFd>, why: &str) {
    let fd = fd.into();
    let source = Source::fd(fd.try_clone().unwrap()).unwrap_err();
    let sink = Sink::fd(fd).unwrap_err();
    for error in [source, sink] {
        assert_eq!(error.code, Code::Usage);
        assert!(error.what.contains(why), "'{}' says '{why}'", error.what);
    }
}

#[test]
fn sockets_that_do_not_carry_a_stream() {
    let folder = Folder::new("asked");
    refused(TcpListener::bind("127.0.0.1:0").unwrap(), "listens");
    refused(UnixListener::bind(folder.path("socket")).unwrap(), "listens");
    refused(UnixDatagram::pair().unwrap().0, "does not stream");
    refused(socket(AddressFamily::INET, SocketType::STREAM, None).unwrap(), "not connected");
}

#[test]
fn files_that_cannot_be_used_that_way() {
    let folder = Folder::new("ways");
    refused(File::open(&folder.0).unwrap(), "folder");
    refused(openat(CWD, &folder.0, OFlags::PATH, rustix::fs::Mode::empty()).unwrap(), "folder");
    let path = folder.path("file");
    std::fs::write(&path, "x").unwrap();
    refused(openat(CWD, &path, OFlags::PATH, rustix::fs::Mode::empty()).unwrap(), "path only");
    let error = Sink::fd(File::open(&path).unwrap().into()).unwrap_err();
    assert!(error.what.contains("for reading only"), "{error}");
    let error = Source::fd(File::options().write(true).open(&path).unwrap().into()).unwrap_err();
    assert!(error.what.contains("for writing only"), "{error}");
    let (reader, writer) = pipe().unwrap();
    assert_eq!(Sink::fd(reader.into()).unwrap_err().code, Code::Usage);
    assert_eq!(Source::fd(writer.into()).unwrap_err().code, Code::Usage);
}

#[test]
fn sockets_are_connected_and_the_rest_is_one_way() {
    let (near, _far) = UnixStream::pair().unwrap();
    assert_eq!(Sink::fd(near.into()).unwrap().mode(), Mode::Connected);
    let (_reader, writer) = pipe().unwrap();
    assert_eq!(Sink::fd(writer.into()).unwrap().mode(), Mode::OneWay);
    let null = File::options().write(true).open("/dev/null").unwrap();
    assert_eq!(Sink::fd(null.into()).unwrap().mode(), Mode::OneWay);
}
