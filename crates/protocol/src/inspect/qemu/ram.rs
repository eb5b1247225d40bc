//! Guest memory, skipped by its own rules: each page has its address and flags in one number, and what follows it.

use super::cursor::{Cursor, Stop};
use crate::inspect::{Content, Damage, ObjectOutline, Out, Payload};
use crate::stream::payload_crc_append;

const ZERO: u64 = 0x002;
const MEM_SIZE: u64 = 0x004;
const PAGE: u64 = 0x008;
const EOS: u64 = 0x010;
const CONTINUE: u64 = 0x020;
const XBZRLE: u64 = 0x040;
const HOOK: u64 = 0x080;
const COMPRESSED: u64 = 0x100;
const MULTIFD_FLUSH: u64 = 0x200;

const MAPPED_VERSION: u32 = 1;

/// What the capabilities of the migration change in the list of blocks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Layout {
    /// Bytes of a page; also where the flags of an address begin.
    pub(super) page: u64,
    /// `x-ignore-shared`: each block has its address.
    pub(super) addresses: bool,
    /// `mapped-ram`: each block's pages lie at places of their own, with a bitmap of which are there.
    pub(super) mapped: bool,
}

/// Within the body of one section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    layout: Layout,
    begin: u64,
    read: u64,
    crc: u32,
    pages: u64,
    zero_pages: u64,
    /// The block of the last page.
    block: Option<usize>,
    next: Next,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    Entry,
    /// A block of the list, of which so many bytes of memory are left.
    Block(u64),
    /// The bitmap of a mapped block: bytes, then bytes up to the end of its pages, then bytes of the list.
    Bitmap {
        left: u64,
        gap: u64,
        list: u64,
        block: usize,
    },
    Skip {
        left: u64,
        list: u64,
    },
}

impl Body {
    pub(super) fn new(layout: Layout, begin: u64) -> Self {
        Self { layout, begin, read: 0, crc: 0, pages: 0, zero_pages: 0, block: None, next: Next::Entry }
    }

    /// Reads on; `true` with how many bytes it took once the body is over.
    pub(super) fn read(&mut self, bytes: &[u8], out: &mut Out<'_>) -> Result<(usize, bool), Stop> {
        let (mut used, mut over) = (0, false);
        while !over && used < bytes.len() {
            let mut cursor = Cursor::new(&bytes[used..], self.begin.saturating_add(self.read + used as u64));
            over = match self.step(&mut cursor, out) {
                // What was read until now is told first: the rest comes again, with more.
                Err(Stop::More(_)) if used > 0 => break,
                step => step?,
            };
            used += cursor.used();
        }
        self.crc = payload_crc_append(self.crc, &bytes[..used]);
        self.read = self.read.saturating_add(used as u64);
        if over {
            let payload = Payload { at: self.begin, len: self.read, checksum: self.crc };
            let Self { pages, zero_pages, .. } = *self;
            out.part(self.read, None, Some(payload), Content::Ram { pages, zero_pages });
        }
        Ok((used, over))
    }

    /// Reads one thing; `true` if it was the last.
    fn step(&mut self, cursor: &mut Cursor<'_>, out: &mut Out<'_>) -> Result<bool, Stop> {
        match self.next {
            Next::Entry => return self.entry(cursor, out),
            Next::Block(left) => self.block(cursor, left, out)?,
            Next::Bitmap { left, gap, list, block } => {
                let here = cursor.bytes(least(left, cursor.rest()))?;
                let set: u64 = here.iter().map(|byte| u64::from(byte.count_ones())).sum();
                self.pages += set;
                count(out, block, set, set * self.layout.page, 0);
                self.next = bitmap(left - here.len() as u64, gap, list, block);
            }
            Next::Skip { left, list } => {
                let here = cursor.bytes(least(left, cursor.rest()))?;
                self.next = skip(left - here.len() as u64, list);
            }
        }
        Ok(false)
    }

