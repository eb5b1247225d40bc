//! How fast a file is looked into, beside reading it and computing its CRC32C: one file of each kind.

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::{Value, json};
use vfio_migration::protocol::inspect::Inspector;

use crate::device::buffer;
use crate::files::KINDS;

/// The speed that looking into a file has at least, as a part of that of reading it with a checksum.
const GOAL: f64 = 0.5;
/// What is read at once: as the command line does it.
const PIECE: usize = 1 << 20;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Ratios of the medians of so many rounds over files of so many bytes, and whether all reach the [goal](GOAL).
pub(crate) fn measure(rounds: usize, size: u64) -> Result<(Value, bool)> {
    let data = buffer();
    let (mut report, mut holds) = (serde_json::Map::new(), true);
    for (name, write) in KINDS {
        let file = Temporary::new(name);
        let mut out = BufWriter::with_capacity(PIECE, File::create(&file.0)?);
        write(&mut out, size, &data)?;
        out.flush()?;
        let mut ratios = Vec::new();
        let mut mib = (0.0, 0.0);
        // One round to warm up that is not counted.
        for round in 0..=rounds {
            let (read, looked) = (seconds(|| sum(&file.0))?, seconds(|| look(&file.0))?);
            if round > 0 {
                ratios.push(read / looked);
                mib = (rate(size, read).max(mib.0), rate(size, looked).max(mib.1));
            }
        }
        ratios.sort_by(f64::total_cmp);
        let ratio = ratios[ratios.len() / 2];
        holds &= ratio >= GOAL;
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        let line = json!({
            "ratio": round3(ratio), "ratioSpread": [round3(least), round3(most)], "goal": GOAL,
            "fastestMibPerSecond": { "read": mib.0.round(), "inspected": mib.1.round() },
        });
        report.insert(name.into(), line);
    }
    Ok((report.into(), holds))
}

/// The reference: one buffer, a read, a checksum.
fn sum(path: &Path) -> Result<()> {
    let (mut file, mut buffer, mut sum) = (File::open(path)?, vec![0; PIECE], 0);
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            black_box(sum);
            return Ok(());
        }
        sum = crc32c::crc32c_append(sum, &buffer[..len]);
    }
}

fn look(path: &Path) -> Result<()> {
    let (mut file, mut buffer, mut inspector) = (File::open(path)?, vec![0; PIECE], Inspector::default());
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            let outline = inspector.finish(&mut ());
            return outline.damage.map_or(Ok(()), |damage| Err(damage.into()));
        }
        inspector.feed(&buffer[..len], &mut ());
    }
}

/// A file that is gone afterwards.
struct Temporary(PathBuf);

impl Temporary {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("vfio-migration-benchmark-{}-{name}", std::process::id())))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
fn rate(bytes: u64, seconds: f64) -> f64 {
    bytes as f64 / f64::from(1 << 20) / seconds
}

fn round3(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
