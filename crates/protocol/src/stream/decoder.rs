use super::header::{Fields, Frame, Text};
use super::ledger::{Entry, Ledger};
use super::{BackKey, Direction, HEADER_LEN, Part, StreamError, Totals, payload_crc};
use crate::session::{Message, Mode, Object, Offer};

/// Reads frames: one end of a stream, or of the messages back.
///
/// Give it each header and then its payload. Only when [`payload`](Self::payload) has said `Ok` is anything believed.
/// What it refuses, it refuses for good.
#[derive(Clone, Debug)]
pub struct Decoder {
    seed: u32,
    direction: Direction,
    mode: Mode,
    chunk: u32,
    objects: u32,
    sequence: u64,
    at: u64,
    ledger: Ledger,
    /// The parts of a text so far.
    text: Option<(Text, Vec<u8>)>,
    refused: Option<StreamError>,
}

/// A header that was verified. Its payload was not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    fields: Fields,
    frame: Frame,
}

impl Header {
    /// How many bytes of payload follow: at most the offer's `chunk`.
    pub const fn len(&self) -> usize {
        self.fields.len as usize
    }

    /// Whether no payload follows. [`Decoder::payload`] is due all the same, with no bytes.
    pub const fn is_empty(&self) -> bool {
        self.fields.len == 0
    }

    /// The object whose bytes the payload is, if it is an object's: those go into a buffer of their own.
    pub const fn data(&self) -> Option<Object> {
        match self.frame {
            Frame::Data { object, .. } => Some(object),
            _ => None,
        }
    }

    /// The number of its type, as docs/stream-format.md has them.
    pub const fn kind(&self) -> u16 {
        self.fields.kind
    }

    /// Its sequence number.
    pub const fn number(&self) -> u64 {
        self.fields.sequence
    }

    /// What the payload's CRC32C should be.
    pub const fn payload_crc(&self) -> u32 {
        self.fields.crc
    }

    /// Whether the decoder has no use for the payload itself, so that [`Decoder::passed`] may stand for it: bytes of an
    /// object, and frames of a type that is not known here.
    pub const fn is_opaque(&self) -> bool {
        matches!(self.frame, Frame::Data { .. } | Frame::Optional)
    }
}

impl Decoder {
    pub(super) fn forward(offer: &Offer, seed: u32, at: u64) -> Self {
        Self {
            seed,
            direction: Direction::Forward,
            mode: offer.mode,
            chunk: offer.chunk,
            objects: u32::try_from(offer.objects.len()).unwrap_or(u32::MAX),
            sequence: 0,
            at,
            ledger: Ledger::new(offer.mode, &offer.objects),
            text: None,
            refused: None,
        }
    }

    /// Starts the messages back.
    pub fn back(key: BackKey) -> Self {
        Self {
            seed: key.seed,
            direction: Direction::Back,
            mode: Mode::Connected,
            chunk: key.chunk,
            objects: key.objects,
            sequence: 0,
            at: 0,
            ledger: Ledger::new(Mode::Connected, &[]),
            text: None,
            refused: None,
        }
    }

    pub(super) fn back_key(&self) -> Option<BackKey> {
        (self.mode == Mode::Connected).then(|| BackKey::new(self.seed, self.chunk, self.objects))
    }

    /// Verifies a header, and that its frame may come now. [`Header::len`] bytes are due next.
    pub fn header(&mut self, bytes: &[u8; HEADER_LEN]) -> Result<Header, StreamError> {
        let header = self.still_sound().and_then(|()| self.check_header(bytes));
        header.map_err(|error| self.refuse(error))
    }

    /// Verifies the payload of the last header. With `Ok` the frame has happened: `None` is an optional frame of a type
    /// that is not known here, or a part of a text.
    pub fn payload(&mut self, header: Header, payload: &[u8]) -> Result<Option<Message>, StreamError> {
        self.payload_with_crc(header, payload, payload_crc(payload))
    }

    /// As [`payload`](Self::payload), with a [`payload_crc`] that was computed elsewhere.
    pub fn payload_with_crc(
        &mut self,
        header: Header,
        payload: &[u8],
        crc: u32,
    ) -> Result<Option<Message>, StreamError> {
        let message = self.still_sound().and_then(|()| self.take(header, payload, payload.len(), crc));
        message.map_err(|error| self.refuse(error))
    }

