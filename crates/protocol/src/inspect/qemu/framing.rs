//! What lies between the sections' bodies.

use super::cursor::{Cursor, Stop, is_name};
use super::sections::Sections;
use crate::inspect::{Content, Damage, Out, Payload};
use crate::stream::payload_crc;

pub(super) const END: u8 = 0x00;
pub(super) const START: u8 = 0x01;
pub(super) const PART: u8 = 0x02;
pub(super) const SECTION_END: u8 = 0x03;
pub(super) const FULL: u8 = 0x04;
const SUBSECTION: u8 = 0x05;
const DESCRIPTION: u8 = 0x06;
const CONFIGURATION: u8 = 0x07;
pub(super) const COMMAND: u8 = 0x08;
pub(super) const FOOTER: u8 = 0x7e;

/// So many bytes have to be seen of what follows a footer before it is believed: a section's head with the longest name.
pub(super) const SEEN: usize = 1 + 4 + 1 + 255;

const VERSION: u32 = 3;
/// Names of machines, and subsections of the configuration, have no more.
const LONGEST: u32 = 4096;

/// What a command is called; the number is its place.
const COMMANDS: [&str; 12] = [
    "",
    "open-return-path",
    "ping",
    "postcopy-advise",
    "postcopy-listen",
    "postcopy-run",
    "postcopy-ram-discard",
    "packaged",
    "enable-colo",
    "postcopy-resume",
    "recv-bitmap",
    "switchover-start",
];
const PACKAGED: u16 = 7;

pub(super) fn header(cursor: &mut Cursor<'_>, out: &mut Out<'_>) -> Result<(), Stop> {
    let at = cursor.at();
    let magic = cursor.bytes(4)?;
    if magic != super::MAGIC {
        let found = format!("\"{}\"", magic.escape_ascii());
        return Err(Damage::new(at, "\"QEVM\"", found).into());
    }
    let at = cursor.at();
    let version = cursor.u32()?;
    if version != VERSION {
        return Err(Damage::new(at, format!("version {VERSION}"), format!("version {version}")).into());
    }
    out.part(8, None, None, Content::QemuHeader);
    Ok(())
}

/// libvirt's header: how many bytes of its own follow. Its numbers have the byte order of the host.
pub(super) fn libvirt(cursor: &mut Cursor<'_>, out: &mut Out<'_>) -> Result<u64, Stop> {
    let magic = cursor.bytes(16)?;
    if !super::LIBVIRT.iter().any(|known| *known == magic) {
        let found = format!("\"{}\"", magic.escape_ascii());
        return Err(Damage::new(out.at(), "\"QEVM\"", found).into());
    }
    if magic == super::LIBVIRT[1] {
        out.note("libvirt had not finished writing the file");
    }
    let at = cursor.at();
    let words = cursor.bytes(76)?;
    let word = |place: usize| -> [u8; 4] { *words[place * 4..].first_chunk().expect("19 words") };
    let swapped = u32::from_le_bytes(word(0)) > 0xffff;
    let number = |place: usize| if swapped { u32::from_be_bytes(word(place)) } else { u32::from_le_bytes(word(place)) };
    let (version, len, compressed) = (number(0), number(1), number(3));
    if !(1..=2).contains(&version) {
        return Err(Damage::new(at, "version 1 or 2 of libvirt's header", format!("version {version}")).into());
    }
    if compressed != 0 {
        let found = format!("one that is compressed (format {compressed}): decompress it first");
        return Err(Damage::new(at + 12, "a file that libvirt did not compress", found).into());
    }
    if let Some(qemu) = &mut out.outline().qemu {
        qemu.libvirt = true;
    }
    out.part(cursor.used() as u64, None, None, Content::LibvirtHeader);
    Ok(u64::from(len))
}

