//! The bytes of a small stream, so that the format cannot change unnoticed.

use std::fmt::Write as _;

use vfio_migration_protocol::session::Mode;

use crate::sample::{self, Piece};

#[test]
fn the_bytes_are_those_of_version_1() {
    let mut text = String::new();
    for (title, pieces) in [
        ("A one-way stream.", sample::stream(Mode::OneWay)),
        ("A connected stream.", sample::stream(Mode::Connected)),
        ("The messages back of the connected stream.", sample::back()),
    ] {
        render(&mut text, title, &pieces);
    }
    // Comparing lines shows where they part.
    for (number, (is, was)) in text.lines().zip(include_str!("golden.hex").lines()).enumerate() {
        assert_eq!(is, was, "line {} of golden.hex; the format is now:\n{text}", number + 1);
    }
    assert!(text == include_str!("golden.hex"), "the format is now:\n{text}");
}

/// Names and hexadecimal bytes, 16 a line; lines that repeat are counted.
fn render(text: &mut String, title: &str, pieces: &[Piece]) {
    writeln!(text, "## {title}").expect("a string takes all");
    for Piece { name, bytes, .. } in pieces {
        writeln!(text, "# {name}").expect("a string takes all");
        let mut lines = bytes.chunks(16).map(line).peekable();
        while let Some(line) = lines.next() {
            let mut times = 1;
            while lines.next_if_eq(&line).is_some() {
                times += 1;
            }
            let times = if times > 1 { format!(" *{times}") } else { String::new() };
            writeln!(text, "{line}{times}").expect("a string takes all");
        }
    }
}

fn line(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
