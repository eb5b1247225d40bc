//! One of several connections of a migration, as it was recorded: packets with pages, or with data of devices.
//!
//! ```text
//! hello    magic(4) version(4) uuid(16) channel(1) 0(39)
//! packet   magic(4) version(4) flags(4) ...
//!   pages  ... room(4) pages(4) next(4) number(8) zero pages(4) 0(28) block(256) | offsets: 8 for each of the room | next bytes
//!              (a packet without pages may say a room of 0, as 11.1 does, and has the same as the others)
//!   data   ... name(256) instance(4) next(4) | version(4) index(4) flags(4) data
//! ```

use super::cursor::{Cursor, Stop, is_name, step};
use super::{MULTIFD_MAGIC, config};
use crate::inspect::{Content, Damage, ObjectOutline, Out, Payload, Read, Step};
use crate::stream::payload_crc_append;

const HELLO: usize = 64;
const VERSION: u32 = 1;
const SYNC: u32 = 0x01;
const COMPRESSION: u32 = 0x3e;
const DEVICE: u32 = 0x40;
/// Up to the offsets of the pages.
const PAGES_HEAD: usize = 320;
const NAME: usize = 256;
const MOST_PAGES: u32 = 4096;
/// A packet has room for so many pages until one says something else: 512 KiB of 4 KiB each.
const ROOM: u32 = 128;
/// Before a device's data.
const DATA_HEAD: u32 = 12;
const CONFIG_STATE: u64 = 0xffff_ffff_ef10_0002;
const IS_CONFIG: u32 = 1;
/// A config has at most so many bytes: 4096 of space, 2048 vectors, a display.
const MOST_CONFIG: u32 = 64 << 10;

/// Reads one recording.
#[derive(Default)]
pub(in crate::inspect) struct Reader {
    state: State,
    need: usize,
    /// Pages for which a packet has room: what the last one with pages said.
    room: Option<u32>,
}

#[derive(Clone, Copy, Default)]
enum State {
    #[default]
    Hello,
    Packet,
    Pass(Pass),
}

/// The rest of a packet.
#[derive(Clone, Copy)]
struct Pass {
    head: u64,
    len: u64,
    left: u64,
    crc: u32,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Pages { pages: u32, zero_pages: u32 },
    Data { object: usize, index: u32 },
}

impl Read for Reader {
    fn least(&self) -> usize {
        self.need.max(1)
    }

    fn read(&mut self, bytes: &[u8], last: bool, out: &mut Out<'_>) -> Result<Step, Damage> {
        let answer = self.go_on(bytes, out);
        step(answer, last, &mut self.need)
    }

    fn end(&mut self, left: usize, out: &mut Out<'_>) -> Result<(), Damage> {
        let due = match self.state {
            State::Packet if left == 0 => return Ok(()),
            State::Hello => "the first 64 bytes of a connection".into(),
            State::Packet => "a packet".into(),
            State::Pass(Pass { len, left, .. }) => format!("{left} more of {len} bytes of a packet"),
        };
        Err(Damage::new(out.outline().size, due, "the end of the file"))
    }
}

impl Reader {
    fn go_on(&mut self, bytes: &[u8], out: &mut Out<'_>) -> Result<usize, Stop> {
        let mut cursor = Cursor::new(bytes, out.at());
        match &mut self.state {
            State::Hello => {
                let hello = cursor.bytes(HELLO)?;
                version(&hello[4..8], out.at() + 4)?;
                let channel = hello[24];
                out.outline().qemu.get_or_insert_default().channel = Some(channel);
                out.note("this is one of several connections: the others have the rest");
                out.part(HELLO as u64, None, None, Content::MultifdHello { channel });
                self.state = State::Packet;
            }
            State::Packet => self.packet(&mut cursor, out)?,
            State::Pass(pass) => {
                let here = usize::try_from(pass.left).unwrap_or(usize::MAX).min(bytes.len());
                let here = cursor.bytes(here)?;
                pass.crc = payload_crc_append(pass.crc, here);
                pass.left -= here.len() as u64;
                if let What::Data { object, .. } = pass.what {
                    out.device_data(object, here);
                }
                if pass.left == 0 {
                    let pass = *pass;
                    self.state = State::Packet;
                    pass.said(out);
                }
            }
        }
        Ok(cursor.used())
    }

    fn packet(&mut self, cursor: &mut Cursor<'_>, out: &mut Out<'_>) -> Result<(), Stop> {
        let at = cursor.at();
        let magic = cursor.bytes(4)?;
        if magic != MULTIFD_MAGIC {
            return Err(Damage::new(at, "a packet", format!("\"{}\"", magic.escape_ascii())).into());
        }
        let at = cursor.at();
        version(cursor.bytes(4)?, at)?;
        let at = cursor.at();
        let flags = cursor.u32()?;
        let unknown = flags & !(SYNC | COMPRESSION | DEVICE);
        if unknown != 0 || (flags & DEVICE != 0 && flags & SYNC != 0) {
            return Err(Damage::new(at, "the flags of a packet", format!("{flags:#x}")).into());
        }
        if flags & DEVICE != 0 { self.device(cursor, out) } else { self.pages(cursor, flags, out) }
    }

