//! The thread that receives: it reads frames, verifies them, and tells the machine. A chunk is read straight into the
//! buffer from which its device will take it.

use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use vfio_migration_protocol::session::{Fault, Input, Message, Mode, Offer};
use vfio_migration_protocol::stream::{BackKey, Decoder, HEADER_LEN, Opened, PREAMBLE_LEN, Preamble, StreamError};

use super::caught::caught;
use super::core::Core;
use super::outbox::{Outbox, Parcel};
use super::pool::Pool;
use crate::transport::{FrameSource, Inlet};

/// Why nothing more is received.
enum End {
    /// The stream is not what it should be.
    Corrupt(Fault, String),
    /// The other end closed, or the connection failed.
    Closed(String),
    /// The session wants nothing more.
    Enough,
}

impl From<StreamError> for End {
    fn from(error: StreamError) -> Self {
        Self::Corrupt(error.fault(), error.to_string())
    }
}

/// Save: the destination's messages.
pub(super) struct Answers {
    pub(super) core: Arc<Core>,
    pub(super) inlet: Inlet,
    /// What they are framed with, once the stream was opened.
    pub(super) key: Receiver<BackKey>,
}

impl Answers {
    pub(super) fn run(self) {
        let Self { core, inlet, key } = self;
        match inlet {
            Inlet::Frames(mut source) => {
                let end = caught(|| receive_answers(&core, source.as_mut()));
                finish(&core, end, || ());
            }
            Inlet::Bytes(reader) => {
                // Acknowledgements are small and come close together.
                let mut reader = BufReader::with_capacity(16 << 10, reader);
                let Ok(key) = key.recv() else { return };
                let end = caught(|| read_answers(&core, &mut reader, Decoder::back(key)));
                finish(&core, end, || drain(&mut reader));
            }
        }
    }
}

/// Restore: the source's stream.
pub(super) struct Stream {
    pub(super) core: Arc<Core>,
    pub(super) pool: Arc<Pool>,
    pub(super) inlet: Inlet,
    /// Whether messages can go back.
    pub(super) can_answer: bool,
    pub(super) largest_chunk: u32,
    /// What sends them must know how they are framed.
    pub(super) outbox: Arc<Outbox>,
}

impl Stream {
    pub(super) fn run(mut self) {
        match std::mem::replace(&mut self.inlet, Inlet::Bytes(Box::new(io::empty()))) {
            Inlet::Frames(mut source) => {
                let end = caught(|| self.receive(source.as_mut()));
                finish(&self.core, end, || {
                    if self.can_answer {
                        drain_frames(source.as_mut(), self.largest_chunk);
                    }
                });
            }
            Inlet::Bytes(mut reader) => {
                let end = caught(|| self.read(&mut reader));
                finish(&self.core, end, || {
                    if self.can_answer {
                        drain(&mut reader);
                    }
                });
            }
        }
    }

    fn read(&self, reader: &mut impl Read) -> End {
        let Opened { offer, mut decoder, back } = match read_head(reader, self.can_answer) {
            Ok(opened) => opened,
            Err(end) => return end,
        };
        if let Some(end) = self.refuse(&offer) {
            return end;
        }
        if let Some(key) = back {
            self.outbox.post(Parcel::Answer(key));
        }
        let one_way = offer.mode == Mode::OneWay;
        self.core.input(Input::Opened(offer));
        loop {
            match self.read_frame(reader, &mut decoder, one_way) {
                Ok(()) => {}
                Err(end) => return end,
            }
            if decoder.is_ended() {
                return End::Closed("the stream has ended".into());
            }
        }
    }

