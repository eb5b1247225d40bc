//! Which sections there are, and who reads their bodies.

use std::collections::HashMap;

use memchr::memmem::Finder;

use super::cursor::{Cursor, Stop};
use super::{SectionOutline, framing, ram, vfio};
use crate::inspect::{Content, Damage, ObjectOutline, Out, Payload};
use crate::stream::payload_crc_append;

/// Most sections with a number of their own.
const MOST: usize = 4096;

/// The sections so far, by their numbers.
#[derive(Default)]
pub(super) struct Sections {
    known: HashMap<u32, Known>,
    /// Bytes of those that were saved at once.
    full: HashMap<u32, u64>,
}

#[derive(Clone, Copy)]
struct Known {
    /// Its place in the outline.
    place: usize,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Ram,
    /// A VFIO device, with its place among the objects.
    Vfio(usize),
    Opaque,
}

/// The body of a section that is being read.
pub(super) struct Body {
    id: u32,
    place: usize,
    is_full: bool,
    is_end: bool,
    bytes: u64,
    inner: Inner,
}

enum Inner {
    Ram(ram::Body),
    Vfio(vfio::Body),
    /// Whatever comes before the footer: its checksum so far.
    Opaque(u32),
}

impl Sections {
    pub(super) fn knows(&self, id: u32) -> bool {
        self.known.contains_key(&id)
    }

    /// Bytes of a section that was saved at once: 0 if there is none.
    pub(super) fn full_bytes(&self, id: u32) -> u64 {
        self.full.get(&id).copied().unwrap_or(0)
    }

    /// The body of a section is over.
    pub(super) fn ended(&mut self, body: &Body) {
        if body.is_full {
            self.full.insert(body.id, body.bytes);
        }
    }

    /// Reads the rest of a section's head.
    pub(super) fn begin(&mut self, kind: u8, cursor: &mut Cursor<'_>, out: &mut Out<'_>) -> Result<Body, Stop> {
        let at = cursor.at();
        let id = cursor.u32()?;
        let is_first = matches!(kind, framing::START | framing::FULL);
        let section = if is_first {
            let name = cursor.name("a section")?;
            Some(SectionOutline { id, name, instance: cursor.u32()?, version: cursor.u32()?, sections: 0, bytes: 0 })
        } else {
            None
        };
        // Nothing may be changed before the head is complete.
        let known = match (section, self.known.get(&id)) {
            // The config of a VFIO device comes under the number that its data had.
            (Some(section), Some(known)) => {
                let name = name_at(out, known.place);
                if name != section.name {
                    let found = format!("\"{}\"", section.name);
                    return Err(Damage::new(at, format!("section {id} to be \"{name}\""), found).into());
                }
                *known
            }
            (Some(section), None) => self.add(at, section, out)?,
            (None, Some(known)) => *known,
            (None, None) => {
                return Err(Damage::new(at, "a section that has begun", format!("section {id}")).into());
            }
        };
        let name = name_at(out, known.place);
        if let Some(outline) = out.outline().qemu.as_mut().and_then(|qemu| qemu.sections.get_mut(known.place)) {
            outline.sections += 1;
        }
        let object = if let Kind::Vfio(object) = known.kind { Some(object) } else { None };
        let kind_name = match kind {
            framing::START => "start",
            framing::PART => "part",
            framing::SECTION_END => "end",
            _ => "full",
        };
        out.part(cursor.used() as u64, object, None, Content::Section { kind: kind_name, id, name });
        let inner = match known.kind {
            Kind::Ram => Inner::Ram(ram::Body::new(layout(out), out.at())),
            Kind::Vfio(object) => Inner::Vfio(vfio::Body::new(object, kind == framing::SECTION_END)),
            Kind::Opaque => Inner::Opaque(0),
        };
        let (is_full, is_end) = (kind == framing::FULL, kind == framing::SECTION_END);
        Ok(Body { id, place: known.place, is_full, is_end, bytes: 0, inner })
    }

