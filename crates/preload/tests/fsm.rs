//! The fsm protocol through a device's descriptors, as a program drives it.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod program;

use program::{COUNTER, DOORBELL, Pages, Tester, address, high, low};
use vfio_migration_protocol::Errno;
use vfio_migration_uapi::layout::*;

const DEVICE: &str = "model:size=256KiB,pre-copy,p2p,dirty-tracking,dma-buffer,working-set=64KiB";
const BUFFER: u64 = 0x20_0000;

/// A program with one device that reaches some memory.
fn with_memory(address: &str, memory: &mut Pages) -> (Tester, i32, i32) {
    let tester = Tester::new(&[address]);
    let (container, [device]) = tester.open_by_group();
    assert_eq!(tester.map(container, memory.bytes(), BUFFER), Ok(0));
    (tester, container, device)
}

/// A range of dirty pages that the device's log is asked for.
fn report(tester: &Tester, device: i32, iova: u64, pages: u64, bitmap: &mut [u64]) -> Result<(), Errno> {
    let (place, bytes) = (address(bitmap), pages << 12);
    let data = [low(iova), high(iova), low(bytes), high(bytes), 4096, 0, low(place), high(place)];
    let get = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;
    tester.feature(device, get, data).map(drop).map_err(|(errno, _)| errno)
}

fn start_log(tester: &Tester, device: i32, iova: u64, pages: u64) -> Result<u32, Errno> {
    let mut range = [iova, pages << 12];
    let place = address(&mut range);
    let data = [4096, 0, 1, 0, low(place), high(place)];
    let set = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START;
    tester.feature(device, set, data).map(|data| data[0]).map_err(|(errno, _)| errno)
}

#[test]
fn a_device_moves_with_its_memory() {
    let (mut here, mut there) = (Pages::new(64), Pages::new(64));
    let (source, _, device) = with_memory(DEVICE, &mut here);
    source.start(device, u32::try_from(BUFFER).expect("it is low"), 0x4_0000);
    source.write_register(device, DOORBELL, 77);
    assert_eq!(here.bytes()[..8], 77_u64.to_le_bytes(), "DMA is done when the write returns");
    assert_eq!(start_log(&source, device, BUFFER, 64), Ok(4096));

    let data_fd = source.set_state(device, VFIO_DEVICE_STATE_PRE_COPY).expect("it can").expect("it opens one");
    let mut stream = Vec::new();
    let copy = |pages: u64, here: &mut Pages, there: &mut Pages| {
        for page in (0..64_usize).filter(|page| pages & 1 << page != 0) {
            there.bytes()[page << 12..(page + 1) << 12].copy_from_slice(&here.bytes()[page << 12..(page + 1) << 12]);
        }
    };
    copy(u64::MAX, &mut here, &mut there);
    for _ in 0..3 {
        std::thread::sleep(std::time::Duration::from_millis(3));
        let (data, end) = source.drain(data_fd);
        assert_eq!(end, Some(Errno::ENOMSG));
        stream.extend(data);
        let mut bitmap = [0];
        report(&source, device, BUFFER, 64, &mut bitmap).expect("it is logged");
        copy(bitmap[0], &mut here, &mut there);
    }
    let mut info = [24, 0, 9, 9, 9, 9];
    assert_eq!(source.ask(data_fd, VFIO_MIG_GET_PRECOPY_INFO, &mut info), Ok(0));
    assert_eq!((info[2], info[3]), (0, 0), "the initial data was read");
    assert_eq!(source.set_state(device, VFIO_DEVICE_STATE_PRE_COPY_P2P), Ok(None));
    assert_eq!(source.set_state(device, VFIO_DEVICE_STATE_STOP_COPY), Ok(None));
    let mut bitmap = [0];
    report(&source, device, BUFFER, 64, &mut bitmap).expect("it is logged");
    copy(bitmap[0], &mut here, &mut there);
    let (data, end) = source.drain(data_fd);
    assert_eq!(end, None);
    stream.extend(data);
    assert_eq!(source.set_state(device, VFIO_DEVICE_STATE_STOP), Ok(None));
    assert_eq!(source.get(data_fd).read(&mut [0; 8]), Err(Errno::ENODEV));
    source.close(data_fd);
    assert!(here.bytes() == there.bytes(), "every page that was written was reported");

    let (destination, _, other) = with_memory(DEVICE, &mut there);
    let data_fd = destination.set_state(other, VFIO_DEVICE_STATE_RESUMING).expect("it can").expect("it opens one");
    for part in stream.chunks(30_000) {
        assert_eq!(destination.get(data_fd).write(part), Ok(part.len()));
    }
    assert_eq!(destination.set_state(other, VFIO_DEVICE_STATE_RUNNING_P2P), Ok(None));
    assert_eq!(destination.set_state(other, VFIO_DEVICE_STATE_RUNNING), Ok(None));
    let (saved, loaded) = (source.notes("saved"), destination.notes("loaded"));
    assert_eq!(saved.len(), 1);
    assert_eq!(saved, loaded);
    let before: u32 = saved[0][1].parse().expect("it is the counter");
    assert!(before > 0 && destination.register(other, COUNTER) >= before);
    assert_eq!((source.notes("touched").len(), destination.notes("touched").len()), (0, 0));
    assert_eq!(destination.notes("resets").last(), Some(&vec!["0".to_owned()]));
    let calls = source.calls();
    assert_eq!(calls[1], "running set-state pre-copy -> data-fd");
    assert!(calls.contains(&"pre-copy read 65536B -> ENOMSG".to_owned()), "{calls:?}");
    assert_eq!(calls.last().map(String::as_str), Some("stop close"));
}

