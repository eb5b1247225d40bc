//! CRC32C, the stream's only checksum.

use crc_fast::{CrcAlgorithm, Digest, crc32_iscsi};

pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    crc32_iscsi(bytes)
}

/// Goes on from the checksum of what came before.
pub(super) fn crc32c_append(sum: u32, bytes: &[u8]) -> u32 {
    // The crate's state is what its last step, an inversion, has not touched yet.
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!sum));
    digest.update(bytes);
    u32::try_from(digest.finalize()).expect("a sum of 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_another_implementation_at_every_length_and_cut() {
        let bytes: Vec<u8> = (0u32..3000).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for len in 0..bytes.len() {
            let whole = &bytes[len / 7..len];
            assert_eq!(crc32c(whole), crc32c::crc32c(whole));
            let (head, tail) = whole.split_at(whole.len() / 3);
            assert_eq!(crc32c_append(crc32c(head), tail), crc32c::crc32c(whole));
        }
    }
}
