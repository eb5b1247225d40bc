//! Both ends in one process, over a pair of sockets: a device and 16 MiB of guest memory move while the guest works.
//! Ends with a table of how it went.
//!
//! ```text
//! cargo run --example both -- size=256MiB,pre-copy,p2p,dirty-tracking
//! ```

use std::error::Error;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use vfio_migration::{Report, RestoreBuilder, RestoreOptions, SaveBuilder, SaveOptions, Sink, Source, device};
use vfio_migration_model::GuestMemory;

const MEMORY: u64 = 16 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let settings = std::env::args().nth(1).unwrap_or_else(|| "size=256MiB,pre-copy,p2p,dirty-tracking".into());
    run(&settings, &mut std::io::stdout())
}

pub(crate) fn run(settings: &str, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let (near, far) = UnixStream::pair()?;

    // The source: a device that writes to guest memory, and a log of the pages that it writes to.
    let memory = GuestMemory::new(0x1_0000_0000, MEMORY)?;
    let source = device::open(&format!("model:{settings}"), Some(memory.clone()))?;
    let source_model = source.model.ok_or("a model")?;
    source_model.guest().resume();
    let mut save = SaveBuilder::new(SaveOptions::default());
    let trackers: Vec<_> = source.trackers.into_iter().map(|tracker| save.tracker(tracker)).collect();
    save.device("gpu0", source.device).memory("ram", Box::new(memory), 4096, &trackers);
    let guest = source_model.guest();
    save.on_pause(move |_left| {
        guest.pause();
        Ok(())
    });

    // The destination.
    let memory = GuestMemory::new(0x1_0000_0000, MEMORY)?;
    let destination = device::open(&format!("model:{settings}"), Some(memory.clone()))?;
    let destination_model = destination.model.ok_or("a model")?;
    let mut restore = RestoreBuilder::new(RestoreOptions::default());
    restore.device("gpu0", destination.device).memory("ram", Box::new(memory));
    let guest = destination_model.guest();
    restore.on_take_over(move || {
        guest.resume();
        Ok(())
    });

    let restoring = restore.start(Source::fd(far.into())?)?;
    let saving = save.start(Sink::fd(near.into())?)?;
    let (saved, restored) = (saving.wait(), restoring.wait());
    if let Some(failure) = saved.failure.or(restored.failure) {
        return Err(failure.into());
    }
    table(out, &saved.report, &restored.report)?;
    writeln!(out, "resets {}", source_model.resets() + destination_model.resets())?;
    let went_on = destination_model.counter() >= source_model.counter();
    writeln!(out, "the counter {}", if went_on { "went on" } else { "was lost" })?;
    Ok(())
}

fn table(out: &mut dyn Write, saved: &Report, restored: &Report) -> std::io::Result<()> {
    let millis = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
    writeln!(out, "{:<8} {:>12} {:<10} states", "object", "bytes", "outcome")?;
    for (here, there) in saved.objects.iter().zip(&restored.objects) {
        let outcome = here.outcome.map_or_else(String::new, |outcome| outcome.to_string());
        let walked: Vec<_> = here.walked.iter().chain(&there.walked).map(|step| step.state.to_string()).collect();
        writeln!(out, "{:<8} {:>12} {:<10} {}", here.id, here.bytes, outcome, walked.join(" > "))?;
    }
    writeln!(out, "total {}, {} bytes", millis(saved.total), saved.bytes)?;
    if let Some(downtime) = saved.downtime {
        let parts = [
            ("pause", downtime.pause),
            ("grace", downtime.grace),
            ("stop", downtime.stop),
            ("drain", downtime.drain),
            ("load", downtime.load),
            ("take over", downtime.take_over),
        ];
        let parts: Vec<_> = parts.into_iter().map(|(name, time)| format!("{name} {}", millis(time))).collect();
        writeln!(out, "downtime {} ({})", millis(downtime.total), parts.join(", "))?;
    }
    Ok(())
}
