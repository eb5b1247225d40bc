//! Several devices of one program, and calls that take long.
#![cfg(all(target_os = "linux", target_env = "gnu"))]

mod program;

use std::time::{Duration, Instant};

use program::{COUNTER, Pages, Tester};
use vfio_migration_protocol::Errno;
use vfio_migration_uapi::layout::*;

const DEVICE: &str = "model:size=64KiB,pre-copy,p2p,dma-buffer";

#[test]
fn writes_between_devices_come_too_late_without_the_grace_states() {
    for barrier in [true, false] {
        let tester = Tester::new(&[DEVICE, DEVICE]);
        let (_, devices @ [first, second]) = tester.open_by_group();
        for device in devices {
            tester.start(device, 0, 0);
        }
        let works = || {
            std::thread::sleep(Duration::from_millis(5));
            for device in devices {
                _ = tester.register(device, COUNTER);
            }
        };
        works();
        if barrier {
            for device in devices {
                assert!(tester.set_state(device, VFIO_DEVICE_STATE_RUNNING_P2P).is_ok());
            }
        }
        tester.set_state(second, VFIO_DEVICE_STATE_STOP).expect("it can");
        works();
        tester.set_state(first, VFIO_DEVICE_STATE_STOP).expect("it can");
        let notes = tester.notes("peers");
        let counts: Vec<Vec<u64>> = notes
            .iter()
            .map(|words| words.iter().map(|word| word.parse().expect("it is a number")).collect())
            .collect();
        assert!(counts[0][0] > 0 && counts[1][0] > 0, "{counts:?}");
        assert_eq!((counts[0][1], counts[1][1] > 0), (0, !barrier), "{counts:?}");
        assert!(tester.calls().contains(&"running set-state running-p2p".to_owned()) == barrier);
    }
}

#[test]
fn one_container_maps_for_all() {
    let tester = Tester::new(&[DEVICE, DEVICE]);
    let (container, devices) = tester.open_by_group::<2>();
    let mut memory = Pages::new(4);
    assert_eq!(tester.map(container, memory.bytes(), 0x10_0000), Ok(0));
    for (number, device) in (1..).zip(devices) {
        tester.start(device, 0x10_0000 + number * 0x1000, 0x1000);
        tester.write_register(device, program::DOORBELL, 40 + number);
        let at = number as usize * 0x1000;
        assert_eq!(memory.bytes()[at..at + 8], u64::from(40 + number).to_le_bytes());
    }
}

#[test]
fn a_call_that_takes_long_holds_up_nobody_else() {
    // Long enough that waiting for it would be a hang.
    let tester = Tester::new(&[&format!("{DEVICE},fault=data-size@1:delay:3600s"), DEVICE]);
    let (container, [slow, other]) = tester.open_by_group();
    // The thread is left behind when the test is over, with what it uses: the process ends with it.
    let tester: &'static Tester = Box::leak(Box::new(tester));
    let begun = Instant::now();
    std::thread::spawn(move || {
        let get = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DATA_SIZE;
        tester.feature(slow, get, [0, 0])
    });
    while !tester.calls().iter().any(|call| call.contains("data-size")) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the call did not begin");
        std::thread::yield_now();
    }
    assert_eq!((tester.state(slow), tester.state(other)), (2, 2));
    assert_eq!(tester.ioctl(container, VFIO_GET_API_VERSION, 0), Ok(0));
    tester.forget_trace();
}

#[test]
fn new_initial_data_is_told_to_those_who_asked() {
    for asked in [true, false] {
        let tester = Tester::new(&["model:size=64KiB,pre-copy,reinit-after=2"]);
        let (_, [device]) = tester.open_by_group();
        if asked {
            let set = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2;
            assert_eq!(tester.feature(device, set, []), Ok([]));
        }
        let data_fd = tester.set_state(device, VFIO_DEVICE_STATE_PRE_COPY).expect("it can").expect("it opens one");
        let info = || {
            let mut info = [24, 0x10, 0, 0, 0, 0];
            assert_eq!(tester.ask(data_fd, VFIO_MIG_GET_PRECOPY_INFO, &mut info), Ok(0));
            (info[1], info[2])
        };
        let whole = info().1;
        assert!(whole > 64 << 10, "pages, and what describes them");
        for _ in 0..2 {
            assert_eq!(tester.get(data_fd).read(&mut [0; 4096]), Ok(4096));
        }
        let (flags, initial) = info();
        // Whoever did not ask gets its own flags back, as from every kernel before.
        assert_eq!(flags, if asked { VFIO_PRECOPY_INFO_REINIT } else { 0x10 });
        assert!(initial > whole - 8192, "it begins anew");
        assert_eq!(info().0, if asked { 0 } else { 0x10 }, "once");
    }
    let tester = Tester::new(&["model:size=64KiB"]);
    let (_, [device]) = tester.open_by_group();
    let probe = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2;
    assert_eq!(tester.feature(device, probe, []), Err((Errno::EINVAL, [])), "it has no pre-copy");
}

#[test]
fn a_container_starts_all_logs_or_none() {
    let tester = Tester::new(&[DEVICE, &format!("{DEVICE},fault=tracker-start@1:EIO")]);
    let (container, [_, _]) = tester.open_by_group();
    let flag = |flag| tester.ask(container, VFIO_IOMMU_DIRTY_PAGES, &mut [8, flag]);
    assert_eq!(flag(VFIO_IOMMU_DIRTY_PAGES_FLAG_START), Err(Errno::EIO));
    assert_eq!(flag(VFIO_IOMMU_DIRTY_PAGES_FLAG_START), Ok(0), "the first one was stopped again");
    assert_eq!(flag(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP), Ok(0));
}

#[test]
fn a_guest_that_touches_a_quiet_device_is_noted() {
    let tester = Tester::new(&[DEVICE]);
    let (_, [device]) = tester.open_by_group();
    tester.set_state(device, VFIO_DEVICE_STATE_STOP).expect("it can");
    tester.write_register(device, program::SCRATCH_A, 5);
    assert_eq!((tester.register(device, program::SCRATCH_A), tester.notes("touched").len()), (0, 1));
}
