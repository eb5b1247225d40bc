//! Everything that is parsed and comes from outside, as functions of any bytes. A target panics if a promise is broken,
//! and only then.
//!
//! `cargo test -p fuzz` replays the corpus and seeded changes of it. README.md says how to let a fuzzer search.

mod inspect;
mod model;
mod scenario;
mod seal;
mod stream;

pub use inspect::inspect;
pub use model::{model, settings};
pub use scenario::scenario;
pub use stream::{back, sealed, stream, table};

/// A function that takes any bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its folder in `corpus/`.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
    /// How many changes of each file in the corpus a test tries.
    pub changes: u32,
}

/// All targets. A new one needs a line here, a folder in `corpus/` and a file in `cargo-fuzz/`.
pub const TARGETS: [Target; 8] = [
    Target { name: "stream", run: stream, changes: 60_000 },
    Target { name: "sealed", run: sealed, changes: 150_000 },
    Target { name: "table", run: table, changes: 150_000 },
    Target { name: "back", run: back, changes: 60_000 },
    Target { name: "model", run: model, changes: 4_000 },
    Target { name: "settings", run: settings, changes: 60_000 },
    Target { name: "inspect", run: inspect, changes: 4_000 },
    Target { name: "scenario", run: scenario, changes: 2_000 },
];
