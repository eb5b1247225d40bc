//! Files of QEMU's migration: sections, the device states in them as far as they can be told apart, and what describes
//! them at the end.
//!
//! Facts come from reading files that QEMU 7.2, 10.0 and 11.1 wrote. All numbers are big-endian.
//!
//! ```text
//! "QEVM" version(4) | configuration | section ... | end(1) | description: 06 length(4) JSON
//! section   01 start, 04 full: id(4) name(1+n) instance(4) version(4) body | footer: 7e id(4)
//!           02 part, 03 end:   id(4) body                                 | footer
//! command   08 number(2) length(2) bytes
//! ```
//!
//! A body does not say how long it is. Those of guest memory and of VFIO devices are read; any other is found to end where
//! its footer stands with what may follow it.

mod config;
mod cursor;
mod description;
mod framing;
mod multifd;
mod ram;
mod sections;
mod vfio;

use serde::Serialize;

pub use config::{Msix, PciConfig};
pub(super) use multifd::Reader as MultifdReader;

use super::{Content, Damage, Ending, Out, Payload, Read, Step};
use crate::stream::payload_crc_append;
use cursor::{Cursor, Stop, step};
use description::Description;
use sections::{Body, Sections};

pub(super) const MAGIC: &[u8; 4] = b"QEVM";
/// The first bytes of each connection of a migration with several.
pub(super) const MULTIFD_MAGIC: [u8; 4] = 0x1122_3344_u32.to_be_bytes();
/// What libvirt puts before such a file: done, and not done.
pub(super) const LIBVIRT: [&[u8; 16]; 2] = [b"LibvirtQemudSave", b"LibvirtQemudPart"];

/// What is known of a file of QEMU's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QemuOutline {
    /// Which machine was saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The capabilities of the migration that a destination must have as well.
    pub capabilities: Vec<String>,
    /// Whether libvirt wrote the file, and around it what it needs.
    pub libvirt: bool,
    /// The connections that a migration with several had; a file is one of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<u8>,
    /// What was saved, in the order in which it began. At most 4096.
    pub sections: Vec<SectionOutline>,
    /// How many of them the description at the end names; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub described: Option<usize>,
}

/// One thing that QEMU saved: in one section, or in a first one, any number of further ones and a last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SectionOutline {
    /// Its number.
    pub id: u32,
    /// Its name, such as `ram` or `0000:00:02.0/vfio`.
    pub name: String,
    /// Which of several of the same name.
    pub instance: u32,
    /// The version of its layout.
    pub version: u32,
    /// How many sections it took.
    #[serde(serialize_with = "super::number::one")]
    pub sections: u64,
    /// The bytes of their bodies.
    #[serde(serialize_with = "super::number::one")]
    pub bytes: u64,
}

/// Reads one file.
#[derive(Default)]
pub(super) struct Reader {
    state: State,
    /// Bytes that it needs to go on.
    need: usize,
    sections: Sections,
}

#[derive(Default)]
enum State {
    #[default]
    Begin,
    /// The description of the machine that libvirt puts first: so many bytes of it are left.
    Libvirt {
        len: u64,
        left: u64,
        crc: u32,
    },
    Header,
    /// Whether a configuration may come, with the machine or with more to it.
    Configuration,
    Subsections,
    /// A section, a command, or the end.
    Next,
    Body(Box<Body>),
    Footer(u32),
    /// The description, if there is one.
    AfterEnd,
    Description(Box<Description>),
    /// What comes after all: so many bytes, with this checksum.
    Trailing(u64, u32),
}

impl Read for Reader {
    fn least(&self) -> usize {
        self.need.max(1)
    }

    fn read(&mut self, bytes: &[u8], last: bool, out: &mut Out<'_>) -> Result<Step, Damage> {
        let answer = self.go_on(bytes, last, out);
        step(answer, last, &mut self.need)
    }

