//! The region protocol through a device's descriptor, as QEMU 7.2 drives it.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod program;

use std::os::unix::fs::FileExt;

use program::{Pages, Tester, address, pair};
use vfio_migration_protocol::Errno;
use vfio_migration_uapi::layout::*;

/// Where the migration region lies in the device's file.
const REGION: u64 = 9 << 40;
const STATE: u64 = REGION;
const PENDING: u64 = REGION + 8;
const OFFSET: u64 = REGION + 16;
const SIZE: u64 = REGION + 24;

fn device(tester: &Tester) -> i32 {
    tester.open_by_group::<1>().1[0]
}

fn state(tester: &Tester, fd: i32) -> u32 {
    let mut bytes = [0; 4];
    assert_eq!(tester.get(fd).pread(&mut bytes, STATE), Ok(4));
    u32::from_ne_bytes(bytes)
}

fn set_state(tester: &Tester, fd: i32, state: u32) -> Result<usize, Errno> {
    tester.get(fd).pwrite(&state.to_ne_bytes(), STATE)
}

fn register(tester: &Tester, fd: i32, place: u64) -> u64 {
    let mut bytes = [0; 8];
    assert_eq!(tester.get(fd).pread(&mut bytes, place), Ok(8));
    u64::from_ne_bytes(bytes)
}

/// The segments of a save, from pre-copy to stop.
fn save(tester: &Tester, fd: i32) -> Vec<Vec<u8>> {
    let mut segments = Vec::new();
    for bits in [3, 2] {
        assert_eq!(set_state(tester, fd, bits), Ok(4));
        for _ in 0..1000 {
            if register(tester, fd, PENDING) == 0 {
                break;
            }
            let (offset, size) = (register(tester, fd, OFFSET), register(tester, fd, SIZE));
            let mut data = vec![0; usize::try_from(size).expect("it is small")];
            for (at, part) in (offset..).step_by(8).zip(data.chunks_mut(8)) {
                assert_eq!(tester.get(fd).pread(part, REGION + at), Ok(part.len()));
            }
            segments.push(data);
        }
    }
    assert_eq!(set_state(tester, fd, 0), Ok(4));
    segments
}

#[test]
fn a_device_moves_through_its_window() {
    let settings = "model:size=64KiB,protocol=region,dialect=qemu,window=16KiB,dirty-rate=0";
    for mmap in ["none", "whole", "sparse"] {
        let source = Tester::new(&[settings]);
        let from = device(&source);
        assert_eq!(set_state(&source, from, 1), Ok(4), "the same state again");
        let segments = save(&source, from);
        assert!(segments.len() > 4, "64 KiB do not fit into 16 KiB");

        let destination = Tester::new(&[&format!("{settings},mmap={mmap}")]);
        let to = device(&destination);
        assert_eq!(set_state(&destination, to, 4), Ok(4));
        for segment in &segments {
            let offset = register(&destination, to, OFFSET);
            for (at, part) in (offset..).step_by(4096).zip(segment.chunks(4096)) {
                match destination.get(to).mmap(REGION + at, 4096) {
                    // The program maps it, and writes without the device's seeing it.
                    Ok((file, place)) => file.write_all_at(part, place).expect("the file is there"),
                    Err(errno) => {
                        assert_eq!(errno, Errno::EINVAL);
                        assert_eq!(destination.get(to).pwrite(part, REGION + at), Ok(part.len()));
                    }
                }
            }
            let size = segment.len() as u64;
            assert_eq!(destination.get(to).pwrite(&size.to_ne_bytes(), SIZE), Ok(8));
        }
        assert_eq!(set_state(&destination, to, 1), Ok(4));
        assert_eq!(source.notes("saved"), destination.notes("loaded"), "{mmap}");
        let wrote = destination.calls().iter().any(|call| call.starts_with("resuming write-window"));
        assert_eq!(wrote, mmap != "whole", "{mmap}: what is mapped goes unseen");
        let calls = source.calls();
        assert_eq!(calls[..2], ["running write-device-state 1", "running write-device-state 3"]);
        assert!(calls.contains(&"stop-copy read-pending-bytes -> 0B".to_owned()), "{calls:?}");
        assert_eq!(destination.notes("resets").last(), Some(&vec!["0".to_owned()]));
    }
}

