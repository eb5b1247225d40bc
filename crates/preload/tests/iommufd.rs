//! Devices that are opened by themselves, and the iommufd that they are bound to.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod program;

use program::{Pages, Tester, address, high, low, pair, place};
use vfio_migration_preload::Node;
use vfio_migration_protocol::Errno;
use vfio_migration_uapi::layout::*;

const DEVICE: &str = "model:size=64KiB,dma-buffer,dma-rate=0";
const BUFFER: u64 = 0x10_0000;

/// A device that is bound: the iommufd, the device, and its id.
fn bound(tester: &Tester) -> (i32, i32, u32) {
    let iommufd = tester.open(Node::Iommufd).expect("it can be opened");
    let device = tester.open(Node::Cdev(place(0))).expect("it is free");
    let mut bind = [16, 0, iommufd.cast_unsigned(), 0];
    assert_eq!(tester.ask(device, VFIO_DEVICE_BIND_IOMMUFD, &mut bind), Ok(0));
    (iommufd, device, bind[3])
}

fn new_space(tester: &Tester, iommufd: i32) -> u32 {
    let mut alloc = [12, 0, 0];
    assert_eq!(tester.ask(iommufd, IOMMU_IOAS_ALLOC, &mut alloc), Ok(0));
    alloc[2]
}

fn new_table(tester: &Tester, iommufd: i32, device: u32, space: u32, flags: u32) -> Result<u32, Errno> {
    let mut alloc = [48, flags, device, space, 0, 0, 0, 0, 0, 0, 0, 0];
    tester.ask(iommufd, IOMMU_HWPT_ALLOC, &mut alloc).map(|_| alloc[4])
}

fn map(tester: &Tester, iommufd: i32, space: u32, flags: u32, memory: &mut [u8], iova: u64) -> Result<u64, Errno> {
    let (from, length) = (address(memory), memory.len() as u64);
    let mut words = [pair(40, flags), space.into(), from, length, iova];
    tester.ioctl(iommufd, IOMMU_IOAS_MAP, address(&mut words)).map(|_| words[4])
}

fn attach(tester: &Tester, device: i32, to: u32) -> Result<u32, Errno> {
    let mut attach = [12, 0, to];
    tester.ask(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &mut attach).map(|_| attach[2])
}

#[test]
fn pages_that_the_device_wrote_are_in_the_page_tables_bitmap() {
    for blind in [false, true] {
        let tester = if blind { Tester::blind(&[DEVICE]) } else { Tester::new(&[DEVICE]) };
        let mut memory = Pages::new(8);
        let (iommufd, device, id) = bound(&tester);
        let space = new_space(&tester, iommufd);
        let mut info = [40, 0, id, 0, 0, 0, 9, 0, 0, 0];
        assert_eq!(tester.ask(iommufd, IOMMU_GET_HW_INFO, &mut info), Ok(0));
        assert_eq!((info[6], info[8]), (0, 1), "it can track dirty pages");
        assert_eq!(new_table(&tester, iommufd, id, space, 1), Err(Errno::EOPNOTSUPP));
        let table = new_table(&tester, iommufd, id, space, 2).expect("it can be made");
        assert_eq!(attach(&tester, device, table), Ok(table));
        assert_eq!(map(&tester, iommufd, space, 7, memory.bytes(), BUFFER), Ok(BUFFER));

        let mut bitmap = [0_u64];
        let bits = address(&mut bitmap);
        let get = |flags: u64, pages: u64, page_size: u64| {
            let mut words = [pair(48, table), flags, BUFFER, pages << 12, page_size, bits];
            tester.ioctl(iommufd, IOMMU_HWPT_GET_DIRTY_BITMAP, address(&mut words))
        };
        let track = |on| tester.ask(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, &mut [16, on, table, 0]);
        assert_eq!(get(0, 8, 4096), Err(Errno::EINVAL), "it does not track");
        assert_eq!((track(1), track(2)), (Ok(0), Err(Errno::EOPNOTSUPP)));
        tester.start(device, u32::try_from(BUFFER).expect("it is low") + 0x3000, 4096);
        tester.write_register(device, program::DOORBELL, 9);
        assert_eq!(memory.bytes()[0x3000..0x3008], 9_u64.to_le_bytes());
        for (pages, page_size) in [(0, 4096), (8, 0), (8, 2048), (8, 12288), (1, 8192)] {
            assert_eq!(get(0, pages, page_size), Err(Errno::EINVAL), "{pages} {page_size}");
        }
        let seen = |bit: u64| if blind { 0 } else { bit };
        assert_eq!(get(1, 8, 4096), Ok(0));
        assert_eq!(std::hint::black_box(bitmap), [seen(1 << 3)], "without clearing");
        bitmap = [1];
        assert_eq!(get(0, 8, 8192), Ok(0));
        assert_eq!(std::hint::black_box(bitmap), [1 | seen(1 << 1)], "bits are added");
        bitmap = [0];
        assert_eq!(get(0, 8, 4096), Ok(0));
        assert_eq!(std::hint::black_box(bitmap), [0]);
        tester.write_register(device, program::DOORBELL, 9);
        assert_eq!((track(1), get(0, 8, 4096)), (Ok(0), Ok(0)));
        assert_eq!(std::hint::black_box(bitmap), [0], "enabling begins with nothing dirty");
        assert_eq!(tester.ask(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &mut [8, 0]), Ok(0));
        tester.write_register(device, program::DOORBELL, 10);
        assert_eq!(memory.bytes()[0x3000..0x3008], 9_u64.to_le_bytes(), "a detached device reaches nothing");
        assert_eq!(attach(&tester, device, table), Ok(table), "its log is started again");
        tester.write_register(device, program::DOORBELL, 11);
        assert_eq!(get(0, 8, 4096), Ok(0));
        assert_eq!(std::hint::black_box(bitmap), [seen(1 << 3)]);
        assert_eq!(track(0), Ok(0));
    }
}

