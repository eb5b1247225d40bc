//! What arrives at the destination: verified chunks on their way into objects.

use core::time::Duration;
use std::collections::VecDeque;

use super::super::course::{Course, PROGRESS};
use super::super::{Action, Chunk, MAX_OBJECTS, Message, Object};
use crate::{CallError, Estimate, EventKind};

/// All that arrives.
#[derive(Debug)]
pub(super) struct Intake {
    /// In the order of the list that the session was made with.
    objects: Vec<Target>,
    /// Places in that list, in the order of the stream's table.
    places: Vec<usize>,
    /// Came before the devices were in resuming.
    held: VecDeque<(Message, Option<Chunk>)>,
}

#[derive(Debug)]
struct Target {
    id: String,
    /// Its number in the stream.
    number: Object,
    segments: Segments,
    queue: VecDeque<Item>,
    since: Duration,
    overdue: bool,
    ended: bool,
    /// A write failed: what comes behind it is worth nothing.
    failed: bool,
    bytes: u64,
    told: Duration,
}

/// Where what has come of an object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segments {
    /// Its data has none.
    None,
    /// A region's data, between two segments.
    Between,
    /// Of a segment not everything has come.
    Within,
}

/// What is to be done for an object, in order.
#[derive(Debug)]
enum Item {
    /// A chunk is being written; its bytes end here.
    Chunk { len: u32, end: u64 },
    /// All initial data of a generation came before.
    InitialEnd(u32),
}

/// Most messages that are kept until the devices can take them: many more than any stream has before its data, and a bound
/// all the same.
const MOST_HELD: usize = 16 * MAX_OBJECTS;

