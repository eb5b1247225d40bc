//! A device behind a region, written by hand: as strict about the order of accesses as libvfio-user, and what its window
//! holds is gone once `device_state` was written.

use std::collections::VecDeque;

use vfio_migration_protocol::region::{Access, BLOCK, RegionError, Register, ResumeLoop, SaveLoop, Step};
use vfio_migration_protocol::{Errno, Filled};

use crate::dice::Dice;

/// Up to `count` segments of 1 to `longest` bytes.
pub(crate) fn segments(dice: &mut Dice, count: usize, longest: usize) -> Vec<Vec<u8>> {
    let byte = |dice: &mut Dice| u8::try_from(dice.roll(256)).expect("a byte");
    (0..dice.place(count + 1)).map(|_| (0..=dice.place(longest)).map(|_| byte(dice)).collect()).collect()
}

/// Why a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    Access(Errno),
    Machine(RegionError),
}

impl From<RegionError> for Failed {
    fn from(error: RegionError) -> Self {
        Self::Machine(error)
    }
}

/// Where an iteration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Start,
    Pending,
    /// The segment is laid out at this offset.
    Laid(u64),
    Sized(u64),
}

pub(crate) struct Device {
    pub(crate) size: u64,
    pub(crate) dice: Dice,
    /// What is still to be read.
    pub(crate) segments: VecDeque<Vec<u8>>,
    /// What was written and taken.
    pub(crate) taken: Vec<Vec<u8>>,
    /// What it gives only once it has stopped.
    pub(crate) late: VecDeque<Vec<u8>>,
    memory: Vec<u8>,
    turn: Turn,
    /// How far the current segment was read.
    read: u64,
    /// The access with this number fails.
    pub(crate) fails_at: Option<usize>,
    pub(crate) accesses: usize,
    /// Answers of registers that differ from what is so.
    pub(crate) lies: fn(Register, u64) -> u64,
}

impl Device {
    pub(crate) fn new(size: u64, seed: u64) -> Self {
        Self {
            size,
            dice: Dice(seed),
            segments: VecDeque::new(),
            taken: Vec::new(),
            late: VecDeque::new(),
            memory: vec![0; usize::try_from(size).expect("a small region")],
            turn: Turn::Start,
            read: 0,
            fails_at: None,
            accesses: 0,
            lies: |_, value| value,
        }
    }

    /// `device_state` is written: nobody may rely on what the window holds.
    pub(crate) fn changes_state(&mut self) {
        self.memory.fill(0xEE);
        if let Turn::Sized(_) = self.turn {
            self.segments.pop_front();
        }
        self.turn = Turn::Start;
        let late = core::mem::take(&mut self.late);
        self.segments.extend(late);
    }

    fn access(&mut self, access: Access, buffer: &mut [u8]) -> Result<u64, Failed> {
        let number = self.accesses;
        self.accesses += 1;
        if self.fails_at == Some(number) {
            return Err(Failed::Access(Errno::EIO));
        }
        Ok(match access {
            Access::Read(register) => {
                let value = self.read_register(register);
                (self.lies)(register, value)
            }
            other => panic!("the save loop does not ask for {other:?}, of {} bytes", buffer.len()),
        })
    }

    fn read_register(&mut self, register: Register) -> u64 {
        match (register, self.turn) {
            (Register::PendingBytes, turn) => {
                if let Turn::Sized(_) = turn {
                    let segment = self.segments.pop_front().expect("it was laid out");
                    assert_eq!(self.read, segment.len() as u64, "a segment is acknowledged that was not read whole");
                } else {
                    assert!(!matches!(turn, Turn::Laid(_)), "data_size was not read");
                }
                self.turn = Turn::Pending;
                self.segments.iter().map(|segment| segment.len() as u64).sum()
            }
            (Register::DataOffset, Turn::Pending) => {
                let len = self.segments.front().expect("something is pending").len();
                let room = usize::try_from(self.size - BLOCK).expect("small") - len;
                let offset = BLOCK + self.dice.place(room + 1) as u64;
                let at = usize::try_from(offset).expect("small");
                self.memory[at..at + len].copy_from_slice(&self.segments[0]);
                self.turn = Turn::Laid(offset);
                offset
            }
            (Register::DataSize, Turn::Laid(offset)) => {
                (self.turn, self.read) = (Turn::Sized(offset), 0);
                self.segments[0].len() as u64
            }
            other => panic!("out of turn: {other:?}"),
        }
    }

