use vfio_migration_protocol::session::{Message, Offer};
use vfio_migration_protocol::stream::{Decoder, Encoder, HEADER_LEN, PREAMBLE_LEN, Preamble, payload_crc};

/// One end's way of turning messages into bytes and back, so that a simulated migration passes through the format too.
#[derive(Debug, Default)]
pub(crate) struct Codec {
    encoder: Option<Encoder>,
    decoder: Option<Decoder>,
}

impl Codec {
    /// Whether the head has been written or read.
    pub(crate) const fn is_open(&self) -> bool {
        self.decoder.is_some()
    }

    /// Source: the head of the stream.
    pub(crate) fn open(&mut self, offer: &Offer) -> Result<Vec<u8>, String> {
        let (encoder, head) = Encoder::forward(offer).map_err(|error| error.to_string())?;
        self.decoder = encoder.back_key().map(Decoder::back);
        self.encoder = Some(encoder);
        Ok(head)
    }

    /// Destination: reads the head of the stream.
    pub(crate) fn opened(&mut self, bytes: &[u8]) -> Result<Offer, String> {
        let (head, table) = bytes.split_first_chunk::<PREAMBLE_LEN>().ok_or("the head is cut short")?;
        let opened =
            Preamble::parse(head).and_then(|preamble| preamble.open(table)).map_err(|error| error.to_string())?;
        self.decoder = Some(opened.decoder);
        self.encoder = opened.back.map(Encoder::back);
        Ok(opened.offer)
    }

    /// The frames of a message, with its payload.
    pub(crate) fn encode(&mut self, message: &Message, payload: &[u8]) -> Result<Vec<u8>, String> {
        let encoder = self.encoder.as_mut().ok_or("there is no stream to write to yet")?;
        match *message {
            Message::Data { object, offset, len, segment_end, initial_end } if len > 0 => {
                let header = encoder.data(object, offset, len, segment_end, initial_end, payload_crc(payload));
                Ok([&header, payload].concat())
            }
            _ => Ok(encoder.message(message)),
        }
    }

    /// What frames say.
    pub(crate) fn decode(&mut self, mut bytes: &[u8]) -> Result<Vec<(Message, Vec<u8>)>, String> {
        let decoder = self.decoder.as_mut().ok_or("the head of the stream did not come")?;
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let cut = || "a frame is cut short".to_owned();
            let (head, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or_else(cut)?;
            let header = decoder.header(head).map_err(|error| error.to_string())?;
            let (payload, rest) = rest.split_at_checked(header.len()).ok_or_else(cut)?;
            let is_data = header.data().is_some();
            let message = decoder.payload(header, payload).map_err(|error| error.to_string())?;
            messages.extend(message.map(|message| (message, if is_data { payload.to_vec() } else { Vec::new() })));
            bytes = rest;
        }
        Ok(messages)
    }
}