    fn end(&mut self, left: usize, out: &mut Out<'_>) -> Result<(), Damage> {
        let at = out.outline().size;
        let due = match &self.state {
            State::AfterEnd if left == 0 => {
                out.note("the file has no description of its sections");
                return Ok(());
            }
            State::Trailing(len, crc) => {
                let (len, checksum) = (*len, *crc);
                let payload = Payload { at: out.at(), len, checksum };
                if len > 0 {
                    out.note(format!("{len} bytes come after the end"));
                    out.part(len, None, Some(payload), Content::Trailing);
                }
                return Ok(());
            }
            State::Begin | State::Header => "the header of the file".into(),
            State::Libvirt { left, .. } => format!("{left} more bytes of libvirt's description of the machine"),
            State::Configuration | State::Subsections => "the configuration".into(),
            State::Next => "a section, or the end".into(),
            State::Body(body) => body.due(),
            State::Footer(id) => format!("the footer of section {id}"),
            State::AfterEnd => "the description of the sections".into(),
            State::Description(description) => description.due(),
        };
        Err(Damage::new(at, due, "the end of the file"))
    }
}

impl Reader {
    /// Reads the next thing; how many bytes it took.
    fn go_on(&mut self, bytes: &[u8], last: bool, out: &mut Out<'_>) -> Result<usize, Stop> {
        let mut cursor = Cursor::new(bytes, out.at());
        match &mut self.state {
            State::Begin => {
                out.outline().qemu.get_or_insert_default();
                self.state = if bytes.first() == Some(&MAGIC[0]) {
                    out.note("the format has no checksums: damage within data does not show");
                    State::Header
                } else {
                    let len = framing::libvirt(&mut cursor, out)?;
                    if len == 0 { State::Begin } else { State::Libvirt { len, left: len, crc: 0 } }
                };
                Ok(cursor.used())
            }
            State::Libvirt { len, left, crc } => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *crc = payload_crc_append(*crc, &bytes[..here]);
                *left -= here as u64;
                if *left == 0 {
                    let payload = Payload { at: out.at(), len: *len, checksum: *crc };
                    out.part(*len, None, Some(payload), Content::LibvirtDomain);
                    self.state = State::Begin;
                }
                Ok(here)
            }
            State::Header => {
                framing::header(&mut cursor, out)?;
                self.state = State::Configuration;
                Ok(cursor.used())
            }
            State::Configuration | State::Subsections => {
                let more = matches!(self.state, State::Subsections);
                let read = framing::configuration(&mut cursor, more, out)?;
                self.state = if read { State::Subsections } else { State::Next };
                Ok(cursor.used())
            }
            State::Next => {
                self.state = self.next(&mut cursor, out)?;
                Ok(cursor.used())
            }
            State::Body(body) => {
                let (used, over) = body.read(bytes, last, &self.sections, out)?;
                if over {
                    let id = body.id();
                    self.sections.ended(body);
                    self.state = State::Footer(id);
                }
                Ok(used)
            }
            State::Footer(id) => {
                let id = *id;
                framing::footer(&mut cursor, id, out)?;
                self.state = State::Next;
                Ok(cursor.used())
            }
            State::AfterEnd => {
                self.state = match framing::description(&mut cursor, out)? {
                    Some(0) => {
                        Description::new(0).read(&[], &self.sections, out);
                        State::Trailing(0, 0)
                    }
                    Some(len) => State::Description(Box::new(Description::new(len))),
                    None => State::Trailing(0, 0),
                };
                Ok(cursor.used())
            }
            State::Description(description) => {
                let (used, over) = description.read(bytes, &self.sections, out);
                if over {
                    self.state = State::Trailing(0, 0);
                }
                Ok(used)
            }
            State::Trailing(len, crc) => {
                *len += bytes.len() as u64;
                *crc = payload_crc_append(*crc, bytes);
                Ok(bytes.len())
            }
        }
    }

    /// What may follow a section.
    fn next(&mut self, cursor: &mut Cursor<'_>, out: &mut Out<'_>) -> Result<State, Stop> {
        let at = cursor.at();
        match cursor.u8()? {
            framing::END => {
                out.outline().ending = Some(Ending::End);
                out.part(1, None, None, Content::QemuEnd);
                Ok(State::AfterEnd)
            }
            framing::COMMAND => {
                framing::command(cursor, out)?;
                Ok(State::Next)
            }
            kind @ framing::START..=framing::FULL => {
                let body = self.sections.begin(kind, cursor, out)?;
                Ok(State::Body(Box::new(body)))
            }
            other => Err(Damage::new(at, "a section, a command or the end", format!("{other:#04x}")).into()),
        }
    }
}