#[test]
fn without_dirty_pages_the_memory_differs() {
    let mut here = Pages::new(64);
    let tester = Tester::blind(&[DEVICE]);
    let (container, [device]) = tester.open_by_group();
    tester.map(container, here.bytes(), BUFFER).expect("it is free");
    start_log(&tester, device, BUFFER, 64).expect("it can be started");
    tester.start(device, u32::try_from(BUFFER).expect("it is low"), 0x4_0000);
    tester.write_register(device, DOORBELL, 77);
    assert_eq!(here.bytes()[..8], 77_u64.to_le_bytes());
    let mut bitmap = [0];
    report(&tester, device, BUFFER, 64, &mut bitmap).expect("it answers");
    assert_eq!(bitmap, [0]);
}

#[test]
fn requests_follow_the_kernels_rules() {
    let mut memory = Pages::new(1);
    let (tester, _, device) = with_memory(DEVICE, &mut memory);
    let (get, set, probe) = (VFIO_DEVICE_FEATURE_GET, VFIO_DEVICE_FEATURE_SET, VFIO_DEVICE_FEATURE_PROBE);
    let feature = |flags| tester.feature(device, flags, [2, 0, 0, 0]).map(drop).map_err(|(errno, _)| errno);
    for argsz in [0, 4, 7] {
        assert_eq!(tester.ask(device, VFIO_DEVICE_FEATURE, &mut [argsz, probe | 1, 0, 0]), Err(Errno::EINVAL));
    }
    assert_eq!(feature(1 << 19 | get | 1), Err(Errno::EINVAL));
    assert_eq!(feature(get | set | 2), Err(Errno::EINVAL));
    assert_eq!(feature(2), Err(Errno::EINVAL), "neither way");
    assert_eq!(feature(set | 1), Err(Errno::EINVAL), "not this way");
    assert_eq!(feature(probe | get | set | 2), Ok(()));
    assert_eq!((feature(probe | set | 6), feature(probe | set | 0xc)), (Ok(()), Ok(())));
    assert_eq!((feature(get | 0xb), feature(probe | 0x1267)), (Err(Errno::ENOTTY), Err(Errno::ENOTTY)));
    assert_eq!(tester.ask(device, VFIO_DEVICE_FEATURE, &mut [8, get | 2]), Err(Errno::EINVAL), "no room for the state");
    assert_eq!(tester.feature(device, get | 1, [0, 0]), Ok([7, 0]));

    for state in [0, 8, u32::MAX] {
        assert_eq!(tester.feature(device, set | 2, [state, 5]), Err((Errno::EINVAL, [state, u32::MAX])));
        assert_eq!(tester.state(device), VFIO_DEVICE_STATE_RUNNING);
    }
    assert_eq!(tester.set_state(device, VFIO_DEVICE_STATE_RUNNING), Ok(None));
    let data_fd = tester.set_state(device, VFIO_DEVICE_STATE_STOP_COPY).expect("it can").expect("it opens one");
    assert_eq!(tester.set_state(device, VFIO_DEVICE_STATE_PRE_COPY), Err(Errno::EINVAL));
    assert_eq!(tester.state(device), VFIO_DEVICE_STATE_STOP_COPY);
    let saving = tester.get(data_fd);
    assert_eq!(saving.write(&[0]), Err(Errno::EBADF));
    assert_eq!((saving.pread(&mut [0], 0), saving.mmap(0, 4096).map(drop)), (Err(Errno::ESPIPE), Err(Errno::ESPIPE)));
    assert_eq!(tester.ask(data_fd, VFIO_MIG_GET_PRECOPY_INFO, &mut [24, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(tester.ask(data_fd, VFIO_MIG_GET_PRECOPY_INFO, &mut [23, 0, 0, 0, 0, 0]), Err(Errno::EINVAL));
    let second = tester.set_state(device, VFIO_DEVICE_STATE_RESUMING).expect("it can").expect("it opens one");
    assert_eq!(saving.read(&mut [0; 8]), Err(Errno::ENODEV), "another data fd has taken its place");
    assert_eq!(tester.get(second).read(&mut [0; 8]), Err(Errno::EBADF));
    assert_eq!(tester.ioctl(device, VFIO_DEVICE_RESET, 0), Ok(0));
    assert_eq!(tester.state(device), VFIO_DEVICE_STATE_RUNNING);
    assert_eq!(tester.get(second).write(&[0; 8]), Err(Errno::ENODEV));
    assert!(tester.said.lock().expect("nobody panicked").is_empty());
    assert_eq!(tester.ioctl(device, 0x3b74, 0), Err(Errno::ENOTTY));
    assert_eq!(tester.ioctl(device, VFIO_GROUP_GET_STATUS, 0), Err(Errno::ENOTTY));
    assert_eq!(tester.ioctl(device, 0x1234, 0), Err(Errno::ENOTTY));
    let said = tester.said.lock().expect("nobody panicked").join("\n");
    assert!(said.contains("0000:00:01.0 for 0x3b74 (VFIO_DEVICE_IOEVENTFD), which"), "{said}");
    assert!(said.contains("(VFIO_GROUP_GET_STATUS)") && said.contains(" 0x1234, which"), "{said}");
}

#[test]
fn without_a_free_number_the_state_is_reached_and_the_data_is_lost() {
    let mut memory = Pages::new(1);
    let (tester, _, device) = with_memory(DEVICE, &mut memory);
    tester.fill(true);
    assert_eq!(tester.set_state(device, VFIO_DEVICE_STATE_PRE_COPY), Err(Errno::EMFILE));
    assert_eq!(tester.state(device), VFIO_DEVICE_STATE_PRE_COPY);
    tester.fill(false);
    assert_eq!(tester.set_state(device, VFIO_DEVICE_STATE_RUNNING), Ok(None));
    assert!(matches!(tester.set_state(device, VFIO_DEVICE_STATE_PRE_COPY), Ok(Some(_))));

    let (tester, _, device) = with_memory(&format!("{DEVICE},fault=set-state@1:ENFILE:9"), &mut memory);
    let set = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
    assert_eq!(tester.feature(device, set, [VFIO_DEVICE_STATE_PRE_COPY, 5]), Err((Errno::ENFILE, [6, 5])));
    assert_eq!(tester.state(device), VFIO_DEVICE_STATE_PRE_COPY);
}

#[test]
fn faults_hit_the_calls_they_name() {
    let mut memory = Pages::new(1);
    let (tester, _, device) = with_memory(
        &format!("{DEVICE},fault=set-state@2:EIO,fault=reset@1:EAGAIN,fault=tracker-report@1:EIO"),
        &mut memory,
    );
    assert!(tester.set_state(device, VFIO_DEVICE_STATE_PRE_COPY).is_ok());
    assert_eq!(tester.set_state(device, VFIO_DEVICE_STATE_STOP_COPY), Err(Errno::EIO));
    assert_eq!(tester.ioctl(device, VFIO_DEVICE_RESET, 0), Err(Errno::EAGAIN));
    start_log(&tester, device, BUFFER, 1).expect("it can be started");
    assert_eq!(report(&tester, device, BUFFER, 1, &mut [0]), Err(Errno::EIO));
    assert_eq!(report(&tester, device, BUFFER, 1, &mut [0]), Ok(()));
    assert!(tester.calls().contains(&"pre-copy set-state stop-copy -> EIO".to_owned()), "{:?}", tester.calls());
}

#[test]
fn the_log_follows_the_kernels_rules() {
    let mut memory = Pages::new(1);
    let (tester, _, device) = with_memory(DEVICE, &mut memory);
    assert_eq!(report(&tester, device, BUFFER, 1, &mut [0]), Err(Errno::EINVAL), "it was not started");
    assert_eq!(start_log(&tester, device, BUFFER + 1, 1), Err(Errno::EINVAL));
    assert_eq!(start_log(&tester, device, BUFFER, 1), Ok(4096));
    assert_eq!(start_log(&tester, device, BUFFER, 1), Err(Errno::EINVAL), "it was started");
    let ask = |words: [u32; 8]| {
        let get = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT;
        tester.feature(device, get, words).map(drop).map_err(|(errno, _)| errno)
    };
    assert_eq!(ask([0, 0, 4096, 0, 2048, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(ask([0, 0, 4096, 0, 12288, 0, 0, 0]), Err(Errno::EINVAL));
    assert_eq!(ask([0, u32::MAX, 0, u32::MAX, 4096, 0, 0, 0]), Err(Errno::EOVERFLOW));
    assert_eq!(ask([0, 0, 0, u32::MAX, 4096, 0, 0, 0]), Ok(()), "nothing is dirty where devices do not see");
    let set = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START;
    let many = tester.feature(device, set, [4096, 0, 257, 0, 0, 0]);
    assert_eq!(many.map_err(|(errno, _)| errno), Err(Errno::E2BIG));
    let nowhere = tester.feature(device, set, [4096, 0, 2, 0, 8, 0]);
    assert_eq!(nowhere.map_err(|(errno, _)| errno), Err(Errno::EFAULT));
}
