use vfio_migration_model::CallKind;
use vfio_migration_protocol::state::Dialect;
use vfio_migration_protocol::{Device, Errno, Estimate, State, Table};

use crate::direct::{Direct, drain};

#[test]
fn only_changes_that_the_dialect_has_are_asked_for() {
    for dialect in Dialect::ALL {
        for p2p in [false, true] {
            if p2p && dialect != Dialect::Thread {
                continue;
            }
            let table = Table::region(dialect, p2p);
            for from in State::ALL.into_iter().filter(|state| table.has(*state)) {
                for to in State::ALL {
                    let settings =
                        format!("size=0,empty-stream,dialect={dialect},reserved=256{}", if p2p { ",p2p" } else { "" });
                    let device = Direct::new(&settings, 1);
                    let mut client = device.client();
                    client.set_state(from).expect("from running everything can be reached");
                    let before = device.model().count(CallKind::WriteDeviceState);
                    let answer = client.set_state(to);
                    let writes = device.model().count(CallKind::WriteDeviceState) - before;
                    match table.path(from, to) {
                        Err(refusal) => {
                            assert_eq!(answer.unwrap_err().detail, Some(refusal.to_string().into()));
                            assert_eq!(writes, 0, "{dialect} {from} -> {to} was not sent");
                        }
                        // The one thing that a device of the model refuses although it might do it.
                        Ok(_) if from == State::StopCopy && to.is_pre_copy() => {
                            assert_eq!(answer.unwrap_err().errno, Errno::EINVAL);
                            assert_eq!(client.state(), Ok(from));
                        }
                        Ok(path) => {
                            assert_eq!(answer, Ok(()), "{dialect} {from} -> {to}");
                            assert_eq!((client.state(), writes), (Ok(to), path.len() as u64));
                        }
                    }
                    let reserved =
                        device.values(CallKind::WriteDeviceState).into_iter().all(|value| value & !15 == 256);
                    assert!(reserved, "reserved bits are written as they were read");
                }
            }
        }
    }
}

#[test]
fn a_device_in_error_says_so_and_a_reset_brings_it_back() {
    let device = Direct::new("size=0,fault=write-device-state@2:error", 1);
    let mut client = device.client();
    client.set_state(State::PreCopy).unwrap();
    assert_eq!(client.set_state(State::StopCopy).unwrap_err().errno, Errno::EIO);
    assert_eq!(client.state(), Ok(State::Error));
    // Nobody asks a device for anything that is in error.
    let written = device.model().count(CallKind::WriteDeviceState);
    assert_eq!(client.set_state(State::Running).unwrap_err().errno, Errno::EINVAL);
    assert_eq!(device.model().count(CallKind::WriteDeviceState), written);
    assert_eq!(client.read(&mut [0; 9]).unwrap_err().errno, Errno::EBADF);
    client.reset().unwrap();
    assert_eq!(client.state(), Ok(State::Running));
    client.set_state(State::StopCopy).unwrap();
    assert!(!drain(&mut client, 1000).unwrap().is_empty());
}

#[test]
fn a_signal_does_not_end_a_change() {
    for call in ["read-device-state", "write-device-state"] {
        for number in 1..4 {
            let device = Direct::new(&format!("size=0,dialect=libvfio-user,fault={call}@{number}:EINTR"), 1);
            let mut client = device.client();
            client.set_state(State::PreCopy).unwrap();
            client.set_state(State::Running).unwrap();
            assert_eq!(client.state(), Ok(State::Running), "{call}@{number}");
        }
    }
    let device = Direct::new("size=0,fault=write-device-state@1+:EINTR", 1);
    assert_eq!(device.client().set_state(State::Stop).unwrap_err().errno, Errno::EINTR, "not for ever");
}

#[test]
fn estimates_are_of_what_is_pending_and_asking_takes_no_data() {
    let device = Direct::new("size=64KiB,window=16KiB,pre-copy", 1);
    let mut client = device.client();
    assert_eq!(client.data_size(), Ok(Estimate::Unknown));
    assert_eq!(client.pre_copy_info().unwrap_err().errno, Errno::EINVAL);
    client.set_state(State::PreCopy).unwrap();
    let info = client.pre_copy_info().unwrap();
    let Estimate::Known(all) = info.dirty else { panic!("a region always says") };
    assert_eq!((info.initial, info.reinit), (Estimate::Known(0), false));
    assert!(all > 64 << 10);
    let mut first = vec![0; 5000];
    client.read(&mut first).unwrap();
    // In the middle of a segment the register is not read: that would end the segment.
    let reads = device.model().count(CallKind::ReadPendingBytes);
    assert_eq!(client.pre_copy_info().unwrap().dirty, Estimate::Known(all - 5000));
    assert_eq!(client.data_size(), Ok(Estimate::Known(all - 5000)));
    assert_eq!(device.model().count(CallKind::ReadPendingBytes), reads);
    client.set_state(State::StopCopy).unwrap();
    let pieces = drain(&mut client, 5000).unwrap();
    let bytes: usize = pieces.iter().map(|(bytes, _)| bytes.len()).sum();
    assert_eq!(client.data_size(), Ok(Estimate::Known(0)));
    assert!(bytes + 5000 > 64 << 10);
}
