use serde::Serialize;

use super::{Damage, PciConfig, QemuOutline, Recognised};

/// What is in a file, in short.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outline {
    /// What kind of file it is.
    pub format: Format,
    /// Its bytes.
    #[serde(serialize_with = "super::number::one")]
    pub size: u64,
    /// How many parts it has.
    #[serde(serialize_with = "super::number::one")]
    pub parts: u64,
    /// The id of the session that wrote it, as 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Whether messages came back while it was written: `connected`, or `one-way`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
    /// Most bytes of payload in a frame.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub largest_frame: Option<u32>,
    /// What it moves. At most 1024.
    pub objects: Vec<ObjectOutline>,
    /// What else a file of QEMU's says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qemu: Option<QemuOutline>,
    /// How it ends; absent if it stops before an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
    /// What cannot be known from the file, and what is worth knowing about it.
    pub notes: Vec<String>,
    /// What in it contradicts itself, though it can be read.
    pub problems: Vec<String>,
    /// Where it can no longer be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<Damage>,
}

/// What kind of file it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// None that is known here.
    #[default]
    Unknown,
    /// A stream of this project: docs/stream-format.md.
    Stream,
    /// A file of QEMU's, with all that it saved.
    Qemu,
    /// One of several connections of a migration of QEMU's (multifd).
    QemuMultifd,
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Ending {
    /// With everything that was moved; the source has stopped.
    Stopped,
    /// With everything that was moved; the source went on: a snapshot.
    GoesOn,
    /// The source kept the guest.
    Cancelled,
    /// The source gave the guest up; what came of it was said on the way back.
    GivenUp,
    /// With its end, and what became of the source is not in it: QEMU's files.
    End,
}

/// What is known of one object.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectOutline {
    /// Its name.
    pub id: String,
    /// `device` or `memory`.
    pub kind: &'static str,
    /// A device's protocol: `region` or `fsm`; absent where the file does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<&'static str>,
    /// What a device's migration was capable of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<String>,
    /// A memory's first address, as devices see it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::number::maybe")]
    pub iova: Option<u64>,
    /// Bytes of a memory; of a device what it estimated.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::number::maybe")]
    pub size: Option<u64>,
    /// The lines of a device's passport.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passport: Vec<PassportLine>,
    /// How many parts carry its bytes; of QEMU's guest memory, how many pages.
    #[serde(serialize_with = "super::number::one")]
    pub frames: u64,
    /// Its bytes, those of a memory that came again included.
    #[serde(serialize_with = "super::number::one")]
    pub bytes: u64,
    /// Pages that were sent as being all the same byte, without their bytes.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "super::number::maybe")]
    pub zero_pages: Option<u64>,
    /// Segments of a region device that ended.
    #[serde(serialize_with = "super::number::one")]
    pub segments: u64,
    /// How often its initial data ended.
    #[serde(serialize_with = "super::number::one")]
    pub initial_ends: u64,
    /// Whether the file says that all of it is there.
    pub complete: bool,
    /// CRC32C of a device's data, however they are cut; absent if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<u32>,
    /// What QEMU saved beside a PCI device's data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<PciConfig>,
    /// What a device's driver put before its data, where it is known; absent: opaque.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recognised: Option<Recognised>,
}

/// One line of a passport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PassportLine {
    /// What it is about.
    pub key: String,
    /// What it says.
    pub value: String,
    /// Whether a destination must have the same.
    pub needed: bool,
}
