use super::error::window;
use super::{Access, BLOCK, NOT_ASKED, RegionError, Register, Step};
use crate::{Estimate, Filled, Then};

/// How much of a device's behaviour is put up with while it is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes that a device may give once it has stopped; 1 TiB. Before that the session's own limit of pre-copy
    /// ends it.
    pub max_stop_copy_bytes: u64,
    /// How often in a row a stopped device may say that bytes are pending and give none; 16.
    pub max_empty_rounds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_stop_copy_bytes: 1 << 40, max_empty_rounds: 16 }
    }
}

/// The save loop: how data is read out of a region, from the moment at which the device entered a saving state until it
/// leaves it.
///
/// For each segment `pending_bytes`, `data_offset` and `data_size` are read once, in this order; then its bytes, by any
/// number of reads. Reading `pending_bytes` for the next segment says that this one was taken. One [`read`](Self::read)
/// brings bytes of one segment only, and says where it ends: a destination has to give its device the same segments in
/// the same order.
///
/// `pending_bytes` of 0 is the end if the device does not run, and means "nothing for now" if it does. Pre-copy may be
/// left with data pending, and in the middle of a segment; what the window holds after `device_state` was written nobody
/// says, so the rest of the segment is read before: [`keep`](Self::keep).
#[derive(Clone, Debug)]
pub struct SaveLoop {
    size: u64,
    limits: Limits,
    /// The segment of which not all bytes were read.
    segment: Option<Segment>,
    /// `data_offset` was read, and the segment's size is not known yet: from there on it has to be collected.
    laid: Option<u64>,
    /// What `pending_bytes` said last.
    pending: u64,
    /// Bytes of all segments that were begun after the device had stopped.
    stopped_bytes: u64,
    doing: Doing,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    offset: u64,
    len: u64,
    done: u64,
    /// Its rest from this byte on was kept by the driver.
    kept_from: Option<u64>,
}

/// Which access of a call is under way.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Nothing,
    Pending(Read),
    Offset(Read),
    Size(Read, u64),
    Data(usize),
}

/// A call.
#[derive(Clone, Copy, Debug)]
struct Read {
    room: usize,
    stopped: bool,
    /// Rounds without data so far.
    empty: u32,
}

impl SaveLoop {
    /// For a region of this size in bytes.
    pub const fn new(size: u64, limits: Limits) -> Result<Self, RegionError> {
        if size <= BLOCK {
            return Err(RegionError::TooSmall { size });
        }
        Ok(Self { size, limits, segment: None, laid: None, pending: 0, stopped_bytes: 0, doing: Doing::Nothing })
    }

    /// Begins to read data into a buffer of `room` bytes. `stopped` says that the device is in stop-copy and does not run.
    pub fn read(&mut self, room: usize, stopped: bool) -> Step<Filled> {
        let read = Read { room, stopped, empty: 0 };
        match (self.segment, self.laid) {
            _ if room == 0 => Step::Done(Filled { len: 0, then: Then::More }),
            (Some(segment), _) => self.data(segment, room),
            (None, Some(offset)) => self.ask(Doing::Size(read, offset), Register::DataSize),
            (None, None) => self.ask(Doing::Pending(read), Register::PendingBytes),
        }
    }