    fn add(&mut self, at: u64, section: SectionOutline, out: &mut Out<'_>) -> Result<Known, Damage> {
        if self.known.len() >= MOST {
            return Err(Damage::new(at, format!("at most {MOST} sections"), "another one"));
        }
        let kind = match section.name.as_str() {
            "ram" => Kind::Ram,
            name if name == "vfio" || name.ends_with("/vfio") => {
                if out.is_full() {
                    return Err(Damage::new(at, "at most 1024 objects", "another one"));
                }
                out.note("VFIO sections are the same for both protocols: which one a device spoke is not in the file");
                Kind::Vfio(out.object(ObjectOutline {
                    id: section.name.clone(),
                    kind: "device",
                    ..ObjectOutline::default()
                }))
            }
            _ => Kind::Opaque,
        };
        let id = section.id;
        let sections = &mut out.outline().qemu.get_or_insert_default().sections;
        sections.push(section);
        let known = Known { place: sections.len() - 1, kind };
        self.known.insert(id, known);
        Ok(known)
    }
}

fn name_at(out: &mut Out<'_>, place: usize) -> String {
    let section = out.outline().qemu.as_ref().and_then(|qemu| qemu.sections.get(place));
    section.map(|section| section.name.clone()).unwrap_or_default()
}

fn layout(out: &mut Out<'_>) -> ram::Layout {
    let page = 1 << out.known.page_bits;
    let has = |name: &str| {
        let qemu = out.known.outline.qemu.as_ref();
        qemu.is_some_and(|qemu| qemu.capabilities.iter().any(|capability| capability == name))
    };
    ram::Layout { page, addresses: has("x-ignore-shared"), mapped: has("mapped-ram") }
}

impl Body {
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Reads on; `true` with how many bytes it took once the body is over.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        last: bool,
        sections: &Sections,
        out: &mut Out<'_>,
    ) -> Result<(usize, bool), Stop> {
        let (used, over) = match &mut self.inner {
            Inner::Ram(body) => body.read(bytes, out)?,
            Inner::Vfio(body) => body.read(bytes, last, out)?,
            Inner::Opaque(crc) => {
                let (used, over) = find_footer(bytes, self.id, last, sections)?;
                *crc = payload_crc_append(*crc, &bytes[..used]);
                if over {
                    let len = self.bytes.saturating_add(used as u64);
                    let payload = Payload { at: out.at(), len, checksum: *crc };
                    let payload = (len > 0).then_some(payload);
                    out.part(len, None, payload, Content::Opaque);
                }
                (used, over)
            }
        };
        self.bytes = self.bytes.saturating_add(used as u64);
        if over {
            if self.is_end && matches!(self.inner, Inner::Ram(_)) {
                let memories = out.outline().objects.iter_mut().filter(|object| object.kind == "memory");
                memories.for_each(|memory| memory.complete = true);
            }
            let qemu = out.outline().qemu.as_mut();
            if let Some(outline) = qemu.and_then(|qemu| qemu.sections.get_mut(self.place)) {
                outline.bytes = outline.bytes.saturating_add(self.bytes);
            }
        }
        Ok((used, over))
    }

    /// What is missing if the file ends here.
    pub(super) fn due(&self) -> String {
        match &self.inner {
            Inner::Ram(body) => body.due().into(),
            Inner::Vfio(body) => body.due(),
            Inner::Opaque(_) => format!("the footer of section {}", self.id),
        }
    }
}

/// How many bytes come before a footer with what may follow it; `false`: none is there yet, and so many can be skipped.
fn find_footer(bytes: &[u8], id: u32, last: bool, sections: &Sections) -> Result<(usize, bool), Stop> {
    let mut footer = [framing::FOOTER; 5];
    footer[1..].copy_from_slice(&id.to_be_bytes());
    // Too little to tell: from here on again, with more.
    let again = |at: usize| if at > 0 { Ok((at, false)) } else { Err(Stop::More(footer.len() + framing::SEEN)) };
    let finder = Finder::new(&footer);
    let mut from = 0;
    while let Some(found) = finder.find(&bytes[from..]) {
        let at = from + found;
        from = at + 1;
        let rest = &bytes[at + footer.len()..];
        if rest.len() < framing::SEEN && !last {
            return again(at);
        }
        if framing::may_follow(rest, sections) {
            return Ok((at, true));
        }
    }
    let begun = (1..footer.len()).rev().find(|begun| bytes.ends_with(&footer[..*begun]));
    match begun {
        Some(begun) if !last => again(bytes.len() - begun),
        _ => Ok((bytes.len(), false)),
    }
}
