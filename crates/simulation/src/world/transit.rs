use core::time::Duration;

use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{Chunk, Fault as Blame, Input, Message, Object, Offer};

use super::log::HEAD;
use super::{Happening, World};
use crate::fault::{Direction, Fault, LinkFault, Stray};
use crate::invariants::Rule;
use crate::link::{Packet, Parcel, Transit};
use crate::machine::caught;
use crate::moment::What;
use crate::scenario::Way;

/// Bytes that a message takes without its payload.
const HEADER: u64 = 64;

/// What a message is to whoever watches the link.
pub(super) struct Label {
    pub(super) name: &'static str,
    pub(super) of: Option<String>,
    pub(super) bytes: u64,
}

impl World {
    /// Sends the head of the stream.
    pub(super) fn open(&mut self, side: Side, offer: Offer) {
        let parcel = if self.scenario.wire {
            match self.end(side).codec.open(&offer) {
                Ok(bytes) => Parcel::Bytes(bytes),
                Err(error) => return self.broke(Rule::Order, &format!("the head cannot be written: {error}")),
            }
        } else {
            Parcel::Head(offer)
        };
        let label = Label { name: HEAD, of: None, bytes: 0 };
        self.dispatch(side, parcel, label, None);
    }

    pub(super) fn send(&mut self, side: Side, message: Message, chunk: Option<Chunk>) {
        let label = self.label(&message);
        let len = if let Message::Data { len, .. } = message { len as usize } else { 0 };
        let buffer = chunk.and_then(|chunk| self.end(side).chunks.get(chunk.0 as usize));
        let payload = buffer.and_then(|buffer| buffer.get(..len)).map(<[u8]>::to_vec).unwrap_or_default();
        if payload.len() != len {
            return self.broke(Rule::Chunks, &format!("{message:?} is sent without its bytes"));
        }
        if self.end(side).closed {
            // Dropped; the chunk comes back all the same.
            if let Some(chunk) = chunk {
                self.queue.push(self.now, Happening::Written(side, chunk));
            }
            return;
        }
        let parcel = if self.scenario.wire {
            let codec = &mut self.end(side).codec;
            match caught(|| codec.encode(&message, &payload)) {
                Ok(Ok(bytes)) if bytes.is_empty() => return,
                Ok(Ok(bytes)) => Parcel::Bytes(bytes),
                Ok(Err(error)) | Err(error) => {
                    return self.broke(Rule::Order, &format!("{message:?} is sent against the format: {error}"));
                }
            }
        } else {
            Parcel::Message(message, payload)
        };
        self.dispatch(side, parcel, label, chunk);
    }

    /// The sender closes: what it has sent before still arrives.
    pub(super) fn close(&mut self, side: Side, why: &str) {
        if core::mem::replace(&mut self.end(side).closed, true) {
            return;
        }
        let lane = &mut self.lanes[direction_of(side) as usize];
        lane.hand_over(Packet {
            parcel: Parcel::Closed(why.into()),
            size: 0,
            name: "close",
            number: 0,
            spoilt: false,
            chunk: None,
        });
        self.pump(direction_of(side));
    }

