//! "Devices of one IOMMU group share one group fd: they form one session or are refused."

use vfio_migration_protocol::Companions;
use vfio_migration_protocol::session::{
    DeviceObject, Failure, Fault, Restore, RestoreObject, RestoreOptions, Save, SaveObject,
};

use crate::scenes::{device, options};

/// Device `place`, with what is known of its group: the number, its own name, and who is open there.
fn member(place: usize, known: Option<(u32, &str, &[&str])>) -> DeviceObject {
    let companions = known.map(|(group, name, open)| Companions {
        group,
        name: name.into(),
        open: open.iter().map(|name| (*name).into()).collect(),
    });
    DeviceObject { companions, ..device(place) }
}

/// What both ends say to these devices, which is the same.
fn starts(devices: &[DeviceObject]) -> Result<(), Failure> {
    let from = devices.iter().cloned().map(SaveObject::Device).collect();
    let saves = Save::new(options(), [7; 16], from).map(drop);
    let to = devices.iter().cloned().map(RestoreObject::Device).collect();
    let restores = Restore::new(RestoreOptions::default(), to).map(drop);
    assert_eq!(saves, restores);
    saves
}

const PAIR: &[&str] = &["0000:65:00.0", "0000:65:00.1"];

#[test]
fn a_device_of_a_group_does_not_move_without_the_others_that_are_open() {
    let one = member(0, Some((40, PAIR[1], PAIR)));
    let other = member(1, Some((7, "0000:03:00.0", &["0000:03:00.0"])));
    let failure = starts(&[other, one]).unwrap_err();
    assert_eq!((failure.fault, failure.object.as_deref()), (Fault::Usage, Some("d0")));
    for words in
        ["IOMMU group 40", "0000:65:00.0 and 0000:65:00.1 are open", "0000:65:00.0 is not in the session", "add it"]
    {
        assert!(failure.what.contains(words), "'{words}' is missing: {}", failure.what);
    }
}

#[test]
fn all_that_are_open_move_together() {
    let both = [member(0, Some((40, PAIR[0], PAIR))), member(1, Some((40, PAIR[1], PAIR)))];
    assert_eq!(starts(&both), Ok(()));
    // One that is not open is in nobody's way.
    assert_eq!(starts(&[member(0, Some((40, PAIR[0], &PAIR[..1])))]), Ok(()));
}

#[test]
fn a_name_counts_in_its_own_group_only() {
    let elsewhere = [member(0, Some((40, PAIR[0], PAIR))), member(1, Some((41, PAIR[1], &PAIR[1..])))];
    assert_eq!(starts(&elsewhere).unwrap_err().fault, Fault::Usage);
}

#[test]
fn what_is_unknown_is_not_refused() {
    assert_eq!(starts(&[member(0, None), member(1, Some((40, PAIR[0], &PAIR[..1])))]), Ok(()));
}
