//! The stream format. Its promise beyond "no panic": what a reader takes, a writer would have written, byte for byte.

use vfio_migration_protocol::Estimate;
use vfio_migration_protocol::session::{Message, Mode, ObjectDescription, ObjectKind, Offer};
use vfio_migration_protocol::stream::{BackKey, Decoder, Encoder, HEADER_LEN, PREAMBLE_LEN, Preamble, payload_crc};

use crate::seal;

/// Reads the bytes as a stream.
pub fn stream(data: &[u8]) {
    let Some((preamble, rest)) = data.split_first_chunk::<PREAMBLE_LEN>() else { return };
    let Ok(preamble) = Preamble::parse(preamble) else { return };
    let Some((table, rest)) = rest.split_at_checked(preamble.table_len()) else { return };
    let Ok(opened) = preamble.open(table) else { return };
    let (encoder, head) = Encoder::forward(&opened.offer).expect("what was read can be written");
    assert_eq!(head, data[..data.len() - rest.len()], "the head is written in one way only");
    assert_eq!(opened.back, encoder.back_key());
    frames(opened.decoder, encoder, rest);
}

/// Reads the bytes as a stream, after making all checksums and numbers right.
pub fn sealed(data: &[u8]) {
    let mut bytes = data.to_vec();
    seal::stream(&mut bytes);
    stream(&bytes);
}

/// Reads the bytes as a table of objects, passports among them.
pub fn table(data: &[u8]) {
    let (_, mut bytes) = Encoder::forward(&offer(Mode::OneWay)).expect("a sound offer");
    bytes.truncate(PREAMBLE_LEN);
    bytes.extend_from_slice(data);
    bytes.extend([0; 4]);
    let Ok(len) = u32::try_from(data.len() + 4) else { return };
    bytes[40..44].copy_from_slice(&len.to_le_bytes());
    sealed(&bytes);
}

/// Reads the bytes as messages back: as they are, and after making all checksums and numbers right.
pub fn back(data: &[u8]) {
    let (key, seed) = back_key();
    frames(Decoder::back(key), Encoder::back(key), data);
    let mut bytes = data.to_vec();
    seal::frames(&mut bytes, seed);
    frames(Decoder::back(key), Encoder::back(key), &bytes);
}

/// The key of the corpus for `back`, and the seed of its headers.
fn back_key() -> (BackKey, u32) {
    let (encoder, head) = Encoder::forward(&offer(Mode::Connected)).expect("a sound offer");
    (encoder.back_key().expect("connected"), seal::seed(&head) ^ 0x4b43_4142)
}

fn offer(mode: Mode) -> Offer {
    let ram = |id: &str| ObjectDescription {
        id: id.into(),
        kind: ObjectKind::Memory { iova: 0 },
        size: Estimate::Known(4096),
    };
    Offer { session: [0; 16], mode, chunk: 4096, objects: vec![ram("a"), ram("b")] }
}

fn frames(mut decoder: Decoder, mut encoder: Encoder, mut rest: &[u8]) {
    // What was read and not written again yet: a text in several frames, of which only the last gives a message.
    let mut read = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<HEADER_LEN>() {
        let Ok(header) = decoder.header(head) else { break };
        let Some((payload, after)) = after.split_at_checked(header.len()) else { return };
        let at = decoder.at();
        let Ok(message) = decoder.payload(header, payload) else { break };
        assert_eq!(decoder.at() - at, (HEADER_LEN + payload.len()) as u64);
        let kind = u16::from_le_bytes([head[0], head[1]]);
        if kind & 0x8000 == 0 && !matches!(kind, 1 | 2) {
            assert_eq!(message, None, "an unknown frame says nothing");
            // A writer of this version has no such frame: its numbers are one behind from here on.
            return;
        }
        read.extend_from_slice(head);
        read.extend_from_slice(payload);
        match message {
            Some(Message::Data { object, offset, len, segment_end, initial_end }) => {
                let header = encoder.data(object, offset, len, segment_end, initial_end, payload_crc(payload));
                assert_eq!([&header[..], payload].concat(), read);
                read.clear();
            }
            Some(message) => {
                assert_eq!(encoder.message(&message), read, "{message:?} is written in one way only");
                read.clear();
            }
            None => assert!(decoder.finish().is_err(), "a text is not over before its last part"),
        }
        rest = after;
    }
    if decoder.header(&[0; HEADER_LEN]).is_err() {
        assert!(decoder.finish().is_err(), "what was refused stays refused");
    }
}
