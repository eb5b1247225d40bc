use super::error::window;
use super::{Access, BLOCK, NOT_ASKED, RegionError, Register, Step};

/// What becomes of a segment that is larger than the destination's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Oversized {
    /// It is an error: a device gets the segments that the source's device made.
    #[default]
    Refuse,
    /// It is cut into pieces of the window's size, as QEMU until 7.2 did. The device has to put up with it.
    Split,
}

/// The resume loop: how data is written into a region while the device is in resuming.
///
/// For each segment `data_offset` is read once; then its bytes are laid into the window, by any number of writes; then
/// `data_size` is written, with which the device takes the segment. So a segment reaches the device only when the last of
/// it has come.
///
/// ```
/// use vfio_migration_protocol::region::{Access, Oversized, Register, ResumeLoop, Step};
/// let mut resume = ResumeLoop::new(4096, Oversized::Refuse)?;
/// // Three bytes, which are not all of the segment.
/// assert_eq!(resume.write(3, false)?, Step::Access(Access::Read(Register::DataOffset)));
/// assert_eq!(resume.answered(64)?, Step::Access(Access::Data { offset: 64, at: 0, len: 3 }));
/// assert_eq!(resume.answered(0)?, Step::Done(3));
/// // The rest of it.
/// assert_eq!(resume.write(2, true)?, Step::Access(Access::Data { offset: 67, at: 0, len: 2 }));
/// assert_eq!(resume.answered(0)?, Step::Access(Access::Write(Register::DataSize, 5)));
/// assert_eq!(resume.answered(0)?, Step::Done(2));
/// # Ok::<(), vfio_migration_protocol::region::RegionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResumeLoop {
    size: u64,
    oversized: Oversized,
    /// The segment that the device was not given yet.
    segment: Option<Segment>,
    doing: Doing,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    offset: u64,
    window: u64,
    done: u64,
}

#[derive(Clone, Copy, Debug)]
enum Doing {
    Nothing,
    Offset(Write),
    Data(Write, usize),
    Size(Write),
}

/// A call.
#[derive(Clone, Copy, Debug)]
struct Write {
    len: usize,
    segment_end: bool,
    /// Bytes that lie in the window or were taken.
    at: usize,
}

impl ResumeLoop {
    /// For a region of this size in bytes.
    pub const fn new(size: u64, oversized: Oversized) -> Result<Self, RegionError> {
        if size <= BLOCK {
            return Err(RegionError::TooSmall { size });
        }
        Ok(Self { size, oversized, segment: None, doing: Doing::Nothing })
    }

    /// Begins to write `len` bytes of data; with the last of them a segment ends, or it does not. When it is done all of
    /// them were written, which the step says.
    pub fn write(&mut self, len: usize, segment_end: bool) -> Result<Step<usize>, RegionError> {
        self.go_on(Write { len, segment_end, at: 0 })
    }

    /// Goes on with what the access answered.
    pub fn answered(&mut self, value: u64) -> Result<Step<usize>, RegionError> {
        match core::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Nothing => unreachable!("{NOT_ASKED}"),
            Doing::Offset(write) => {
                self.segment = Some(Segment { offset: value, window: window(value, self.size)?, done: 0 });
                self.go_on(write)
            }
            Doing::Data(write, len) => {
                if let Some(segment) = &mut self.segment {
                    segment.done += len as u64;
                }
                self.go_on(Write { at: write.at + len, ..write })
            }
            Doing::Size(write) => {
                self.segment = None;
                let rest = write.len - write.at;
                if rest == 0 { Ok(Step::Done(write.len)) } else { self.go_on(write) }
            }
        }
    }

    /// Whether the data may end here: an error in the middle of a segment. Asked before resuming is left.
    pub const fn finish(&self) -> Result<(), RegionError> {
        match self.segment {
            Some(Segment { done, .. }) if done > 0 => Err(RegionError::Unfinished { bytes: done }),
            _ => Ok(()),
        }
    }

    fn go_on(&mut self, write: Write) -> Result<Step<usize>, RegionError> {
        let rest = write.len - write.at;
        let Some(segment) = self.segment else {
            if rest == 0 {
                return Ok(Step::Done(write.len));
            }
            self.doing = Doing::Offset(write);
            return Ok(Step::Access(Access::Read(Register::DataOffset)));
        };
        let room = segment.window - segment.done;
        if rest == 0 {
            // A segment without bytes is none.
            if write.segment_end && segment.done > 0 {
                return Ok(self.give(write, segment.done));
            }
            return Ok(Step::Done(write.len));
        }
        if rest as u64 > room && self.oversized == Oversized::Refuse {
            return Err(RegionError::Window { window: segment.window, segment: segment.done + rest as u64 });
        }
        if room == 0 {
            return Ok(self.give(write, segment.done));
        }
        let len = usize::try_from(room).map_or(rest, |room| room.min(rest));
        self.doing = Doing::Data(write, len);
        Ok(Step::Access(Access::Data { offset: segment.offset + segment.done, at: write.at, len }))
    }

    fn give(&mut self, write: Write, bytes: u64) -> Step<usize> {
        self.doing = Doing::Size(write);
        Step::Access(Access::Write(Register::DataSize, bytes))
    }
}
