//! The references: what a program does that just moves bytes. One buffer; read the device into it, write it to the socket;
//! at the other end the reverse.

use std::io::{self, Read, Write};

use crate::device::Ring;

/// Sends `size` bytes, and waits for the other end to say that it has them all.
pub(crate) fn send(
    socket: &mut (impl Read + Write),
    source: &[u8],
    size: u64,
    chunk: usize,
    sums: bool,
) -> io::Result<()> {
    let (mut one, mut ring, mut sum, mut left) = (vec![0; chunk], Ring::default(), 0, size);
    while left > 0 {
        let len = chunk.min(usize::try_from(left).unwrap_or(usize::MAX));
        one[..len].copy_from_slice(&source[ring.next(len)]);
        if sums {
            sum = crc32c::crc32c_append(sum, &one[..len]);
        }
        socket.write_all(&one[..len])?;
        left -= len as u64;
    }
    let mut theirs = [0; 4];
    socket.read_exact(&mut theirs)?;
    if u32::from_le_bytes(theirs) == sum { Ok(()) } else { Err(io::Error::other("the checksums differ")) }
}

/// Takes `size` bytes, and says so.
pub(crate) fn receive(
    socket: &mut (impl Read + Write),
    sink: &mut [u8],
    size: u64,
    chunk: usize,
    sums: bool,
) -> io::Result<()> {
    let (mut one, mut ring, mut sum, mut left) = (vec![0; chunk], Ring::default(), 0, size);
    while left > 0 {
        let len = chunk.min(usize::try_from(left).unwrap_or(usize::MAX));
        socket.read_exact(&mut one[..len])?;
        if sums {
            sum = crc32c::crc32c_append(sum, &one[..len]);
        }
        sink[ring.next(len)].copy_from_slice(&one[..len]);
        left -= len as u64;
    }
    socket.write_all(&u32::to_le_bytes(sum))
}
