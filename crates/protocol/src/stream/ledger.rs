//! What both ends count alike: how much of each object went through, and whether the next frame may.

use core::fmt;

use super::StreamError;
use super::checksum::crc32c_append;
use crate::session::{Mode, Object, ObjectDescription, ObjectKind};

/// What went through of an object, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Data frames, empty ones included.
    pub frames: u64,
    /// Bytes of payload, those that came again included.
    pub bytes: u64,
    /// For an object: CRC32C over the 16-byte checks of its data frames, in order. For all: CRC32C over the objects'
    /// checksums, in the order of the table.
    pub checksum: u32,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {} frames with checksum {:#010x}", self.bytes, self.frames, self.checksum)
    }
}

/// Where a stream forward is.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    lines: Vec<Line>,
    open: usize,
    stage: Stage,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    /// For memory, its length; a device's data has no end but `object-end`.
    memory: Option<u64>,
    ended: bool,
    totals: Totals,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Connected, and the source has not begun.
    Offered,
    Flowing,
    GivenUp,
    Cancelled,
    Ended,
}

/// A data frame, as far as the ledger is concerned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) object: Object,
    pub(super) offset: u64,
    pub(super) len: u32,
    /// Whether it carries a flag that has a meaning only in a device's data.
    pub(super) device_flags: bool,
}

impl Ledger {
    pub(super) fn new(mode: Mode, objects: &[ObjectDescription]) -> Self {
        let line = |object: &ObjectDescription| Line {
            memory: match object.kind {
                ObjectKind::Device { .. } => None,
                ObjectKind::Memory { .. } => Some(object.size.known().unwrap_or(0)),
            },
            ended: false,
            totals: Totals::default(),
        };
        let stage = if mode == Mode::Connected { Stage::Offered } else { Stage::Flowing };
        Self { lines: objects.iter().map(line).collect(), open: objects.len(), stage }
    }

    /// Whether nothing is due any more.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Ended | Stage::Cancelled)
    }

    /// Whether the last frame was `end`.
    pub(super) fn is_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Whether any frame at all may come.
    pub(super) fn may_go_on(&self, at: u64, frame: &'static str) -> Result<(), StreamError> {
        if self.stage == Stage::Ended {
            return Err(StreamError::Order { at, frame, rule: "nothing comes after \"end\"" });
        }
        Ok(())
    }

    pub(super) fn may_begin(&self, at: u64) -> Result<(), StreamError> {
        if self.stage == Stage::Offered {
            return Ok(());
        }
        Err(StreamError::Order { at, frame: "begin", rule: "it comes once, before all data" })
    }

    pub(super) fn begin(&mut self) {
        self.stage = Stage::Flowing;
    }

    /// Whether data may come now, and what stands for its end.
    fn may_flow(&self, at: u64, frame: &'static str) -> Result<(), StreamError> {
        let rule = match self.stage {
            Stage::Flowing => return Ok(()),
            Stage::Offered => "\"begin\" comes before it",
            Stage::GivenUp | Stage::Cancelled => "nothing is moved after \"cancelled\" or \"given-up\"",
            Stage::Ended => "nothing comes after \"end\"",
        };
        Err(StreamError::Order { at, frame, rule })
    }

    /// Whether this data may come now.
    pub(super) fn may_take(&self, at: u64, entry: Entry) -> Result<(), StreamError> {
        let Entry { object, offset, len, device_flags } = entry;
        let line = self.open_line(at, object, "data")?;
        match line.memory {
            None if offset != line.totals.bytes => {
                Err(StreamError::Position { at, object, expected: line.totals.bytes, found: offset })
            }
            Some(length) if offset.checked_add(u64::from(len)).is_none_or(|end| end > length) => {
                Err(StreamError::OutOfRange { at, object, length, offset, len })
            }
            Some(_) if device_flags => {
                Err(StreamError::Order { at, frame: "data of a memory", rule: "only a device's data has flags" })
            }
            None | Some(_) => Ok(()),
        }
    }

    /// Counts data that [`may_take`](Self::may_take) has let through.
    pub(super) fn take(&mut self, object: Object, len: u32, check: &[u8; 16]) {
        if let Some(Line { totals, .. }) = self.line_mut(object) {
            totals.frames = totals.frames.saturating_add(1);
            totals.bytes = totals.bytes.saturating_add(u64::from(len));
            totals.checksum = crc32c_append(totals.checksum, check);
        }
    }

    /// Whether an object may end now.
    pub(super) fn may_end_object(&self, at: u64, object: Object) -> Result<Totals, StreamError> {
        self.open_line(at, object, "object-end").map(|line| line.totals)
    }

    pub(super) fn end_object(&mut self, object: Object) {
        if let Some(line) = self.line_mut(object).filter(|line| !line.ended) {
            line.ended = true;
            self.open -= 1;
        }
    }

    pub(super) fn may_give_up(&self, at: u64) -> Result<(), StreamError> {
        self.may_flow(at, "given-up")?;
        self.all_ended(at, "given-up")
    }

    pub(super) fn give_up(&mut self) {
        self.stage = Stage::GivenUp;
    }

    pub(super) fn cancel(&mut self) {
        self.stage = Stage::Cancelled;
    }

    /// Whether the stream may end now.
    pub(super) fn may_end(&self, at: u64) -> Result<Totals, StreamError> {
        self.may_flow(at, "end")?;
        self.all_ended(at, "end")?;
        let add = |sum: Totals, line: &Line| Totals {
            frames: sum.frames.saturating_add(line.totals.frames),
            bytes: sum.bytes.saturating_add(line.totals.bytes),
            checksum: crc32c_append(sum.checksum, &line.totals.checksum.to_le_bytes()),
        };
        Ok(self.lines.iter().fold(Totals::default(), add))
    }

    pub(super) fn end(&mut self) {
        self.stage = Stage::Ended;
    }

    fn all_ended(&self, at: u64, frame: &'static str) -> Result<(), StreamError> {
        if self.open > 0 {
            return Err(StreamError::Order { at, frame, rule: "every object has its \"object-end\" before it" });
        }
        Ok(())
    }

    fn open_line(&self, at: u64, object: Object, frame: &'static str) -> Result<&Line, StreamError> {
        self.may_flow(at, frame)?;
        let line = usize::try_from(object.0).ok().and_then(|index| self.lines.get(index));
        let objects = u32::try_from(self.lines.len()).unwrap_or(u32::MAX);
        let line = line.ok_or(StreamError::NoSuchObject { at, found: object.0, objects })?;
        if line.ended {
            return Err(StreamError::Order { at, frame, rule: "nothing of an object comes after its \"object-end\"" });
        }
        Ok(line)
    }

    fn line_mut(&mut self, object: Object) -> Option<&mut Line> {
        usize::try_from(object.0).ok().and_then(|index| self.lines.get_mut(index))
    }
}

/// The body of `object-end` and of `end`. The last word is of the frame's own meaning.
impl Totals {
    pub(super) const LEN: usize = 24;

    pub(super) fn write(&self, last: u32) -> [u8; Self::LEN] {
        let mut body = [0; Self::LEN];
        body[0..8].copy_from_slice(&self.frames.to_le_bytes());
        body[8..16].copy_from_slice(&self.bytes.to_le_bytes());
        body[16..20].copy_from_slice(&self.checksum.to_le_bytes());
        body[20..24].copy_from_slice(&last.to_le_bytes());
        body
    }

    pub(super) fn read(body: &[u8; Self::LEN]) -> (Self, u32) {
        let word = |at: usize| u32::from_le_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        (Self { frames: long(0), bytes: long(8), checksum: word(16) }, word(20))
    }
}