    fn read_frame(&self, reader: &mut impl Read, decoder: &mut Decoder, one_way: bool) -> Result<(), End> {
        let cut = |decoder: &Decoder, Cut { got, error }: Cut| match error {
            Some(error) => End::Closed(format!("cannot read from the source: {error}")),
            None if got == 0 && decoder.finish().is_ok() => End::Closed("the source closed the connection".into()),
            None if got == 0 => decoder.finish().map_or_else(End::from, |()| End::Enough),
            None if one_way => decoder.cut_short(got).into(),
            None => End::Closed(format!("the source closed the connection: {}", decoder.cut_short(got))),
        };
        let mut head = [0; HEADER_LEN];
        read_all(reader, &mut head).map_err(|error| cut(decoder, error))?;
        let header = decoder.header(&head)?;
        if header.data().is_none() || header.is_empty() {
            let mut payload = vec![0; header.len()];
            read_all(reader, &mut payload)
                .map_err(|Cut { got, error }| cut(decoder, Cut { got: HEADER_LEN + got, error }))?;
            if let Some(message) = decoder.payload(header, &payload)? {
                self.core.input(Input::Received(message, None));
            }
            return Ok(());
        }
        let chunk = self.pool.take().ok_or(End::Enough)?;
        let mut slot = self.pool.slot(chunk);
        let room = slot.room(header.len());
        let message = read_all(reader, room)
            .map_err(|Cut { got, error }| cut(decoder, Cut { got: HEADER_LEN + got, error }))
            .and_then(|()| Ok(decoder.payload(header, room)?));
        drop(slot);
        match message {
            Ok(Some(message)) => self.core.input(Input::Received(message, Some(chunk))),
            Ok(None) => self.pool.give(chunk),
            Err(end) => {
                self.pool.give(chunk);
                return Err(end);
            }
        }
        Ok(())
    }

    fn receive(&self, source: &mut dyn FrameSource) -> End {
        let failed = |error: io::Error| End::Closed(format!("cannot receive from the source: {error}"));
        let offer = match source.open() {
            Ok(offer) => offer,
            Err(error) => return failed(error),
        };
        if let Some(end) = self.refuse(&offer) {
            return end;
        }
        let largest = usize::try_from(offer.chunk).expect("a chunk fits into memory");
        self.core.input(Input::Opened(offer));
        loop {
            let Some(chunk) = self.pool.take() else { return End::Enough };
            let received = source.receive(self.pool.slot(chunk).room(largest));
            let end = match received {
                Ok(Some(message)) => match message {
                    Message::Data { len, .. } if usize::try_from(len).is_ok_and(|len| len > largest) => {
                        End::Corrupt(Fault::Peer, format!("a chunk of {len} bytes where {largest} were agreed on"))
                    }
                    Message::Data { len: 1.., .. } => {
                        self.core.input(Input::Received(message, Some(chunk)));
                        continue;
                    }
                    message => {
                        self.pool.give(chunk);
                        let last = matches!(message, Message::End { .. });
                        self.core.input(Input::Received(message, None));
                        if last {
                            return End::Closed("the stream has ended".into());
                        }
                        continue;
                    }
                },
                Ok(None) => End::Closed("the source closed the stream".into()),
                Err(error) => failed(error),
            };
            self.pool.give(chunk);
            return end;
        }
    }

    /// What this end cannot do, whatever the machine makes of the offer.
    fn refuse(&self, offer: &Offer) -> Option<End> {
        if offer.mode == Mode::Connected && !self.can_answer {
            let why = "the source waits for answers, which this transport cannot carry back";
            return Some(End::Corrupt(Fault::Incompatible, why.into()));
        }
        if offer.chunk > self.largest_chunk {
            let why = format!("chunks of {} bytes, and at most {} are taken here", offer.chunk, self.largest_chunk);
            return Some(End::Corrupt(Fault::Incompatible, why));
        }
        None
    }
}

fn read_head(reader: &mut impl Read, is_connection: bool) -> Result<Opened, End> {
    let cut = |before: usize, Cut { got, error }: Cut| match error {
        Some(error) => End::Closed(format!("cannot read from the source: {error}")),
        None if is_connection && before + got == 0 => {
            End::Closed("the source closed the connection before it had said anything".into())
        }
        None => Preamble::cut_short((before + got) as u64).into(),
    };
    let mut head = [0; PREAMBLE_LEN];
    read_all(reader, &mut head).map_err(|error| cut(0, error))?;
    let preamble = Preamble::parse(&head)?;
    let mut table = vec![0; preamble.table_len()];
    read_all(reader, &mut table).map_err(|error| cut(PREAMBLE_LEN, error))?;
    Ok(preamble.open(&table)?)
}

