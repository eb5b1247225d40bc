use serde::Serialize;

use super::Damage;

/// One stretch of a file. Each begins where the one before ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// Its first byte in the file.
    #[serde(serialize_with = "super::number::one")]
    pub at: u64,
    /// How many bytes it has.
    #[serde(serialize_with = "super::number::one")]
    pub len: u64,
    /// The object that it is about, by its place in [`Outline::objects`](super::Outline::objects).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<usize>,
    /// What it carries, without what is around it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Payload>,
    /// What it is.
    #[serde(flatten)]
    pub content: Content,
}

/// The bytes that a part carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    /// The first of them in the file.
    #[serde(serialize_with = "super::number::one")]
    pub at: u64,
    /// How many they are.
    #[serde(serialize_with = "super::number::one")]
    pub len: u64,
    /// Their CRC32C: of the file where it has one and they have it, computed otherwise.
    pub checksum: u32,
}

/// What a part of a file is. `type` in JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Content {
    /// The first 64 bytes of a stream of this project.
    Preamble,
    /// Its table of objects.
    Table,
    /// A frame with bytes of an object.
    Data {
        /// The frame's sequence number.
        #[serde(serialize_with = "super::number::one")]
        number: u64,
        /// Where the bytes begin in the object.
        #[serde(serialize_with = "super::number::one")]
        offset: u64,
        /// A region's segment ends here.
        segment_end: bool,
        /// The initial data of this generation ends here.
        #[serde(skip_serializing_if = "Option::is_none")]
        initial_end: Option<u32>,
    },
    /// The frame after the last bytes of an object. Its totals are those of what came.
    ObjectEnd {
        /// The frame's sequence number.
        #[serde(serialize_with = "super::number::one")]
        number: u64,
    },
    /// A frame without more to it, such as `alive`.
    Message {
        /// The frame's sequence number.
        #[serde(serialize_with = "super::number::one")]
        number: u64,
        /// What it says.
        name: &'static str,
    },
    /// A frame with the last or only part of a text: `event`, `report`, `cancelled`.
    Text {
        /// The frame's sequence number.
        #[serde(serialize_with = "super::number::one")]
        number: u64,
        /// Which text.
        name: &'static str,
        /// All of it, with what came before.
        text: String,
    },
    /// A frame with a part of a text that goes on in the next one.
    TextPart {
        /// The frame's sequence number.
        #[serde(serialize_with = "super::number::one")]
        number: u64,
    },
    /// The last frame of a one-way stream. Its totals are those of what came.
    End {
        /// The frame's sequence number.
        #[serde(serialize_with = "super::number::one")]
        number: u64,
        /// The source went on: a snapshot.
        goes_on: bool,
    },
    /// A frame of a type that is not known here and need not be.
    Skipped {
        /// The frame's sequence number.
        #[serde(serialize_with = "super::number::one")]
        number: u64,
        /// Its type.
        kind: u16,
    },
    /// What libvirt puts before QEMU's file.
    LibvirtHeader,
    /// libvirt's description of the machine.
    LibvirtDomain,
    /// The first bytes of QEMU's file.
    QemuHeader,
    /// Which machine was saved.
    Configuration {
        /// Its name.
        machine: String,
    },
    /// More of the configuration.
    ConfigurationPart {
        /// Which part.
        name: String,
    },
    /// The head of a section.
    Section {
        /// `start`, `part` and `end` of what takes several, `full` of what takes one.
        kind: &'static str,
        /// Its number.
        id: u32,
        /// Its name.
        name: String,
    },
    /// The end of a section.
    Footer {
        /// Its number.
        id: u32,
    },
    /// A command to the destination.
    Command {
        /// Which.
        name: &'static str,
    },
    /// Guest memory: the body of a section.
    Ram {
        /// Pages with their bytes.
        #[serde(serialize_with = "super::number::one")]
        pages: u64,
        /// Pages that are all the same byte.
        #[serde(serialize_with = "super::number::one")]
        zero_pages: u64,
    },
    /// The body of a section that is not read here.
    Opaque,
    /// A VFIO device: nothing yet, its set-up.
    VfioSetup,
    /// A VFIO device: bytes of its data.
    VfioData {
        /// Where they begin in the data.
        #[serde(serialize_with = "super::number::one")]
        offset: u64,
    },
    /// A VFIO device: what the guest had set up of it.
    VfioConfig,
    /// A VFIO device: the end of a section's body.
    VfioEnd,
    /// A VFIO device: its initial data were sent. Ends a section's body as well.
    VfioInitialSent,
    /// A VFIO device: its config may be loaded now. Ends a section's body as well.
    VfioConfigReady,
    /// The end of all sections.
    QemuEnd,
    /// The JSON that describes the sections.
    Description,
    /// What comes after the end.
    Trailing,
    /// The first bytes of one of several connections.
    MultifdHello {
        /// Which connection.
        channel: u8,
    },
    /// A packet with pages.
    MultifdPages {
        /// Pages with their bytes.
        pages: u32,
        /// Pages of zeros.
        zero_pages: u32,
    },
    /// A packet that keeps the connections in step.
    MultifdSync,
    /// A packet with bytes of a VFIO device.
    MultifdData {
        /// Its turn among those of the device, on all connections.
        index: u32,
    },
    /// A packet with what the guest had set up of a VFIO device.
    MultifdConfig {
        /// Its turn among those of the device, on all connections.
        index: u32,
    },
    /// From here on the file cannot be read.
    Damage {
        /// Why.
        damage: Damage,
    },
}
