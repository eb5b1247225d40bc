//! The state that a device is found in when it is opened or taken, and what is done about it.

use vfio_migration_protocol::{CallError, Device, State};

use crate::address::{Fault, KernelError};

/// What was found, and what was done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) state: State,
    /// It was reset, because a dead session left it in that state.
    pub(super) was_reset: bool,
}

/// Reads the state of a device right after it was opened here (`ours`) or came from somebody else, and leaves it in one
/// that a session may begin with.
pub(super) fn settle(device: &mut dyn Device, ours: bool, from: &str) -> Result<Found, KernelError> {
    let failed = |what: &str, error: &CallError| KernelError {
        fault: Fault::Device,
        what: format!("{from}: {what}: {error}"),
        remedy: "look into the kernel's log ('dmesg')".into(),
        errno: Some(error.errno),
    };
    let state = device.state().map_err(|error| failed("its state cannot be read", &error))?;
    let is_free =
        if ours { state == State::Running } else { matches!(state, State::Running | State::RunningP2p | State::Stop) };
    if is_free {
        return Ok(Found { state, was_reset: false });
    }
    if !ours {
        return Err(KernelError::new(
            Fault::Device,
            format!("{from} is in {state}: another session has it, or left it so"),
            "end that session; if it is gone, let the device's owner reset it (VFIO_DEVICE_RESET)",
        ));
    }
    device.reset().map_err(|error| failed(&format!("it was left in {state} and cannot be reset"), &error))?;
    let now = device.state().map_err(|error| failed("its state cannot be read", &error))?;
    if now != State::Running {
        let what = format!("{from} was left in {state}, and is in {now} after a reset");
        return Err(KernelError::new(Fault::Device, what, "unbind its driver and bind it again"));
    }
    Ok(Found { state, was_reset: true })
}

#[cfg(test)]
mod tests {
    use vfio_migration_model::{Model, Settings};
    use vfio_migration_protocol::Errno;

    use super::*;

    fn model(state: State, faults: &str) -> Model {
        let settings = Settings::parse(&format!("size=64KiB,pre-copy,p2p{faults}")).unwrap();
        let mut model = Model::new(&settings, 1).unwrap();
        if state != State::Running {
            model.set_state(state).unwrap();
        }
        model
    }

    #[test]
    fn what_a_dead_session_left_is_reset_and_what_belongs_to_others_is_left_alone() {
        for state in State::ALL.into_iter().filter(|state| *state != State::Error) {
            let mut device = model(state, "");
            let was_reset = state != State::Running;
            assert_eq!(settle(&mut device, true, "vfio:1"), Ok(Found { state, was_reset }));
            assert_eq!((device.current_state(), device.resets()), (State::Running, Some(u64::from(was_reset))));

            let mut device = model(state, "");
            let taken = settle(&mut device, false, "fd:7");
            if [State::Running, State::RunningP2p, State::Stop].contains(&state) {
                assert_eq!(taken, Ok(Found { state, was_reset: false }));
            } else {
                let error = taken.unwrap_err();
                assert_eq!(error.fault, Fault::Device);
                assert!(error.what.starts_with(&format!("fd:7 is in {state}: another session has it")), "{error}");
            }
            assert_eq!((device.current_state(), device.resets()), (state, Some(0)));
        }
    }

    #[test]
    fn a_device_that_does_not_say_where_it_is_or_cannot_be_reset_is_named() {
        let error = settle(&mut model(State::Running, ",fault=state@1:EIO"), true, "vfio:1").unwrap_err();
        assert_eq!((error.fault, error.errno), (Fault::Device, Some(Errno::EIO)));
        assert!(error.what.contains("its state cannot be read"), "{error}");
        let error = settle(&mut model(State::Stop, ",fault=reset@1:EIO"), true, "vfio:1").unwrap_err();
        assert!(error.what.contains("it was left in stop and cannot be reset"), "{error}");
    }
}
