//! Whatever keeps a session from starting, its builder has everything that was put into it.

use vfio_migration::{Code, Recording, RestoreBuilder, RestoreOptions, SaveBuilder, SaveOptions, Sink, Source};

use super::scene::{DEVICE, origin, target};

#[test]
fn a_save_gives_devices_memory_and_trackers_back_and_they_can_be_saved() {
    let mut refused = origin(DEVICE, SaveOptions { chunk: 1, ..SaveOptions::default() });
    let error = refused.save.start(Sink::writer(std::io::sink(), || ())).unwrap_err();
    assert_eq!(error.code, Code::Usage, "{error}");
    let parts = refused.save.into_parts();
    assert_eq!(parts.devices.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["gpu0"]);
    assert_eq!(parts.memories.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["ram"]);
    assert_eq!(parts.trackers.len(), 1);

    let mut save = SaveBuilder::new(SaveOptions::default());
    for (id, device) in parts.devices {
        save.device(id, device);
    }
    let recording = Recording::new();
    let trackers = parts.trackers.into_iter().map(|tracker| save.tracker(recording.tracker("gpu0", tracker)));
    let trackers: Vec<_> = trackers.collect();
    for (id, memory) in parts.memories {
        save.memory(id, memory, 4096, &trackers);
    }
    let guest = refused.model.guest();
    save.on_pause(move |_| {
        guest.pause();
        Ok(())
    });
    let finished = save.start(Sink::writer(std::io::sink(), || ())).unwrap().wait();
    assert_eq!((finished.failure, finished.trackers.len()), (None, 1));
    let trace = recording.trace().to_string();
    for call in ["tracker-start -> page=4096\n", "tracker-report", "tracker-stop\n"] {
        assert!(trace.contains(call), "{call:?} is missing:\n{trace}");
    }
}

#[test]
fn a_restore_gives_devices_and_memory_back() {
    let refused = target(DEVICE, RestoreOptions::default());
    let mut parts = refused.restore.into_parts();
    let mut restore = RestoreBuilder::new(RestoreOptions::default());
    let (_, device) = parts.devices.remove(0);
    // The same id twice.
    restore.device("ram", device).memory("ram", parts.memories.remove(0).1);
    let error = restore.start(Source::reader(std::io::empty(), || ())).unwrap_err();
    assert_eq!(error.code, Code::Usage, "{error}");
    let mut parts = restore.into_parts();
    assert_eq!((parts.devices.len(), parts.memories.len(), parts.trackers.len()), (1, 1, 0));
    assert!(parts.devices[0].1.state().is_ok(), "the device is open");
}