    /// Hands a parcel to the link, with what goes wrong there.
    fn dispatch(&mut self, side: Side, mut parcel: Parcel, label: Label, chunk: Option<Chunk>) {
        let direction = direction_of(side);
        let Label { name, of, bytes } = label;
        let now = self.now;
        let deadline = self.scenario.save.deadline.max(self.scenario.restore.deadline);
        let lane = &mut self.lanes[direction as usize];
        let fault = lane.next_fault();
        let number = u32::try_from(self.messages[direction as usize].len()).unwrap_or(u32::MAX);
        self.moved[side as usize] += if side == Side::Save { bytes } else { 0 };
        self.note(Some(side), What::Sent { direction, number, message: name, of, bytes });
        if let Some(what) = fault {
            self.note(None, What::Fault { fault: Fault::Link { direction, number, what } });
        }
        self.messages[direction as usize].push(name);
        let lane = &mut self.lanes[direction as usize];
        match fault {
            None | Some(LinkFault::Spoil) => {}
            Some(LinkFault::Mute) => lane.mute = true,
            Some(LinkFault::Stall) => lane.stall(now, deadline * 2),
            Some(LinkFault::Cut(millis)) => {
                lane.cut = true;
                // What is before it still arrives, and then the end of it.
                let soon = now + self.scenario.link.latency + Duration::from_millis(1);
                self.queue.push(soon, Happening::Told(other(side), "the connection was cut"));
                let later = now + Duration::from_millis(millis.into());
                self.queue.push(later, Happening::Told(side, "the connection was cut"));
            }
            Some(LinkFault::Flip) => {
                parcel = match parcel {
                    Parcel::Bytes(mut bytes) => {
                        let at = usize::try_from(self.dice.roll(bytes.len() as u64)).unwrap_or(0);
                        let bit = self.dice.roll(8);
                        if let Some(byte) = bytes.get_mut(at) {
                            *byte ^= 1 << bit;
                        }
                        Parcel::Bytes(bytes)
                    }
                    _ => Parcel::Damaged,
                };
            }
            Some(LinkFault::Stray(stray)) => {
                let packet = Packet {
                    parcel: Parcel::Message(message_of(stray), Vec::new()),
                    size: HEADER,
                    name: "stray",
                    number: 0,
                    spoilt: false,
                    chunk: None,
                };
                lane.hand_over(packet);
                self.messages[direction as usize].push("stray");
            }
        }
        let bytes = match &parcel {
            Parcel::Bytes(bytes) => bytes.len() as u64,
            Parcel::Message(_, payload) => HEADER + payload.len() as u64,
            _ => HEADER,
        };
        let lane = &mut self.lanes[direction as usize];
        let spoilt = fault == Some(LinkFault::Spoil);
        lane.hand_over(Packet { parcel, size: bytes, name, number: 0, spoilt, chunk });
        self.pump(direction);
    }

    pub(super) fn pump(&mut self, direction: Direction) {
        let mut out = Vec::new();
        self.lanes[direction as usize].pump(self.now, &mut out);
        for (at, transit) in out {
            let happening = match transit {
                Transit::Arrives(packet) => Happening::Arrives(direction, packet),
                Transit::Written(chunk) => Happening::Written(sender_of(direction), chunk),
            };
            self.queue.push(at, happening);
        }
    }

    pub(super) fn arrives(&mut self, direction: Direction, packet: Packet) {
        if self.lanes[direction as usize].mute {
            // From the moment of silence on nothing passes, not even what was under way.
            return;
        }
        self.lanes[direction as usize].arrived.push_back(packet);
        self.take(direction);
    }

    /// The receiver takes what it has room for.
    pub(super) fn take(&mut self, direction: Direction) {
        let side = other(sender_of(direction));
        loop {
            let end = &self.ends[side as usize];
            if !end.started {
                return;
            }
            let gone = end.finished || end.dead || end.closed;
            let room = !end.free.is_empty() || side == Side::Save || gone;
            let deaf = end.deaf;
            let Some(packet) = self.lanes[direction as usize].take(|packet| room || packet.name != "data") else {
                return;
            };
            self.queue.push(self.now, Happening::Pump(direction));
            if gone {
                continue;
            }
            match packet.parcel {
                Parcel::Closed(why) => self.disconnected(side, &why),
                _ if deaf => {}
                parcel => self.receive(side, parcel, packet.spoilt),
            }
        }
    }

