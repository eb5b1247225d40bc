use vfio_migration_model::{Model, Settings};
use vfio_migration_protocol::{Device, State};

/// A device that takes any bytes as its data: whatever it is given, it ends in stop with all of its data, or refuses
/// and can still be reset.
pub fn model(data: &[u8]) {
    let settings = Settings::parse("size=12KiB,pre-copy,seed=3").expect("sound settings");
    let mut device = Model::new(&settings, 1).expect("a small device");
    device.set_state(State::Resuming).expect("a fresh device enters resuming");
    // How the bytes are cut is part of what is tried.
    let piece = data.first().map_or(1, |byte| usize::from(*byte).max(1) * 7);
    let taken = data.chunks(piece).try_for_each(|piece| {
        let mut rest = piece;
        while !rest.is_empty() {
            let len = device.write(rest, false)?;
            assert!(len > 0 && len <= rest.len(), "it took {len} of {} bytes", rest.len());
            rest = &rest[len..];
        }
        Ok::<(), vfio_migration_protocol::CallError>(())
    });
    let stopped = taken.and_then(|()| device.set_state(State::Stop));
    let state = device.state().expect("its state can be read");
    if stopped.is_ok() {
        assert_eq!(state, State::Stop);
    } else {
        assert!(matches!(state, State::Resuming | State::Error), "it refused, and is in {state}");
        device.reset().expect("a reset works from every state");
        assert_eq!(device.state(), Ok(State::Running));
    }
}

/// Settings as text: what is read means the same when it is written and read again.
pub fn settings(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Ok(settings) = Settings::parse(text) {
        let again = Settings::parse(&settings.to_string()).expect("what was written can be read");
        assert_eq!(again.to_string(), settings.to_string());
    }
}
