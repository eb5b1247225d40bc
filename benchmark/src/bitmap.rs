//! How fast a dirty bitmap becomes ranges: that of 1 TiB of small pages, beside a plain read of its words.

use std::hint::black_box;
use std::time::Instant;

use serde_json::{Value, json};
use vfio_migration::Bitmap;

/// Pages of 1 TiB at 4 KiB each.
const PAGES: u64 = 1 << 28;
const ROUNDS: usize = 21;

/// Goals: the time of a plain read, times so much.
const GOALS: [(&str, f64); 4] =
    [("sparse", 2.0), ("halfFullBy2MiB", 20.0), ("halfFullBy64KiB", 20.0), ("halfFullAtRandom", 20.0)];

/// How many times the time of a plain read each takes: the median of the rounds and their spread.
pub(crate) fn measure() -> Value {
    let mut report = serde_json::Map::new();
    let bitmaps = [
        ("sparse", sparse()),
        ("halfFullBy2MiB", in_turn(512)),
        ("halfFullBy64KiB", in_turn(16)),
        ("halfFullAtRandom", at_random()),
    ];
    for (name, bitmap) in bitmaps {
        let ranges = || {
            black_box(&bitmap).runs().fold((0, 0_u64), |(runs, all), (first, count)| (runs + 1, all ^ first ^ count))
        };
        let mut line = beside_a_read(&bitmap, || ranges().1);
        line["runs"] = ranges().0.into();
        line["goal"] = GOALS.iter().find(|(goal, _)| *goal == name).map(|(_, most)| *most).into();
        report.insert(name.into(), line);
    }
    let (mut all, others) = (sparse(), [at_random(), in_turn(512)]);
    let line = beside_a_read(&sparse(), || {
        for other in &others {
            all.merge(other);
        }
        all.words()[0]
    });
    report.insert("unionOfThree".into(), line);
    report.into()
}

/// Rounds of a plain read of a bitmap's words and of `work`, in turn, since the machine may have more to do at one time than
/// at another.
fn beside_a_read(bitmap: &Bitmap, mut work: impl FnMut() -> u64) -> Value {
    let round = |_| {
        let read = seconds(|| black_box(bitmap).words().iter().fold(0, |all, word| all ^ word));
        let took = seconds(&mut work);
        (took / read, read, took)
    };
    let mut rounds: Vec<_> = (0..ROUNDS).map(round).collect();
    rounds.sort_by(|(one, ..), (other, ..)| one.total_cmp(other));
    let ((least, ..), (ratio, read, took), (most, ..)) = (rounds[0], rounds[ROUNDS / 2], rounds[ROUNDS - 1]);
    json!({
        "ratio": round_off(ratio), "ratioSpread": [round_off(least), round_off(most)],
        "readMs": round_off(read * 1000.0), "tookMs": round_off(took * 1000.0),
    })
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

fn seconds(work: impl FnOnce() -> u64) -> f64 {
    let begun = Instant::now();
    black_box(work());
    begun.elapsed().as_secs_f64()
}

fn round_off(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
