//! How fast bytes in memory are looked into, beside a CRC32C in software: for WASM, which has no instruction for it.
//! `node scripts/bench-wasm.mjs` builds and runs it.

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use serde_json::json;
use vfio_migration::protocol::inspect::Inspector;

#[path = "../files.rs"]
mod files;

const ROUNDS: usize = 9;
const SIZE: u64 = 64 << 20;
const PIECE: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let data: Vec<u8> = (0..8 * PIECE).map(|at| u8::try_from(at * 31 % 251).expect("less than 251")).collect();
    let mut report = serde_json::Map::new();
    for (name, write) in files::KINDS {
        let mut file = Vec::new();
        write(&mut file, SIZE, &data)?;
        let mut rounds = Vec::new();
        // One round to warm up that is not counted.
        for round in 0..=ROUNDS {
            let sum = seconds(|| file.chunks(PIECE).fold(0, crc32c::crc32c_append));
            let looked = seconds(|| {
                let mut inspector = Inspector::default();
                file.chunks(PIECE).for_each(|piece| inspector.feed(piece, &mut ()));
                inspector.finish(&mut ()).damage.map_or(0, |damage| panic!("{damage}"))
            });
            if round > 0 {
                rounds.push((sum / looked, looked));
            }
        }
        rounds.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let ratios: Vec<_> = rounds.iter().map(|(ratio, _)| (ratio * 1000.0).round() / 1000.0).collect();
        let best = rounds.iter().map(|(_, looked)| *looked).fold(f64::INFINITY, f64::min);
        let line = json!({
            "ratio": ratios[ROUNDS / 2], "ratioSpread": [ratios[0], ratios[ROUNDS - 1]],
            "fastestMibPerSecond": (64.0 / best).round(),
        });
        report.insert(name.into(), line);
    }
    println!("{}", serde_json::Value::from(report));
    Ok(())
}

fn seconds(work: impl FnOnce() -> u32) -> f64 {
    let begun = Instant::now();
    black_box(work());
    begun.elapsed().as_secs_f64()
}
