//! Where a session stands when a test begins.

use core::time::Duration;

use vfio_migration_protocol::session::{
    Chunk, DeviceObject, Input, Message, Mode, Object, ObjectDescription, ObjectKind, Offer, Protocol, Restore,
    RestoreObject, RestoreOptions, Save, SaveObject, SaveOptions,
};
use vfio_migration_protocol::{Capabilities, Estimate, IovaRange, Passport, Table};

use crate::driver::End;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const CHUNK: u32 = 4096;
pub(crate) const RAM: IovaRange = IovaRange { iova: 0x10_0000, length: 8 * CHUNK as u64 };
const FULL: Capabilities = Capabilities::from_bits(1 | 2 | 4);

/// A source without pre-copy, which needs no answer before it drains.
pub(crate) fn plain() -> SaveOptions {
    SaveOptions { pre_copy: false, ..options() }
}

pub(crate) fn options() -> SaveOptions {
    SaveOptions { chunk: CHUNK, ..SaveOptions::default() }
}

pub(crate) fn device(place: usize) -> DeviceObject {
    DeviceObject {
        id: format!("d{place}"),
        protocol: Protocol::Fsm,
        capabilities: FULL,
        table: Table::fsm(FULL),
        passport: Passport::new(),
        companions: None,
    }
}

pub(crate) fn saved(place: usize) -> SaveObject {
    SaveObject::Device(device(place))
}

fn restored(place: usize) -> RestoreObject {
    RestoreObject::Device(device(place))
}

/// What a source with so many devices offers.
pub(crate) fn offer(mode: Mode, devices: usize) -> Offer {
    let device = |place| ObjectDescription {
        id: format!("d{place}"),
        kind: ObjectKind::Device { protocol: Protocol::Fsm, capabilities: FULL, passport: Passport::new() },
        size: Estimate::Unknown,
    };
    Offer { session: [7; 16], mode, chunk: CHUNK, objects: (0..devices).map(device).collect() }
}

impl End<Save> {
    /// A source of so many devices.
    pub(crate) fn source(options: SaveOptions, devices: usize) -> Self {
        Self::source_of(options, (0..devices).map(saved).collect())
    }

    /// A source of these objects, devices first.
    pub(crate) fn source_of(options: SaveOptions, objects: Vec<SaveObject>) -> Self {
        let mode = options.mode;
        let devices = objects.iter().filter(|object| matches!(object, SaveObject::Device(_))).count();
        Self::new(Save::new(options, [7; 16], objects).expect("the options fit"), mode, devices)
    }

    /// A connected source that has just given the guest up.
    pub(crate) fn source_that_gave_up(devices: usize) -> Self {
        let mut source = Self::source(plain(), devices);
        source.go();
        let asked = source.hears(Message::Loaded);
        assert_eq!(asked, ["says given-up"]);
        source
    }
}

impl End<Restore> {
    /// A destination for so many devices, to which a source has offered them and begun.
    pub(crate) fn destination(options: RestoreOptions, mode: Mode, devices: usize) -> Self {
        let mut destination = Self::destination_that_waits(options, mode, devices);
        destination.hear(Input::Opened(offer(mode, devices)));
        destination.go();
        if mode == Mode::Connected {
            destination.hears(Message::Begin);
        }
        destination
    }

    /// A destination that has not heard anything yet.
    pub(crate) fn destination_that_waits(options: RestoreOptions, mode: Mode, devices: usize) -> Self {
        let objects = (0..devices).map(restored).collect();
        let mut destination = Self::new(Restore::new(options, objects).expect("the options fit"), mode, devices);
        destination.go();
        destination
    }

    /// A connected destination that has just said loaded.
    pub(crate) fn destination_that_loaded(devices: u32) -> Self {
        let mut destination = Self::destination(RestoreOptions::default(), Mode::Connected, devices as usize);
        let asked: Vec<_> =
            (0..devices).flat_map(|place| destination.hears(Message::ObjectEnd(Object(place)))).collect();
        assert_eq!(asked.last().map(String::as_str), Some("says loaded"));
        destination
    }

    /// A frame of data arrives, in a chunk if it has any bytes.
    pub(crate) fn data(&mut self, chunk: u32, offset: u64, len: u32, initial_end: Option<u32>) -> Vec<String> {
        let message = Message::Data { object: Object(0), offset, len, segment_end: false, initial_end };
        self.hear(Input::Received(message, (len > 0).then_some(Chunk(chunk))));
        self.go()
    }
}
