//! What flows at the source: which bytes are read next, and what is left.

mod convergence;
mod device;
mod in_flight;
mod memory;
mod source;

use core::time::Duration;

use super::super::course::Course;
use super::super::{Action, Chunk, Message, Object, TrackerIndex};
use crate::estimate::Rate;
use crate::{Bitmap, Estimate, EventKind, IovaRange, PreCopyInfo};
use device::DeviceData;
use memory::MemoryPages;
pub(super) use source::Source;
use source::{Stage, What};

/// All that flows.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) objects: Vec<Source>,
    chunk: u32,
    /// How many chunks may be read or in flight.
    depth: usize,
    /// Buffers that hold nothing that is still to be sent.
    free: Vec<Chunk>,
    /// Whose turn it is to fill the next free chunk.
    turn: usize,
    rate: Rate,
    limit: Option<u64>,
    /// The rate limit lets nothing be read before.
    not_before: Duration,
    connected: bool,
    /// When a chunk arrived last, or the first one left.
    written_at: Duration,
}

impl Flow {
    pub(super) fn new(chunk: u32, depth: u32, limit: Option<u64>, connected: bool) -> Self {
        Self {
            objects: Vec::new(),
            chunk,
            depth: depth as usize,
            // The last one in is the first one out, and the lowest number comes first: caches stay warm.
            free: (0..depth).rev().map(Chunk).collect(),
            turn: 0,
            rate: Rate::default(),
            limit,
            not_before: Duration::ZERO,
            connected,
            written_at: Duration::ZERO,
        }
    }

    pub(super) fn add_device(&mut self, id: String) {
        self.add(id, What::Device(DeviceData::new()));
    }

    pub(super) fn add_memory(&mut self, id: String, range: IovaRange, page_size: u64, trackers: Vec<TrackerIndex>) {
        self.add(id, What::Memory(MemoryPages::new(range, page_size, trackers)));
    }

    fn add(&mut self, id: String, what: What) {
        let object = Object(u32::try_from(self.objects.len()).expect("the offer bounds the number of objects"));
        self.objects.push(Source::new(id, object, what));
    }

    fn source(&mut self, object: Object) -> &mut Source {
        &mut self.objects[object.0 as usize]
    }

    /// A device said how much it would give in stop-copy.
    pub(super) fn device_expects(&mut self, object: Object, size: Estimate) {
        if let What::Device(data) = &mut self.source(object).what {
            data.expected = size;
        }
    }

    /// A device has entered pre-copy: its data flows.
    pub(super) fn device_enters_pre_copy(&mut self, object: Object) {
        self.source(object).stage = Stage::PreCopy;
    }

    /// Memory whose trackers all log flows while the guest runs.
    pub(super) fn tracked_memory_flows(&mut self, now: Duration, logs: impl Fn(TrackerIndex) -> bool) {
        for source in &mut self.objects {
            if let What::Memory(pages) = &mut source.what
                && !pages.trackers.is_empty()
                && pages.trackers.iter().all(|tracker| logs(*tracker))
            {
                pages.is_tracked(now);
                source.stage = Stage::PreCopy;
            }
        }
    }

    /// A tracker lost its log: its memories count as dirty, and cannot be moved while the guest runs.
    pub(super) fn tracker_lost(&mut self, tracker: TrackerIndex) {
        for source in &mut self.objects {
            if let What::Memory(pages) = &mut source.what
                && pages.trackers.contains(&tracker)
            {
                pages.is_lost();
                if source.stage == Stage::PreCopy {
                    source.stage = Stage::Idle;
                }
            }
        }
    }

    /// All devices have stopped and all trackers were read: what is left may be read to its end.
    pub(super) fn rest_flows(&mut self) {
        for source in &mut self.objects {
            source.stage = Stage::Rest;
            if let What::Device(data) = &mut source.what {
                data.stops(source.asked.len());
            }
        }
    }

    /// Nothing more is read.
    pub(super) fn dries_up(&mut self) {
        for source in &mut self.objects {
            source.stage = Stage::Ended;
        }
    }

    /// Whether anything flows while the guest runs.
    pub(super) fn has_pre_copy(&self) -> bool {
        self.objects.iter().any(|source| source.stage == Stage::PreCopy)
    }

    /// Asks for as many reads as the depth and the rate allow, in turn.
    pub(super) fn pump(&mut self, course: &mut Course) -> bool {
        let mut asked = false;
        while course.now >= self.not_before
            && let Some(chunk) = self.next_chunk()
            && let Some(place) = self.next_ready()
        {
            if self.under_way() == 0 {
                self.rate.starts(course.now);
            }
            self.free.pop();
            self.turn = place + 1;
            let most = self.chunk;
            let source = &mut self.objects[place];
            let (offset, len) = source.next_read(most);
            if source.asked.is_empty() {
                (source.asked_since, source.overdue) = (course.now, false);
            }
            source.asked.push_back((offset, len));
            course.flow_starts();
            course.act(Action::Fill { object: source.object, chunk, offset, len });
            asked = true;
        }
        asked
    }

    fn next_ready(&self) -> Option<usize> {
        let count = self.objects.len();
        (0..count).map(|step| (self.turn + step) % count).find(|place| self.objects[*place].is_ready())
    }