impl Intake {
    /// Of objects with these ids, and whether their data has segments.
    pub(super) fn new<'a>(objects: impl Iterator<Item = (&'a str, bool)>) -> Self {
        let target = |(id, has_segments): (&str, bool)| Target {
            id: id.into(),
            number: Object(0),
            segments: if has_segments { Segments::Between } else { Segments::None },
            queue: VecDeque::new(),
            since: Duration::ZERO,
            overdue: false,
            ended: false,
            failed: false,
            bytes: 0,
            told: Duration::ZERO,
        };
        Self { objects: objects.map(target).collect(), places: Vec::new(), held: VecDeque::new() }
    }

    /// The stream's objects were matched with those that are here.
    pub(super) fn matched(&mut self, places: Vec<usize>) {
        for (number, place) in (0..).zip(&places) {
            self.objects[*place].number = Object(number);
        }
        self.places = places;
    }

    /// Keeps a message until the devices can take it.
    pub(super) fn hold(&mut self, message: Message, chunk: Option<Chunk>) {
        self.held.push_back((message, chunk));
    }

    /// Whether one more message can be kept: nothing comes after a stream's end.
    pub(super) fn has_room(&self) -> bool {
        self.held.len() < MOST_HELD && !self.holds_end()
    }

    /// Whether a stream's end is kept.
    pub(super) fn holds_end(&self) -> bool {
        matches!(self.held.back(), Some((Message::End { .. }, _)))
    }

    pub(super) fn next_held(&mut self) -> Option<(Message, Option<Chunk>)> {
        self.held.pop_front()
    }

    /// Starts to write a verified frame to its object.
    pub(super) fn take(
        &mut self,
        course: &mut Course,
        message: &Message,
        chunk: Option<Chunk>,
        connected: bool,
    ) -> Result<(), String> {
        match *message {
            Message::Data { object, offset, len, segment_end, initial_end } => {
                let place = *self.places.get(object.0 as usize).ok_or("data of an object that is not in the table")?;
                let target = &mut self.objects[place];
                if target.ended {
                    return Err(format!("data of {} after its end", target.id));
                }
                let end = offset.checked_add(u64::from(len)).ok_or("data beyond the last offset that there is")?;
                match target.segments {
                    Segments::None => {}
                    _ if segment_end => target.segments = Segments::Between,
                    _ if len > 0 => target.segments = Segments::Within,
                    Segments::Between | Segments::Within => {}
                }
                if let Some(chunk) = chunk {
                    if target.queue.is_empty() {
                        (target.since, target.overdue) = (course.now, false);
                    }
                    course.flow_starts();
                    target.queue.push_back(Item::Chunk { len, end });
                    let object = Object(u32::try_from(place).expect("objects are numbered with 32 bits"));
                    course.act(Action::Place { object, chunk, offset, len, segment_end });
                }
                if let Some(generation) = initial_end {
                    target.initial_ends(generation);
                    target.flush(course, connected);
                }
                Ok(())
            }
            Message::ObjectEnd(object) => {
                let place =
                    *self.places.get(object.0 as usize).ok_or("the end of an object that is not in the table")?;
                let target = &mut self.objects[place];
                if target.segments == Segments::Within {
                    return Err(format!("the end of {} in the middle of a segment", target.id));
                }
                target.ended = true;
                Ok(())
            }
            _ => Err(format!("{} where data was due", message.name())),
        }
    }

    /// A chunk was written to its object, or could not be.
    pub(super) fn placed(
        &mut self,
        course: &mut Course,
        object: Object,
        chunk: Chunk,
        answer: Result<(), CallError>,
        connected: bool,
    ) -> Result<(), CallError> {
        course.act(Action::Release(chunk));
        let target = &mut self.objects[object.0 as usize];
        let Some(Item::Chunk { len, end }) = target.queue.pop_front() else { return Ok(()) };
        (target.since, target.overdue) = (course.now, false);
        if let Err(error) = answer {
            // Its initial data is never loaded, and nobody waits for it any more.
            target.queue.retain(|item| matches!(item, Item::Chunk { .. }));
            target.failed = true;
            return Err(error);
        }
        if target.failed {
            return Ok(());
        }
        target.bytes += u64::from(len);
        course.count(u64::from(len));
        if connected {
            course.send(Message::Ack(target.number, end));
        }
        target.flush(course, connected);
        if course.now >= target.told + PROGRESS {
            target.told = course.now;
            let (object, bytes) = (target.id.clone(), target.bytes);
            course.emit(EventKind::Progress { object, bytes, left: Estimate::Unknown, rate: course.rate() });
        }
        Ok(())
    }

    /// Whether everything has come.
    pub(super) fn has_ended(&self) -> bool {
        self.objects.iter().all(|target| target.ended)
    }

    /// Whether everything has come and was written.
    pub(super) fn is_complete(&self) -> bool {
        self.is_idle() && self.has_ended()
    }

    /// Whether nothing is being written.
    pub(super) fn is_idle(&self) -> bool {
        self.objects.iter().all(|target| target.queue.is_empty())
    }

    /// Gives back what was held: nobody will take it any more.
    pub(super) fn let_go(&mut self, course: &mut Course) {
        for chunk in self.held.drain(..).filter_map(|(_, chunk)| chunk) {
            course.act(Action::Release(chunk));
        }
    }

    pub(super) fn bytes(&self, object: Object) -> u64 {
        self.objects[object.0 as usize].bytes
    }

    pub(super) fn overdue(&mut self, now: Duration, deadline: Duration) -> Vec<String> {
        let late = |target: &&mut Target| !target.queue.is_empty() && !target.overdue && now >= target.since + deadline;
        let mut ids = Vec::new();
        for target in self.objects.iter_mut().filter(late) {
            target.overdue = true;
            ids.push(target.id.clone());
        }
        ids
    }

    pub(super) fn next_deadline(&self, deadline: Duration) -> Option<Duration> {
        let waiting = self.objects.iter().filter(|target| !target.queue.is_empty() && !target.overdue);
        waiting.map(|target| target.since + deadline).min()
    }
}

impl Target {
    /// Notes that a generation of initial data ends here. One that is overtaken before it was written is of no interest.
    fn initial_ends(&mut self, generation: u32) {
        match self.queue.back_mut() {
            Some(Item::InitialEnd(last)) => *last = generation,
            _ => self.queue.push_back(Item::InitialEnd(generation)),
        }
    }

    /// Says that initial data is loaded once everything before it was written.
    fn flush(&mut self, course: &mut Course, connected: bool) {
        while let Some(Item::InitialEnd(generation)) = self.queue.front() {
            if connected {
                course.send(Message::InitialLoaded(self.number, *generation));
            }
            self.queue.pop_front();
        }
    }
}
