use vfio_migration_model::{CallKind, Model, Register as Own};
use vfio_migration_protocol::region::Register::{DataOffset, DataSize, DeviceState, PendingBytes};
use vfio_migration_protocol::{Device, State};

use crate::region::{By, give, read, region, segment, segments, state, write};

/// Moves a device that works by pre-copy and stop-copy, and compares both ends.
fn moves(settings: &str, by: By) -> (Model, Model) {
    let (mut source, mut destination) = (region(settings, 1), region(settings, 2));
    source.start();
    source.advance(20);
    write(&mut source, DeviceState, 3).unwrap();
    let mut sent = Vec::new();
    for _ in 0..5 {
        // As many as there are at this moment; the device changes meanwhile.
        for _ in 0..3 {
            sent.extend(segment(&mut source, by).unwrap());
        }
        source.advance(1);
    }
    write(&mut source, DeviceState, 2).unwrap();
    sent.extend(segments(&mut source, by));
    assert_eq!(read(&mut source, PendingBytes), Ok(0));

    write(&mut destination, DeviceState, 4).unwrap();
    for segment in &sent {
        give(&mut destination, segment, by).unwrap();
    }
    write(&mut destination, DeviceState, 1).unwrap();
    assert_eq!(source.proof(), destination.proof(), "{settings} by {by:?}");
    write(&mut source, DeviceState, 0).unwrap();
    assert_eq!((source.resets(), destination.resets()), (Some(0), Some(0)));
    assert_eq!((source.count(CallKind::Misaccess), destination.count(CallKind::Misaccess)), (0, 0));
    (source, destination)
}

#[test]
fn a_device_moves_whatever_its_window_is_like() {
    let sizes = ["size=0", "size=1", "size=300KiB", "size=1MiB", "size=1MiB,late=1MiB", "size=1MiB,info-makes-data"];
    let windows =
        ["window=4KiB", "window=64KiB,mmap=whole", "window=64KiB,mmap=sparse", "segment=64..5000", "segment=64"];
    for size in sizes {
        for window in windows.into_iter().filter(|window| size.len() < 10 || !window.ends_with("=64")) {
            for pre_copy in ["", ",pre-copy"] {
                for by in [By::Window, By::One, By::Pieces(1000)] {
                    moves(&format!("{size},{window}{pre_copy},dirty-rate=3"), by);
                }
            }
        }
    }
    let by = By::One;
    moves("empty-stream,size=0", by);
    moves("size=64KiB,p2p", by);
}

#[test]
fn the_device_goes_on_where_it_was() {
    let (_, mut destination) = moves("size=256KiB,pre-copy,window=16KiB", By::One);
    assert_eq!(destination.register(Own::Counter), 25);
    destination.advance(5);
    assert_eq!(destination.register(Own::Counter), 30);
    assert_eq!(destination.current_state(), State::Running);
}

#[test]
fn a_device_without_pre_copy_has_the_state_and_nothing_to_give_there() {
    let mut model = region("size=64KiB", 1);
    write(&mut model, DeviceState, 3).unwrap();
    assert_eq!(read(&mut model, PendingBytes), Ok(0));
    read(&mut model, DataOffset).unwrap();
    assert_eq!(read(&mut model, DataSize), Ok(0));
    write(&mut model, DeviceState, 2).unwrap();
    assert!(read(&mut model, PendingBytes).unwrap() > 64 << 10);
}

#[test]
fn segments_stay_until_they_are_acknowledged() {
    let mut model = region("size=1MiB,pre-copy,window=64KiB", 1);
    write(&mut model, DeviceState, 3).unwrap();
    assert!(read(&mut model, PendingBytes).unwrap() > 0);
    assert_eq!(read(&mut model, PendingBytes), read(&mut model, PendingBytes), "reading it again does no harm");
    let (offset, size) = (read(&mut model, DataOffset).unwrap(), read(&mut model, DataSize).unwrap());
    assert_eq!((offset, size), (0x1000, 64 << 10));
    let mut bytes = [vec![0; 64 << 10], vec![0; 64 << 10]];
    model.region_read(offset, &mut bytes[0]).unwrap();
    // The device stops, and the segment of pre-copy is still there.
    write(&mut model, DeviceState, 2).unwrap();
    assert_eq!((read(&mut model, DataOffset), read(&mut model, DataSize)), (Ok(offset), Ok(size)));
    model.region_read(offset, &mut bytes[1]).unwrap();
    assert_eq!(bytes[0], bytes[1]);
    let next = segment(&mut model, By::One).unwrap().unwrap();
    assert_ne!(next, bytes[0]);
}

#[test]
fn segments_have_the_sizes_that_the_settings_draw() {
    let mut model = region("size=1MiB,window=64KiB,segment=1000..2000", 1);
    write(&mut model, DeviceState, 2).unwrap();
    let mut sizes: Vec<_> = segments(&mut model, By::One).iter().map(Vec::len).collect();
    assert!(sizes.pop() <= Some(2000), "the last one has the rest");
    assert!(sizes.iter().all(|size| (1000..=2000).contains(size)), "{sizes:?}");
    sizes.sort_unstable();
    sizes.dedup();
    assert!(sizes.len() > 100, "they differ: {sizes:?}");
}

#[test]
fn a_device_that_was_reset_is_as_new() {
    let mut model = region("size=64KiB,reserved=256,p2p", 1);
    for value in [2, 3, 4, 11] {
        write(&mut model, DeviceState, 256 | value).unwrap();
        model.reset().unwrap();
        assert_eq!(state(&mut model), 257);
        assert_eq!(read(&mut model, PendingBytes), Ok(0));
    }
}

#[test]
fn the_log_says_what_was_read_and_written() {
    let mut model = region("size=0,trace,segment=64KiB,window=64KiB", 1);
    write(&mut model, DeviceState, 2).unwrap();
    let sent = segments(&mut model, By::One);
    write(&mut model, DeviceState, 0).unwrap();
    let _ = model.region_read(9, &mut [0; 8]);
    let log: Vec<_> = model.calls().iter().map(ToString::to_string).collect();
    assert_eq!(sent.len(), 1);
    let expected = [
        "write-device-state stop-copy 2",
        "read-pending-bytes 216",
        "read-data-offset 4096",
        "read-data-size 216",
        "read-window 216",
        "read-pending-bytes 0",
        "write-device-state stop 0",
        "misaccess 8 -> EINVAL",
    ];
    assert_eq!(log, expected);
}
