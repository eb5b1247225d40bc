//! The source's end: what is still to be read.

use vfio_migration_protocol::Bitmap;

use crate::data::{self, REGISTERS, SmallRecord};
use crate::pages::{Contents, PAGE_LEN, PAGE_SIZE, PageKey};
use crate::settings::Settings;

/// Everything that the records of one save are made from.
pub(crate) struct Source<'a> {
    pub(crate) contents: &'a Contents,
    pub(crate) registers: &'a [u64; REGISTERS],
}

/// One save, from the first state in which data can be read to the end of its data.
#[derive(Debug)]
pub(crate) struct Save {
    record: Option<Record>,
    /// Pages that the destination does not have as they are now.
    pending: Bitmap,
    /// How many pages are pending.
    count: u64,
    /// Initial data ends before this page.
    initial_end: u64,
    /// Initial data has come so far.
    initial_next: u64,
    /// Pages from here on are given in stop-copy only.
    late: u64,
    /// Where the search for a changed page goes on.
    cursor: u64,
    /// How many changed pages may be read before somebody asks for pre-copy information.
    allowance: Option<u64>,
    generation: u64,
    header_due: bool,
    reinit: bool,
    reinit_after: Option<u64>,
    reads: u64,
    pages_sent: u64,
    /// Bytes of all records that were begun.
    bytes_made: u64,
    rest: Rest,
}

/// A record of which some bytes may have been read.
#[derive(Debug)]
struct Record {
    head: SmallRecord,
    body: Body,
    at: usize,
    initial: bool,
}

/// What follows the head.
#[derive(Debug)]
enum Body {
    /// What a page holds, of so many bytes.
    Page(PageKey, usize),
    Bytes(Vec<u8>),
}

impl Body {
    const NOTHING: Self = Self::Bytes(Vec::new());

    fn len(&self) -> usize {
        match self {
            Self::Page(_, len) => *len,
            Self::Bytes(bytes) => bytes.len(),
        }
    }

    fn fill(&self, offset: usize, into: &mut [u8]) {
        match self {
            Self::Page(key, _) => key.fill(offset, into),
            Self::Bytes(bytes) => into.copy_from_slice(&bytes[offset..offset + into.len()]),
        }
    }
}

/// What comes after the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// The device's memory, from this page on.
    Memory(u64),
    Registers,
    Trailer,
    Nothing,
}

impl Save {
    pub(crate) fn new(settings: &Settings, pages: u64) -> Self {
        let late = settings.size.saturating_sub(settings.late).div_ceil(PAGE_SIZE).min(pages);
        let initial_end = settings.initial.map_or(late, |initial| initial.div_ceil(PAGE_SIZE).min(late));
        let mut pending = Bitmap::new(pages);
        pending.fill();
        Self {
            record: None,
            pending,
            count: pages,
            initial_end,
            initial_next: 0,
            late,
            cursor: 0,
            allowance: settings.info_makes_data.then_some(0),
            generation: 0,
            header_due: !settings.empty_stream,
            reinit: false,
            reinit_after: settings.reinit_after,
            reads: 0,
            pages_sent: 0,
            bytes_made: 0,
            rest: if settings.empty_stream { Rest::Nothing } else { Rest::Memory(0) },
        }
    }

    /// The device changed a page.
    pub(crate) fn mark(&mut self, page: u64) {
        if !self.pending.get(page) {
            self.pending.set(page);
            self.count += 1;
        }
    }

    /// The device has new initial data: the header and all of the initial pages come again.
    pub(crate) fn reinit(&mut self) {
        (self.header_due, self.reinit) = (true, true);
        self.generation += 1;
        self.initial_next = 0;
        (0..self.initial_end).for_each(|page| self.mark(page));
    }

    /// Fills `into` from its start and returns how many bytes there were. In pre-copy (`stopped` is false) there may be
    /// more later.
    pub(crate) fn read(&mut self, source: &Source<'_>, stopped: bool, into: &mut [u8]) -> usize {
        let mut filled = 0;
        while filled < into.len() {
            let Some(mut record) = self.record.take().or_else(|| self.begin(source, stopped)) else { break };
            filled += record.read(&mut into[filled..]);
            self.record = (record.left() > 0).then_some(record);
        }
        if !stopped && filled > 0 {
            self.reads += 1;
            if self.reinit_after == Some(self.reads) {
                self.reinit();
            }
        }
        filled
    }

    /// Bytes of initial data that were not read yet.
    pub(crate) fn initial_bytes(&self, contents: &Contents) -> u64 {
        let pages = self.initial_end - self.initial_next;
        self.header_bytes() + self.page_bytes(pages, self.last_is_initial(), contents) + self.in_record(true)
    }

    /// Bytes that changed after they were read, or that no initial data brought, and that pre-copy gives.
    pub(crate) fn dirty_bytes(&self, contents: &Contents) -> u64 {
        let pages = self.changed().min(self.allowance.unwrap_or(u64::MAX));
        let last = self.late == self.pending.pages() && !self.last_is_initial();
        self.page_bytes(pages, last, contents) + self.in_record(false)
    }