fn read_answers(core: &Core, reader: &mut impl Read, mut decoder: Decoder) -> End {
    let cut = |decoder: &Decoder, Cut { got, error }: Cut| match error {
        Some(error) => End::Closed(format!("cannot read from the destination: {error}")),
        None if got == 0 => End::Closed("the destination closed the connection".into()),
        None => End::Closed(format!("the destination closed the connection: {}", decoder.cut_short(got))),
    };
    loop {
        let mut head = [0; HEADER_LEN];
        if let Err(error) = read_all(reader, &mut head) {
            return cut(&decoder, error);
        }
        let header = match decoder.header(&head) {
            Ok(header) => header,
            Err(error) => return error.into(),
        };
        let mut payload = vec![0; header.len()];
        if let Err(Cut { got, error }) = read_all(reader, &mut payload) {
            return cut(&decoder, Cut { got: HEADER_LEN + got, error });
        }
        match decoder.payload(header, &payload) {
            Ok(Some(message)) => core.input(Input::Received(message, None)),
            Ok(None) => {}
            Err(error) => return error.into(),
        }
    }
}

fn receive_answers(core: &Core, source: &mut dyn FrameSource) -> End {
    loop {
        match source.receive(&mut []) {
            Ok(Some(Message::Data { .. })) => {
                return End::Corrupt(Fault::Peer, "the destination sent data, which goes the other way".into());
            }
            Ok(Some(message)) => core.input(Input::Received(message, None)),
            Ok(None) => return End::Closed("the destination closed the stream".into()),
            Err(error) => return End::Closed(format!("cannot receive from the destination: {error}")),
        }
    }
}

/// Tells the machine why nothing more comes. What the other end still sends is thrown away, so that it can send all it has
/// and read what is sent to it: the connection ends when both have closed it.
fn finish(core: &Core, end: Result<End, String>, drain: impl FnOnce()) {
    let drain = || drop(caught(drain));
    match end.unwrap_or_else(|words| End::Closed(format!("the stream panicked: {words}"))) {
        End::Closed(why) => core.input(Input::Disconnected(core.why_sending_failed_or(why))),
        End::Corrupt(fault, why) => {
            core.input(Input::Corrupt(fault, why));
            drain();
            core.input(Input::Disconnected(core.why_sending_failed_or("the connection has ended".into())));
        }
        End::Enough => {
            drain();
            core.input(Input::Disconnected(core.why_sending_failed_or("the connection has ended".into())));
        }
    }
}

fn drain(reader: &mut impl Read) {
    let mut scratch = vec![0; 64 << 10];
    while !matches!(read_some(reader, &mut scratch), Ok(0) | Err(_)) {}
}

fn drain_frames(source: &mut dyn FrameSource, largest: u32) {
    let mut scratch = vec![0; usize::try_from(largest).expect("a chunk fits into memory")];
    while matches!(source.receive(&mut scratch), Ok(Some(_))) {}
}

/// A read that ended early.
struct Cut {
    /// How many bytes came.
    got: usize,
    /// Why no more did; `None` at the end of the input.
    error: Option<io::Error>,
}

fn read_all(reader: &mut impl Read, into: &mut [u8]) -> Result<(), Cut> {
    let mut got = 0;
    while got < into.len() {
        match read_some(reader, &mut into[got..]) {
            Ok(0) => return Err(Cut { got, error: None }),
            Ok(read) => got += read,
            Err(error) => return Err(Cut { got, error: Some(error) }),
        }
    }
    Ok(())
}

fn read_some(reader: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(read) if read > into.len() => {
                return Err(io::Error::other("the reader claims to have read more than it was given room for"));
            }
            answer => return answer,
        }
    }
}