#[test]
fn the_region_says_what_it_is() {
    let tester = Tester::new(&["model:size=64KiB,protocol=region,p2p,window=16KiB,mmap=sparse"]);
    let fd = device(&tester);
    let mut info = [24, 0, 0, 0, 0, 0];
    assert_eq!(tester.ask(fd, VFIO_DEVICE_GET_INFO, &mut info), Ok(0));
    assert_eq!(info[2], 10, "one region more than every PCI device has");
    let mut region = [32, 0, 9, 0, 0, 0, 0, 0];
    assert_eq!(tester.ask(fd, VFIO_DEVICE_GET_REGION_INFO, &mut region), Ok(0));
    let whole = region[0];
    assert_eq!((region[1], region[3]), (0b1111, 0), "there is no room for what it can do");
    let mut region = [0_u32; 40];
    (region[0], region[2]) = (whole, 9);
    assert_eq!(tester.ask(fd, VFIO_DEVICE_GET_REGION_INFO, &mut region), Ok(0));
    assert_eq!((region[4], region[5], region[6], region[7]), (0x5000, 0, 0, 9 << 8));
    let at = region[3] as usize / 4;
    assert_eq!(region[at..at + 4], [1 << 16 | 2, region[at + 1], 3, 1], "a migration region");
    let at = region[at + 1] as usize / 4;
    assert_eq!(region[at..at + 3], [1 << 16 | 1, region[at + 1], 2], "two areas can be mapped");
    let at = region[at + 1] as usize / 4;
    assert_eq!(region[at..at + 2], [1 << 16 | 6, 0], "NDMA, and that is all");
    assert!(region[whole as usize / 4..].iter().all(|word| *word == 0));
    let features = tester.ask(fd, VFIO_DEVICE_FEATURE, &mut [16, VFIO_DEVICE_FEATURE_GET | 1, 0, 0]);
    assert_eq!(features, Err(Errno::ENOTTY), "it does not speak fsm");
}

#[test]
fn registers_are_read_and_written_whole() {
    let tester = Tester::new(&["model:size=64KiB,protocol=region"]);
    let fd = device(&tester);
    let handle = tester.get(fd);
    for (place, width) in [(STATE, 2), (STATE + 1, 4), (PENDING, 4), (REGION + 32, 8)] {
        assert_eq!(handle.pread(&mut vec![0; width], place), Err(Errno::EINVAL), "{place:#x} {width}");
        assert_eq!(handle.pwrite(&vec![0; width], place), Err(Errno::EINVAL), "{place:#x} {width}");
    }
    assert_eq!(set_state(&tester, fd, 5), Err(Errno::EINVAL));
    assert_eq!(set_state(&tester, fd, 1), Err(Errno::EINVAL), "it is strict: the same state is no change");
    assert_eq!(state(&tester, fd), 1);
    assert_eq!(handle.pread(&mut [0; 4], REGION + (2 << 20)), Err(Errno::EINVAL), "beyond the region");
    assert_eq!(handle.mmap(REGION, 4096).map(drop), Err(Errno::EINVAL), "it cannot be mapped");
}

#[test]
fn pages_that_the_device_wrote_are_in_the_containers_bitmap() {
    let settings = "model:size=64KiB,protocol=region,dialect=qemu,dma-buffer,dma-rate=0";
    for blind in [false, true] {
        let tester = if blind { Tester::blind(&[settings]) } else { Tester::new(&[settings]) };
        let mut memory = Pages::new(70);
        let (container, [fd]) = tester.open_by_group();
        assert_eq!(tester.map(container, memory.bytes(), 0x10_0000), Ok(0));
        let mut bitmap = [0_u64, 0];
        let place = address(&mut bitmap);
        let get = |iova: u64, pages: u64, bytes: u64| {
            let mut words = [pair(48, 4), iova, pages << 12, 4096, bytes, place];
            tester.ioctl(container, VFIO_IOMMU_DIRTY_PAGES, address(&mut words))
        };
        assert_eq!(get(0x10_0000, 70, 16), Err(Errno::EINVAL), "it does not track");
        let flag = |flag| tester.ask(container, VFIO_IOMMU_DIRTY_PAGES, &mut [8, flag]);
        assert_eq!((flag(1), flag(1), flag(3), flag(8)), (Ok(0), Ok(0), Err(Errno::EINVAL), Err(Errno::EINVAL)));
        tester.start(fd, 0x10_0000 + (66 << 12), 4096);
        tester.write_register(fd, program::DOORBELL, 5);
        for (iova, pages, bytes) in [(0x10_0000, 70, 8), (0x10_0001, 70, 16), (0x10_1000, 69, 16), (0x10_0000, 0, 16)] {
            assert_eq!(get(iova, pages, bytes), Err(Errno::EINVAL), "{iova:#x} {pages} {bytes}");
        }
        assert_eq!(get(0x10_0000, 70, 16), Ok(0));
        assert_eq!(std::hint::black_box(bitmap), [0, if blind { 0 } else { 1 << 2 }]);
        assert_eq!(get(0x10_0000, 70, 16), Ok(0));
        assert_eq!(std::hint::black_box(bitmap), [0, 0], "words are overwritten");
        tester.write_register(fd, program::DOORBELL, 6);
        let mut unmap = [pair(48, 1), 0x10_0000, 70 << 12, 4096, 16, place];
        assert_eq!(tester.ioctl(container, VFIO_IOMMU_UNMAP_DMA, address(&mut unmap)), Ok(0));
        assert_eq!(unmap[2], 70 << 12);
        assert_eq!(std::hint::black_box(bitmap), [0, if blind { 0 } else { 1 << 2 }]);
        assert_eq!(flag(2), Ok(0));
        assert!(tester.calls().contains(&"running dirty-bitmap".to_owned()), "{:?}", tester.calls());
    }
}
