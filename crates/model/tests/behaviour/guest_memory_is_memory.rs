//! Guest memory against a plain array.

use vfio_migration_model::{GuestMemory, GuestMemoryError};
use vfio_migration_protocol::{Errno, IovaRange, Memory};

#[test]
fn any_bytes_at_any_place() {
    let mut memory = GuestMemory::new(0, 8192).unwrap();
    let mut plain = vec![0_u8; 8192];
    let mut byte = 0_u8;
    for offset in (0..30).chain(4080..4110).chain(8160..8192) {
        for len in (0..20).filter(|len| offset + len <= 8192) {
            let from: Vec<u8> = std::iter::repeat_with(|| {
                byte = byte.wrapping_mul(5).wrapping_add(7);
                byte
            })
            .take(len)
            .collect();
            plain[offset..offset + len].copy_from_slice(&from);
            memory.write(offset as u64, &from).unwrap();
            let mut back = vec![0; len];
            memory.read(offset as u64, &mut back).unwrap();
            assert_eq!(back, from, "{offset}+{len}");
        }
        let mut whole = vec![0; 8192];
        memory.read(0, &mut whole).unwrap();
        assert!(whole == plain, "a write at {offset} changed its neighbours");
    }
}

#[test]
fn outside_is_a_fault() {
    let memory = GuestMemory::new(0x1000, 4096).unwrap();
    for (offset, len) in [(4096, 1), (4095, 2), (u64::MAX, 1), (u64::MAX - 3, 8), (0, 4097)] {
        assert_eq!(memory.load(offset, &mut vec![0; len]).unwrap_err().errno, Errno::EFAULT);
        assert_eq!(memory.store(offset, &vec![0; len]).unwrap_err().errno, Errno::EFAULT);
    }
    assert_eq!(memory.load(4096, &mut []), Ok(()));
}

#[test]
fn a_part_is_the_same_memory() {
    let memory = GuestMemory::new(0x10_0000, 16 << 10).unwrap();
    let part = memory.part(4096, 8192).unwrap();
    assert_eq!(part.range(), IovaRange { iova: 0x10_1000, length: 8192 });
    part.store(8191, &[9]).unwrap();
    assert!(part.store(8192, &[9]).is_err(), "beyond the part, within the memory");
    let mut byte = [0];
    memory.load(4096 + 8191, &mut byte).unwrap();
    assert_eq!(byte, [9]);
    assert_eq!(
        memory.part(4096, 16 << 10).unwrap_err().to_string(),
        "guest memory of 0x4000 bytes at 0x101000 ends beyond the last address"
    );
}

#[test]
fn digests_name_the_pages_that_differ() {
    let (one, other) = (GuestMemory::new(0, 64 << 10).unwrap(), GuestMemory::new(0, 64 << 10).unwrap());
    assert_eq!(one.pages_unlike(&other.page_digests()), [] as [u64; 0]);
    for bit in 0..4096 * 8 {
        let (offset, flip) = (5 * 4096 + bit / 8, 1 << (bit % 8));
        one.store(offset, &[flip]).unwrap();
        assert_eq!(one.pages_unlike(&other.page_digests()), [5], "bit {bit}");
        one.store(offset, &[0]).unwrap();
    }
    let short = GuestMemory::new(0, 56 << 10).unwrap();
    assert_eq!(one.pages_unlike(&short.page_digests()), [14, 15]);
    assert_eq!(short.pages_unlike(&one.page_digests()), [14, 15]);
    assert_eq!(short.differing_pages(&one), [14, 15]);
}

#[test]
fn what_cannot_be_is_refused() {
    let error = |iova, length| GuestMemory::new(iova, length).unwrap_err();
    assert!(matches!(error(0, 0), GuestMemoryError::Unaligned(_)));
    assert!(matches!(error(1, 4096), GuestMemoryError::Unaligned(_)));
    assert!(matches!(error(0, 4095), GuestMemoryError::Unaligned(_)));
    assert!(matches!(error(1 << 63, 1 << 63), GuestMemoryError::OutOfRange(_)));
    assert!(matches!(error(0, 1 << 62), GuestMemoryError::TooLarge(_)));
}