#[test]
fn a_device_is_nothing_before_it_is_bound() {
    let tester = Tester::new(&[DEVICE]);
    let device = tester.open(Node::Cdev(place(0))).expect("it is free");
    assert_eq!(tester.ask(device, VFIO_DEVICE_GET_INFO, &mut [24; 6]), Err(Errno::EINVAL));
    assert_eq!(tester.get(device).pread(&mut [0; 4], 0), Err(Errno::EINVAL));
    assert_eq!(attach(&tester, device, 1), Err(Errno::EINVAL));
    let bind = |device: i32, iommufd: i32| {
        tester.ask(device, VFIO_DEVICE_BIND_IOMMUFD, &mut [16, 0, iommufd.cast_unsigned(), 0])
    };
    assert_eq!((bind(device, 99), bind(device, device)), (Err(Errno::EBADF), Err(Errno::EBADF)));
    let iommufd = tester.open(Node::Iommufd).expect("it can be opened");
    let group = tester.open(Node::Group(place(0))).expect("it is free");
    assert_eq!(bind(device, iommufd), Err(Errno::EBUSY), "its group is in use");
    tester.close(group);
    assert_eq!((bind(device, iommufd), bind(device, iommufd)), (Ok(0), Err(Errno::EINVAL)));
    let second = tester.open(Node::Cdev(place(0))).expect("it can be opened");
    assert_eq!(bind(second, iommufd), Err(Errno::EINVAL), "somebody else has bound it");
    assert_eq!(tester.open(Node::Group(place(0))), Err(Errno::EBUSY));
    assert_eq!(tester.get(device).pread(&mut [0; 4], 0), Ok(4));
    tester.close(device);
    assert_eq!(bind(second, iommufd), Ok(0));
}

#[test]
fn address_spaces_follow_the_kernels_rules() {
    let tester = Tester::new(&[DEVICE]);
    let mut memory = Pages::new(4);
    let (iommufd, device, id) = bound(&tester);
    let space = new_space(&tester, iommufd);
    let mut range = [7_u64; 2];
    let at = address(&mut range);
    let mut ranges = [32, space, 0, 0, low(at), high(at), 0, 0];
    assert_eq!(tester.ask(iommufd, IOMMU_IOAS_IOVA_RANGES, &mut ranges), Err(Errno::from_linux(90)));
    assert_eq!((ranges[2], ranges[6]), (1, 4096));
    assert_eq!(tester.ask(iommufd, IOMMU_IOAS_IOVA_RANGES, &mut ranges), Ok(0));
    assert_eq!(std::hint::black_box(range), [0, (1 << 48) - 1]);

    let map = |flags, bytes: &mut [u8], iova| map(&tester, iommufd, space, flags, bytes, iova);
    assert_eq!(map(6, memory.bytes(), 0), Ok(0x1000), "the lowest hole");
    assert_eq!(map(6, memory.bytes(), 0), Ok(0x5000));
    assert_eq!(map(7, memory.bytes(), 0x4000), Err(Errno::EEXIST));
    assert_eq!((map(1, memory.bytes(), 0), map(8, memory.bytes(), 0)), (Err(Errno::EINVAL), Err(Errno::EOPNOTSUPP)));
    let unmap = |iova, length| {
        let mut words = [pair(24, space), iova, length];
        tester.ioctl(iommufd, IOMMU_IOAS_UNMAP, address(&mut words)).map(|_| words[2])
    };
    assert_eq!((unmap(0x1000, 0x1000), unmap(0x20_0000, 0x1000)), (Err(Errno::ENOENT), Err(Errno::ENOENT)));
    let process = || tester.ask(iommufd, 0x3b92, &mut [8, 0]);
    assert_eq!(process(), Err(Errno::EINVAL), "the program's memory cannot follow another process");
    assert_eq!((unmap(0, u64::MAX), unmap(0, u64::MAX), process()), (Ok(0x8000), Ok(0), Ok(0)));

    let mut longer = [16, space, 0, 1];
    assert_eq!(tester.ask(iommufd, IOMMU_DESTROY, &mut longer), Err(Errno::E2BIG), "what is not known must be zero");
    assert_eq!(tester.ask(iommufd, IOMMU_DESTROY, &mut [4, space]), Err(Errno::EINVAL));
    let destroy = |id| tester.ask(iommufd, IOMMU_DESTROY, &mut [8, id]);
    let table = attach(&tester, device, space).expect("it gets a page table");
    assert_ne!(table, space);
    let track = tester.ask(iommufd, IOMMU_HWPT_SET_DIRTY_TRACKING, &mut [16, 1, table, 0]);
    assert_eq!(track, Err(Errno::EOPNOTSUPP), "nobody asked for a page table that can");
    assert_eq!(
        (destroy(space), destroy(table), destroy(id)),
        (Err(Errno::EBUSY), Err(Errno::EBUSY), Err(Errno::EBUSY))
    );
    assert_eq!(tester.ask(device, VFIO_DEVICE_DETACH_IOMMUFD_PT, &mut [8, 0]), Ok(0));
    assert_eq!((destroy(table), destroy(space), destroy(space)), (Err(Errno::ENOENT), Ok(0), Err(Errno::ENOENT)));
    assert_eq!(attach(&tester, device, space), Err(Errno::ENOENT));
}

