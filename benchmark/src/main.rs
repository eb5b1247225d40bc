//! Speed of the engine against raw pumps over the same sockets, and its need of memory.
//!
//! `cargo run --release -p benchmark -- [--short] [--json]`. Each run is two processes. `--short` is for checks that run
//! often: it fails only below half of the speed of the pump with checksums. Two more measure something else: `--bitmap` how
//! fast dirty bitmaps become ranges, `--inspect` how fast files are looked into, beside reading them with a checksum.

mod bitmap;
mod device;
mod ends;
mod files;
mod inspect;
mod measure;
mod pump;

use std::error::Error;
use std::process::ExitCode;

use serde_json::json;

use ends::{Carrier, Run};
use measure::Extent;

/// Below this part of the speed of the pump with checksums something is broken.
const FLOOR: f64 = 0.5;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match words.split_first() {
        Some((end, rest)) if end == "--end" => match Run::parse(rest) {
            Some((run, end, place)) => run.be(&end, place.as_deref()).map(|()| true),
            None => Err("--end is for the benchmark itself".into()),
        },
        Some((word, rest)) if word == "--bitmap" && rest.iter().all(|word| word == "--json") => {
            bitmaps(!rest.is_empty());
            Ok(true)
        }
        Some((word, rest)) if word == "--inspect" => options(rest).and_then(inspections),
        _ => options(&words).and_then(all),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("benchmark: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bitmaps(as_json: bool) {
    let report = bitmap::measure();
    if as_json {
        println!("{}", json!({ "bitmap": report }));
    } else {
        println!("The bitmap of 1 TiB at 4 KiB a page, beside a plain read of its 32 MiB.\n");
        for (name, line) in report.as_object().into_iter().flatten() {
            println!("{name}: {line}");
        }
    }
}

/// Whether it is the short form, and whether it is told as JSON.
#[derive(Clone, Copy)]
struct Options {
    short: bool,
    as_json: bool,
}

fn options(words: &[String]) -> Result<Options, Box<dyn Error>> {
    if let Some(unknown) = words.iter().find(|word| !["--short", "--json"].contains(&word.as_str())) {
        return Err(
            format!("unknown option '{unknown}': there are --short and --json, or --bitmap or --inspect").into()
        );
    }
    let has = |name: &str| words.iter().any(|word| word == name);
    Ok(Options { short: has("--short"), as_json: has("--json") })
}

/// Whether files are looked into as fast as they should be.
fn inspections(Options { short, as_json }: Options) -> Result<bool, Box<dyn Error>> {
    let (rounds, size) = if short { (3, 256 << 20) } else { (9, 1 << 30) };
    let (report, holds) = inspect::measure(rounds, size)?;
    if as_json {
        println!("{}", json!({ "inspect": report, "holds": holds }));
    } else {
        println!("Looking into a file, beside reading it with CRC32C.\n");
        for (name, line) in report.as_object().into_iter().flatten() {
            println!("{name}: {line}");
        }
    }
    Ok(holds)
}

fn all(Options { short, as_json }: Options) -> Result<bool, Box<dyn Error>> {
    let extent = if short {
        Extent { rounds: 3, size: 512 << 20, large: 1 << 30 }
    } else {
        Extent { rounds: 9, size: 2 << 30, large: 8 << 30 }
    };
    let model = measure::model()?;
    let (unix, tcp) = (measure::rounds(Carrier::Unix, extent)?, measure::rounds(Carrier::Tcp, extent)?);
    let (memory, memory_holds) = measure::memory(extent)?;
    let holds = memory_holds && unix.ratio() >= FLOOR && tcp.ratio() >= FLOOR;
    let (unix, tcp) = (unix.to_json(), tcp.to_json());
    if as_json {
        let ratios = json!({ "unix": unix["oursToB"], "tcp": tcp["oursToB"] });
        println!(
            "{}",
            json!({
                "ratios": ratios, "unix": unix, "tcp": tcp, "memory": memory, "modelMibPerSecond": model, "holds": holds,
            })
        );
    } else {
        println!("A: raw pump. B: raw pump with CRC32C at both ends. Medians of the rounds, MiB/s.\n");
        for (name, line) in [("unix", &unix), ("tcp", &tcp)] {
            println!(
                "{name:5} A {}, B {}, ours {}; ours/B {} (from {} to {}), ours/A {}",
                line["mibPerSecond"]["a"],
                line["mibPerSecond"]["b"],
                line["mibPerSecond"]["ours"],
                line["oursToB"],
                line["oursToBSpread"][0],
                line["oursToBSpread"][1],
                line["oursToA"],
            );
        }
        println!("model {model}");
        println!("memory {memory}");
    }
    Ok(holds)
}
