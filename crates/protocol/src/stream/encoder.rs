use super::header::{self, Fields, Text};
use super::ledger::{Entry, Ledger};
use super::{BackKey, Direction, HEADER_LEN, HeadError, StreamError, payload_crc, preamble};
use crate::session::{Message, Mode, Object, Offer};

/// Writes frames: one end of a stream, or of the messages back.
///
/// What it gives must be written in the order in which it was asked for, a chunk's payload right after its header. It
/// keeps the totals, and holds its caller to the order of the format.
///
/// # Panics
/// [`data`](Self::data) and [`message`](Self::message) panic where a session breaks its own rules: data outside of its
/// object or longer than a chunk, a message that goes the other way, anything after `end`. Nothing that a device, a
/// peer or a user does leads there.
#[derive(Clone, Debug)]
pub struct Encoder {
    seed: u32,
    direction: Direction,
    mode: Mode,
    chunk: u32,
    sequence: u64,
    written: u64,
    ledger: Ledger,
    objects: u32,
}

impl Encoder {
    /// Starts a stream. The bytes are its head, to be written before anything else.
    pub fn forward(offer: &Offer) -> Result<(Self, Vec<u8>), HeadError> {
        let (head, seed) = preamble::write(offer)?;
        let encoder = Self {
            seed,
            direction: Direction::Forward,
            mode: offer.mode,
            chunk: offer.chunk,
            sequence: 0,
            written: head.len() as u64,
            ledger: Ledger::new(offer.mode, &offer.objects),
            objects: u32::try_from(offer.objects.len()).expect("a head has a bounded table"),
        };
        Ok((encoder, head))
    }

    /// Starts the messages back.
    pub fn back(key: BackKey) -> Self {
        Self {
            seed: key.seed,
            direction: Direction::Back,
            mode: Mode::Connected,
            chunk: key.chunk,
            sequence: 0,
            written: 0,
            ledger: Ledger::new(Mode::Connected, &[]),
            objects: key.objects,
        }
    }

    /// What a [`Decoder::back`](super::Decoder::back) needs; `None` if the stream is one-way, or is the one back.
    pub fn back_key(&self) -> Option<BackKey> {
        (self.direction == Direction::Forward && self.mode == Mode::Connected)
            .then(|| BackKey::new(self.seed, self.chunk, self.objects))
    }

    /// The header of a chunk: write it and then the `len` bytes of payload, whose [`payload_crc`] is `crc`.
    pub fn data(
        &mut self,
        object: Object,
        offset: u64,
        len: u32,
        segment_end: bool,
        initial_end: Option<u32>,
        crc: u32,
    ) -> [u8; HEADER_LEN] {
        let fields = Fields {
            kind: header::DATA,
            len,
            sequence: 0,
            offset,
            object: object.0,
            flags: if segment_end { header::SEGMENT_END } else { 0 }
                | if initial_end.is_some() { header::INITIAL_END } else { 0 },
            generation: initial_end.unwrap_or(0),
            crc,
        };
        let entry = Entry { object, offset, len, device_flags: fields.flags != 0 };
        kept(self.ledger.may_take(self.written, entry));
        let sealed = self.seal(fields);
        self.ledger.take(object, len, &fields.check());
        sealed
    }