    /// As [`payload`](Self::payload) for an [opaque](Header::is_opaque) frame whose [`Header::len`] bytes went by in pieces,
    /// with the [`payload_crc`] of them all. Any other frame is refused as cut short.
    pub fn passed(&mut self, header: Header, crc: u32) -> Result<Option<Message>, StreamError> {
        let len = if header.is_opaque() { header.len() } else { 0 };
        let message = self.still_sound().and_then(|()| self.take(header, &[], len, crc));
        message.map_err(|error| self.refuse(error))
    }

    /// Says whether the input may end here, between two frames: after `end` or `cancelled` if the stream is one-way,
    /// anywhere between two messages if it is connected.
    pub fn finish(&self) -> Result<(), StreamError> {
        self.still_sound()?;
        if self.text.is_some() {
            return Err(StreamError::Truncated { at: self.at, part: Part::RestOfText });
        }
        if self.mode == Mode::OneWay && !self.ledger.is_over() {
            return Err(StreamError::Truncated { at: self.at, part: Part::End });
        }
        Ok(())
    }

    /// Whether `end` was verified: nothing of this stream comes after it.
    pub fn is_ended(&self) -> bool {
        self.ledger.is_ended()
    }

    /// What is wrong with an input that ended within a frame, `got` bytes after [`at`](Self::at).
    pub fn cut_short(&self, got: usize) -> StreamError {
        let part = if got < HEADER_LEN { Part::Header } else { Part::Payload };
        StreamError::Truncated { at: self.at.saturating_add(got as u64), part }
    }

    /// The byte of the stream at which the next frame begins.
    pub const fn at(&self) -> u64 {
        self.at
    }

    fn still_sound(&self) -> Result<(), StreamError> {
        self.refused.clone().map_or(Ok(()), Err)
    }

    fn refuse(&mut self, error: StreamError) -> StreamError {
        self.refused.get_or_insert(error).clone()
    }

    fn check_header(&self, bytes: &[u8; HEADER_LEN]) -> Result<Header, StreamError> {
        let at = self.at;
        let fields = Fields::unseal(bytes, self.seed, at)?;
        self.is_next(&fields)?;
        let frame = fields.parse(at, self.direction, self.mode, self.chunk)?;
        self.ledger.may_go_on(at, "a frame")?;
        self.check_text(&fields, frame)?;
        frame.check_object(at, self.objects)?;
        match frame {
            Frame::Data { object, offset, .. } => {
                let entry = Entry { object, offset, len: fields.len, device_flags: fields.flags != 0 };
                self.ledger.may_take(at, entry)?;
            }
            Frame::ObjectEnd(object) => self.ledger.may_end_object(at, object).map(drop)?,
            Frame::Begin => self.ledger.may_begin(at)?,
            Frame::GivenUp => self.ledger.may_give_up(at)?,
            Frame::End => self.ledger.may_end(at).map(drop)?,
            _ => {}
        }
        Ok(Header { fields, frame })
    }

    fn is_next(&self, fields: &Fields) -> Result<(), StreamError> {
        let (expected, found) = (self.sequence, fields.sequence);
        if expected == found { Ok(()) } else { Err(StreamError::Sequence { at: self.at, expected, found }) }
    }

    /// The parts of a text follow each other, all but the last of them full, and none of them empty.
    fn check_text(&self, fields: &Fields, frame: Frame) -> Result<(), StreamError> {
        let at = self.at;
        let (text, more) = match (frame, &self.text) {
            (Frame::Text(text, more), None) => (text, more),
            (Frame::Text(text, more), Some((begun, _))) if text == *begun => (text, more),
            (_, Some((begun, _))) => {
                return Err(StreamError::Order {
                    at,
                    frame: begun.name(),
                    rule: "the parts of a text follow each other",
                });
            }
            (_, None) => return Ok(()),
        };
        let so_far = self.text.as_ref().map_or(0, |(_, parts)| parts.len());
        let wrong = |expected| {
            Err(StreamError::Field {
                at,
                field: "the length of a part of a text",
                expected,
                found: u64::from(fields.len),
            })
        };
        if more && fields.len != self.chunk {
            return wrong("that of the largest frame, since more parts follow");
        }
        if so_far > 0 && fields.len == 0 {
            return wrong("1 or more, since parts came before");
        }
        let found = so_far as u64 + u64::from(fields.len);
        let limit = text.limit() as u64;
        if found > limit {
            return Err(StreamError::TooLong { at, field: text.name(), limit, found });
        }
        Ok(())
    }

