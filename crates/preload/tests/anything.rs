//! Whatever a program asks for, it gets an answer.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod program;

use program::{Pages, Tester, address, place};
use vfio_migration_preload::Node;
use vfio_migration_protocol::Errno;
use vfio_migration_uapi::layout::*;

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    fn below(&mut self, count: u64) -> u64 {
        self.next() % count
    }

    /// A number of the kinds that programs pass, and that they must not.
    fn number(&mut self, known: &[u64]) -> u64 {
        let shift = self.below(64);
        match self.below(8) {
            // Nothing that may be an address in this process: a program that says so means it.
            0 => Some(self.next() >> shift).filter(|number| !(1 << 40..1 << 47).contains(number)).unwrap_or(7),
            1 => u64::MAX - self.below(4),
            2 => 1 << shift,
            3 => self.below(50) * 4096,
            4 => u64::MAX << shift,
            5 => known[usize::try_from(self.below(known.len() as u64)).expect("it is an index")],
            _ => self.below(8),
        }
    }
}

/// The requests that anything answers, and their neighbours.
fn request(random: &mut Random) -> u32 {
    let number = 0x3b64 + random.below(0x3b94 - 0x3b64);
    u32::try_from(number).expect("it is small")
}

#[test]
fn no_request_is_too_strange() {
    let settings = [
        "model:size=64KiB,pre-copy,p2p,dirty-tracking,dma-buffer,device-memory=12KiB,log-page=16KiB,dirty-rate=1",
        "model:size=64KiB,protocol=region,dialect=qemu,mmap=sparse,dma-buffer,dirty-rate=1",
        "model:size=64KiB,pre-copy",
    ];
    let mut answered = [0; 2];
    for seed in 0..60 {
        let mut random = Random(seed);
        let tester = Tester::new(&settings);
        let mut memory = Pages::new(4);
        let (container, [first, second]) = tester.open_by_group();
        tester.map(container, memory.bytes(), 0x10_0000).expect("it is free");
        let iommufd = tester.open(Node::Iommufd).expect("it can be opened");
        let cdev = tester.open(Node::Cdev(place(2))).expect("it can be opened");
        if seed % 2 == 0 {
            let bind = tester.ask(cdev, VFIO_DEVICE_BIND_IOMMUFD, &mut [16, 0, iommufd.cast_unsigned(), 0]);
            assert_eq!(bind, Ok(0));
        }
        let mut fds = vec![container, first, second, iommufd, cdev];
        // The group of the first is the next after the container's.
        fds.push(container + 1);
        let mut room = Pages::new(2);
        let mut lists = [address(room.bytes()), address(memory.bytes()), 0x10_0000, 8, 4096];
        for _ in 0..2000 {
            let fd = fds[usize::try_from(random.below(fds.len() as u64)).expect("it is an index")];
            let request = request(&mut random);
            let size = 8 + random.below(12) * 8;
            let words: Vec<u64> = (0..128).map(|_| random.number(&lists)).collect();
            let bytes = room.bytes();
            for (place, word) in bytes[..1024].chunks_exact_mut(8).zip(&words) {
                place.copy_from_slice(&word.to_ne_bytes());
            }
            let feature = u32::try_from(random.below(14) | random.below(8) << 16).expect("it is small");
            bytes[..4].copy_from_slice(&u32::try_from(size).expect("it is small").to_ne_bytes());
            if random.below(2) == 0 {
                bytes[4..8].copy_from_slice(&feature.to_ne_bytes());
            }
            lists[4] = address(bytes) + 1024;
            let at = if random.below(20) == 0 { random.number(&lists) } else { address(bytes) };
            match tester.ioctl(fd, request, at) {
                Ok(number) => {
                    answered[0] += 1;
                    if matches!(request, VFIO_GROUP_GET_DEVICE_FD) && number >= 1000 {
                        fds.push(number);
                    }
                }
                Err(errno) => {
                    assert!((1..4096).contains(&errno.to_linux()), "{errno}");
                    answered[1] += 1;
                }
            }
            let (place, len) = (random.number(&lists) ^ random.below(10) << 40, random.below(64));
            let mut some = vec![0; usize::try_from(len).expect("it is small")];
            let handle = tester.get(fd);
            for answer in [handle.pread(&mut some, place), handle.pwrite(&some, place), handle.read(&mut some)] {
                assert!(answer.is_ok_and(|moved| moved <= some.len()) || answer.is_err());
            }
            if let Ok((file, start)) = handle.mmap(place, random.number(&lists)) {
                assert!(file.metadata().expect("it is a file").len() > start);
            }
        }
        assert!(tester.trace().len() > 10);
    }
    assert!(answered[0] > 2000 && answered[1] > 2000, "{answered:?}");
}

#[test]
fn structures_that_are_not_there_are_faults() {
    let tester = Tester::new(&["model:size=64KiB,pre-copy,dirty-tracking"]);
    let (container, [device]) = tester.open_by_group();
    let iommufd = tester.open(Node::Iommufd).expect("it can be opened");
    let of_device = [VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_SET_IRQS];
    let of_container = [VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA, VFIO_IOMMU_DIRTY_PAGES];
    let of_iommufd = [IOMMU_DESTROY, IOMMU_IOAS_ALLOC, IOMMU_IOAS_MAP, IOMMU_HWPT_ALLOC, IOMMU_GET_HW_INFO];
    for (fd, requests) in [(device, &of_device[..]), (container, &of_container[..]), (iommufd, &of_iommufd[..])] {
        for request in requests {
            for nowhere in [0, 8, u64::MAX, 1 << 63] {
                assert_eq!(tester.ioctl(fd, *request, nowhere), Err(Errno::EFAULT), "{request:#x} {nowhere:#x}");
            }
        }
    }
    assert_eq!(tester.ioctl(device, VFIO_DEVICE_FEATURE, 8), Err(Errno::EFAULT));
}
