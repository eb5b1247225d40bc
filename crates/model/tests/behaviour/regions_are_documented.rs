//! docs/model.md says what a region puts up with.

use vfio_migration_model::Tolerance;

const DOCUMENT: &str = include_str!("../../../../docs/model.md");

/// The cells of the row that begins with this name.
fn row(name: &str) -> Vec<&'static str> {
    let start = format!("| `{name}` | ");
    let row =
        DOCUMENT.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{name} is missing"));
    row.trim_end_matches(" |").split(" | ").collect()
}

#[test]
fn every_tolerance_with_who_needs_it() {
    for one in Tolerance::ALL {
        let cells = row(&one.to_string());
        assert_eq!(cells.len(), 2, "{one}");
        assert!(cells[1].contains("QEMU 7.2") && one.source().contains("QEMU 7.2"), "{one}");
    }
}
