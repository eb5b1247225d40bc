use vfio_migration_protocol::region::{BLOCK, Limits, RegionError, Register, SaveLoop};
use vfio_migration_protocol::{Estimate, Filled, Then};

use crate::device::{Device, Failed, segments};
use crate::dice::Dice;

const SIZE: u64 = 400;

/// What came out of a device.
#[derive(Default)]
struct Out {
    segments: Vec<Vec<u8>>,
    open: Vec<u8>,
}

impl Out {
    fn take(&mut self, bytes: &[u8], then: Then) {
        self.open.extend_from_slice(bytes);
        if then == Then::SegmentEnd {
            self.segments.push(core::mem::take(&mut self.open));
        }
    }
}

/// A device with segments that it gives while it runs and others that it gives later, read in buffers of any size, with
/// pre-copy left at any moment. Accesses from `fails_at` on fail once.
fn save(seed: u64, fails_at: Option<usize>) -> (Vec<Vec<u8>>, Out, usize) {
    let mut dice = Dice(seed);
    let mut device = Device::new(SIZE, seed ^ 1);
    let (early, late) = (segments(&mut dice, 5, 300), segments(&mut dice, 4, 300));
    let all = [early.clone(), late.clone()].concat();
    (device.segments, device.late) = (early.into(), late.into());
    device.fails_at = fails_at;
    let mut save = SaveLoop::new(SIZE, Limits::default()).expect("there is room");
    let mut out = Out::default();
    let mut kept = Vec::new();
    let mut failures = 0;
    // Anything from not at all to all of it.
    let mut rounds_in_pre_copy = dice.place(12);
    let most = [3, 100, 1000][dice.place(3)];
    let mut stopped = false;
    loop {
        if !stopped && rounds_in_pre_copy == 0 {
            if device.keep(&mut save, &mut kept).is_err() {
                failures += 1;
                continue;
            }
            device.changes_state();
            stopped = true;
        }
        rounds_in_pre_copy = rounds_in_pre_copy.saturating_sub(1);
        let mut buffer = vec![0; dice.place(most) + 1];
        match device.fill(&mut save, &kept, &mut buffer, stopped) {
            Ok(Filled { len, then: Then::Pause }) => assert!(len == 0 && !stopped),
            Ok(Filled { len, then: Then::End }) => {
                assert!(len == 0 && stopped);
                return (all, out, failures);
            }
            Ok(Filled { len, then }) => {
                assert!(len > 0 && len <= buffer.len());
                out.take(&buffer[..len], then);
            }
            Err(error) => {
                assert_eq!(error, Failed::Access(vfio_migration_protocol::Errno::EIO));
                failures += 1;
            }
        }
    }
}

#[test]
fn all_segments_come_out_as_they_are_whatever_the_buffers_and_whenever_pre_copy_ends() {
    for seed in 0..4000 {
        let (all, out, failures) = save(seed, None);
        assert_eq!((out.segments, out.open.len(), failures), (all, 0, 0), "seed {seed}");
    }
}

/// A failed access ends the call and nothing else: the same call again goes on where it was.
#[test]
fn an_access_that_fails_leaves_the_loop_where_it_was() {
    let mut failed = 0;
    for seed in 0..200 {
        for number in 0.. {
            let (all, out, failures) = save(seed, Some(number));
            assert_eq!((out.segments, out.open.len()), (all, 0), "seed {seed}, access {number}");
            if failures == 0 {
                break;
            }
            failed += 1;
        }
    }
    assert!(failed > 1000, "{failed}");
}

/// One read of a device that lies about its registers in this way.
fn lied(stopped: bool, lies: fn(Register, u64) -> u64) -> Result<Filled, Failed> {
    let mut device = Device::new(SIZE, 1);
    device.segments.extend([vec![1, 2, 3]]);
    device.lies = lies;
    let mut save = SaveLoop::new(SIZE, Limits::default()).expect("there is room");
    device.fill(&mut save, &[], &mut [0; 100], stopped)
}