    fn entry(&mut self, cursor: &mut Cursor<'_>, out: &mut Out<'_>) -> Result<bool, Stop> {
        let at = cursor.at();
        let word = cursor.u64()?;
        let mask = self.layout.page - 1;
        let (address, flags) = (word & !mask, word & mask);
        let unknown = |found: String| Stop::Bad(Damage::new(at, "a page of guest memory, or the end of them", found));
        match flags & !CONTINUE {
            EOS => return Ok(true),
            MULTIFD_FLUSH => {}
            MEM_SIZE => self.next = after_block(address),
            HOOK => return Err(unknown("what was arranged for RDMA, which does not stand in the file".into())),
            kind @ (ZERO | PAGE | XBZRLE | COMPRESSED) => {
                let block = if flags & CONTINUE == 0 {
                    let name = cursor.name("a block of guest memory")?;
                    let place = place(out, &name);
                    Some(place.ok_or_else(|| Damage::new(at, "a block that was listed", name))?)
                } else {
                    self.block
                };
                let block = block.ok_or_else(|| unknown("a page of no block".into()))?;
                let len = match kind {
                    ZERO => {
                        cursor.u8()?;
                        0
                    }
                    PAGE => {
                        cursor.bytes(usize::try_from(self.layout.page).unwrap_or(usize::MAX))?;
                        self.layout.page
                    }
                    XBZRLE => {
                        let at = cursor.at();
                        match cursor.u8()? {
                            1 => {}
                            other => return Err(Damage::new(at, "1, XBZRLE", other.to_string()).into()),
                        }
                        let len = cursor.u16()?;
                        cursor.bytes(usize::from(len))?;
                        u64::from(len)
                    }
                    _ => {
                        let at = cursor.at();
                        let len = cursor.u32()?;
                        if u64::from(len) > 2 * self.layout.page {
                            return Err(Damage::new(at, "a compressed page", format!("{len} bytes")).into());
                        }
                        cursor.bytes(usize::try_from(len).unwrap_or(usize::MAX))?;
                        u64::from(len)
                    }
                };
                self.block = Some(block);
                let zero = u64::from(kind == ZERO);
                (self.pages, self.zero_pages) = (self.pages + 1 - zero, self.zero_pages + zero);
                count(out, block, 1 - zero, len, zero);
            }
            other => return Err(unknown(format!("flags {other:#x}"))),
        }
        Ok(false)
    }

    /// One block of the list.
    fn block(&mut self, cursor: &mut Cursor<'_>, left: u64, out: &mut Out<'_>) -> Result<(), Stop> {
        let at = cursor.at();
        let id = cursor.name("a block of guest memory")?;
        let size = cursor.u64()?;
        if size > left {
            let expected = format!("a block of at most {left} bytes, \"{id}\"");
            return Err(Damage::new(at, expected, format!("{size} bytes")).into());
        }
        let address = if self.layout.addresses { Some(cursor.u64()?) } else { None };
        let list = left - size;
        let mapped = if self.layout.mapped { Some(mapped(cursor, size)?) } else { None };
        let block = match place(out, &id) {
            Some(place) => place,
            None if out.is_full() => return Err(Damage::new(at, "at most 1024 objects", "another one").into()),
            None => out.object(ObjectOutline {
                id,
                kind: "memory",
                iova: address,
                size: Some(size),
                zero_pages: Some(0),
                ..ObjectOutline::default()
            }),
        };
        self.next = match mapped {
            Some((left, gap)) => bitmap(left, gap, list, block),
            None => after_block(list),
        };
        Ok(())
    }

    /// What is missing if the file ends here.
    pub(super) fn due(&self) -> &'static str {
        match self.next {
            Next::Entry => "a page of guest memory, or the end of them",
            Next::Block(_) => "a block of guest memory",
            Next::Bitmap { .. } => "the bitmap of a mapped block of guest memory",
            Next::Skip { .. } => "the pages of a mapped block of guest memory",
        }
    }
}

/// How many bytes of its bitmap follow, and how many from there to the end of its pages.
fn mapped(cursor: &mut Cursor<'_>, size: u64) -> Result<(u64, u64), Stop> {
    let at = cursor.at();
    let (version, page, bitmap, pages) = (cursor.u32()?, cursor.u64()?, cursor.u64()?, cursor.u64()?);
    let wrong = |found: String| Stop::Bad(Damage::new(at, "where a mapped block's bitmap and pages are", found));
    if version != MAPPED_VERSION {
        return Err(wrong(format!("version {version}")));
    }
    if !page.is_power_of_two() {
        return Err(wrong(format!("pages of {page} bytes")));
    }
    let len = size.div_ceil(page).div_ceil(8);
    let end = bitmap.checked_add(len).filter(|end| bitmap == cursor.at() && *end <= pages);
    let gap = end.and_then(|end| pages.checked_add(size)?.checked_sub(end));
    let gap = gap.ok_or_else(|| wrong(format!("a bitmap at {bitmap} and pages at {pages}")))?;
    Ok((len, gap))
}

/// What comes after a block of the list, with so many bytes of memory left to list.
const fn after_block(list: u64) -> Next {
    if list > 0 { Next::Block(list) } else { Next::Entry }
}

const fn bitmap(left: u64, gap: u64, list: u64, block: usize) -> Next {
    if left > 0 { Next::Bitmap { left, gap, list, block } } else { skip(gap, list) }
}

const fn skip(left: u64, list: u64) -> Next {
    if left > 0 { Next::Skip { left, list } } else { after_block(list) }
}

/// As many of the bytes as are left, and at least one so that somebody asks for it.
fn least(left: u64, bytes: &[u8]) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len().max(1))
}

/// A block that was listed.
fn place(out: &mut Out<'_>, name: &str) -> Option<usize> {
    out.outline().objects.iter().position(|object| object.kind == "memory" && object.id == name)
}

fn count(out: &mut Out<'_>, block: usize, pages: u64, bytes: u64, zero: u64) {
    if let Some(object) = out.outline().objects.get_mut(block) {
        object.frames += pages;
        object.bytes = object.bytes.saturating_add(bytes);
        object.zero_pages = object.zero_pages.map(|pages| pages + zero);
    }
}
