//! What lies between the two ends: two directions, each with its delay, its speed and its bound.

use core::time::Duration;
use std::collections::VecDeque;

use vfio_migration_protocol::session::{Chunk, Message, Offer};

use crate::fault::LinkFault;
use crate::scenario::LinkOptions;

/// What travels.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    /// The head of the stream.
    Head(Offer),
    /// A message with its payload.
    Message(Message, Vec<u8>),
    /// Bytes that the codec wrote: a head, or one or more frames.
    Bytes(Vec<u8>),
    /// Something that no codec would believe.
    Damaged,
    /// The sender has closed.
    Closed(String),
}

/// A parcel on its way.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) parcel: Parcel,
    pub(crate) size: u64,
    /// The name of what is inside, for the log.
    pub(crate) name: &'static str,
    /// Its number in its direction.
    pub(crate) number: u32,
    /// Its payload is damaged once it was verified.
    pub(crate) spoilt: bool,
    /// Whom to tell that it was written.
    pub(crate) chunk: Option<Chunk>,
}

/// What a direction wants to happen later.
#[derive(Debug)]
pub(crate) enum Transit {
    /// A packet has reached the other end.
    Arrives(Packet),
    /// A chunk has left the sender.
    Written(Chunk),
}

/// One direction of a link.
#[derive(Debug)]
pub(crate) struct Lane {
    options: LinkOptions,
    faults: Vec<(u32, LinkFault)>,
    /// Handed over by the sender, who cannot get rid of it yet.
    waiting: VecDeque<Packet>,
    /// Reached the other end, who has not taken it yet.
    pub(crate) arrived: VecDeque<Packet>,
    /// Bytes on the way or arrived.
    inside: u64,
    busy_until: Duration,
    count: u32,
    /// Nothing passes any more, and nobody is told.
    pub(crate) mute: bool,
    /// Nothing passes any more, and both are told.
    pub(crate) cut: bool,
}

impl Lane {
    pub(crate) fn new(options: LinkOptions, faults: Vec<(u32, LinkFault)>) -> Self {
        Self {
            options,
            faults,
            waiting: VecDeque::new(),
            arrived: VecDeque::new(),
            inside: 0,
            busy_until: Duration::ZERO,
            count: 0,
            mute: false,
            cut: false,
        }
    }

    /// What goes wrong with the packet that comes next.
    pub(crate) fn next_fault(&self) -> Option<LinkFault> {
        self.faults.iter().find(|(number, _)| *number == self.count).map(|(_, what)| *what)
    }

    /// The sender hands over a packet.
    pub(crate) fn hand_over(&mut self, mut packet: Packet) {
        packet.number = self.count;
        self.count += 1;
        self.waiting.push_back(packet);
    }

    /// From now on nothing passes for so long.
    pub(crate) fn stall(&mut self, now: Duration, time: Duration) {
        self.busy_until = self.busy_until.max(now) + time;
    }

    /// Sends what there is room for. Answers what happens when.
    pub(crate) fn pump(&mut self, now: Duration, out: &mut Vec<(Duration, Transit)>) {
        while let Some(packet) = self.waiting.front() {
            let fits = self.inside == 0 || self.inside + packet.size <= u64::from(self.options.capacity);
            if !fits && !self.is_dead() {
                return;
            }
            let Some(packet) = self.waiting.pop_front() else { return };
            let micros = packet.size.saturating_mul(1_000_000) / self.options.bandwidth.max(1);
            self.busy_until = self.busy_until.max(now) + Duration::from_micros(micros);
            if let Some(chunk) = packet.chunk {
                out.push((self.busy_until, Transit::Written(chunk)));
            }
            if !self.is_dead() {
                self.inside += packet.size;
                out.push((self.busy_until + self.options.latency, Transit::Arrives(packet)));
            }
        }
    }

    /// The receiver takes the oldest packet, if it wants it.
    pub(crate) fn take(&mut self, wanted: impl FnOnce(&Packet) -> bool) -> Option<Packet> {
        if !self.arrived.front().is_some_and(wanted) {
            return None;
        }
        let packet = self.arrived.pop_front()?;
        self.inside = self.inside.saturating_sub(packet.size);
        Some(packet)
    }

    const fn is_dead(&self) -> bool {
        self.mute || self.cut
    }
}
