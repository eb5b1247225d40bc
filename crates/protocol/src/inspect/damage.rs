use core::fmt;

use serde::Serialize;

use crate::stream::StreamError;

/// Where a file can no longer be read, and why. `at` is a byte of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Damage {
    /// Where it begins.
    #[serde(serialize_with = "super::number::one")]
    pub at: u64,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Damage {
    pub(super) fn new(at: u64, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { at, expected: expected.into(), found: found.into() }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, expected, found } = self;
        write!(f, "damaged at byte {at}: expected {expected}, found {found}")
    }
}

impl core::error::Error for Damage {}

/// What a restore would refuse.
impl From<StreamError> for Damage {
    fn from(error: StreamError) -> Self {
        let (expected, found) = match &error {
            StreamError::NotAStream { found } => {
                ("the first bytes of a stream".into(), format!("\"{}\"", found.escape_ascii()))
            }
            StreamError::TextMode => ("a stream as it was written".into(), "one whose line ends were rewritten".into()),
            StreamError::Checksum { part, expected, found, .. } => {
                (format!("a {part} with checksum {found:#010x}"), format!("one with {expected:#010x}"))
            }
            StreamError::Sequence { expected, found, .. } => {
                (format!("frame number {expected}"), format!("number {found}"))
            }
            StreamError::Truncated { part, .. } => (format!("the {part}"), "the end of the file".into()),
            StreamError::Position { object, expected, found, .. } => {
                (format!("bytes from {expected} of object {}", object.0), format!("those from {found}"))
            }
            StreamError::Totals { expected, found, .. } => (found.to_string(), expected.to_string()),
            StreamError::Field { field, expected, found, .. } => {
                (format!("{field} to be {expected}"), format!("{found:#x}"))
            }
            StreamError::TooLong { field, limit, found, .. } => {
                (format!("{field} to be {limit} at most"), found.to_string())
            }
            StreamError::NoSuchObject { found, objects, .. } => {
                (format!("one of the {objects} objects of the table"), format!("object {found}"))
            }
            StreamError::OutOfRange { object, length, offset, len, .. } => (
                format!("bytes of object {}, a memory of {length} bytes", object.0),
                format!("{len} bytes from {offset}"),
            ),
            StreamError::Order { frame, rule, .. } => ((*rule).into(), (*frame).into()),
            StreamError::NotUtf8 { field, .. } => (format!("{field} in UTF-8"), "other bytes".into()),
            StreamError::ByteOrder => ("little-endian numbers".into(), "big-endian ones".into()),
            StreamError::Version { found } => {
                (format!("version {} of the format", crate::stream::VERSION), format!("version {found}"))
            }
            StreamError::Suite { found } => ("suite 0 (CRC32C)".into(), format!("suite {found}")),
            StreamError::Unknown { field, found, .. } => {
                (format!("{field} as version {} has it", crate::stream::VERSION), format!("{found:#x}"))
            }
            StreamError::UnknownFrame { kind, .. } => {
                ("a frame of a type that is known here".into(), format!("type {kind:#06x}"))
            }
        };
        Self::new(error.at(), expected, found)
    }
}
