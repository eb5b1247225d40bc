//! Memory for devices: what is written is read, at every alignment, and addresses that devices know are never reused.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::os::fd::AsFd;

use vfio_migration_uapi::mapping::{Access, Mapping, page_size};
use vfio_migration_uapi::{Errno, container};

#[test]
fn bytes_come_back_at_every_alignment() {
    let mut memory = Mapping::anonymous(2 * page_size()).unwrap();
    for offset in page_size() - 20..page_size() + 20 {
        for length in 0..40 {
            let bytes: Vec<u8> = (0..length).map(|i| u8::try_from((offset + i * 7) % 255 + 1).unwrap()).collect();
            memory.write(0, &vec![0; 2 * page_size()]).unwrap();
            memory.write(offset, &bytes).unwrap();
            let mut all = vec![0; 2 * page_size()];
            memory.read(0, &mut all).unwrap();
            assert_eq!(all[offset..offset + length], bytes, "{length} bytes at {offset}");
            assert_eq!(all.iter().filter(|byte| **byte != 0).count(), length, "nothing else changed");
            let mut part = vec![0; length];
            memory.read(offset, &mut part).unwrap();
            assert_eq!(part, bytes);
        }
    }
}

#[test]
fn nothing_beyond_the_end_is_reached() {
    let mut memory = Mapping::anonymous(page_size()).unwrap();
    for offset in [page_size(), page_size() + 1, usize::MAX, usize::MAX - 3] {
        assert_eq!(memory.read(offset, &mut [0; 4]), Err(Errno::INVAL));
        assert_eq!(memory.write(offset, &[0; 4]), Err(Errno::INVAL));
        assert!(memory.piece(offset, 4096).is_err());
    }
    assert_eq!(Mapping::anonymous(page_size() - 1).map(drop), Err(Errno::INVAL));
    assert_eq!(Mapping::anonymous(0).map(drop), Err(Errno::INVAL));
}

#[test]
fn a_memfd_is_shared_and_cannot_shrink() {
    let (mut memory, file) = Mapping::memfd("test", page_size()).unwrap();
    let twin = Mapping::shared(file.as_fd(), 0, page_size()).unwrap();
    memory.write(5, b"shared").unwrap();
    let mut bytes = [0; 6];
    twin.read(5, &mut bytes).unwrap();
    assert_eq!(&bytes, b"shared");
    assert_eq!(File::from(file).set_len(0).unwrap_err().raw_os_error(), Some(Errno::PERM.raw_os_error()));
}

/// What `/proc/self/maps` says of the page at an address, if it is mapped.
fn protection(address: usize) -> Option<String> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (from, to) = range.split_once('-')?;
        let (from, to) = (usize::from_str_radix(from, 16).unwrap(), usize::from_str_radix(to, 16).unwrap());
        (from..to).contains(&address).then(|| rest[..4].to_owned())
    })
}

#[test]
fn addresses_that_a_device_knows_stay_reserved() {
    let null = File::open("/dev/null").unwrap();
    // Far larger than anything else in the test, so that nothing takes the place of the one that is given back.
    let length = 1 << 30;
    let given = Mapping::anonymous(length).unwrap();
    assert!(container::map(null.as_fd(), given.whole(), 0, Access::ReadWrite).is_err());
    let place = given.address();
    assert_eq!(protection(place).as_deref(), Some("rw-p"));
    drop(given);
    assert_eq!(protection(place).as_deref(), Some("---p"), "reserved");

    let kept = Mapping::anonymous(length).unwrap();
    let place = kept.address();
    drop(kept);
    assert_ne!(protection(place + length / 2).as_deref(), Some("---p"), "given back");
}
