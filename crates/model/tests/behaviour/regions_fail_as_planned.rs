use std::time::Duration;

use vfio_migration_model::CallKind;
use vfio_migration_protocol::region::Register::{DataOffset, DataSize, DeviceState, PendingBytes};
use vfio_migration_protocol::{CallError, Device, Errno};

use crate::region::{By, give, read, region, segment, segments, state, write};

fn fails<T: core::fmt::Debug>(answer: Result<T, CallError>, errno: Errno) {
    assert_eq!(answer.expect_err("it fails").errno, errno);
}

#[test]
fn every_access_can_fail_and_the_next_one_works() {
    let of_saving = [
        (CallKind::ReadDeviceState, "read-device-state"),
        (CallKind::WriteDeviceState, "write-device-state"),
        (CallKind::ReadPendingBytes, "read-pending-bytes"),
        (CallKind::ReadDataOffset, "read-data-offset"),
        (CallKind::ReadDataSize, "read-data-size"),
        (CallKind::ReadWindow, "read-window"),
    ];
    for (kind, name) in of_saving {
        let mut model = region(&format!("size=0,fault={name}@1:ENOSPC"), 1);
        let mut round = |failed: Option<CallKind>| {
            let mut bytes = [0; 216];
            let answers = [
                (CallKind::ReadDeviceState, read(&mut model, DeviceState).map(drop)),
                (CallKind::WriteDeviceState, write(&mut model, DeviceState, 0)),
                (CallKind::WriteDeviceState, write(&mut model, DeviceState, 2)),
                (CallKind::ReadPendingBytes, read(&mut model, PendingBytes).map(drop)),
                (CallKind::ReadDataOffset, read(&mut model, DataOffset).map(drop)),
                (CallKind::ReadDataSize, read(&mut model, DataSize).map(drop)),
                (
                    CallKind::ReadWindow,
                    read(&mut model, DataOffset).and_then(|at| model.region_read(at, &mut bytes)).map(drop),
                ),
            ];
            let failing: Vec<_> = answers.iter().filter(|(_, answer)| answer.is_err()).map(|(kind, _)| *kind).collect();
            assert_eq!(failing, failed.into_iter().collect::<Vec<_>>(), "{name}");
            write(&mut model, DeviceState, 1).unwrap();
        };
        round(Some(kind));
        round(None);
    }
    for name in ["write-window", "write-data-size"] {
        let mut source = region("size=0", 1);
        write(&mut source, DeviceState, 2).unwrap();
        let segment = segment(&mut source, By::One).unwrap().unwrap();
        let mut destination = region(&format!("size=0,fault={name}@1:ENOSPC"), 2);
        write(&mut destination, DeviceState, 4).unwrap();
        fails(give(&mut destination, &segment, By::One), Errno::ENOSPC);
        give(&mut destination, &segment, By::One).unwrap();
        write(&mut destination, DeviceState, 1).unwrap();
        assert_eq!(source.proof(), destination.proof());
    }
}

#[test]
fn a_change_that_fails_half_way_is_taken_back() {
    // Which bits change, and after how many of them it fails.
    for (from, to, after) in [(1, 2, 0), (1, 2, 1), (1, 2, 2), (1, 4, 1), (3, 0, 1), (3, 2, 1), (2, 1, 1)] {
        let number = if from == 1 { 1 } else { 2 };
        let mut model = region(&format!("size=0,fault=write-device-state@{number}:EIO:{after}"), 1);
        if from != 1 {
            write(&mut model, DeviceState, from).unwrap();
        }
        fails(write(&mut model, DeviceState, to), Errno::EIO);
        assert_eq!(state(&mut model), from, "{from} -> {to} after {after}");
        write(&mut model, DeviceState, to).unwrap();
        assert_eq!(state(&mut model), to);
    }
}

#[test]
fn a_device_in_error_is_brought_back_by_a_reset_only() {
    for fault in ["write-device-state@2:error", "read-pending-bytes@1:error", "read-device-state@1:error"] {
        let mut model = region(&format!("size=0,reserved=16,fault={fault}"), 1);
        write(&mut model, DeviceState, 16 | 3).unwrap();
        let _ = (read(&mut model, DeviceState), read(&mut model, PendingBytes), write(&mut model, DeviceState, 16 | 2));
        assert_eq!(state(&mut model), 16 | 6, "{fault}");
        for value in [0, 1, 2, 3, 4, 6] {
            assert!(write(&mut model, DeviceState, 16 | value).is_err());
        }
        model.reset().unwrap();
        assert_eq!((state(&mut model), model.resets()), (16 | 1, Some(1)));
    }
}

#[test]
fn registers_can_say_what_is_wrong() {
    let huge = 1 << 62;
    for (name, register) in
        [("read-pending-bytes", PendingBytes), ("read-data-offset", DataOffset), ("read-data-size", DataSize)]
    {
        for (wrong, says) in [("zero", 0), ("huge", huge), ("unknown", u64::MAX)] {
            let mut model = region(&format!("size=64KiB,fault={name}@1:{wrong}"), 1);
            write(&mut model, DeviceState, 2).unwrap();
            assert_eq!(read(&mut model, register), Ok(says));
            // Without a segment there is no data, so that 0 is right.
            let right = register == DataSize && says == 0;
            assert_eq!(read(&mut model, register) == Ok(says), right, "only once");
        }
    }
    let mut model = region("size=64KiB,window=16KiB,fault=read-pending-bytes@2:stuck", 1);
    write(&mut model, DeviceState, 2).unwrap();
    let pending = |model: &mut _| read(model, PendingBytes).unwrap() > 0 && read(model, DataOffset).is_ok();
    assert!((0..20).all(|_| pending(&mut model)), "it never reaches 0");
}

#[test]
fn data_can_be_damaged_cut_short_and_late() {
    let sent = |settings: &str| {
        let mut source = region(settings, 1);
        write(&mut source, DeviceState, 2).unwrap();
        segments(&mut source, By::One)
    };
    let good = sent("size=64KiB");
    assert_ne!(sent("size=64KiB,fault=read-window@1:flip"), good);
    let mut source = region("size=64KiB,fault=read-window@1:short:7,fault=read-data-size@1:delay:5ms", 1);
    write(&mut source, DeviceState, 2).unwrap();
    read(&mut source, DataOffset).unwrap();
    read(&mut source, DataSize).unwrap();
    assert_eq!(source.take_delay(), Duration::from_millis(5));
    assert_eq!(source.region_read(0x1000, &mut [0; 100]), Ok(7));

    let load = |settings: &str| {
        let mut destination = region(settings, 2);
        write(&mut destination, DeviceState, 4).unwrap();
        let given = good.iter().try_for_each(|segment| give(&mut destination, segment, By::One));
        let proof = given.and_then(|()| write(&mut destination, DeviceState, 1)).map(|()| destination.proof());
        (proof, state(&mut destination))
    };
    let (right, _) = load("size=64KiB");
    assert_eq!(load("size=64KiB,fault=write-window@1:flip").0.unwrap_err().errno, Errno::EINVAL);
    for lies in ["discard", "rot"] {
        let (proof, state) = load(&format!("size=64KiB,fault=write-data-size@1:{lies}"));
        assert_eq!(state, 1);
        assert_ne!(proof, right, "{lies}");
        assert!(proof.is_ok(), "only the proof shows it");
    }
}