    /// Goes on with what the access answered.
    pub fn answered(&mut self, value: u64) -> Result<Step<Filled>, RegionError> {
        match core::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Nothing => unreachable!("{NOT_ASKED}"),
            Doing::Pending(read) => {
                self.pending = value;
                Ok(match (value, read.stopped) {
                    (0, true) => Step::Done(Filled { len: 0, then: Then::End }),
                    (0, false) => Step::Done(Filled { len: 0, then: Then::Pause }),
                    _ => self.ask(Doing::Offset(read), Register::DataOffset),
                })
            }
            Doing::Offset(read) => {
                self.laid = Some(value);
                Ok(self.ask(Doing::Size(read, value), Register::DataSize))
            }
            Doing::Size(read, _) if value == 0 => self.gave_nothing(read),
            Doing::Size(read, offset) => {
                if value > window(offset, self.size)? {
                    return Err(RegionError::Outside { offset, len: value, size: self.size });
                }
                if read.stopped {
                    self.stopped_bytes = self.stopped_bytes.saturating_add(value);
                    if self.stopped_bytes > self.limits.max_stop_copy_bytes {
                        let (limit, pending) = (self.limits.max_stop_copy_bytes, self.pending);
                        return Err(RegionError::Endless { limit, pending });
                    }
                }
                let segment = Segment { offset, len: value, done: 0, kept_from: None };
                (self.segment, self.laid) = (Some(segment), None);
                Ok(self.data(segment, read.room))
            }
            Doing::Data(len) => Ok(Step::Done(self.took(len))),
        }
    }

    /// What of the current segment was not read yet: where it lies in the region, and how many bytes it has. Whoever is
    /// about to write `device_state` reads it before, keeps it in memory, and says [`kept`](Self::kept).
    pub fn keep(&self) -> Option<(u64, u64)> {
        let segment = self.segment.filter(|segment| segment.kept_from.is_none())?;
        Some((segment.offset + segment.done, segment.len - segment.done))
    }

    /// `device_state` is about to be written, and what there was to [`keep`](Self::keep) was read: reads that follow ask
    /// for it with [`Access::Kept`].
    pub const fn kept(&mut self) {
        self.laid = None;
        if let Some(segment) = &mut self.segment
            && segment.kept_from.is_none()
        {
            segment.kept_from = Some(segment.done);
        }
    }

    /// What is left to read, as far as it can be known without an access that changes anything: in the middle of a segment
    /// `pending_bytes` may not be read, which would end it. `None` between segments: read `pending_bytes` then, and tell
    /// [`pending`](Self::pending).
    pub const fn left(&self) -> Option<Estimate> {
        match self.segment {
            Some(segment) => Some(Estimate::Known(self.pending.saturating_sub(segment.done))),
            None => None,
        }
    }

    /// `pending_bytes` was read between segments. While the device runs it is an estimate that changes by itself.
    pub const fn pending(&mut self, bytes: u64) -> Estimate {
        self.pending = bytes;
        Estimate::Known(bytes)
    }

    const fn ask(&mut self, doing: Doing, register: Register) -> Step<Filled> {
        self.doing = doing;
        Step::Access(Access::Read(register))
    }

    fn data(&mut self, segment: Segment, room: usize) -> Step<Filled> {
        // A segment may be longer than a buffer can be.
        let len = usize::try_from(segment.len - segment.done).map_or(room, |rest| rest.min(room));
        self.doing = Doing::Data(len);
        Step::Access(match segment.kept_from {
            Some(from) => {
                let at = usize::try_from(segment.done - from).expect("what was kept fits into memory");
                Access::Kept { at, len }
            }
            None => Access::Data { offset: segment.offset + segment.done, at: 0, len },
        })
    }

    fn took(&mut self, len: usize) -> Filled {
        let ended = self.segment.as_mut().is_none_or(|segment| {
            segment.done += len as u64;
            segment.done == segment.len
        });
        if ended {
            self.segment = None;
        }
        Filled { len, then: if ended { Then::SegmentEnd } else { Then::More } }
    }

    /// Bytes are pending, and there are none.
    fn gave_nothing(&mut self, read: Read) -> Result<Step<Filled>, RegionError> {
        self.laid = None;
        if !read.stopped {
            return Ok(Step::Done(Filled { len: 0, then: Then::Pause }));
        }
        let empty = read.empty + 1;
        if empty > self.limits.max_empty_rounds {
            return Err(RegionError::Empty { pending: self.pending, rounds: empty });
        }
        Ok(self.ask(Doing::Pending(Read { empty, ..read }), Register::PendingBytes))
    }
}
