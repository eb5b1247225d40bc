//! A device's data on its way out: what was read, what pre-copy has left, and whether the initial data has arrived.

use core::time::Duration;

use super::Stage;
use crate::{CallError, Errno, Estimate, Filled, PreCopyInfo, Then};

#[derive(Debug)]
pub(super) struct DeviceData {
    /// Bytes read so far.
    pub(super) offset: u64,
    /// What the device said it would give in stop-copy.
    pub(super) expected: Estimate,
    /// Reads that were asked for before stop-copy was reached: an end in them is only a pause.
    before_stop: usize,
    paused: bool,
    end: bool,
    pub(super) generation: u32,
    initial: Initial,
    info: Option<PreCopyInfo>,
    read_since_info: u64,
    /// When to ask for pre-copy info; `None` while an answer is due.
    ask_at: Option<Duration>,
    asked_at: Duration,
}

/// The initial data of the current generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Initial {
    Reading,
    Sent,
    Loaded,
}

/// What pre-copy info brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct News {
    /// There is new initial data.
    pub(super) reinit: bool,
    /// All initial data was read.
    pub(super) initial_end: bool,
}

impl DeviceData {
    pub(super) const fn new() -> Self {
        Self {
            offset: 0,
            expected: Estimate::Unknown,
            before_stop: 0,
            paused: false,
            end: false,
            generation: 0,
            initial: Initial::Reading,
            info: None,
            read_since_info: 0,
            ask_at: Some(Duration::ZERO),
            asked_at: Duration::ZERO,
        }
    }

    pub(super) const fn is_ready(&self) -> bool {
        !self.paused && !self.end
    }

    pub(super) const fn has_ended(&self) -> bool {
        self.end
    }

    /// Stop-copy was reached; `asked` reads are still on their way.
    pub(super) const fn stops(&mut self, asked: usize) {
        self.before_stop = asked;
        self.paused = false;
    }

    /// When to ask for pre-copy info.
    pub(super) const fn ask_at(&self) -> Option<Duration> {
        self.ask_at
    }

    /// Pre-copy info is being asked for.
    pub(super) const fn asks(&mut self, now: Duration) {
        self.ask_at = None;
        self.asked_at = now;
    }

    /// Takes note of a read: where its bytes lie, and what follows them.
    pub(super) fn read(
        &mut self,
        now: Duration,
        stage: Stage,
        filled: Filled,
        poll_interval: Duration,
    ) -> Result<(u64, Then), CallError> {
        let in_flight_across_the_change = self.before_stop > 0;
        self.before_stop = self.before_stop.saturating_sub(1);
        let offset = self.offset;
        self.offset += filled.len as u64;
        self.read_since_info += filled.len as u64;
        // Nothing, with more to follow, would be asked for again at once and for ever.
        let then = if filled.len == 0 && matches!(filled.then, Then::More | Then::SegmentEnd) {
            Then::Pause
        } else {
            filled.then
        };
        match (then, stage) {
            (Then::Pause, Stage::Rest) if !in_flight_across_the_change => {
                return Err(CallError::because(
                    Errno::ENOMSG,
                    "it gave nothing in stop-copy, where only an end may follow",
                ));
            }
            (Then::End, Stage::Rest) if !in_flight_across_the_change => self.end = true,
            (Then::End | Then::Pause, Stage::PreCopy) => {
                self.paused = true;
                // Asking is what makes new data, but not more often than this.
                self.ask_at = self.ask_at.map(|_| now.max(self.asked_at + poll_interval));
            }
            _ => {}
        }
        Ok((offset, then))
    }

    /// Takes note of pre-copy info, `None` if asking failed. Reads that were asked for before it are answered by now.
    pub(super) fn informed(&mut self, now: Duration, info: Option<PreCopyInfo>, poll_interval: Duration) -> News {
        self.ask_at = Some(now + poll_interval);
        self.read_since_info = 0;
        self.info = info;
        let Some(info) = info else {
            // Reading may still bring something (virtio).
            self.paused = false;
            return News::default();
        };
        let mut news = News { reinit: info.reinit, initial_end: false };
        if info.reinit {
            self.generation += 1;
            self.initial = Initial::Reading;
        }
        if info.initial == Estimate::Known(0) && self.initial == Initial::Reading {
            self.initial = Initial::Sent;
            news.initial_end = true;
        }
        if info.initial + info.dirty != Estimate::Known(0) {
            self.paused = false;
        }
        news
    }

    /// The destination has this generation of the initial data.
    pub(super) fn initial_loaded(&mut self, generation: u32) -> Result<(), String> {
        match self.initial {
            Initial::Sent if self.generation == generation => self.initial = Initial::Loaded,
            // An answer to a generation that a REINIT has overtaken.
            _ if generation < self.generation => {}
            _ => return Err(format!("said that generation {generation} is loaded, which was not sent")),
        }
        Ok(())
    }

    pub(super) fn is_initial_loaded(&self) -> bool {
        self.initial == Initial::Loaded
    }

    /// What is left of it for now.
    pub(super) fn left(&self, stage: Stage) -> Estimate {
        let less = |bytes: Estimate, read: u64| match bytes {
            Estimate::Known(bytes) => Estimate::Known(bytes.saturating_sub(read)),
            Estimate::Unknown => Estimate::Unknown,
        };
        match (stage, self.info) {
            (Stage::PreCopy, Some(info)) => less(info.initial + info.dirty, self.read_since_info),
            // Without pre-copy, all that the device announced flows now.
            (Stage::Rest, None) => less(self.expected, self.offset),
            (Stage::Ended, _) => Estimate::Known(0),
            _ => Estimate::Unknown,
        }
    }
}
