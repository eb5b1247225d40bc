//! Data that consist of records: each has a head that says how long it is.
//!
//! | family | head, little-endian | how it is told from others |
//! |---|---|---|
//! | mlx5, virtio | size (8), flags (4), tag (4) | flags and tag are 0 or 1: no magic, so all records count before it is believed |
//! | xe | version (1), type (1), tile (1), gt (1), flags (4), offset (8), size (8) | a descriptor comes first, and begins with the device's id |
//! | QAT | id (8), size (4), subsections (4) | a preamble with a magic: `adf5caea` (4), version (4), its length (2), sections (2), size (4). A second one follows: the first part is what pre-copy sends, then all is padded |

use super::{Family, Recognised, u16_at, u32_at, u64_at};

/// The longest head, xe's.
const LONGEST: usize = 24;
/// A record of mlx5 or virtio is at most this long: a guess that keeps random numbers out.
const LIKELY: u64 = 1 << 40;
const QAT: u32 = 0xadf5_caea;
/// How many ids of sections are told.
const NAMED: usize = 16;
/// In xe's descriptor: key 0xf001 or 0xf002 in the high half, one word of value.
const XE_DEVICE: u32 = 0xf001_0001;
const XE_REVISION: u32 = 0xf002_0001;
const XE_TYPES: [&str; 6] = ["descriptor", "trailer", "ggtt", "mmio", "guc", "vram"];

/// Walks from record to record.
#[derive(Debug)]
pub(super) struct Records {
    family: Family,
    /// What the first bytes said.
    found: Recognised,
    /// The head of the next record, as far as it has come.
    head: [u8; LONGEST],
    filled: usize,
    /// Bytes of the last record that are still to come.
    left: u64,
    /// Records by their kind; the last place is for what has no name.
    counts: [u64; XE_TYPES.len() + 1],
    names: Vec<String>,
    /// What comes after this many records is not theirs, unless another preamble says so.
    most: u64,
    /// What the preambles say that their sections have, in bytes.
    stated: u64,
    /// Whether the rest is padding.
    is_over: bool,
    begun: u64,
    problem: Option<String>,
}

impl Records {
    /// The walker for data that begin like this, if they consist of records.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        let walker = |family, found, skip, most| Self {
            family,
            found,
            head: [0; LONGEST],
            filled: 0,
            left: skip,
            counts: [0; XE_TYPES.len() + 1],
            names: Vec::new(),
            most,
            stated: 0,
            is_over: false,
            begun: 0,
            problem: None,
        };
        if u32_at(head, 0)? == QAT {
            // No sections yet: the walker comes to the preamble first.
            u32_at(head, 12)?;
            let found = Recognised::new(Family::Qat).with("version", u32_at(head, 4)?);
            return Some(walker(Family::Qat, found, 0, 0));
        }
        if head.first_chunk() == Some(&[1, 1]) && u32_at(head, 24) == Some(XE_DEVICE) {
            let mut found = Recognised::new(Family::Xe).with("version", 1_u32);
            found = found.with("device", format!("{:#06x}", u32_at(head, 28)?));
            if u32_at(head, 32) == Some(XE_REVISION) {
                found = found.with("revision", format!("{:#x}", u32_at(head, 36)?));
            }
            return Some(walker(Family::Xe, found, 0, u64::MAX));
        }
        let size = u64_at(head, 0)?;
        if (1..LIKELY).contains(&size) && u32_at(head, 8)? <= 1 && u32_at(head, 12)? <= 1 {
            return Some(walker(Family::Records, Recognised::new(Family::Records), 0, u64::MAX));
        }
        None
    }

    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.problem.is_none() && !self.is_over {
            if self.left > 0 {
                let over = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                (self.left, bytes) = (self.left - over as u64, &bytes[over..]);
                continue;
            }
            let due = self.head_len() - self.filled;
            let (here, rest) = bytes.split_at(due.min(bytes.len()));
            self.head[self.filled..self.filled + here.len()].copy_from_slice(here);
            (self.filled, bytes) = (self.filled + here.len(), rest);
            if self.filled == self.head_len() {
                self.filled = 0;
                self.begin();
            }
        }
    }

    const fn head_len(&self) -> usize {
        if matches!(self.family, Family::Xe) { 24 } else { 16 }
    }

    /// A head is complete.
    fn begin(&mut self) {
        let head = self.head;
        let (low, high) = (u32_at(&head, 8).unwrap_or(0), u32_at(&head, 12).unwrap_or(0));
        let kind = match self.family {
            Family::Xe => {
                self.left = u64_at(&head, 16).unwrap_or(0);
                usize::from(head[1]).wrapping_sub(1)
            }
            Family::Qat if self.begun == self.most => return self.preamble(),
            Family::Qat => {
                let id = head[..8].split(|byte| *byte == 0).next().unwrap_or(&[]);
                if self.names.len() < NAMED {
                    self.names.push(id.escape_ascii().to_string());
                }
                self.left = u64::from(low);
                0
            }
            _ => {
                self.left = u64_at(&head, 0).unwrap_or(0);
                // An unknown record that is not marked as optional is one that the driver would refuse.
                if low > 1 || (high > 1 && low == 0) {
                    self.problem = Some(format!("record {} has flags {low:#x} and tag {high:#x}", self.begun));
                }
                usize::try_from(high).unwrap_or(usize::MAX)
            }
        };
        self.counts[kind.min(XE_TYPES.len())] += 1;
        self.begun += 1;
    }

    /// A preamble of QAT's is complete, or what comes after the last section.
    fn preamble(&mut self) {
        let (Some(QAT), Some(length), Some(sections)) =
            (u32_at(&self.head, 0), u16_at(&self.head, 8), u16_at(&self.head, 10))
        else {
            self.is_over = true;
            return;
        };
        // Its length may be that of a longer one than is known here.
        self.left = u64::from(length).saturating_sub(self.head_len() as u64);
        self.most = self.most.saturating_add(u64::from(sections));
        self.stated = self.stated.saturating_add(u64::from(u32_at(&self.head, 12).unwrap_or(0)));
    }

    /// What was found. Records without a magic are believed only if all of them fit.
    pub(super) fn recognised(&self, complete: bool) -> Option<Recognised> {
        let mut found = self.found.clone();
        let is_padded = self.begun == self.most;
        let cut = complete && (self.left > 0 || (self.filled > 0 && !is_padded));
        let cut = cut.then(|| format!("the data end within record {}", self.begun));
        let problem = self.problem.clone().or(cut);
        match self.family {
            Family::Records => {
                if problem.is_some() {
                    return None;
                }
                found = found.with("records", self.begun);
                // Only mlx5 has a second kind: how much stop-copy will have.
                let who = if self.counts[1] > 0 { "mlx5" } else { "mlx5 or virtio" };
                Some(found.with("driver", who))
            }
            Family::Qat => {
                let few = complete && self.begun < self.most;
                let few = few.then(|| format!("{} of {} sections are there", self.begun, self.most));
                found = found.with("sections", self.most).with("size", self.stated);
                Some(found.with("ids", self.names.join(" ")).problem(problem).problem(few))
            }
            _ => {
                for (name, count) in XE_TYPES.iter().zip(self.counts).filter(|(_, count)| *count > 0) {
                    found = found.with(name, count);
                }
                let unknown = self.counts[XE_TYPES.len()];
                let unknown = (unknown > 0).then(|| format!("{unknown} packets are of an unknown type"));
                let open = complete && self.counts[1] == 0;
                let open = open.then(|| "there is no trailer".to_owned());
                Some(found.problem(problem).problem(unknown).problem(open))
            }
        }
    }
}
