//! The record of what the program did: lines of a trace (`vfio_migration_protocol::trace`), written as they come.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use vfio_migration_protocol::trace::Access;
use vfio_migration_protocol::{CallError, Errno};

/// Where lines go. Each is written at once, so that it is there however the program ends; one that comes again and again
/// is written once, and how often it came when another one follows.
#[derive(Debug, Default)]
pub(super) struct Record(Option<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    file: File,
    last: String,
    again: u64,
}

impl Record {
    /// Appends to a file, or goes nowhere.
    pub(super) fn new(path: Option<&Path>) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create(true).append(true).open(path);
        let lines = |file| Mutex::new(Lines { file, last: String::new(), again: 0 });
        Ok(Self(path.map(open).transpose()?.map(lines)))
    }

    /// Writes a line, which is made only if there is somewhere to write it to.
    pub(super) fn add(&self, access: impl FnOnce() -> Access) {
        let Some(lines) = &self.0 else { return };
        let line = access().to_string();
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.last == line {
            lines.again += 1;
            return;
        }
        let mut text = lines.take_again();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
        lines.last = line;
        lines.put(&text);
    }

    /// Writes what was held back.
    pub(super) fn flush(&self) {
        let Some(lines) = &self.0 else { return };
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let text = lines.take_again();
        lines.put(&text);
    }
}

impl Lines {
    /// How often the last line came since it was written.
    fn take_again(&mut self) -> String {
        match core::mem::take(&mut self.again) {
            0 => String::new(),
            1 => format!("{}\n", self.last),
            times => format!("{} x{times}\n", self.last),
        }
    }

    fn put(&mut self, text: &str) {
        // A program goes on without its trace: whoever compares the trace sees that something is missing.
        let _ = self.file.write_all(text.as_bytes());
    }
}

/// What a call failed with, as the last word of its line.
pub(super) fn ended<T>(access: Access, answer: &Result<T, CallError>) -> Access {
    ended_by(access, &answer.as_ref().map(drop).map_err(|error| error.errno))
}

/// What a call failed with, as the last word of its line.
pub(super) fn ended_by<T>(access: Access, answer: &Result<T, Errno>) -> Access {
    match answer {
        Ok(_) => access,
        Err(errno) => access.failing(*errno),
    }
}

/// A number of bytes as a word.
pub(super) fn bytes(number: impl core::fmt::Display) -> String {
    format!("{number}B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_comes_again_is_counted() {
        let path = std::env::temp_dir().join(format!("vfio-migration-record-{}", std::process::id()));
        let record = Record::new(Some(&path)).expect("the folder is there");
        let read = || std::fs::read_to_string(&path).expect("the file is there");
        for _ in 0..4 {
            record.add(|| Access::new("read").with("8B"));
        }
        assert_eq!(read(), "- -            read 8B\n", "the first is there at once");
        record.add(|| Access::new("close"));
        assert_eq!(read(), "- -            read 8B\n- -            read 8B x3\n- -            close\n");
        record.add(|| Access::new("close"));
        record.flush();
        assert!(read().ends_with("x3\n- -            close\n- -            close\n"));
        assert!(read().parse::<vfio_migration_protocol::trace::Trace>().is_ok());
        std::fs::remove_file(path).expect("the file is there");
    }
}
