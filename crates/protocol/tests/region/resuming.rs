use vfio_migration_protocol::region::{BLOCK, Oversized, RegionError, Register, ResumeLoop};

use crate::device::{Device, Failed, segments};
use crate::dice::Dice;

const SIZE: u64 = 400;

/// Some segments.
type Segments = Vec<Vec<u8>>;

/// Writes segments in pieces of any size; the access with the number `fails_at` fails. Answers them, and what came.
fn resume(seed: u64, fails_at: Option<usize>) -> (Segments, Result<Segments, Failed>) {
    let mut dice = Dice(seed);
    let mut device = Device::new(SIZE, seed ^ 1);
    device.fails_at = fails_at;
    let segments = segments(&mut dice, 6, 300);
    let mut resume = ResumeLoop::new(SIZE, Oversized::Refuse).expect("there is room");
    let most = [3, 100, 1000][dice.place(3)];
    for segment in &segments {
        let mut rest = segment.as_slice();
        while !rest.is_empty() {
            let (piece, more) = rest.split_at((dice.place(most) + 1).min(rest.len()));
            if let Err(failed) = device.place(&mut resume, piece, more.is_empty()) {
                return (segments, Err(failed));
            }
            assert_eq!(resume.finish().is_ok(), more.is_empty(), "a device may leave resuming only between segments");
            rest = more;
        }
    }
    (segments, Ok(device.taken))
}

#[test]
fn a_device_takes_the_segments_that_there_were_whatever_pieces_they_came_in() {
    for seed in 0..4000 {
        let (segments, taken) = resume(seed, None);
        assert_eq!(taken, Ok(segments), "seed {seed}");
    }
}

#[test]
fn an_access_that_fails_is_told() {
    let mut failed = 0;
    for seed in 0..200 {
        for number in 0.. {
            match resume(seed, Some(number)) {
                (segments, Ok(taken)) => {
                    assert_eq!(segments, taken);
                    break;
                }
                (_, Err(error)) => assert_eq!(error, Failed::Access(vfio_migration_protocol::Errno::EIO)),
            }
            failed += 1;
        }
    }
    assert!(failed > 1000, "{failed}");
}

#[test]
fn a_segment_that_is_larger_than_the_window_is_refused_or_split() {
    let at_the_end = |register: Register, value| if register == Register::DataOffset { SIZE - 10 } else { value };
    let mut device = Device::new(SIZE, 1);
    device.lies = at_the_end;
    let mut resume = ResumeLoop::new(SIZE, Oversized::Refuse).expect("there is room");
    assert_eq!(device.place(&mut resume, &[1; 6], false), Ok(()));
    let error = device.place(&mut resume, &[1; 5], true);
    assert_eq!(error, Err(Failed::Machine(RegionError::Window { window: 10, segment: 11 })));

    // As QEMU does: what fits is given, and the offset is asked for again.
    let mut resume = ResumeLoop::new(SIZE, Oversized::Split).expect("there is room");
    let mut given = Vec::new();
    for (len, end) in [(6, false), (5, false), (20, true), (10, true), (1, true)] {
        use vfio_migration_protocol::region::{Access, Step};
        let mut step = resume.write(len, end).expect("it is split");
        while let Step::Access(access) = step {
            if let Access::Write(Register::DataSize, bytes) = access {
                given.push(bytes);
            }
            step = resume.answered(SIZE - 10).expect("the window is there");
        }
        assert_eq!(step, Step::Done(len));
    }
    assert_eq!(given, [10, 10, 10, 1, 10, 1]);
    assert_eq!(resume.finish(), Ok(()));
}

#[test]
fn a_window_that_is_not_in_the_region_is_refused() {
    for offset in [0, BLOCK - 1, SIZE, u64::MAX] {
        let mut resume = ResumeLoop::new(SIZE, Oversized::Refuse).expect("there is room");
        assert!(resume.write(1, true).is_ok());
        assert_eq!(resume.answered(offset), Err(RegionError::Offset { offset, size: SIZE }));
    }
    for size in 0..=BLOCK {
        assert_eq!(ResumeLoop::new(size, Oversized::Split).err(), Some(RegionError::TooSmall { size }));
    }
}

#[test]
fn data_that_ends_within_a_segment_is_told() {
    let mut device = Device::new(SIZE, 1);
    let mut resume = ResumeLoop::new(SIZE, Oversized::Refuse).expect("there is room");
    assert_eq!(device.place(&mut resume, &[], true), Ok(()));
    assert_eq!((device.accesses, resume.finish()), (0, Ok(())), "nothing is no segment");
    assert_eq!(device.place(&mut resume, &[1; 6], false), Ok(()));
    assert_eq!(resume.finish(), Err(RegionError::Unfinished { bytes: 6 }));
    assert_eq!(device.place(&mut resume, &[], true), Ok(()));
    assert_eq!((device.taken, resume.finish()), (vec![vec![1; 6]], Ok(())));
}
