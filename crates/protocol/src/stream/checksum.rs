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

/// The sum of two stretches of bytes, one after the other, of which only their sums are known, and how long the second is:
/// the first sum is moved by that many zero bytes, which is a product of polynomials.
pub(super) fn crc32c_combine(first: u32, second: u32, mut len: u64) -> u32 {
    let mut moved = first;
    for power in POWERS {
        if len == 0 {
            break;
        }
        if len & 1 == 1 {
            moved = product(moved, power);
        }
        len >>= 1;
    }
    moved ^ second
}

/// CRC32C's polynomial, bits reflected: the highest bit is that of x^0.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// x to the power of 8, 16, 32 and so on: what a power of two of zero bytes does to a sum.
const POWERS: [u32; 64] = {
    let mut powers = [0x0080_0000; 64];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = product(powers[at - 1], powers[at - 1]);
        at += 1;
    }
    powers
};

/// The product of two polynomials, modulo that of CRC32C.
const fn product(one: u32, mut other: u32) -> u32 {
    let (mut sum, mut bit) = (0, 1 << 31);
    while bit != 0 {
        if one & bit != 0 {
            sum ^= other;
        }
        other = if other & 1 == 1 { (other >> 1) ^ POLYNOMIAL } else { other >> 1 };
        bit >>= 1;
    }
    sum
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
            assert_eq!(crc32c_combine(crc32c(head), crc32c(tail), tail.len() as u64), crc32c::crc32c(whole));
        }
    }

    #[test]
    fn combines_with_more_bytes_than_there_are() {
        // 2^40 zero bytes in halves, in quarters, and so on: however they are cut, they have one sum.
        let zeros = |power: u32| (0..power).fold(crc32c(&[0]), |sum, at| crc32c_combine(sum, sum, 1 << at));
        let quarter = zeros(38);
        let half = crc32c_combine(quarter, quarter, 1 << 38);
        let three = crc32c_combine(half, quarter, 1 << 38);
        assert_eq!(crc32c_combine(three, quarter, 1 << 38), zeros(40));
        assert_eq!(zeros(12), crc32c::crc32c(&[0; 1 << 12]));
        assert_eq!(crc32c_combine(7, 0, 0), 7);
    }
}