#[test]
fn options_are_kept_and_change_nothing() {
    let tester = Tester::new(&[DEVICE]);
    let iommufd = tester.open(Node::Iommufd).expect("it can be opened");
    let option = |which: u32, op: u32, object: u32, value: u64| {
        let mut words = [pair(24, which), pair(op, object), value];
        tester.ioctl(iommufd, IOMMU_OPTION, address(&mut words)).map(|_| words[2])
    };
    let (accounting, large, set, get) = (IOMMU_OPTION_RLIMIT_MODE, IOMMU_OPTION_HUGE_PAGES, 0, 1);
    assert_eq!(option(accounting, get, 0, 7), Ok(0));
    assert_eq!((option(accounting, set, 0, 1), option(accounting, get, 0, 7)), (Ok(1), Ok(1)));
    assert_eq!(
        (option(accounting, set, 0, 2), option(accounting, set, 1, 0)),
        (Err(Errno::EINVAL), Err(Errno::EOPNOTSUPP))
    );
    assert_eq!((option(9, get, 0, 0), option(accounting, 2, 0, 0)), (Err(Errno::EOPNOTSUPP), Err(Errno::EOPNOTSUPP)));
    assert_eq!(option(accounting, get | 1 << 16, 0, 0), Err(Errno::EOPNOTSUPP), "reserved bits");
    let space = new_space(&tester, iommufd);
    assert_eq!(option(accounting, set, 0, 0), Err(Errno::EBUSY), "too late");
    assert_eq!((option(large, get, space, 7), option(large, get, space + 1, 7)), (Ok(1), Err(Errno::ENOENT)));
    assert_eq!((option(large, set, space, 0), option(large, get, space, 7)), (Ok(0), Ok(0)));
    assert_eq!((option(large, set, space, 1), option(large, set, space, 2)), (Ok(1), Err(Errno::EINVAL)));
    let device = tester.open(Node::Cdev(place(0))).expect("it is free");
    assert_eq!(tester.ask(device, VFIO_DEVICE_BIND_IOMMUFD, &mut [16, 0, iommufd.cast_unsigned(), 0]), Ok(0));
    attach(&tester, device, space).expect("it gets a page table");
    assert_eq!(option(large, set, space, 0), Err(Errno::EINVAL), "a page table may hold large pages already");
}

#[test]
fn files_are_mapped_without_the_programs_memory() {
    let tester = Tester::new(&[DEVICE]);
    let (iommufd, device, _) = bound(&tester);
    let space = new_space(&tester, iommufd);
    attach(&tester, device, space).expect("it gets a page table");
    let file = rustix::fs::memfd_create("memory", rustix::fs::MemfdFlags::CLOEXEC).expect("there are memfds");
    rustix::fs::ftruncate(&file, 0x4000).expect("it is ours");
    tester.file(5, file.try_clone().expect("there are descriptors"));
    let map = |fd: u32, start: u64, length: u64| {
        let mut words = [pair(40, 7), pair(space, fd), start, length, BUFFER];
        tester.ioctl(iommufd, IOMMU_IOAS_MAP_FILE, address(&mut words))
    };
    assert_eq!((map(6, 0, 0x1000), map(5, 0, 0x5000)), (Err(Errno::EBADF), Err(Errno::EINVAL)));
    assert_eq!(map(5, 0x1000, 0x3000), Ok(0));
    tester.start(device, u32::try_from(BUFFER).expect("it is low") + 0x2000, 4096);
    tester.write_register(device, program::DOORBELL, 0x5566);
    let mut bytes = [0; 8];
    assert_eq!(rustix::io::pread(&file, &mut bytes, 0x3000), Ok(8));
    assert_eq!(u64::from_le_bytes(bytes), 0x5566);
    assert_eq!(tester.ask(iommufd, 0x3b92, &mut [8, 0]), Ok(0));
}