    /// Devices whose pre-copy info is to be asked for now.
    pub(super) fn infos_due(&mut self, now: Duration) -> Vec<Object> {
        let mut objects = Vec::new();
        for source in self.objects.iter_mut().filter(|source| source.stage == Stage::PreCopy) {
            if let What::Device(data) = &mut source.what
                && data.ask_at().is_some_and(|at| at <= now)
            {
                data.asks(now);
                objects.push(source.object);
            }
        }
        objects
    }

    /// A device said how much pre-copy has left. Reads that were asked for before are answered by now.
    pub(super) fn informed(
        &mut self,
        course: &mut Course,
        object: Object,
        info: Option<PreCopyInfo>,
        poll_interval: Duration,
    ) {
        let one_way = !self.connected;
        let source = self.source(object);
        let What::Device(data) = &mut source.what else { return };
        let news = data.informed(course.now, info, poll_interval);
        if source.stage != Stage::PreCopy {
            return;
        }
        let generation = data.generation;
        if news.reinit {
            course.emit(EventKind::Reinit { device: source.id.clone(), generation });
        }
        if news.initial_end {
            let (offset, initial_end) = (data.offset, Some(generation));
            if one_way {
                // Sent is all that this end can know.
                data.initial_loaded(generation).expect("it was sent just now");
            }
            course.send(Message::Data { object, offset, len: 0, segment_end: false, initial_end });
        }
    }

    /// The destination has this generation of a device's initial data.
    pub(super) fn initial_loaded(&mut self, object: Object, generation: u32) -> Result<(), String> {
        let data = self.objects.get_mut(object.0 as usize).map(|source| &mut source.what);
        match data {
            Some(What::Device(data)) => data.initial_loaded(generation),
            _ => Err(format!("said that object {} has initial data", object.0)),
        }
    }

    /// Reports to ask for now: which tracker, for which memory. While the guest runs, memory asks once all that was
    /// dirty is being read; `all` asks for every memory that is tracked.
    pub(super) fn reports_due(&mut self, now: Duration, all: bool) -> Vec<(TrackerIndex, Object, IovaRange)> {
        let mut due = Vec::new();
        for source in &mut self.objects {
            let What::Memory(pages) = &mut source.what else { continue };
            let idle = source.stage == Stage::PreCopy && pages.ask_at().is_some_and(|at| at <= now);
            if idle || (all && pages.can_ask()) {
                pages.asks();
                due.extend(pages.trackers.iter().map(|tracker| (*tracker, source.object, pages.range)));
            }
        }
        due
    }

    /// A tracker reported on a memory, in its own page size; `None` if it could not.
    pub(super) fn reported(&mut self, now: Duration, memory: Object, bits: Option<(&Bitmap, u64)>, poll: Duration) {
        if let What::Memory(pages) = &mut self.source(memory).what {
            pages.reported(now, bits, poll);
        }
    }

    /// Sends the `object-end` of everything that has come to its end; whether there was any.
    pub(super) fn end_objects(&mut self, course: &mut Course) -> bool {
        let mut ended = false;
        for source in self.objects.iter_mut().filter(|source| source.stage == Stage::Rest && source.asked.is_empty()) {
            let done = match &source.what {
                What::Device(data) => data.has_ended(),
                What::Memory(pages) => pages.is_clean(),
            };
            if done {
                source.stage = Stage::Ended;
                course.send(Message::ObjectEnd(source.object));
                ended = true;
            }
        }
        ended
    }

    /// Whether every `object-end` was sent.
    pub(super) fn has_ended(&self) -> bool {
        self.objects.iter().all(|source| source.stage == Stage::Ended)
    }

    /// Whether no read is outstanding.
    pub(super) fn is_settled(&self) -> bool {
        self.objects.iter().all(|source| source.asked.is_empty())
    }

    /// When a device or a tracker is to be asked again.
    pub(super) fn next_ask(&self) -> Option<Duration> {
        let flowing = self.objects.iter().filter(|source| source.stage == Stage::PreCopy);
        let asks = flowing.filter_map(|source| match &source.what {
            What::Device(data) => data.ask_at(),
            What::Memory(pages) => pages.ask_at(),
        });
        asks.min()
    }

    /// When the rate limit lets something be read again.
    pub(super) fn next_read(&self) -> Option<Duration> {
        (self.next_chunk().is_some() && self.next_ready().is_some()).then_some(self.not_before)
    }

    /// Objects whose oldest read has just passed the deadline.
    pub(super) fn overdue(&mut self, now: Duration, deadline: Duration) -> Vec<String> {
        let late =
            |source: &&mut Source| !source.asked.is_empty() && !source.overdue && now >= source.asked_since + deadline;
        let mut ids = Vec::new();
        for source in self.objects.iter_mut().filter(late) {
            source.overdue = true;
            ids.push(source.id.clone());
        }
        ids
    }

    /// When the next read passes the deadline.
    pub(super) fn next_deadline(&self, deadline: Duration) -> Option<Duration> {
        let waiting = self.objects.iter().filter(|source| !source.asked.is_empty() && !source.overdue);
        waiting.map(|source| source.asked_since + deadline).min()
    }
}
