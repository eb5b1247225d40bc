//! The tables of dialects in docs/region.md are those of the code.

use std::fmt::Write;

use vfio_migration_protocol::state::{Acceptance, Dialect};
use vfio_migration_protocol::{State, Table};

/// One table: from where in the rows, to where in the columns.
fn table(dialect: Dialect, ndma: bool) -> String {
    let table = Table::region(dialect, ndma);
    let states: Vec<_> = State::ALL.into_iter().filter(|state| table.has(*state) && *state != State::Error).collect();
    let names: Vec<_> = states.iter().map(State::to_string).collect();
    let mut text = format!("| from | {} |\n|---{}|\n", names.join(" | "), "|---".repeat(states.len()));
    for from in &states {
        write!(text, "| {from} |").unwrap();
        for to in &states {
            let cell = match (dialect.accepts(*from, *to, ndma), table.path(*from, *to)) {
                _ if from == to => "·".into(),
                (Acceptance::Must, _) => "must".into(),
                (Acceptance::May, _) => "may".into(),
                (Acceptance::Never, Ok(path)) => format!("by {}", path[0]),
                (Acceptance::Never, Err(_)) => "-".into(),
            };
            write!(text, " {cell} |").unwrap();
        }
        text.push('\n');
    }
    text
}

#[test]
fn the_document_has_the_tables_of_the_code() {
    let mark = "<!-- dialects -->\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/region.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (before, tables) = document.split_once(mark).unwrap();
    let wanted = [
        ("`thread`: the text as it was clarified last (9 December 2021), with NDMA", Dialect::Thread, true),
        ("`qemu`: what QEMU until 7.2 does, and no more", Dialect::Qemu, false),
        ("`libvfio-user`: its server until 2023, and SPDK's", Dialect::LibvfioUser, false),
    ];
    let wanted: Vec<_> =
        wanted.into_iter().map(|(title, dialect, ndma)| format!("\n### {title}\n{}", table(dialect, ndma))).collect();
    if std::env::var_os("GOLDEN").is_some() {
        return std::fs::write(path, format!("{before}{mark}{}", wanted.concat())).unwrap();
    }
    assert!(tables == wanted.concat(), "run this test with GOLDEN=1");
}
