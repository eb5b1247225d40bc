//! A device and the guest memory it writes to move live over a socket pair, both ends in this process.

use std::os::unix::net::UnixStream;

use vfio_migration::{Outcome, RestoreBuilder, RestoreOptions, SaveBuilder, SaveOptions, Sink, Source, device};

#[test]
fn over_a_socket_pair() {
    let (near, far) = UnixStream::pair().unwrap();
    let opened = device::open("model:size=64MiB,pre-copy,p2p,seed=7", None).unwrap();
    let source_model = opened.model.unwrap();
    source_model.guest().resume();
    let mut save = SaveBuilder::new(SaveOptions::default());
    save.device("gpu0", opened.device);
    save.on_pause({
        let guest = source_model.guest();
        move |_| {
            guest.pause();
            Ok(())
        }
    });
    let opened = device::open("model:size=64MiB,pre-copy,p2p,seed=8", None).unwrap();
    let model = opened.model.unwrap();
    let mut restore = RestoreBuilder::new(RestoreOptions::default());
    restore.device("gpu0", opened.device);
    let restoring = restore.start(Source::fd(far.into()).unwrap()).unwrap();
    let saving = save.start(Sink::fd(near.into()).unwrap()).unwrap();
    let saved = saving.wait();
    let restored = restoring.wait();
    println!("{saved:#?}\n{restored:#?}");
    assert_eq!(saved.failure, None);
    assert_eq!(restored.failure, None);
    assert_eq!(saved.devices[0].outcome, Outcome::Completed);
    assert_eq!(model.resets(), 0);
}