    fn receive(&mut self, side: Side, parcel: Parcel, spoilt: bool) {
        match parcel {
            Parcel::Head(offer) => self.hear(side, Input::Opened(offer)),
            Parcel::Message(message, payload) => self.receive_message(side, message, payload, spoilt),
            Parcel::Damaged => self.damaged(side, "a checksum is wrong".into()),
            Parcel::Closed(why) => self.disconnected(side, &why),
            Parcel::Bytes(bytes) => {
                if side == Side::Restore && !self.end(side).codec.is_open() {
                    match self.end(side).codec.opened(&bytes) {
                        Ok(offer) => self.hear(side, Input::Opened(offer)),
                        Err(error) => self.damaged(side, error),
                    }
                    return;
                }
                match self.end(side).codec.decode(&bytes) {
                    Ok(messages) => {
                        for (message, payload) in messages {
                            self.receive_message(side, message, payload, spoilt);
                        }
                    }
                    Err(error) => self.damaged(side, error),
                }
            }
        }
    }

    fn receive_message(&mut self, side: Side, message: Message, mut payload: Vec<u8>, spoilt: bool) {
        let middle = payload.len() / 2;
        if let (true, Some(byte)) = (spoilt, payload.get_mut(middle)) {
            *byte ^= 1;
        }
        let chunk = if payload.is_empty() {
            None
        } else {
            let end = self.end(side);
            let Some(chunk) = end.free.pop() else { return };
            if let Some(into) = end.chunks.get_mut(chunk as usize).and_then(|buffer| buffer.get_mut(..payload.len())) {
                into.copy_from_slice(&payload);
            }
            let held = end.chunks.len() - end.free.len();
            self.most_held = self.most_held.max(held);
            Some(Chunk(chunk))
        };
        self.hear(side, Input::Received(message, chunk));
    }

    fn damaged(&mut self, side: Side, why: String) {
        self.end(side).deaf = true;
        self.hear(side, Input::Corrupt(Blame::Corrupt, why));
    }

    /// An end learns that the connection is gone.
    pub(super) fn disconnected(&mut self, side: Side, why: &str) {
        if core::mem::replace(&mut self.end(side).closed, true) {
            return;
        }
        // What it would still say reaches nobody.
        self.lanes[direction_of(side) as usize].cut = true;
        self.hear(side, Input::Disconnected(why.into()));
    }

    /// A one-way stream was to be made to last: a file is there now, or not.
    pub(super) fn committed(&mut self, answer: &Input) {
        let there = match answer {
            Input::Committed(Ok(())) => true,
            Input::Committed(Err(error)) => error.maybe_given_up,
            _ => false,
        };
        if self.scenario.way == Way::File && there {
            let now = self.now;
            let end = self.end(Side::Restore);
            end.started = true;
            end.epoch = now;
            self.note(None, What::FileThere);
            self.poll(Side::Restore);
            self.take(Direction::Forward);
        }
    }
}

const fn direction_of(side: Side) -> Direction {
    match side {
        Side::Save => Direction::Forward,
        Side::Restore => Direction::Back,
    }
}

const fn sender_of(direction: Direction) -> Side {
    match direction {
        Direction::Forward => Side::Save,
        Direction::Back => Side::Restore,
    }
}

const fn other(side: Side) -> Side {
    match side {
        Side::Save => Side::Restore,
        Side::Restore => Side::Save,
    }
}

const fn message_of(stray: Stray) -> Message {
    match stray {
        Stray::GivenUp => Message::GivenUp,
        Stray::Withdraw => Message::Withdraw,
        Stray::End => Message::End { goes_on: false },
        Stray::ObjectEnd => Message::ObjectEnd(Object(0)),
        Stray::NoObject => Message::ObjectEnd(Object(77)),
        Stray::Begin => Message::Begin,
        Stray::Accepted => Message::Accepted,
        Stray::Loaded => Message::Loaded,
        Stray::Running => Message::Running,
        Stray::Ack => Message::Ack(Object(0), 1),
        Stray::InitialLoaded => Message::InitialLoaded(Object(0), 99),
        Stray::Alive => Message::Alive,
    }
}
