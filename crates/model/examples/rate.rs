//! How fast the model makes its data, and how fast it checks it: `cargo run --release -p vfio-migration-model --example
//! rate -- size=1GiB`.

use std::time::{Duration, Instant};

use vfio_migration_model::{Model, Settings};
use vfio_migration_protocol::{Device, State, Then};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = Settings::parse(&std::env::args().nth(1).unwrap_or_else(|| "size=1GiB".into()))?;
    let (mut source, mut destination) = (Model::new(&settings, 1)?, Model::new(&settings, 2)?);
    source.set_state(State::StopCopy)?;
    destination.set_state(State::Resuming)?;
    let mut buffer = vec![0; 1 << 20];
    let (mut made, mut checked, mut bytes) = (Duration::ZERO, Duration::ZERO, 0);
    loop {
        let start = Instant::now();
        let filled = source.read(&mut buffer)?;
        made += start.elapsed();
        if filled.then == Then::End {
            break;
        }
        let start = Instant::now();
        let mut rest = &buffer[..filled.len];
        while !rest.is_empty() {
            rest = &rest[destination.write(rest, false)?..];
        }
        checked += start.elapsed();
        bytes += u64::try_from(filled.len)?;
    }
    let start = Instant::now();
    destination.set_state(State::Stop)?;
    let settled = start.elapsed();
    for (what, took) in [("made", made), ("checked", checked)] {
        println!("{bytes} bytes {what} at {:.2} GB/s", rate(bytes, took));
    }
    println!("left resuming in {settled:?}, proofs are equal: {}", source.proof() == destination.proof());
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
fn rate(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / 1e9 / took.as_secs_f64()
}