/// The configuration, or one more part of it if it was already read. `false`: none comes.
pub(super) fn configuration(cursor: &mut Cursor<'_>, more: bool, out: &mut Out<'_>) -> Result<bool, Stop> {
    let kind = cursor.rest().first().copied().ok_or(Stop::More(cursor.used() + 1))?;
    if kind != (if more { SUBSECTION } else { CONFIGURATION }) {
        return Ok(false);
    }
    cursor.u8()?;
    if !more {
        let at = cursor.at();
        let len = cursor.u32()?;
        if len > LONGEST {
            return Err(Damage::new(at, "the length of a machine's name", format!("{len} bytes")).into());
        }
        let name = cursor.text(usize::try_from(len).unwrap_or(usize::MAX), "a machine", at)?;
        if let Some(qemu) = &mut out.outline().qemu {
            qemu.machine = Some(name.clone());
        }
        out.part(cursor.used() as u64, None, None, Content::Configuration { machine: name });
        return Ok(true);
    }
    let at = cursor.at();
    let name = cursor.name("a part of the configuration")?;
    cursor.u32()?;
    let mut capabilities = Vec::new();
    match name.as_str() {
        "configuration/target-page-bits" => {
            let at = cursor.at();
            let bits = cursor.u32()?;
            if !(10..=20).contains(&bits) {
                return Err(Damage::new(at, "10 to 20 bits of a page's number", bits.to_string()).into());
            }
            out.known.page_bits = bits;
        }
        "configuration/capabilities" => {
            let at = cursor.at();
            let count = cursor.u32()?;
            if count > 64 {
                return Err(Damage::new(at, "at most 64 capabilities", count.to_string()).into());
            }
            for _ in 0..count {
                capabilities.push(cursor.name("a capability")?);
            }
        }
        "configuration/uuid" => drop(cursor.bytes(16)?),
        _ => return Err(Damage::new(at, "a part of the configuration that is known here", name).into()),
    }
    if let Some(qemu) = &mut out.outline().qemu {
        qemu.capabilities.extend(capabilities);
        qemu.capabilities.truncate(64);
    }
    out.part(cursor.used() as u64, None, None, Content::ConfigurationPart { name });
    Ok(true)
}

pub(super) fn command(cursor: &mut Cursor<'_>, out: &mut Out<'_>) -> Result<(), Stop> {
    let at = cursor.at();
    let number = cursor.u16()?;
    let name = COMMANDS.get(usize::from(number)).copied().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Damage::new(at, "a command", number.to_string()))?;
    let len = cursor.u16()?;
    let data = cursor.bytes(usize::from(len))?;
    if number == PACKAGED {
        out.note("what a command packages stands here as if it were not packaged");
    }
    let payload = Payload { at: at + 4, len: data.len() as u64, checksum: payload_crc(data) };
    let payload = (!data.is_empty()).then_some(payload);
    out.part(cursor.used() as u64, None, payload, Content::Command { name });
    Ok(())
}

pub(super) fn footer(cursor: &mut Cursor<'_>, id: u32, out: &mut Out<'_>) -> Result<(), Stop> {
    let at = cursor.at();
    let expected = || format!("the footer of section {id}");
    match cursor.u8()? {
        FOOTER => {}
        other => return Err(Damage::new(at, expected(), format!("{other:#04x}")).into()),
    }
    let found = cursor.u32()?;
    if found != id {
        return Err(Damage::new(at, expected(), format!("that of section {found}")).into());
    }
    out.part(5, None, None, Content::Footer { id });
    Ok(())
}

/// The head of the description: how long it is. `None`: there is none.
pub(super) fn description(cursor: &mut Cursor<'_>, out: &mut Out<'_>) -> Result<Option<u32>, Stop> {
    let kind = cursor.rest().first().copied().ok_or(Stop::More(cursor.used() + 1))?;
    if kind != DESCRIPTION {
        out.note("the file has no description of its sections");
        return Ok(None);
    }
    cursor.u8()?;
    cursor.u32().map(Some)
}

/// Whether this may follow the footer of a section. At the end of the file it may be cut.
pub(super) fn may_follow(bytes: &[u8], sections: &Sections) -> bool {
    let id = |bytes: &[u8]| bytes.first_chunk().copied().map(u32::from_be_bytes);
    match bytes {
        [] | [END | COMMAND] | [END, DESCRIPTION, ..] | [COMMAND, _] => true,
        [PART | SECTION_END, rest @ ..] => id(rest).is_none_or(|id| sections.knows(id)),
        [START | FULL, rest @ ..] => match rest.get(4..) {
            Some([len, name @ ..]) => *len > 0 && is_name(&name[..name.len().min(usize::from(*len))]),
            _ => true,
        },
        [COMMAND, high, low, ..] => *high == 0 && (1..COMMANDS.len()).contains(&usize::from(*low)),
        _ => false,
    }
}
