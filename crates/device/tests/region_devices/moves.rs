use vfio_migration_model::CallKind;
use vfio_migration_protocol::region::Oversized;
use vfio_migration_protocol::{Device, Errno, State};

use crate::direct::{Direct, drain, load};

/// Moves a device that works, in pieces of so many bytes, and compares both ends.
fn moves(settings: &str, piece: usize) {
    let (source, destination) = (Direct::new(settings, 1), Direct::new(settings, 2));
    let (mut saving, mut resuming) = (source.client(), destination.client());
    source.model().start();
    source.model().advance(9);
    saving.set_state(State::PreCopy).unwrap();
    let mut pieces = Vec::new();
    for _ in 0..3 {
        // Not all of it: pre-copy is left with data pending, and in the middle of a segment where the piece is small.
        let mut buffer = vec![0; piece];
        let filled = saving.read(&mut buffer).unwrap();
        buffer.truncate(filled.len);
        if filled.len > 0 {
            pieces.push((buffer, filled.then == vfio_migration_protocol::Then::SegmentEnd));
        }
        source.model().advance(1);
    }
    saving.set_state(State::StopCopy).unwrap();
    pieces.extend(drain(&mut saving, piece).unwrap());
    load(&mut resuming, &pieces).unwrap();
    assert_eq!(source.model().proof(), destination.model().proof(), "{settings} in pieces of {piece}");
    saving.set_state(State::Stop).unwrap();

    // The segments are the same ones, although they went in pieces.
    let (left, came) = (source.values(CallKind::ReadDataSize), destination.values(CallKind::WriteDataSize));
    assert_eq!(left.into_iter().filter(|size| *size > 0).collect::<Vec<_>>(), came, "{settings} in pieces of {piece}");
    for side in [&source, &destination] {
        let model = side.model();
        assert_eq!((model.count(CallKind::Misaccess), model.resets()), (0, Some(0)));
    }
}

#[test]
fn every_dialect_window_and_piece() {
    for dialect in ["dialect=thread", "dialect=thread,p2p", "dialect=qemu", "dialect=libvfio-user"] {
        for window in
            ["mmap=none", "mmap=whole", "mmap=sparse", "mmap=none,segment=100..9000", "mmap=sparse,segment=100..9000"]
        {
            for data in ["size=0", "size=200KiB,pre-copy", "size=200KiB,reserved=4096"] {
                for piece in [999, 16 << 10, 1 << 20] {
                    moves(&format!("{data},{dialect},window=16KiB,{window}"), piece);
                }
            }
        }
    }
}

#[test]
fn what_is_mapped_is_never_read_or_written() {
    let accesses = |settings: &str| {
        let (source, destination) = (Direct::new(settings, 1), Direct::new(settings, 2));
        let mut saving = source.client();
        saving.set_state(State::StopCopy).unwrap();
        let pieces = drain(&mut saving, 1 << 20).unwrap();
        load(&mut destination.client(), &pieces).unwrap();
        assert_eq!(source.model().proof(), destination.model().proof());
        (source.values(CallKind::ReadWindow), destination.values(CallKind::WriteWindow))
    };
    let (reads, writes) = accesses("size=1MiB,window=128KiB,mmap=none");
    assert!(reads.len() == writes.len() && reads[..8].iter().all(|len| *len == 128 << 10), "large ones: {reads:?}");
    assert_eq!(accesses("size=1MiB,window=128KiB,mmap=whole"), (vec![], vec![]));
    // The page that is not mapped, once in each segment.
    let (reads, writes) = accesses("size=1MiB,window=128KiB,mmap=sparse");
    assert!(reads.iter().chain(&writes).all(|len| *len <= 4096) && reads.len() >= 8, "{reads:?}");
}

#[test]
fn a_segment_that_is_larger_than_the_window_is_refused_or_split() {
    let source = Direct::new("size=64KiB,window=16KiB", 1);
    let mut saving = source.client();
    saving.set_state(State::StopCopy).unwrap();
    let pieces = drain(&mut saving, 5000).unwrap();

    let narrow = Direct::new("size=64KiB,window=8KiB", 2);
    let mut client = narrow.client();
    let error = load(&mut client, &pieces).unwrap_err();
    assert_eq!(error.errno, Errno::ENOSPC);
    assert!(error.to_string().contains("allow segments to be split"), "{error}");
    assert_eq!(narrow.values(CallKind::WriteDataSize), [] as [u64; 0], "nothing of it reached the device");
    // The data is not complete, so nothing but a reset leads out.
    assert_eq!(client.set_state(State::Running).unwrap_err().errno, Errno::ENOSPC);
    assert_eq!(client.state(), Ok(State::Resuming));
    client.reset().unwrap();
    assert_eq!((client.state(), client.resets()), (Ok(State::Running), Some(1)));

    let tolerant = Direct::new("size=64KiB,window=8KiB,tolerate=split-segments", 3);
    load(&mut tolerant.client_with(Oversized::Split), &pieces).unwrap();
    assert_eq!(tolerant.model().proof(), source.model().proof());
    // A strict device does not put up with it.
    let strict = Direct::new("size=64KiB,window=8KiB", 4);
    assert_eq!(load(&mut strict.client_with(Oversized::Split), &pieces).unwrap_err().errno, Errno::EINVAL);
}

#[test]
fn data_that_ends_in_a_segment_does_not_reach_the_device() {
    let source = Direct::new("size=64KiB,window=16KiB", 1);
    let mut saving = source.client();
    saving.set_state(State::StopCopy).unwrap();
    let pieces = drain(&mut saving, 5000).unwrap();
    let destination = Direct::new("size=64KiB,window=16KiB", 2);
    let mut client = destination.client();
    let error = load(&mut client, &pieces[..2]).unwrap_err();
    assert!(error.to_string().contains("the data ends 10000 bytes into a segment"), "{error}");
    assert_eq!(client.state(), Ok(State::Resuming));
}
