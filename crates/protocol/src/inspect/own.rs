//! Streams of this project: docs/stream-format.md.

use core::fmt::Write as _;

use super::{Content, Damage, Ending, ObjectOutline, Out, PassportLine, Payload, Read, Step};
use crate::Protocol;
use crate::session::{Message, Mode, Object, ObjectDescription, ObjectKind, Offer};
use crate::stream::{Decoder, HEADER_LEN, Header, PREAMBLE_LEN, Preamble, payload_crc, payload_crc_append};

/// A restore's way of reading, but for the bytes of objects, which pass by.
#[derive(Default)]
pub(super) struct Reader {
    state: State,
    /// How much of the head has come, for what to say if it ends there.
    head: u64,
}

#[derive(Default)]
enum State {
    #[default]
    Preamble,
    Table(Preamble),
    Header(Box<Decoder>),
    /// Of a frame whose payload is collected first.
    Payload(Box<Decoder>, Header),
    /// Of a frame whose payload passes by: so much of it is left, and this is the checksum so far.
    Passing(Box<Decoder>, Header, usize, u32),
    /// Something was refused.
    Over,
}

impl Read for Reader {
    fn least(&self) -> usize {
        match &self.state {
            State::Preamble => PREAMBLE_LEN,
            State::Table(preamble) => preamble.table_len(),
            State::Header(_) => HEADER_LEN,
            State::Payload(_, header) => header.len(),
            State::Passing(..) | State::Over => 1,
        }
    }

    fn read(&mut self, bytes: &[u8], last: bool, out: &mut Out<'_>) -> Result<Step, Damage> {
        if last && bytes.len() < self.least() {
            return Ok(Step::More);
        }
        let (used, next) = match core::mem::replace(&mut self.state, State::Over) {
            State::Preamble => {
                let head = bytes.first_chunk().expect("it asked for as many");
                let preamble = Preamble::parse(head)?;
                out.part(PREAMBLE_LEN as u64, None, None, Content::Preamble);
                self.head = PREAMBLE_LEN as u64;
                (PREAMBLE_LEN, State::Table(preamble))
            }
            State::Table(preamble) => {
                let len = preamble.table_len();
                let opened = preamble.open(&bytes[..len])?;
                describe(&opened.offer, out);
                out.part(len as u64, None, None, Content::Table);
                (len, State::Header(Box::new(opened.decoder)))
            }
            State::Header(mut decoder) => {
                let head = bytes.first_chunk().expect("it asked for as many");
                let header = decoder.header(head)?;
                (
                    HEADER_LEN,
                    if header.is_empty() {
                        frame(&mut decoder, header, &[], out)?;
                        State::Header(decoder)
                    } else if header.is_opaque() {
                        let left = header.len();
                        State::Passing(decoder, header, left, 0)
                    } else {
                        State::Payload(decoder, header)
                    },
                )
            }
            State::Payload(mut decoder, header) => {
                let payload = &bytes[..header.len()];
                frame(&mut decoder, header, payload, out)?;
                (payload.len(), State::Header(decoder))
            }
            State::Passing(mut decoder, header, left, crc) => {
                let here = &bytes[..left.min(bytes.len())];
                let (left, crc) = (left - here.len(), payload_crc_append(crc, here));
                if let Some(object) = header.data().map(index).filter(|object| is_device(out, *object)) {
                    out.device_data(object, here);
                }
                if left > 0 {
                    (here.len(), State::Passing(decoder, header, left, crc))
                } else {
                    let message = decoder.passed(header, crc)?;
                    say(header, message, out);
                    (here.len(), State::Header(decoder))
                }
            }
            State::Over => (bytes.len(), State::Over),
        };
        self.state = next;
        Ok(Step::Used(used))
    }

    fn end(&mut self, left: usize, out: &mut Out<'_>) -> Result<(), Damage> {
        let error = match &self.state {
            State::Preamble | State::Table(_) => Preamble::cut_short(self.head + left as u64),
            State::Header(decoder) if left == 0 => match decoder.finish() {
                Ok(()) => {
                    if out.outline().ending.is_none() {
                        out.note("the source of a connected stream was heard no more: who has the guest is not known");
                    }
                    return Ok(());
                }
                Err(error) => error,
            },
            State::Header(decoder) => decoder.cut_short(left),
            State::Payload(decoder, _) => decoder.cut_short(HEADER_LEN + left),
            State::Passing(decoder, header, missing, _) => decoder.cut_short(HEADER_LEN + header.len() - missing),
            State::Over => return Ok(()),
        };
        Err(error.into())
    }
}

