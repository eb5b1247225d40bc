use core::fmt;

/// The text was no trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotATrace {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong with it: one sentence without a full stop.
    pub why: &'static str,
}

impl fmt::Display for NotATrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl core::error::Error for NotATrace {}
