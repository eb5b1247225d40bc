//! What a session moves, as its machines see it, and what must be so before anything is done.

use super::{Failure, Fault, MAX_OBJECTS, Protocol, TrackerIndex};
use crate::{Capabilities, Companions, Device, IovaRange, Passport, Table};

/// A device that a session moves.
#[derive(Clone, Debug)]
pub struct DeviceObject {
    /// Its name in the stream: 1 to 255 bytes.
    pub id: String,
    /// Which protocol it speaks.
    pub protocol: Protocol,
    /// [`Device::capabilities`]
    pub capabilities: Capabilities,
    /// [`Device::table`]
    pub table: Table,
    /// [`Device::passport`]
    pub passport: Passport,
    /// [`Device::companions`]
    pub companions: Option<Companions>,
}

/// What a [`Save`](super::Save) moves.
#[derive(Clone, Debug)]
pub enum SaveObject {
    /// A device.
    Device(DeviceObject),
    /// A piece of guest memory.
    Memory {
        /// Its name in the stream: 1 to 255 bytes.
        id: String,
        /// [`Memory::range`](crate::Memory::range)
        range: IovaRange,
        /// In bytes, a power of two.
        page_size: u64,
        /// Who reports writes to it; without any, all of it is sent after the devices have stopped.
        trackers: Vec<TrackerIndex>,
    },
}

/// What a [`Restore`](super::Restore) can take.
#[derive(Clone, Debug)]
pub enum RestoreObject {
    /// A device.
    Device(DeviceObject),
    /// A piece of guest memory.
    Memory {
        /// Its name in the stream: 1 to 255 bytes.
        id: String,
        /// [`Memory::range`](crate::Memory::range)
        range: IovaRange,
    },
}

impl DeviceObject {
    /// A device as it describes itself.
    pub fn of(id: impl Into<String>, device: &dyn Device) -> Self {
        Self {
            id: id.into(),
            protocol: device.protocol(),
            capabilities: device.capabilities(),
            table: device.table(),
            passport: device.passport().clone(),
            companions: device.companions(),
        }
    }

    /// A device of its IOMMU group that is open and none of these; `None` if there is none, or the group is not known.
    fn left_out<'a>(&'a self, devices: &[&Self]) -> Option<(&'a Companions, &'a str)> {
        let own = self.companions.as_ref()?;
        let is_there = |name: &String| {
            let all = devices.iter().filter_map(|device| device.companions.as_ref());
            all.into_iter().any(|there| there.group == own.group && there.name == *name)
        };
        own.open.iter().find(|name| !is_there(name)).map(|name| (own, name.as_str()))
    }
}

impl RestoreObject {
    /// Whether its data comes in segments.
    pub(super) const fn has_segments(&self) -> bool {
        matches!(self, Self::Device(DeviceObject { protocol: Protocol::Region, .. }))
    }
}

/// What the objects of both ends have in common.
pub(super) trait Listed {
    fn id(&self) -> &str;
    fn device(&self) -> Option<&DeviceObject>;
}

impl Listed for SaveObject {
    fn id(&self) -> &str {
        match self {
            Self::Device(DeviceObject { id, .. }) | Self::Memory { id, .. } => id,
        }
    }

    fn device(&self) -> Option<&DeviceObject> {
        match self {
            Self::Device(device) => Some(device),
            Self::Memory { .. } => None,
        }
    }
}

impl Listed for RestoreObject {
    fn id(&self) -> &str {
        match self {
            Self::Device(DeviceObject { id, .. }) | Self::Memory { id, .. } => id,
        }
    }

    fn device(&self) -> Option<&DeviceObject> {
        match self {
            Self::Device(device) => Some(device),
            Self::Memory { .. } => None,
        }
    }
}

/// What the objects of a session must be before anything is done.
pub(super) fn check<T: Listed>(objects: &[T]) -> Result<(), Failure> {
    if objects.is_empty() || objects.len() > MAX_OBJECTS {
        return usage(format!("a session moves 1 to {MAX_OBJECTS} objects, not {}", objects.len()));
    }
    let devices: Vec<_> = objects.iter().filter_map(Listed::device).collect();
    if devices.is_empty() {
        return usage("a session moves at least one device".into());
    }
    for (place, object) in objects.iter().enumerate() {
        let id = object.id();
        if id.is_empty() || id.len() > 255 {
            return usage(format!("the id '{id}' has {} bytes: 1 to 255 can be", id.len()));
        }
        if objects[..place].iter().any(|other| other.id() == id) {
            return usage(format!("two objects have the id '{id}'"));
        }
    }
    // A device that stayed would go on with a guest that has left, or be taken from one that is here: no IOMMU stands
    // between it and the others.
    for device in &devices {
        if let Some((Companions { group, open, .. }, name)) = device.left_out(&devices) {
            let open = open.join(" and ");
            let what = format!(
                "of IOMMU group {group} {open} are open here, and {name} is not in the session: devices of one group form \
                 one session; add it, or close it"
            );
            return Err(of_device(&device.id, what));
        }
    }
    Ok(())
}

/// What the pieces of memory of a save must be.
pub(super) fn check_pages(objects: &[SaveObject], chunk: u32) -> Result<(), Failure> {
    for object in objects {
        let SaveObject::Memory { id, range, page_size, trackers } = object else { continue };
        if trackers.iter().any(|tracker| tracker.0 as usize >= MAX_OBJECTS) {
            return usage(format!("memory '{id}' has a tracker with a number above {MAX_OBJECTS}"));
        }
        let pages = page_size.is_power_of_two() && *page_size >= 512 && *page_size <= u64::from(chunk);
        if !pages
            || !is_whole(*range, *page_size)
            || range.length == 0
            || range.iova.checked_add(range.length).is_none()
        {
            return usage(format!(
                "memory '{id}' at {:#x} with {} bytes is no whole number of pages of {page_size} bytes, or a page does \
                 not fit a chunk",
                range.iova, range.length
            ));
        }
    }
    Ok(())
}

/// A group of several devices with one whose P2P DMA cannot be quiesced.
pub(super) fn no_grace(id: &str) -> Failure {
    let what = format!(
        "'{id}' has no P2P state, and it is one of several; say that there is no P2P traffic among them, or move it alone"
    );
    of_device(id, what)
}

/// What cannot be asked of a device together with the others.
fn of_device(id: &str, what: String) -> Failure {
    Failure { object: Some(id.into()), ..Failure::new(Fault::Usage, what) }
}

/// Whether a range is a whole number of pages.
pub(super) const fn is_whole(range: IovaRange, page_size: u64) -> bool {
    range.iova.is_multiple_of(page_size) && range.length.is_multiple_of(page_size)
}

fn usage<T>(what: String) -> Result<T, Failure> {
    Err(Failure::new(Fault::Usage, what))
}
