//! docs/model.md says which changes of state a dialect has and what a region puts up with, and says it rightly.

use std::collections::BTreeSet;

use vfio_migration_model::{Tolerance, Tolerances};
use vfio_migration_protocol::State;
use vfio_migration_protocol::region::StateBits;
use vfio_migration_protocol::state::{Acceptance, Dialect};

const DOCUMENT: &str = include_str!("../../../../docs/model.md");

/// The cells of the row that begins with this name.
fn row(name: &str) -> Vec<&'static str> {
    let start = format!("| `{name}` | ");
    let row =
        DOCUMENT.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{name} is missing"));
    row.trim_end_matches(" |").split(" | ").collect()
}

fn state(bits: u32) -> State {
    StateBits::new(bits).state(false)
}

/// From `1 -> 0, 2; 3 -> 1`.
fn changes(text: &str) -> BTreeSet<(u32, u32)> {
    let bits = |text: &str| text.trim().parse::<u32>().expect("a value of device_state");
    let of = |part: &str| {
        let (from, to) = part.split_once(" -> ").expect("a change");
        to.split(',').map(|to| (bits(from), bits(to))).collect::<Vec<_>>()
    };
    text.split(';').flat_map(of).collect()
}

#[test]
fn every_dialect_with_the_changes_that_it_accepts() {
    for dialect in Dialect::ALL {
        let accepted = (0..=4_u32).flat_map(|from| (0..=4).map(move |to| (from, to)));
        let accepted: BTreeSet<_> = accepted
            .filter(|(from, to)| dialect.accepts(state(*from), state(*to), false) != Acceptance::Never)
            .collect();
        let cells = row(&dialect.to_string());
        if dialect == Dialect::Thread {
            let all = (0..=4).flat_map(|from| (0..=4).map(move |to| (from, to))).filter(|(from, to)| from != to);
            assert_eq!(accepted, all.collect());
            assert!(cells[0].contains("any between two states") && cells[0].contains("but 2 -> 3"), "{cells:?}");
        } else {
            assert_eq!(changes(cells[0]), accepted, "{dialect}");
        }
        let all = Tolerance::ALL.into_iter().all(|one| Tolerances::of(dialect).has(one));
        assert_eq!(cells[1].contains("every tolerance"), all, "{dialect}");
    }
}

#[test]
fn every_tolerance_with_who_needs_it() {
    for one in Tolerance::ALL {
        let cells = row(&one.to_string());
        assert_eq!(cells.len(), 2, "{one}");
        assert!(cells[1].contains("QEMU 7.2") && one.source().contains("QEMU 7.2"), "{one}");
    }
}