    fn pages(&mut self, cursor: &mut Cursor<'_>, flags: u32, out: &mut Out<'_>) -> Result<(), Stop> {
        let at = cursor.at();
        let (room, pages, next, _number, zero_pages) =
            (cursor.u32()?, cursor.u32()?, cursor.u32()?, cursor.u64()?, cursor.u32()?);
        let fits = room <= MOST_PAGES && pages.checked_add(zero_pages).is_some_and(|all| all <= room);
        if !fits {
            let found = format!("{pages} pages and {zero_pages} zero pages in room for {room}");
            return Err(Damage::new(at, "pages that have room in their packet", found).into());
        }
        let room = if room > 0 { room } else { self.room.unwrap_or(ROOM) };
        let offsets = usize::try_from(room).unwrap_or(usize::MAX).saturating_mul(8);
        cursor.bytes((PAGES_HEAD - cursor.used()).saturating_add(offsets))?;
        self.room = Some(room);
        let pass = Pass {
            head: cursor.used() as u64,
            len: u64::from(next),
            left: u64::from(next),
            crc: 0,
            what: What::Pages { pages, zero_pages },
        };
        if flags & SYNC != 0 && pages + zero_pages == 0 && next == 0 {
            out.part(pass.head, None, None, Content::MultifdSync);
        } else if next == 0 {
            pass.said(out);
        } else {
            self.state = State::Pass(pass);
        }
        Ok(())
    }

    fn device(&mut self, cursor: &mut Cursor<'_>, out: &mut Out<'_>) -> Result<(), Stop> {
        let at = cursor.at();
        let name = cursor.bytes(NAME)?;
        let name = name.split(|byte| *byte == 0).next().unwrap_or(&[]);
        if name.is_empty() || !is_name(name) {
            let shown = &name[..name.len().min(16)];
            return Err(Damage::new(at, "the name of a device", format!("\"{}\"", shown.escape_ascii())).into());
        }
        let id: String = name.iter().copied().map(char::from).collect();
        cursor.u32()?;
        let at_next = cursor.at();
        let next = cursor.u32()?;
        if next < DATA_HEAD {
            return Err(Damage::new(at_next, "at least 12 bytes of a device", next.to_string()).into());
        }
        let at_data = cursor.at();
        let (version, index, flags) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        if version != 0 || flags & !IS_CONFIG != 0 || index == u32::MAX {
            let found = format!("version {version}, index {index}, flags {flags:#x}");
            return Err(Damage::new(at_data, "data of a device", found).into());
        }
        let len = next - DATA_HEAD;
        let config = if flags & IS_CONFIG != 0 { Some(whole_config(cursor, len)?) } else { None };
        let place = out.outline().objects.iter().position(|object| object.id == id);
        let object = match place {
            Some(place) => place,
            None if out.is_full() => return Err(Damage::new(at, "at most 1024 objects", "another one").into()),
            None => out.object(ObjectOutline { id, kind: "device", ..ObjectOutline::default() }),
        };
        if let Some(config) = config {
            if let Some(object) = out.outline().objects.get_mut(object) {
                object.config = Some(config);
            }
            out.part(cursor.used() as u64, Some(object), None, Content::MultifdConfig { index });
            return Ok(());
        }
        // A device's data are spread over the connections: what is here need not be a piece of them without gaps.
        if out.outline().objects.get(object).is_some_and(|object| u64::from(index) != object.frames) {
            out.note("other connections have parts of the devices' data: what is here has gaps");
            out.has_gaps(object);
        }
        let pass = Pass {
            head: cursor.used() as u64,
            len: u64::from(len),
            left: u64::from(len),
            crc: 0,
            what: What::Data { object, index },
        };
        if len == 0 {
            pass.said(out);
        } else {
            self.state = State::Pass(pass);
        }
        Ok(())
    }
}

/// The tag, the config, and the tag that ends it: all of the packet.
fn whole_config(cursor: &mut Cursor<'_>, len: u32) -> Result<config::PciConfig, Stop> {
    let at = cursor.at();
    if len > MOST_CONFIG {
        return Err(Damage::new(at, "the state of a PCI device", format!("{len} bytes")).into());
    }
    let bytes = cursor.bytes(usize::try_from(len).unwrap_or(usize::MAX))?;
    let wrong = || Damage::new(at, "the state of a PCI device, and its end", "something else");
    let mut inner = Cursor::new(bytes, at);
    let read = inner.u64().and_then(|tag| {
        if tag != CONFIG_STATE {
            return Err(wrong().into());
        }
        config::read(&mut inner, true)
    });
    match read {
        Ok(config) if inner.rest().len() == 8 => Ok(config),
        Ok(_) | Err(Stop::More(_)) => Err(wrong().into()),
        Err(bad) => Err(bad),
    }
}

fn version(bytes: &[u8], at: u64) -> Result<(), Damage> {
    let version = bytes.first_chunk().copied().map_or(0, u32::from_be_bytes);
    if version == VERSION {
        return Ok(());
    }
    Err(Damage::new(at, format!("version {VERSION}"), format!("version {version}")))
}

impl Pass {
    fn said(self, out: &mut Out<'_>) {
        let payload = Payload { at: out.at().saturating_add(self.head), len: self.len, checksum: self.crc };
        let payload = (self.len > 0).then_some(payload);
        let (object, content) = match self.what {
            What::Pages { pages, zero_pages } => (None, Content::MultifdPages { pages, zero_pages }),
            What::Data { object, index } => {
                out.device_sum(object, self.len, self.crc);
                if let Some(object) = out.outline().objects.get_mut(object) {
                    object.bytes = object.bytes.saturating_add(self.len);
                    object.frames += 1;
                }
                (Some(object), Content::MultifdData { index })
            }
        };
        out.part(self.head.saturating_add(self.len), object, payload, content);
    }
}
