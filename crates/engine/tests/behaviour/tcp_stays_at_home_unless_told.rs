//! TCP is bare, so that it leaves this machine only if that is asked for.

use std::net::TcpListener;
use std::time::Duration;

use vfio_migration::{Address, Code, Listener, Sink, TransportOptions};

use crate::scene::within;

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp { host: host.into(), port }
}

#[test]
fn and_other_hosts_are_refused() {
    for host in ["0.0.0.0", "192.0.2.1", "::"] {
        let error = Listener::bind(&tcp(host, 0), &TransportOptions::default()).unwrap_err();
        assert_eq!(error.code, Code::Usage);
        assert!(error.what.contains("leaves this machine"), "{error}");
        assert_eq!(Sink::connect(&tcp(host, 9), &TransportOptions::default()).unwrap_err().code, Code::Usage);
    }
    let insecure = TransportOptions { insecure: true, ..TransportOptions::default() };
    assert!(Listener::bind(&tcp("0.0.0.0", 0), &insecure).is_ok());
}

#[test]
fn and_a_free_port_is_told() {
    let listener = Listener::bind(&"tcp:localhost:0".parse().unwrap(), &TransportOptions::default()).unwrap();
    let Address::Tcp { host, port } = listener.address().clone() else { panic!("a TCP address") };
    assert_eq!(host, "localhost");
    assert_ne!(port, 0);
    let taken = Listener::bind(&tcp("localhost", port), &TransportOptions::default()).unwrap_err();
    assert_eq!(taken.code, Code::Transport);
    assert!(taken.what.contains("in use"), "{taken}");
}

#[test]
fn and_a_connection_waits_for_its_listener() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        Listener::bind(&tcp("127.0.0.1", port), &TransportOptions::default()).unwrap().accept().unwrap()
    });
    Sink::connect(&tcp("127.0.0.1", port), &TransportOptions::default()).unwrap();
    within("the listener", move || late.join().unwrap());
}

#[test]
fn and_a_host_without_a_listener_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let soon = TransportOptions { wait: Some(Duration::from_millis(100)), ..TransportOptions::default() };
    let error = Sink::connect(&tcp("127.0.0.1", port), &soon).unwrap_err();
    assert_eq!(error.code, Code::Transport);
    assert!(error.what.contains("refused"), "{error}");
    let error = Sink::connect(&tcp("no-such-host.invalid", 1), &soon).unwrap_err();
    assert_eq!(error.code, Code::Transport);
}
