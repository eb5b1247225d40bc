//! How fast a dirty bitmap becomes ranges: that of 1 TiB of small pages, beside a plain read of its words.

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value, json};
use vfio_migration::Bitmap;

/// Pages of 1 TiB at 4 KiB each.
const PAGES: u64 = 1 << 28;
const ROUNDS: usize = 15;

/// Goals: the time of a plain read, times so much. Half full at random has none: it is 67 million ranges, which take longer
/// to write down than to find.
const GOALS: [(&str, f64); 3] = [("sparse", 2.0), ("halfFullBy2MiB", 20.0), ("halfFullBy64KiB", 20.0)];

/// The fastest of some rounds each, in milliseconds, and how many times that of a plain read it is.
pub(crate) fn measure() -> Value {
    let mut report = serde_json::Map::new();
    let bitmaps = [
        ("sparse", sparse()),
        ("halfFullBy2MiB", in_turn(512)),
        ("halfFullBy64KiB", in_turn(16)),
        ("halfFullAtRandom", at_random()),
    ];
    for (name, mut bitmap) in bitmaps {
        let read = best(|| bitmap.words_mut().iter().fold(0, |all, word| all ^ word));
        let mut runs = 0;
        let ranges = best(|| {
            runs = 0;
            bitmap.runs().fold(0_u64, |all, (first, count)| {
                runs += 1;
                all ^ first ^ count
            })
        });
        let ratio = ranges / read;
        let goal = GOALS.iter().find(|(goal, _)| *goal == name).map(|(_, most)| *most);
        report.insert(
            name.into(),
            json!({ "runs": runs, "readMs": millis(read), "rangesMs": millis(ranges), "ratio": round(ratio), "goal": goal }),
        );
    }
    let (mut all, others) = (sparse(), [at_random(), in_turn(512)]);
    let read = best(|| all.words_mut().iter().fold(0, |all, word| all ^ word));
    let union = best(|| {
        others.iter().fold(0, |done, other| {
            all.merge(other);
            done + 1
        })
    });
    report.insert(
        "unionOfThree".into(),
        json!({ "readMs": millis(read), "unionMs": millis(union), "ratio": round(union / read) }),
    );
    report.into()
}

/// One page of 4096 on average, at random.
fn sparse() -> Bitmap {
    let mut bitmap = Bitmap::new(PAGES);
    let mut dice = 1;
    for _ in 0..PAGES >> 12 {
        bitmap.set(roll(&mut dice) % PAGES);
    }
    bitmap
}

/// Every page or not, at random.
fn at_random() -> Bitmap {
    let mut bitmap = Bitmap::new(PAGES);
    let mut dice = 2;
    for word in bitmap.words_mut() {
        *word = roll(&mut dice);
    }
    bitmap
}

/// So many pages marked, so many not, in turn.
fn in_turn(pages: u64) -> Bitmap {
    let mut bitmap = Bitmap::new(PAGES);
    let mut first = 0;
    while first < PAGES {
        bitmap.set_run(first, pages);
        first += 2 * pages;
    }
    bitmap
}

/// Splitmix64.
fn roll(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Seconds of the fastest round: whatever else the machine does makes it slower only.
fn best(mut work: impl FnMut() -> u64) -> f64 {
    let round = |_| {
        let begun = Instant::now();
        black_box(work());
        begun.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

fn millis(seconds: f64) -> f64 {
    round(seconds * 1000.0)
}

fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
