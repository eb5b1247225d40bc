//! The destination's end: waits for a device at a place, and lets it run. See the example `save`.

use std::error::Error;
use std::io::Write;

use vfio_migration::{Address, EventKind, Listener, RestoreBuilder, RestoreOptions, TransportOptions, device};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [device, place] = &words[..] else { return Err("usage: restore DEVICE WHERE".into()) };
    run(device, place, &mut std::io::stdout())
}

pub(crate) fn run(device: &str, place: &str, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let opened = device::open(device, None)?;
    let model = opened.model.ok_or("this example runs the guest of a model")?;

    let mut restore = RestoreBuilder::new(RestoreOptions::default());
    restore.device("gpu0", opened.device);
    restore.on_configure(|| {
        eprintln!("all is loaded: now PCI config and interrupts are restored");
        Ok(())
    });
    let guest = model.guest();
    restore.on_take_over(move || {
        guest.resume();
        Ok(())
    });

    let address: Address = place.parse()?;
    let listener = Listener::bind(&address, &TransportOptions::default())?;
    eprintln!("waiting at {}", listener.address());
    let session = restore.start(listener.accept()?)?;
    for event in session.events() {
        match event.kind {
            EventKind::State { device, to, .. } => eprintln!("{device} is in {to}"),
            // The source keeps everything until it has heard from us, so that nothing is lost by letting go.
            EventKind::InDoubt { why } => {
                eprintln!("in doubt: {why}");
                session.discard()?;
            }
            _ => {}
        }
    }
    let finished = session.wait();
    writeln!(out, "{}", serde_json::to_string_pretty(&finished.report)?)?;
    finished.failure.map_or(Ok(()), |failure| Err(failure.into()))
}
