//! The source's end: moves a device to a place, with its progress on standard error and the report on standard output.
//!
//! ```text
//! cargo run --example restore -- model:size=256MiB,pre-copy,p2p unix:/tmp/migration.sock
//! cargo run --example save    -- model:size=256MiB,pre-copy,p2p unix:/tmp/migration.sock
//! ```
//!
//! The place may be a file as well: then the restore comes second.

use std::error::Error;
use std::io::Write;

use vfio_migration::{Address, Code, EventKind, SaveBuilder, SaveOptions, Sink, TransportOptions, device};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [device, place] = &words[..] else { return Err("usage: save DEVICE WHERE".into()) };
    run(device, place, &mut std::io::stdout())
}

pub(crate) fn run(device: &str, place: &str, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    // A software device works in this process; its guest is ours to stop.
    let opened = device::open(device, None)?;
    let guest = opened.model.ok_or("this example stops the guest of a model")?.guest();
    guest.resume();

    let mut save = SaveBuilder::new(SaveOptions::default());
    save.device("gpu0", opened.device);
    let (stop, go) = (guest.clone(), guest);
    save.on_pause(move |left| {
        eprintln!("stopping the guest, with {left} to go");
        stop.pause();
        Ok(())
    });
    save.on_unpause(move |outcome| {
        eprintln!("the guest goes on here: {outcome}");
        go.resume();
        Ok(())
    });

    // The connection is made before anything changes.
    let address: Address = place.parse()?;
    let session = save.start(Sink::connect(&address, &TransportOptions::default())?)?;
    for event in session.events() {
        match event.kind {
            EventKind::Progress { object, bytes, .. } => eprintln!("{object}: {bytes} bytes"),
            EventKind::State { device, to, .. } => eprintln!("{device} is in {to}"),
            // Nobody can say which end has the guest. A person would be asked; this example gives it away.
            EventKind::InDoubt { why } => {
                eprintln!("in doubt: {why}");
                session.discard()?;
            }
            _ => {}
        }
    }
    let finished = session.wait();
    writeln!(out, "{}", serde_json::to_string_pretty(&finished.report)?)?;
    match finished.failure {
        Some(failure) if failure.code == Code::Cancelled => Ok(()),
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}
