//! The JSON at the end of a file, which names the sections that were saved at once, compared with what was found.

use serde::Deserialize;

use super::sections::Sections;
use crate::inspect::{Content, Out, Payload};
use crate::stream::payload_crc_append;

/// A longer one is not read. Those of real machines have up to 100 KiB.
const MOST: u32 = 4 << 20;
/// Its kind and length.
const HEAD: u64 = 5;

/// The description as it passes by.
pub(super) struct Description {
    len: u32,
    left: u32,
    crc: u32,
    text: Vec<u8>,
}

#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    devices: Vec<Device>,
}

#[derive(Deserialize)]
struct Device {
    name: String,
    #[serde(default)]
    instance_id: i64,
    /// Only where QEMU itself does not know more of the fields.
    size: Option<u64>,
}

impl Description {
    pub(super) fn new(len: u32) -> Self {
        Self { len, left: len, crc: 0, text: Vec::new() }
    }

    /// Reads on; `true` once it is over.
    pub(super) fn read(&mut self, bytes: &[u8], sections: &Sections, out: &mut Out<'_>) -> (usize, bool) {
        let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        let here = &bytes[..here];
        self.crc = payload_crc_append(self.crc, here);
        if self.len <= MOST {
            self.text.extend_from_slice(here);
        }
        self.left -= u32::try_from(here.len()).expect("no more than are left");
        if self.left == 0 {
            self.compare(sections, out);
            let len = u64::from(self.len);
            let payload = Payload { at: out.at().saturating_add(HEAD), len, checksum: self.crc };
            out.part(HEAD + len, None, Some(payload), Content::Description);
        }
        (here.len(), self.left == 0)
    }

    pub(super) fn due(&self) -> String {
        format!("{} more of {} bytes of the description", self.left, self.len)
    }

    fn compare(&self, sections: &Sections, out: &mut Out<'_>) {
        if self.len > MOST {
            return out.note(format!("the description has {} bytes, too many to be read", self.len));
        }
        let described: Described = match serde_json::from_slice(&self.text) {
            Ok(described) => described,
            Err(error) => return out.problem(format!("the description of the sections cannot be read: {error}")),
        };
        let mut wrong = Vec::new();
        let Some(qemu) = &mut out.outline().qemu else { return };
        qemu.described = Some(described.devices.len());
        for Device { name, instance_id, size } in &described.devices {
            let found = qemu
                .sections
                .iter()
                .find(|section| section.name == *name && i64::from(section.instance) == *instance_id);
            match (found, size) {
                (None, _) => wrong.push(format!("the description names \"{name}\", which is not there")),
                (Some(section), Some(size)) => {
                    let bytes = sections.full_bytes(section.id);
                    if bytes != *size {
                        wrong
                            .push(format!("the description says that \"{name}\" has {size} bytes, and it has {bytes}"));
                    }
                }
                (Some(_), None) => {}
            }
        }
        for problem in wrong {
            out.problem(problem);
        }
    }
}
