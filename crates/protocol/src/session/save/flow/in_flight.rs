//! What is read, sent and acknowledged: which buffers are in use, and what is in flight.

use core::time::Duration;

use super::{Flow, Stage};
use crate::session::course::{Course, PROGRESS};
use crate::session::{Action, Chunk, Message, Object};
use crate::{CallError, EventKind, Filled, Then};

impl Flow {
    /// How many chunks are being read or in flight.
    pub(super) fn under_way(&self) -> usize {
        self.objects.iter().map(|source| source.asked.len() + source.in_flight.len()).sum()
    }

    /// The buffer for the next read, if there may be one.
    pub(super) fn next_chunk(&self) -> Option<Chunk> {
        self.free.last().copied().filter(|_| self.under_way() < self.depth)
    }

    /// Takes note of a read, and sends what it brought. An error is the caller's to treat.
    pub(in crate::session::save) fn filled(
        &mut self,
        course: &mut Course,
        object: Object,
        chunk: Chunk,
        answer: Result<Filled, CallError>,
        poll_interval: Duration,
    ) -> Result<(), CallError> {
        let source = &mut self.objects[object.0 as usize];
        let asked = source.asked.pop_front().expect("a read is answered once");
        (source.asked_since, source.overdue) = (course.now, false);
        let wanted = source.stage != Stage::Ended;
        let read = answer.and_then(|filled| source.read(course.now, asked, filled, poll_interval));
        let (offset, len, then) = match read {
            Ok(read @ (_, 1.., _)) if wanted => read,
            Ok(_) => {
                self.back(course, chunk);
                return Ok(());
            }
            Err(error) => {
                self.back(course, chunk);
                return if wanted { Err(error) } else { Ok(()) };
            }
        };
        source.unsent.push_back(chunk);
        source.in_flight.push_back((len, offset + u64::from(len)));
        if self.objects.iter().map(|source| source.in_flight.len()).sum::<usize>() == 1 {
            self.written_at = course.now;
        }
        let segment_end = then == Then::SegmentEnd;
        let data = Message::Data { object, offset, len, segment_end, initial_end: None };
        course.act(Action::Send(data, Some(chunk)));
        if let Some(limit) = self.limit {
            let nanos = u128::from(len) * 1_000_000_000 / u128::from(limit.max(1));
            let pause = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            self.not_before = self.not_before.max(course.now).saturating_add(pause);
        }
        Ok(())
    }

    fn back(&mut self, course: &mut Course, chunk: Chunk) {
        course.act(Action::Release(chunk));
        self.free.push(chunk);
    }

    /// The destination has placed the oldest frame in flight of an object; it must end where that frame did.
    pub(in crate::session::save) fn acknowledged(
        &mut self,
        course: &mut Course,
        object: Object,
        end: u64,
    ) -> Result<(), String> {
        let front = self.objects.get(object.0 as usize).and_then(|source| source.in_flight.front().copied());
        match front {
            Some((_, expected)) if expected == end => {
                self.arrived(course, object);
                Ok(())
            }
            Some((_, expected)) => {
                Err(format!("acknowledged byte {end} of object {}, where {expected} was next", object.0))
            }
            None => Err(format!("acknowledged byte {end} of object {}, of which nothing is in flight", object.0)),
        }
    }

    /// A chunk was written: its buffer is free. One-way that is all that will be known of it.
    pub(in crate::session::save) fn written(&mut self, course: &mut Course, chunk: Chunk) {
        let Some(source) = self.objects.iter_mut().find(|source| source.unsent.front() == Some(&chunk)) else { return };
        source.unsent.pop_front();
        let object = source.object;
        self.back(course, chunk);
        if !self.connected {
            self.arrived(course, object);
        }
    }

    fn arrived(&mut self, course: &mut Course, object: Object) {
        let source = &mut self.objects[object.0 as usize];
        let Some((len, _)) = source.in_flight.pop_front() else { return };
        source.bytes += u64::from(len);
        self.written_at = course.now;
        let due = course.now >= source.told + PROGRESS;
        course.count(u64::from(len));
        self.rate.count(course.now, u64::from(len));
        if due {
            self.tell(course, object);
        }
    }

    fn tell(&mut self, course: &mut Course, object: Object) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is finite and positive")]
        let rate = self.rate().map(|rate| rate as u64);
        let source = self.source(object);
        source.told = course.now;
        let (object, bytes, left) = (source.id.clone(), source.bytes, source.left());
        course.emit(EventKind::Progress { object, bytes, left, rate });
    }

    /// One-way: since when the oldest chunk is being written.
    pub(in crate::session::save) fn unwritten_since(&self) -> Option<Duration> {
        (!self.connected && !self.has_arrived()).then_some(self.written_at)
    }

    /// Whether nothing is in flight.
    pub(in crate::session::save) fn has_arrived(&self) -> bool {
        self.objects.iter().all(|source| source.in_flight.is_empty())
    }
}