fn index(object: Object) -> usize {
    usize::try_from(object.0).unwrap_or(usize::MAX)
}

fn is_device(out: &mut Out<'_>, object: usize) -> bool {
    out.outline().objects.get(object).is_some_and(|object| object.kind == "device")
}

fn describe(offer: &Offer, out: &mut Out<'_>) {
    let outline = out.outline();
    outline.session = Some(offer.session.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    }));
    outline.mode = Some(match offer.mode {
        Mode::OneWay => "one-way",
        Mode::Connected => "connected",
    });
    outline.largest_frame = Some(offer.chunk);
    for ObjectDescription { id, kind, size } in &offer.objects {
        let object = ObjectOutline { id: id.clone(), size: size.known(), ..ObjectOutline::default() };
        out.object(match kind {
            ObjectKind::Device { protocol, capabilities, passport } => ObjectOutline {
                kind: "device",
                protocol: Some(match protocol {
                    Protocol::Region => "region",
                    Protocol::Fsm => "fsm",
                }),
                capabilities: Some(capabilities.to_string()),
                passport: passport.entries().iter().cloned().map(PassportLine::from).collect(),
                ..object
            },
            ObjectKind::Memory { iova } => ObjectOutline { kind: "memory", iova: Some(*iova), ..object },
        });
    }
}

impl From<crate::passport::Entry> for PassportLine {
    fn from(entry: crate::passport::Entry) -> Self {
        let crate::passport::Entry { key, value, needed } = entry;
        Self { key, value, needed }
    }
}

/// A frame whose payload is here.
fn frame(decoder: &mut Decoder, header: Header, payload: &[u8], out: &mut Out<'_>) -> Result<(), Damage> {
    let message = decoder.payload_with_crc(header, payload, payload_crc(payload))?;
    say(header, message, out);
    Ok(())
}

/// A frame that has happened.
fn say(header: Header, message: Option<Message>, out: &mut Out<'_>) {
    let (number, len) = (header.number(), (HEADER_LEN + header.len()) as u64);
    let payload = Payload {
        at: out.at().saturating_add(HEADER_LEN as u64),
        len: header.len() as u64,
        checksum: header.payload_crc(),
    };
    let payload = (!header.is_empty()).then_some(payload);
    let mut about = None;
    let content = match message {
        Some(Message::Data { object, offset, len, segment_end, initial_end }) => {
            about = Some(index(object));
            if is_device(out, index(object)) {
                out.device_sum(index(object), u64::from(len), header.payload_crc());
            }
            if let Some(object) = out.outline().objects.get_mut(index(object)) {
                object.frames += 1;
                object.bytes = object.bytes.saturating_add(u64::from(len));
                object.segments += u64::from(segment_end);
                object.initial_ends += u64::from(initial_end.is_some());
            }
            Content::Data { number, offset, segment_end, initial_end }
        }
        Some(Message::ObjectEnd(object)) => {
            about = Some(index(object));
            if let Some(object) = out.outline().objects.get_mut(index(object)) {
                object.complete = true;
            }
            Content::ObjectEnd { number }
        }
        Some(Message::End { goes_on }) => {
            out.outline().ending = Some(if goes_on { Ending::GoesOn } else { Ending::Stopped });
            Content::End { number, goes_on }
        }
        Some(Message::Cancelled(text)) => {
            out.outline().ending = Some(Ending::Cancelled);
            Content::Text { number, name: "cancelled", text }
        }
        Some(Message::Event(text)) => Content::Text { number, name: "event", text },
        Some(Message::Report(text)) => Content::Text { number, name: "report", text },
        Some(message) => {
            if message == Message::GivenUp {
                out.outline().ending = Some(Ending::GivenUp);
            }
            Content::Message { number, name: message.name() }
        }
        None if header.is_opaque() => Content::Skipped { number, kind: header.kind() },
        None => Content::TextPart { number },
    };
    out.part(len, about, payload, content);
}
