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
    /// From here on the file cannot be read.
    Damage(Damage),
}