    /// Bytes that stop-copy would give now.
    pub(crate) fn all_bytes(&self, contents: &Contents) -> u64 {
        let rest = match self.rest {
            Rest::Memory(page) => {
                let pages = usize::try_from(contents.memory_pages() - page).unwrap_or(usize::MAX);
                pages.saturating_mul(data::MEMORY_RECORD) + data::REGISTER_RECORD + data::TRAILER
            }
            Rest::Registers => data::REGISTER_RECORD + data::TRAILER,
            Rest::Trailer => data::TRAILER,
            Rest::Nothing => 0,
        };
        let pages = self.page_bytes(self.count, true, contents);
        self.header_bytes() + pages + self.in_record(true) + self.in_record(false) + rest as u64
    }

    /// Somebody asked for pre-copy information: where that makes data, all that changed may be read now. Says whether
    /// there is new initial data, once.
    pub(crate) fn ask(&mut self) -> bool {
        if self.allowance == Some(0) {
            self.allowance = Some(self.changed());
        }
        core::mem::take(&mut self.reinit)
    }

    /// Pending pages that pre-copy gives and that are not initial data.
    fn changed(&self) -> u64 {
        let late = self.pending.pages() - self.late;
        self.count - late - (self.initial_end - self.initial_next)
    }

    fn begin(&mut self, source: &Source<'_>, stopped: bool) -> Option<Record> {
        let record = self.next(source, stopped)?;
        self.bytes_made += record.left() as u64;
        Some(record)
    }

    fn next(&mut self, source: &Source<'_>, stopped: bool) -> Option<Record> {
        let contents = source.contents;
        let secret = contents.secret();
        if core::mem::take(&mut self.header_due) {
            let head = SmallRecord::header(contents.size(), PAGE_SIZE, secret, self.generation);
            return Some(Record { head, body: Body::NOTHING, at: 0, initial: true });
        }
        if let Some((page, initial)) = self.next_page(stopped) {
            self.pending.clear(page);
            self.count -= 1;
            self.pages_sent += 1;
            let version = contents.version(page);
            let body = Body::Page(contents.key(page, version), contents.len_of(page));
            return Some(Record { head: SmallRecord::page_head(page, version), body, at: 0, initial });
        }
        if !stopped {
            return None;
        }
        if let Rest::Memory(page) = self.rest {
            if page < contents.memory_pages() {
                self.rest = Rest::Memory(page + 1);
                let body = Body::Bytes(data::memory_record(page, &contents.load_memory(page), secret));
                return Some(Record { head: SmallRecord::default(), body, at: 0, initial: false });
            }
            self.rest = Rest::Registers;
        }
        let head = match self.rest {
            Rest::Registers => {
                self.rest = Rest::Trailer;
                SmallRecord::registers(source.registers, secret)
            }
            Rest::Trailer => {
                self.rest = Rest::Nothing;
                let proof = contents.proof(source.registers);
                SmallRecord::trailer(self.pages_sent, self.bytes_made, proof.to_le_bytes(), secret)
            }
            Rest::Memory(_) | Rest::Nothing => return None,
        };
        Some(Record { head, body: Body::NOTHING, at: 0, initial: false })
    }

    /// The next page to send, and whether it is initial data. The first pass goes in order; changed pages follow.
    fn next_page(&mut self, stopped: bool) -> Option<(u64, bool)> {
        if self.initial_next < self.initial_end {
            self.initial_next += 1;
            return Some((self.initial_next - 1, true));
        }
        if !stopped {
            if self.changed() == 0 {
                return None;
            }
            if let Some(allowance) = &mut self.allowance {
                *allowance = allowance.checked_sub(1)?;
            }
        }
        let end = if stopped { self.pending.pages() } else { self.late };
        let within = |page: &u64| *page < end;
        let page = self.pending.next(self.cursor).filter(within).or_else(|| self.pending.next(0).filter(within))?;
        self.cursor = page + 1;
        Some((page, false))
    }

    fn header_bytes(&self) -> u64 {
        if self.header_due { data::HEADER as u64 } else { 0 }
    }

    /// Bytes of so many page records. `last` says whether the device's last page, which may be short, can be among them.
    fn page_bytes(&self, pages: u64, last: bool, contents: &Contents) -> u64 {
        let page = self.pending.pages().saturating_sub(1);
        let missing = if pages > 0 && last && self.pending.get(page) { PAGE_LEN - contents.len_of(page) } else { 0 };
        (pages * data::page_record(PAGE_LEN)).saturating_sub(missing as u64)
    }

    /// Whether the device's last page is initial data that was not read yet.
    fn last_is_initial(&self) -> bool {
        self.initial_next < self.initial_end && self.initial_end == self.pending.pages()
    }

    fn in_record(&self, initial: bool) -> u64 {
        self.record.as_ref().filter(|record| record.initial == initial).map_or(0, |record| record.left() as u64)
    }
}

impl Record {
    fn left(&self) -> usize {
        self.head.bytes().len() + self.body.len() - self.at
    }

    fn read(&mut self, into: &mut [u8]) -> usize {
        let mut filled = 0;
        let head = self.head.bytes();
        if self.at < head.len() {
            filled = into.len().min(head.len() - self.at);
            into[..filled].copy_from_slice(&head[self.at..self.at + filled]);
            self.at += filled;
        }
        if self.at >= head.len() {
            let offset = self.at - head.len();
            let count = (into.len() - filled).min(self.body.len() - offset);
            self.body.fill(offset, &mut into[filled..filled + count]);
            self.at += count;
            filled += count;
        }
        filled
    }
}