#[test]
fn offsets_and_sizes_are_held_against_the_region() {
    for offset in [0, 1, BLOCK - 1, SIZE, SIZE + 1, u64::MAX] {
        let expected = Failed::Machine(RegionError::Offset { offset, size: SIZE });
        let answer = match offset {
            0 => lied(true, |register, value| if register == Register::DataOffset { 0 } else { value }),
            1 => lied(true, |register, value| if register == Register::DataOffset { 1 } else { value }),
            SIZE => lied(true, |register, value| if register == Register::DataOffset { SIZE } else { value }),
            u64::MAX => lied(true, |register, value| if register == Register::DataOffset { u64::MAX } else { value }),
            BLOCK.. => lied(false, |register, value| if register == Register::DataOffset { SIZE + 1 } else { value }),
            _ => lied(false, |register, value| if register == Register::DataOffset { BLOCK - 1 } else { value }),
        };
        assert_eq!(answer, Err(expected));
    }
    for stopped in [false, true] {
        let long = lied(stopped, |register, value| if register == Register::DataSize { SIZE } else { value });
        assert!(matches!(long, Err(Failed::Machine(RegionError::Outside { len: SIZE, size: SIZE, .. }))), "{long:?}");
        let endless = lied(stopped, |register, value| if register == Register::DataSize { u64::MAX } else { value });
        assert!(matches!(endless, Err(Failed::Machine(RegionError::Outside { len: u64::MAX, .. }))), "{endless:?}");
    }
}

#[test]
fn a_region_without_room_is_refused() {
    for size in 0..=BLOCK {
        assert_eq!(SaveLoop::new(size, Limits::default()).err(), Some(RegionError::TooSmall { size }));
    }
    assert!(SaveLoop::new(BLOCK + 1, Limits::default()).is_ok());
}

/// A device that has nothing and says that there is.
#[test]
fn pending_bytes_that_never_come_end_the_loop_once_the_device_has_stopped() {
    use vfio_migration_protocol::region::{Access, Step};
    let mut save = SaveLoop::new(SIZE, Limits { max_empty_rounds: 3, ..Limits::default() }).expect("there is room");
    let mut go = |stopped| {
        let mut reads = Vec::new();
        let mut step = save.read(10, stopped);
        loop {
            let Step::Access(Access::Read(register)) = step else { return (Ok(step), reads) };
            reads.push(register);
            let value = [(Register::PendingBytes, 7), (Register::DataOffset, 64), (Register::DataSize, 0)];
            let value = value.iter().find(|(one, _)| *one == register).map_or(0, |(_, value)| *value);
            match save.answered(value) {
                Ok(next) => step = next,
                Err(error) => return (Err(error), reads),
            }
        }
    };
    let (running, reads) = go(false);
    assert_eq!(running, Ok(Step::Done(Filled { len: 0, then: Then::Pause })), "while it runs, it may have more later");
    assert_eq!(reads, [Register::PendingBytes, Register::DataOffset, Register::DataSize]);
    let (stopped, reads) = go(true);
    assert_eq!(stopped, Err(RegionError::Empty { pending: 7, rounds: 4 }));
    assert_eq!(reads.len(), 3 * 4);
}

#[test]
fn a_stopped_device_gives_no_more_than_the_limit() {
    let mut device = Device::new(SIZE, 1);
    device.segments.extend((0..1000).map(|_| vec![9; 50]));
    let limits = Limits { max_stop_copy_bytes: 220, ..Limits::default() };
    let mut save = SaveLoop::new(SIZE, limits).expect("there is room");
    let mut buffer = [0; 100];
    for _ in 0..10 {
        let read = device.fill(&mut save, &[], &mut buffer, false);
        assert_eq!(
            read,
            Ok(Filled { len: 50, then: Then::SegmentEnd }),
            "while it runs, the session has its own limit"
        );
    }
    for _ in 0..4 {
        assert!(device.fill(&mut save, &[], &mut buffer, true).is_ok());
    }
    let error = device.fill(&mut save, &[], &mut buffer, true);
    assert_eq!(error, Err(Failed::Machine(RegionError::Endless { limit: 220, pending: 986 * 50 })));
}

/// Reading `pending_bytes` in the middle of a segment would say that it was taken.
#[test]
fn what_is_left_is_known_without_ending_a_segment() {
    let mut device = Device::new(SIZE, 1);
    device.segments.extend([vec![1; 30], vec![2; 10]]);
    let mut save = SaveLoop::new(SIZE, Limits::default()).expect("there is room");
    assert_eq!(save.left(), None);
    assert_eq!(save.pending(40), Estimate::Known(40));
    let mut buffer = [0; 20];
    assert_eq!(device.fill(&mut save, &[], &mut buffer, false), Ok(Filled { len: 20, then: Then::More }));
    assert_eq!(save.left(), Some(Estimate::Known(20)));
    assert_eq!(device.fill(&mut save, &[], &mut buffer, false), Ok(Filled { len: 10, then: Then::SegmentEnd }));
    assert_eq!(save.left(), None);
}

#[test]
fn a_buffer_without_room_is_no_access() {
    let mut device = Device::new(SIZE, 1);
    let mut save = SaveLoop::new(SIZE, Limits::default()).expect("there is room");
    assert_eq!(device.fill(&mut save, &[], &mut [], true), Ok(Filled { len: 0, then: Then::More }));
    assert_eq!(device.accesses, 0);
}