    /// `len` is the payload's; the bytes may be left out where they are not looked at.
    fn take(&mut self, header: Header, payload: &[u8], len: usize, crc: u32) -> Result<Option<Message>, StreamError> {
        let Header { fields, frame } = header;
        let at = self.at;
        // A header that is not the last one cannot have the number that is due.
        self.is_next(&fields)?;
        if len != header.len() {
            return Err(self.cut_short(HEADER_LEN + len));
        }
        if crc != fields.crc {
            return Err(StreamError::Checksum {
                at: at + HEADER_LEN as u64,
                part: Part::Payload,
                expected: crc,
                found: fields.crc,
            });
        }
        let message = match frame {
            Frame::Data { object, offset, segment_end, initial_end } => {
                self.ledger.take(object, fields.len, &fields.check());
                Some(Message::Data { object, offset, len: fields.len, segment_end, initial_end })
            }
            Frame::ObjectEnd(object) => {
                let arrived = self.ledger.may_end_object(at, object)?;
                let (stated, zero) = totals(at, payload)?;
                compare(at, Some(object), arrived, stated)?;
                if zero != 0 {
                    let (field, found) = ("the reserved part of an object-end", u64::from(zero));
                    return Err(StreamError::Unknown { at, field, found });
                }
                self.ledger.end_object(object);
                Some(Message::ObjectEnd(object))
            }
            Frame::End => {
                let arrived = self.ledger.may_end(at)?;
                let (stated, then) = totals(at, payload)?;
                compare(at, None, arrived, stated)?;
                let goes_on = match then {
                    0 => false,
                    1 => true,
                    other => {
                        let (field, found) = ("what the source does after the end", u64::from(other));
                        return Err(StreamError::Unknown { at, field, found });
                    }
                };
                self.ledger.end();
                Some(Message::End { goes_on })
            }
            Frame::Begin => {
                self.ledger.begin();
                Some(Message::Begin)
            }
            Frame::GivenUp => {
                self.ledger.give_up();
                Some(Message::GivenUp)
            }
            Frame::Text(text, more) => self.take_text(text, more, payload)?,
            Frame::Withdraw => Some(Message::Withdraw),
            Frame::Alive => Some(Message::Alive),
            Frame::Accepted => Some(Message::Accepted),
            Frame::InitialLoaded(object, generation) => Some(Message::InitialLoaded(object, generation)),
            Frame::Ack(object, offset) => Some(Message::Ack(object, offset)),
            Frame::Loaded => Some(Message::Loaded),
            Frame::Running => Some(Message::Running),
            Frame::Optional => None,
        };
        self.sequence = self.sequence.saturating_add(1);
        self.at = self.at.saturating_add((HEADER_LEN + len) as u64);
        Ok(message)
    }

    fn take_text(&mut self, text: Text, more: bool, payload: &[u8]) -> Result<Option<Message>, StreamError> {
        let (_, mut bytes) = self.text.take().unwrap_or((text, Vec::new()));
        bytes.extend_from_slice(payload);
        if more {
            self.text = Some((text, bytes));
            return Ok(None);
        }
        let words = String::from_utf8(bytes);
        let words = words.map_err(|_| StreamError::NotUtf8 { at: self.at, field: text.name() })?;
        Ok(Some(match text {
            Text::Cancelled => {
                self.ledger.cancel();
                Message::Cancelled(words)
            }
            Text::Event => Message::Event(words),
            Text::Report => Message::Report(words),
            Text::Refused => Message::Refused(words),
            Text::Failed => Message::Failed(words),
        }))
    }
}

fn totals(at: u64, payload: &[u8]) -> Result<(Totals, u32), StreamError> {
    let body = payload.try_into().map_err(|_| StreamError::Truncated { at, part: Part::Payload })?;
    Ok(Totals::read(body))
}

fn compare(at: u64, object: Option<Object>, expected: Totals, found: Totals) -> Result<(), StreamError> {
    if expected == found { Ok(()) } else { Err(StreamError::Totals { at, object, expected, found }) }
}