    /// Reads data as a client does, and keeps the rest of a segment when it is told to.
    pub(crate) fn fill(
        &mut self,
        save: &mut SaveLoop,
        kept: &[u8],
        into: &mut [u8],
        stopped: bool,
    ) -> Result<Filled, Failed> {
        let mut step = save.read(into.len(), stopped);
        loop {
            let answer = match step {
                Step::Done(filled) => return Ok(filled),
                Step::Access(Access::Kept { at, len }) => {
                    into[..len].copy_from_slice(&kept[at..at + len]);
                    0
                }
                Step::Access(Access::Data { offset, at, len }) => {
                    let bytes = self.bytes(offset, len)?;
                    into[at..at + len].copy_from_slice(&bytes);
                    0
                }
                Step::Access(access) => self.access(access, into)?,
            };
            step = save.answered(answer)?;
        }
    }

    /// Reads the rest of a segment before `device_state` is written.
    pub(crate) fn keep(&mut self, save: &mut SaveLoop, kept: &mut Vec<u8>) -> Result<(), Failed> {
        if let Some((offset, len)) = save.keep() {
            *kept = self.bytes(offset, usize::try_from(len).expect("small"))?;
        }
        save.kept();
        Ok(())
    }

    fn bytes(&mut self, offset: u64, len: usize) -> Result<Vec<u8>, Failed> {
        let number = self.accesses;
        self.accesses += 1;
        if self.fails_at == Some(number) {
            return Err(Failed::Access(Errno::EIO));
        }
        let Turn::Sized(start) = self.turn else { panic!("nothing is laid out: {:?}", self.turn) };
        assert_eq!(offset, start + self.read, "bytes are read once, in order");
        self.read += len as u64;
        let at = usize::try_from(offset).expect("small");
        Ok(self.memory[at..at + len].to_vec())
    }

    /// Writes data as a client does.
    pub(crate) fn place(&mut self, resume: &mut ResumeLoop, from: &[u8], segment_end: bool) -> Result<(), Failed> {
        let mut step = resume.write(from.len(), segment_end)?;
        loop {
            let number = self.accesses;
            if matches!(step, Step::Access(_)) {
                self.accesses += 1;
                if self.fails_at == Some(number) {
                    return Err(Failed::Access(Errno::EIO));
                }
            }
            let answer = match step {
                Step::Done(taken) => {
                    assert_eq!(taken, from.len());
                    return Ok(());
                }
                Step::Access(Access::Read(Register::DataOffset)) => {
                    assert_eq!(self.turn, Turn::Start, "an offset is read once for each segment");
                    let offset = BLOCK + self.dice.roll(16);
                    self.turn = Turn::Laid(offset);
                    (self.lies)(Register::DataOffset, offset)
                }
                Step::Access(Access::Data { offset, at, len }) => {
                    let place = usize::try_from(offset).expect("small");
                    self.memory[place..place + len].copy_from_slice(&from[at..at + len]);
                    0
                }
                Step::Access(Access::Write(Register::DataSize, len)) => {
                    let Turn::Laid(offset) = self.turn else { panic!("no offset was read") };
                    let at = usize::try_from(offset).expect("small");
                    self.taken.push(self.memory[at..at + usize::try_from(len).expect("small")].to_vec());
                    self.turn = Turn::Start;
                    0
                }
                Step::Access(other) => panic!("the resume loop does not ask for {other:?}"),
            };
            step = resume.answered(answer)?;
        }
    }
}
