//! Addresses: what they open, and what is said of those that open nothing.

use vfio_migration_device::{Address, OpenError, open};
use vfio_migration_model::GuestMemory;
use vfio_migration_protocol::Capabilities;

#[test]
fn an_address_comes_back() {
    let address: Address = "model:size=256MiB,pre-copy,p2p,seed=7".parse().unwrap();
    assert_eq!(address.to_string(), "model:size=256MiB,pre-copy,p2p,seed=7");
    assert_eq!(address.to_string().parse::<Address>().unwrap(), address);
}

#[test]
fn what_is_opened_is_what_the_address_says() {
    let memory = GuestMemory::new(0, 1 << 20).unwrap();
    let opened = open("model:size=5000,pre-copy,dirty-tracking", Some(memory)).unwrap();
    let device = opened.device;
    assert_eq!(device.capabilities(), Capabilities::from_bits(1 | 4) | Capabilities::DIRTY_TRACKING);
    assert!(device.passport().entries().iter().any(|entry| (&*entry.key, &*entry.value) == ("size", "5000")));
    assert_eq!(opened.trackers.len(), 1);
    assert!(opened.model.unwrap().memory().is_some());
    assert!(open("model:", None).unwrap().trackers.is_empty());
}

#[test]
fn two_devices_of_one_address_fit_but_are_not_the_same() {
    let [one, other] = [(); 2].map(|()| open("model:size=1MiB,seed=7", None).unwrap());
    assert_eq!(one.device.passport().accepts(other.device.passport()), Ok(()));
    assert_ne!(one.model.unwrap().proof(), other.model.unwrap().proof());
}

#[test]
fn what_is_wrong_is_named() {
    let wrong = [
        ("", "the address '' has no scheme"),
        ("model", "the address 'model' has no scheme"),
        ("0000:65:00.1", "no devices have the scheme '0000'"),
        ("Model:", "no devices have the scheme 'Model'"),
        ("vfio-user:/run/socket", "devices of the scheme 'vfio-user' are not supported yet"),
        ("model:sise=1", "the address of a model is wrong: a model has no setting 'sise'"),
        ("model:size=2TiB", "the address of a model is wrong: size=2TiB is too large"),
    ];
    for (address, start) in wrong {
        let error = open(address, None).unwrap_err();
        assert!(error.to_string().starts_with(start), "{address}: {error}");
        assert_eq!(std::error::Error::source(&error).is_some(), matches!(error, OpenError::Settings(_)));
    }
}
