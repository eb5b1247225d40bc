//! The destination is another process: this program, started again.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::{Value, json};
use vfio_migration::{
    Address, Code, EventKind, Listener, Outcome, RestoreOptions, SaveOptions, Sink, TransportOptions,
};

use crate::scene::{DEVICE, Draw, Folder, SMALL_PAIRS, origin, target, within};

/// Where the other process listens; it is told in the environment that it is one.
const LISTEN: &str = "VFIO_MIGRATION_TEST_LISTEN";
/// And what its device is.
const THERE: &str = "VFIO_MIGRATION_TEST_DEVICE";

/// The destination's process. Among the tests it is one that does nothing.
#[test]
fn destination() {
    let Ok(address) = std::env::var(LISTEN) else { return };
    let listener = Listener::bind(&address.parse().unwrap(), &TransportOptions::default()).unwrap();
    println!("\nlistening {}", listener.address());
    let source = listener.accept().unwrap();
    let device = std::env::var(THERE).unwrap();
    let mut target = target(&device, RestoreOptions { deadline: Duration::from_secs(5), ..RestoreOptions::default() });
    let session = target.restore.start(source).unwrap();
    for event in session.events() {
        if matches!(event.kind, EventKind::InDoubt { .. }) {
            session.discard().unwrap();
        }
    }
    let finished = session.wait();
    let proof = target.model.stopped().map(|stopped| stopped.proof.to_string());
    let digests = target.digests.lock().unwrap().clone();
    let counter = target.model.counter();
    let moved = finished.report.outcome == Outcome::Completed;
    println!(
        "\nfinished {}",
        json!({
            "report": finished.report, "failure": finished.failure.map(|error| error.to_string()), "moved": moved,
            "proof": proof, "digests": digests, "counter": counter,
            "resets": target.model.resets(), "runs": target.model.guest().runs(),
        })
    );
}

struct Destination {
    child: Child,
    says: BufReader<ChildStdout>,
    address: Address,
}

impl Destination {
    fn start(address: &str, device: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "two_processes_move_a_device::destination", "--nocapture", "--test-threads=1"])
            .env(LISTEN, address)
            .env(THERE, device)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut says = BufReader::new(child.stdout.take().unwrap());
        let address = line(&mut says, "listening ").expect("the destination listens").parse().unwrap();
        Self { child, says, address }
    }

    fn finished(mut self) -> Value {
        let told = line(&mut self.says, "finished ").expect("the destination says how it ended");
        self.says.read_to_end(&mut Vec::new()).unwrap();
        assert!(self.child.wait().unwrap().success());
        serde_json::from_str(&told).unwrap()
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rest of the first line that starts so.
fn line(says: &mut impl BufRead, start: &str) -> Option<String> {
    says.lines().map_while(Result::ok).find_map(|line| line.strip_prefix(start).map(str::to_owned))
}

fn move_over(address: &str, (here, there): (&str, &str)) {
    let destination = Destination::start(address, there);
    let mut origin = origin(here, SaveOptions::default());
    let sink = Sink::connect(&destination.address, &TransportOptions::default()).unwrap();
    let saving = origin.save.start(sink).unwrap();
    let (saved, there) = within("the migration", move || (saving.wait(), destination.finished()));
    assert_eq!((&saved.failure, saved.report.outcome), (&None, Outcome::Completed));
    assert_eq!((&there["failure"], &there["moved"]), (&Value::Null, &Value::Bool(true)));
    assert_eq!(there["proof"], origin.model.proof().to_string(), "the device's data");
    let digests: Vec<u64> = serde_json::from_value(there["digests"].clone()).unwrap();
    assert_eq!(origin.memory.pages_unlike(&digests), Vec::<u64>::new(), "guest memory, page by page");
    assert!(there["counter"].as_u64().unwrap() >= origin.model.counter(), "the counter goes on");
    assert_eq!((origin.model.resets(), &there["resets"]), (0, &json!(0)));
    assert_eq!((origin.model.guest().runs(), &there["runs"]), (false, &json!(true)));
}

#[test]
fn over_a_unix_socket() {
    for pair in SMALL_PAIRS {
        let folder = Folder::new("processes");
        move_over(&format!("unix:{}", folder.path("socket").display()), pair);
    }
}

#[test]
fn over_tcp() {
    move_over("tcp:127.0.0.1:0", (DEVICE, DEVICE));
}

#[test]
fn and_a_destination_that_is_killed_leaves_the_guest_to_the_source() {
    let mut draw = Draw(8);
    for (here, there) in [(DEVICE, DEVICE); 12].into_iter().chain(SMALL_PAIRS).chain(SMALL_PAIRS) {
        let mut destination = Destination::start("tcp:127.0.0.1:0", there);
        let options = SaveOptions { chunk: 64 << 10, deadline: Duration::from_secs(10), ..SaveOptions::default() };
        let mut origin = origin(here, options);
        let sink = Sink::connect(&destination.address, &TransportOptions::default()).unwrap();
        let saving = origin.save.start(sink).unwrap();
        let after = Duration::from_micros(draw.below(25_000));
        let (given_up, saved) = within("the migration", move || {
            std::thread::sleep(after);
            destination.child.kill().unwrap();
            // What was killed does not run: the one thing that this caller knows for certain.
            let mut given_up = false;
            for event in saving.events() {
                given_up |= matches!(event.kind, EventKind::GivenUp);
                if matches!(event.kind, EventKind::InDoubt { .. }) {
                    saving.take_back(true).unwrap();
                }
            }
            (given_up, saving.wait())
        });
        if saved.report.outcome == Outcome::Completed {
            assert!(given_up, "it had moved before");
        } else {
            assert_eq!(saved.report.outcome, Outcome::Returned);
            assert!(matches!(saved.failure.unwrap().code, Code::Transport | Code::Peer));
            origin.assert_works();
        }
    }
}

#[test]
fn and_a_source_that_is_killed_leaves_a_destination_that_never_ran() {
    // Roles reversed: this process restores, and the one that is killed just sends some of a stream.
    let (sender, receiver) = channel();
    let mut origin = origin(DEVICE, SaveOptions::default());
    let saving = origin.save.start(Sink::writer(Sent(sender), || ())).unwrap();
    within("the save", move || saving.wait());
    let folder = Folder::new("killed");
    let path = folder.path("stream");
    std::fs::write(&path, receiver.into_iter().flatten().collect::<Vec<u8>>()).unwrap();
    let mut draw = Draw(9);
    for _ in 0..12 {
        let mut cat = Command::new("cat").arg(&path).stdout(Stdio::piped()).spawn().unwrap();
        let stdout: std::os::fd::OwnedFd = cat.stdout.take().unwrap().into();
        let mut target = target(DEVICE, RestoreOptions::default());
        let restoring = target.restore.start(vfio_migration::Source::fd(stdout).unwrap()).unwrap();
        let after = Duration::from_micros(draw.below(3_000));
        let restored = within("the restore", move || {
            std::thread::sleep(after);
            cat.kill().unwrap();
            cat.wait().unwrap();
            restoring.wait()
        });
        if let Some(failure) = restored.failure {
            assert_eq!(failure.code, Code::StreamTruncated);
            target.assert_never_ran();
        }
    }
}

/// A writer that passes on what it takes.
struct Sent(std::sync::mpsc::Sender<Vec<u8>>);

impl std::io::Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
