//! Makes the checksums of any bytes right, so that what lies behind them is reached. Written from
//! docs/stream-format.md.

const HEADER: usize = 64;

/// The seed of headers, forward, of a stream with this head.
pub(crate) fn seed(head: &[u8]) -> u32 {
    let (preamble, table) = head.split_at(HEADER);
    crc32c::crc32c_append(crc32c::crc32c(&preamble[..60]), &table[..table.len().saturating_sub(4)])
}

/// A stream from its preamble on, as far as it goes.
pub(crate) fn stream(bytes: &mut [u8]) {
    if bytes.len() < HEADER {
        return;
    }
    let sum = crc32c::crc32c(&bytes[..60]);
    put(bytes, 60, sum);
    let Some(end) = (HEADER + 4..=bytes.len()).find(|end| (end - HEADER) as u64 == u64::from(word(bytes, 40))) else {
        return;
    };
    let seed = seed(&bytes[..end]);
    put(bytes, end - 4, seed);
    frames(&mut bytes[end..], seed);
}

/// Frames, as far as they go: numbers, payload checks, checksums.
pub(crate) fn frames(mut bytes: &mut [u8], seed: u32) {
    let mut sequence = 0_u64;
    while bytes.len() >= HEADER {
        let (header, rest) = bytes.split_at_mut(HEADER);
        let len = usize::try_from(word(header, 4)).unwrap_or(usize::MAX).min(rest.len());
        header[8..16].copy_from_slice(&sequence.to_le_bytes());
        put(header, 44, crc32c::crc32c(&rest[..len]));
        let sum = crc32c::crc32c_append(seed, &header[..60]);
        put(header, 60, sum);
        bytes = &mut rest[len..];
        sequence += 1;
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn put(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
}
