//! The sections of VFIO devices, of both generations: their tags are the same.

use super::config;
use super::cursor::{Cursor, Stop};
use crate::inspect::{Content, Damage, Out, Payload};
use crate::stream::payload_crc_append;

pub(super) const END_OF_STATE: u64 = 0xffff_ffff_ef10_0001;
const CONFIG_STATE: u64 = 0xffff_ffff_ef10_0002;
const SETUP_STATE: u64 = 0xffff_ffff_ef10_0003;
const DATA_STATE: u64 = 0xffff_ffff_ef10_0004;
const INITIAL_DATA_SENT: u64 = 0xffff_ffff_ef10_0005;
const CONFIG_LOAD_READY: u64 = 0xffff_ffff_ef10_0006;
/// The first byte of every tag. A footer begins with another one.
const TAG: u8 = 0xff;

/// Within the body of one section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    object: usize,
    /// Whether this is the section after which nothing of the device's data comes.
    is_end: bool,
    data: Option<Data>,
    /// Whether the body may be over.
    ended: bool,
}

/// Data that pass by.
#[derive(Clone, Copy, Debug)]
struct Data {
    len: u64,
    left: u64,
    crc: u32,
}

impl Body {
    pub(super) fn new(object: usize, is_end: bool) -> Self {
        Self { object, is_end, data: None, ended: false }
    }

    /// Reads on; `true` with how many bytes it took once the body is over.
    pub(super) fn read(&mut self, bytes: &[u8], last: bool, out: &mut Out<'_>) -> Result<(usize, bool), Stop> {
        if self.data.is_some() {
            return Ok((self.pass(bytes, out), false));
        }
        let mut cursor = Cursor::new(bytes, out.at());
        // The first version (QEMU 5.2) put the config before the data of the last section, with an end of its own.
        if self.ended && bytes.first() != Some(&TAG) {
            return Ok((0, true));
        }
        let object = Some(self.object);
        let at = cursor.at();
        let tag = cursor.u64()?;
        self.ended = false;
        let content = match tag {
            SETUP_STATE => Content::VfioSetup,
            DATA_STATE => {
                let len = cursor.u64()?;
                self.data = Some(Data { len, left: len, crc: 0 });
                if len == 0 {
                    self.said(out);
                }
                return Ok((cursor.used(), false));
            }
            CONFIG_STATE => {
                let config = config::read(&mut cursor, last)?;
                if let Some(object) = out.outline().objects.get_mut(self.object) {
                    object.config = Some(config);
                }
                Content::VfioConfig
            }
            END_OF_STATE | INITIAL_DATA_SENT | CONFIG_LOAD_READY => {
                self.ended = true;
                let known = out.outline().objects.get_mut(self.object);
                match (tag, known) {
                    (END_OF_STATE, Some(object)) => {
                        object.complete |= self.is_end;
                        Content::VfioEnd
                    }
                    (INITIAL_DATA_SENT, Some(object)) => {
                        object.initial_ends += 1;
                        Content::VfioInitialSent
                    }
                    _ => Content::VfioConfigReady,
                }
            }
            other => return Err(Damage::new(at, "a tag of a VFIO section", format!("{other:#018x}")).into()),
        };
        let used = cursor.used();
        let payload = (content == Content::VfioConfig).then(|| {
            let payload = &bytes[8..used];
            Payload { at: at + 8, len: payload.len() as u64, checksum: payload_crc_append(0, payload) }
        });
        out.part(used as u64, object, payload, content);
        Ok((used, false))
    }

    fn pass(&mut self, bytes: &[u8], out: &mut Out<'_>) -> usize {
        let Some(data) = &mut self.data else { return 0 };
        let here = usize::try_from(data.left).unwrap_or(usize::MAX).min(bytes.len());
        let here = &bytes[..here];
        data.left -= here.len() as u64;
        data.crc = payload_crc_append(data.crc, here);
        out.device_data(self.object, here);
        if data.left == 0 {
            self.said(out);
        }
        here.len()
    }

    /// One piece of data is over.
    fn said(&mut self, out: &mut Out<'_>) {
        let Some(Data { len, crc, .. }) = self.data.take() else { return };
        let mut offset = 0;
        if let Some(object) = out.outline().objects.get_mut(self.object) {
            offset = object.bytes;
            object.bytes = object.bytes.saturating_add(len);
            object.frames += 1;
        }
        out.device_sum(self.object, len, crc);
        let payload = Payload { at: out.at().saturating_add(16), len, checksum: crc };
        out.part(len.saturating_add(16), Some(self.object), Some(payload), Content::VfioData { offset });
    }

    /// What is missing if the file ends here.
    pub(super) fn due(&self) -> String {
        match self.data {
            Some(Data { len, left, .. }) => format!("{left} more of {len} bytes of a VFIO device's data"),
            None => "a tag of a VFIO section".into(),
        }
    }
}