    /// All bytes of a message. Of [`Message::Data`] only the header: [`data`](Self::data) with no payload, which is
    /// what an empty chunk with a flag needs.
    ///
    /// An event or report longer than [`MAX_DOCUMENT`](super::MAX_DOCUMENT) is left out: there are no bytes then. A
    /// reason longer than [`MAX_REASON`](super::MAX_REASON) is cut.
    pub fn message(&mut self, message: &Message) -> Vec<u8> {
        let bare = |kind| Fields::bare(kind);
        match *message {
            Message::Data { object, offset, len, segment_end, initial_end } => {
                assert!(len == 0, "a chunk with a payload goes through Encoder::data");
                self.data(object, offset, len, segment_end, initial_end, 0).to_vec()
            }
            Message::ObjectEnd(object) => {
                let totals = kept(self.ledger.may_end_object(self.written, object));
                let frame = self.frame(Fields { object: object.0, ..bare(header::OBJECT_END) }, &totals.write(0));
                self.ledger.end_object(object);
                frame
            }
            Message::Begin => {
                kept(self.ledger.may_begin(self.written));
                self.ledger.begin();
                self.frame(bare(header::BEGIN), &[])
            }
            Message::GivenUp => {
                kept(self.ledger.may_give_up(self.written));
                self.ledger.give_up();
                self.frame(bare(header::GIVEN_UP), &[])
            }
            Message::Withdraw => self.frame(bare(header::WITHDRAW), &[]),
            Message::End { goes_on } => {
                let totals = kept(self.ledger.may_end(self.written));
                let frame = self.frame(bare(header::END), &totals.write(u32::from(goes_on)));
                self.ledger.end();
                frame
            }
            Message::Cancelled(ref why) => {
                let frames = self.text(Text::Cancelled, why);
                self.ledger.cancel();
                frames
            }
            Message::Event(ref json) => self.text(Text::Event, json),
            Message::Report(ref json) => self.text(Text::Report, json),
            Message::Alive => self.frame(bare(header::ALIVE), &[]),
            Message::Accepted => self.frame(bare(header::ACCEPTED), &[]),
            Message::InitialLoaded(object, generation) => {
                self.frame(Fields { object: object.0, generation, ..bare(header::INITIAL_LOADED) }, &[])
            }
            Message::Ack(object, offset) => self.frame(Fields { object: object.0, offset, ..bare(header::ACK) }, &[]),
            Message::Loaded => self.frame(bare(header::LOADED), &[]),
            Message::Running => self.frame(bare(header::RUNNING), &[]),
            Message::Refused(ref why) => self.text(Text::Refused, why),
            Message::Failed(ref why) => self.text(Text::Failed, why),
        }
    }

    /// How many bytes of the stream there are so far, payloads included.
    pub const fn written(&self) -> u64 {
        self.written
    }

    fn text(&mut self, text: Text, words: &str) -> Vec<u8> {
        let words = match text {
            Text::Event | Text::Report if words.len() > text.limit() => return Vec::new(),
            _ => cut(words, text.limit()),
        };
        let chunk = usize::try_from(self.chunk).expect("a chunk is at most 64 MiB");
        let mut rest = words.as_bytes();
        let mut frames = Vec::with_capacity(rest.len() + HEADER_LEN * (rest.len() / chunk + 1));
        loop {
            let (part, after) = rest.split_at(rest.len().min(chunk));
            let flags = if after.is_empty() { 0 } else { header::MORE };
            frames.extend(self.frame(Fields { flags, ..Fields::bare(text.kind()) }, part));
            rest = after;
            if rest.is_empty() {
                return frames;
            }
        }
    }

    fn frame(&mut self, fields: Fields, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(body.len()).expect("a body is cut to the chunk");
        let mut frame = self.seal(Fields { len, crc: payload_crc(body), ..fields }).to_vec();
        frame.extend_from_slice(body);
        frame
    }

    fn seal(&mut self, fields: Fields) -> [u8; HEADER_LEN] {
        let fields = Fields { sequence: self.sequence, ..fields };
        // The very check that a reader makes, so that nothing is sent that would be refused.
        let frame = kept(fields.parse(self.written, self.direction, self.mode, self.chunk));
        kept(frame.check_object(self.written, self.objects));
        kept(self.ledger.may_go_on(self.written, "a frame"));
        self.sequence += 1;
        self.written += HEADER_LEN as u64 + u64::from(fields.len);
        fields.seal(self.seed)
    }
}

/// A session that breaks the format is a bug of ours, whatever came from outside.
fn kept<T>(rule: Result<T, StreamError>) -> T {
    match rule {
        Ok(kept) => kept,
        Err(broken) => panic!("a session keeps to the format: {broken}"),
    }
}

/// The longest beginning of a text that fits, without half a character.
fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.expect("0 is a boundary")]
}
