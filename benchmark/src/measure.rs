//! Rounds, ratios and their spread.

use std::error::Error;
use std::time::Instant;

use serde_json::{Value, json};
use vfio_migration::RestoreSettings;

use crate::ends::{Carrier, Mover, Run};

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) rounds: usize,
    /// Bytes of one run.
    pub(crate) size: u64,
    /// Bytes of the larger run of the memory check.
    pub(crate) large: u64,
}

/// Bytes of the smaller run of the memory check.
const SMALL: u64 = 64 << 20;
const CHUNK: u32 = 1 << 20;

/// All rounds over one carrier: in each, every mover once, in turn.
pub(crate) fn rounds(carrier: Carrier, extent: Extent) -> Result<Rounds, Box<dyn Error>> {
    let run = |mover| Run { mover, carrier, size: extent.size, chunk: CHUNK }.measure();
    let mut rounds = Rounds { size: extent.size, seconds: Vec::new() };
    // One round to warm up that is not counted.
    for round in 0..=extent.rounds {
        let seconds = [run(Mover::A)?.seconds, run(Mover::B)?.seconds, run(Mover::Ours)?.seconds];
        if round > 0 {
            rounds.seconds.push(seconds);
        }
    }
    Ok(rounds)
}

/// The seconds that A, B and ours took in each round.
#[derive(Debug)]
pub(crate) struct Rounds {
    size: u64,
    seconds: Vec<[f64; 3]>,
}

impl Rounds {
    /// Speed of ours as a part of that of B: the median of the rounds' ratios.
    pub(crate) fn ratio(&self) -> f64 {
        self.median(|[_, b, ours]| b / ours)
    }

    pub(crate) fn to_json(&self) -> Value {
        let over_b = |[_, b, ours]: [f64; 3]| b / ours;
        let rate = |index: usize| self.median(|seconds| mib(self.size) / seconds[index]).round();
        json!({
            "oursToB": round(self.ratio()),
            "oursToBSpread": [round(self.sorted(over_b)[0]), round(self.sorted(over_b)[self.seconds.len() - 1])],
            "oursToA": round(self.median(|[a, _, ours]| a / ours)),
            "mibPerSecond": { "a": rate(0), "b": rate(1), "ours": rate(2) },
            "rounds": self.seconds.len(),
        })
    }

    fn median(&self, of: impl Fn([f64; 3]) -> f64) -> f64 {
        let sorted = self.sorted(of);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
    }

    fn sorted(&self, of: impl Fn([f64; 3]) -> f64) -> Vec<f64> {
        let mut all: Vec<_> = self.seconds.iter().copied().map(of).collect();
        all.sort_by(f64::total_cmp);
        all
    }
}

/// How much more memory both ends need for much data than for little.
pub(crate) fn memory(extent: Extent) -> Result<(Value, bool), Box<dyn Error>> {
    let run = |size| Run { mover: Mover::Ours, carrier: Carrier::Unix, size, chunk: CHUNK }.measure();
    let (small, large) = (run(SMALL)?.peak, run(extent.large)?.peak);
    let growth = [0, 1].map(|end| large[end].saturating_sub(small[end]));
    // The source has two buffers for its device, the destination as many as its depth says, which are more.
    let most = u64::from(CHUNK) * u64::from(RestoreSettings::default().depth) + (32 << 20);
    let holds = growth.iter().all(|growth| *growth <= most);
    let value = json!({
        "smallBytes": SMALL, "largeBytes": extent.large,
        "growthBytes": { "source": growth[0], "destination": growth[1] },
        "mostBytes": most, "holds": holds,
    });
    Ok((value, holds))
}

/// How fast the software device gives its data: what a run with it can reach at most.
pub(crate) fn model() -> Result<f64, Box<dyn Error>> {
    use vfio_migration::State;
    use vfio_migration::protocol::device::Then;
    let mut device = vfio_migration::device::open("model:size=256MiB,seed=7", None)?.device;
    device.set_state(State::StopCopy)?;
    let (mut buffer, mut bytes, started) = (vec![0; 1 << 20], 0, Instant::now());
    loop {
        let filled = device.read(&mut buffer)?;
        bytes += filled.len as u64;
        if filled.then == Then::End {
            return Ok((mib(bytes) / started.elapsed().as_secs_f64()).round());
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn round(ratio: f64) -> f64 {
    (ratio * 1000.0).round() / 1000.0
}
