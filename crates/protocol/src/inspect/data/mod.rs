//! What a device's driver wrote, as far as its header tells. Most drivers' data are opaque, and said to be so.
//!
//! Where the layouts come from: the drivers of Linux 6.19 (mtty, mlx5, virtio, hisilicon, qat, xe), and
//! `crates/model` for the software device.

mod heads;
mod records;

use serde::Serialize;

use records::Records;

/// Which driver wrote a device's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Family {
    /// The software device of this project.
    Model,
    /// The kernel's sample device, mtty.
    Mtty,
    /// Records with a head of 16 bytes: mlx5 and virtio, which only the records' tags tell apart.
    Records,
    /// `HiSilicon` accelerators.
    Hisi,
    /// Intel `QuickAssist`.
    Qat,
    /// Intel graphics, xe.
    Xe,
}

/// What a device's data say about themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recognised {
    /// Who wrote them.
    pub family: Family,
    /// What stands in their header, by name.
    pub facts: Vec<(String, String)>,
    /// What in them is not as that driver writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Recognised {
    fn new(family: Family) -> Self {
        Self { family, facts: Vec::new(), problem: None }
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.push((name.into(), value.into().0));
        self
    }

    fn problem(mut self, problem: Option<String>) -> Self {
        self.problem = self.problem.or(problem);
        self
    }
}

/// A text, or a number as one.
struct Value(String);

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self(number.to_string())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self(number.to_string())
    }
}

/// Most bytes that any family needs to be told from the others.
const HEAD: usize = 64;

/// Looks at the data of one device as they go by, and keeps the first few of them.
#[derive(Debug, Default)]
pub(super) struct Recogniser {
    head: Vec<u8>,
    bytes: u64,
    /// Whether and how the data consist of records, once the head has shown it.
    records: Option<Records>,
}

impl Recogniser {
    /// One that recognises nothing.
    pub(super) fn deaf() -> Self {
        Self { head: vec![0; HEAD], bytes: 0, records: None }
    }

    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        let missing = HEAD - self.head.len();
        if missing == 0 {
            if let Some(records) = &mut self.records {
                records.take(bytes);
            }
            return;
        }
        let (head, rest) = bytes.split_at(missing.min(bytes.len()));
        self.head.extend_from_slice(head);
        if self.head.len() == HEAD {
            self.begin();
            if let Some(records) = &mut self.records {
                records.take(rest);
            }
        }
    }

    /// The head is complete, or all there is.
    fn begin(&mut self) {
        self.records = Records::of(&self.head);
        if let Some(records) = &mut self.records {
            records.take(&self.head);
        }
    }

    /// What was found, once there is no more. What is `complete` must also end where its records end.
    pub(super) fn end(&mut self, complete: bool) -> Option<Recognised> {
        if self.head.len() < HEAD {
            self.begin();
        }
        let Self { head, bytes, records } = self;
        match records {
            Some(records) => records.recognised(complete),
            None => heads::recognised(head, *bytes, complete),
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}
