//! The destination's end: takes a stream in pieces of any size and believes nothing of it.

use vfio_migration_protocol::{Bitmap, CallError, Errno};

use crate::data::{self, HEAD, Head, REGISTERS, SmallRecord};
use crate::pages::{Contents, PAGE_SIZE, PageKey};

/// One load, from entering resuming to leaving it.
#[derive(Debug)]
pub(crate) struct Load {
    expects: Expects,
    secret: u128,
    generation: u64,
    /// Pages that came, in some version.
    loaded: Bitmap,
    pages: u64,
    /// Bytes of all records that came.
    bytes: u64,
    registers: Option<[u64; REGISTERS]>,
    /// Everything is taken, nothing is kept.
    discarding: bool,
}

/// What the next byte belongs to.
#[derive(Debug)]
enum Expects {
    /// A record, of which these bytes have come.
    Record(SmallRecord),
    /// What a page holds, from a byte on.
    Page { head: Head, key: PageKey, at: usize, len: usize },
    /// A page of memory, of whose record these bytes have come.
    Memory { head: Head, record: Vec<u8> },
    /// The trailer came.
    Nothing,
    /// What came was wrong: this load is over.
    Broken(CallError),
}

impl Load {
    pub(crate) fn new(pages: u64, empty_stream: bool) -> Self {
        Self {
            expects: if empty_stream { Expects::Nothing } else { Expects::Record(SmallRecord::default()) },
            secret: 0,
            generation: 0,
            loaded: Bitmap::new(pages),
            pages: 0,
            bytes: 0,
            registers: None,
            discarding: false,
        }
    }

    /// From now on the device keeps nothing, and says that all is well.
    pub(crate) fn discard(&mut self) {
        self.discarding = true;
    }

    pub(crate) const fn is_discarding(&self) -> bool {
        self.discarding
    }

    /// Whether a write of `data` would bring the end: what it ends with looks like a whole trailer.
    pub(crate) fn is_ended_by(&self, data: &[u8]) -> bool {
        let before = match &self.expects {
            Expects::Record(record) => record.bytes(),
            Expects::Page { .. } | Expects::Memory { .. } => &[],
            Expects::Nothing | Expects::Broken(_) => return false,
        };
        let Some(start) = (before.len() + data.len()).checked_sub(data::TRAILER) else { return false };
        let mut bytes = before.iter().chain(data).skip(start).copied();
        let head = Head::from_bytes(core::array::from_fn(|_| bytes.next().unwrap_or(0)));
        // What a page holds is as good as random: 64 bits of it are not these.
        (head.kind, head.version) == (data::KIND_TRAILER, 0)
    }

    /// Takes all of `data`. After an error every write and the end of the load give the same error.
    pub(crate) fn write(&mut self, contents: &mut Contents, data: &[u8]) -> Result<(), CallError> {
        if self.discarding {
            return Ok(());
        }
        let mut rest = data;
        while !rest.is_empty() {
            match self.step(contents, rest) {
                Ok(taken) => rest = &rest[taken..],
                Err(error) => {
                    self.expects = Expects::Broken(error.clone());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Whether everything came: the registers of the device, or why it cannot go on.
    pub(crate) fn finish(&self) -> Result<Option<[u64; REGISTERS]>, CallError> {
        match &self.expects {
            Expects::Nothing => Ok(self.registers),
            Expects::Broken(error) => Err(error.clone()),
            Expects::Record(_) | Expects::Page { .. } | Expects::Memory { .. } => {
                Err(invalid("the data ends before its trailer"))
            }
        }
    }

    /// Takes some bytes, at least one, and returns how many.
    fn step(&mut self, contents: &mut Contents, data: &[u8]) -> Result<usize, CallError> {
        match &mut self.expects {
            Expects::Record(record) => {
                let whole = whole_record(record);
                let taken = record.take(whole, data);
                // Judged at once: what is wrong is refused by the write that brings it.
                if record.bytes().len() == HEAD && whole == HEAD {
                    let head = record_head(record);
                    self.begin(contents, head)?;
                } else if record.bytes().len() == whole {
                    let record = core::mem::take(record);
                    self.end(contents, &record)?;
                }
                Ok(taken)
            }
            Expects::Page { head, key, at, len } => {
                let taken = data.len().min(*len - *at);
                if !key.matches(*at, &data[..taken]) {
                    return Err(invalid(format!("page {} is not what the source has", head.number)));
                }
                *at += taken;
                if at == len {
                    contents.set_version(head.number, head.version);
                    self.loaded.set(head.number);
                    self.pages += 1;
                    self.bytes += data::page_record(*len);
                    self.expects = Expects::Record(SmallRecord::default());
                }
                Ok(taken)
            }
            Expects::Memory { head, record } => {
                let taken = data.len().min(data::MEMORY_RECORD - record.len());
                record.extend_from_slice(&data[..taken]);
                if record.len() == data::MEMORY_RECORD {
                    let bytes = data::memory_of(record, self.secret)
                        .ok_or_else(|| invalid(format!("the check of page {} of the memory is wrong", head.number)))?;
                    contents.store_memory(head.number, bytes);
                    self.bytes += data::MEMORY_RECORD as u64;
                    self.expects = Expects::Record(SmallRecord::default());
                }
                Ok(taken)
            }
            Expects::Nothing => Err(CallError::because(Errno::ENOMEM, "there is data after the end")),
            Expects::Broken(error) => Err(error.clone()),
        }
    }

    /// A head came.
    fn begin(&mut self, contents: &Contents, head: Head) -> Result<(), CallError> {
        let first = self.bytes == 0;
        match head.kind {
            data::KIND_HEADER if head.number != data::MAGIC => Err(invalid("the data is not a model's: wrong magic")),
            data::KIND_HEADER if head.version != data::VERSION => {
                Err(invalid(format!("the data has format {}, this model reads {}", head.version, data::VERSION)))
            }
            _ if first && head.kind != data::KIND_HEADER => Err(invalid("the data does not start with a header")),
            _ if self.registers.is_some() && head.kind != data::KIND_TRAILER => {
                Err(invalid("nothing but the trailer may follow the registers"))
            }
            data::KIND_PAGE if head.number >= contents.pages() => {
                Err(invalid(format!("page {} lies beyond the device's {}", head.number, contents.pages())))
            }
            data::KIND_PAGE => {
                let (key, len) = (contents.key(head.number, head.version), contents.len_of(head.number));
                self.expects = Expects::Page { head, key, at: 0, len };
                Ok(())
            }
            data::KIND_MEMORY if head.number >= contents.memory_pages() => Err(invalid(format!(
                "page {} of the memory lies beyond the device's {}",
                head.number,
                contents.memory_pages()
            ))),
            data::KIND_MEMORY => {
                self.expects = Expects::Memory { head, record: head.to_bytes().to_vec() };
                Ok(())
            }
            data::KIND_REGISTERS if head.number != REGISTERS as u64 || head.version != 0 => {
                Err(invalid(format!("the device has {REGISTERS} registers, the data {}", head.number)))
            }
            data::KIND_TRAILER if self.registers.is_none() => Err(invalid("the trailer comes before the registers")),
            data::KIND_HEADER | data::KIND_REGISTERS | data::KIND_TRAILER => Ok(()),
            kind => Err(CallError::because(Errno::EOPNOTSUPP, format!("a record has the unknown kind {kind}"))),
        }
    }

    /// A record that is not a page is complete.
    fn end(&mut self, contents: &mut Contents, record: &SmallRecord) -> Result<(), CallError> {
        let head = record_head(record);
        let secret = if head.kind == data::KIND_HEADER { record.wide(2) } else { self.secret };
        if !record.is_sound(secret) {
            return Err(invalid("a record's check is wrong"));
        }
        match head.kind {
            data::KIND_HEADER => self.header(contents, record)?,
            data::KIND_REGISTERS => self.registers = Some(core::array::from_fn(|number| record.word(number))),
            _ => return self.trailer(contents, record, head.number),
        }
        self.bytes += record.bytes().len() as u64;
        Ok(())
    }

    fn header(&mut self, contents: &mut Contents, record: &SmallRecord) -> Result<(), CallError> {
        let (size, page_size, secret, generation) = (record.word(0), record.word(1), record.wide(2), record.word(4));
        if (size, page_size) != (contents.size(), PAGE_SIZE) {
            return Err(invalid(format!(
                "the data is of a device of {size} bytes in pages of {page_size}, this one has {} in pages of {PAGE_SIZE}",
                contents.size()
            )));
        }
        if self.bytes == 0 && generation == 0 {
            contents.renew(secret);
            self.secret = secret;
        } else if self.bytes == 0 || secret != self.secret || generation != self.generation.saturating_add(1) {
            return Err(invalid("this header belongs to another place or another device"));
        }
        self.generation = generation;
        Ok(())
    }

    fn trailer(&mut self, contents: &Contents, record: &SmallRecord, pages: u64) -> Result<(), CallError> {
        let registers = self.registers.as_ref().map_or(&[][..], |registers| registers);
        if (pages, record.word(0)) != (self.pages, self.bytes) {
            return Err(invalid(format!(
                "{} pages and {} bytes came, the source sent {pages} and {}",
                self.pages,
                self.bytes,
                record.word(0)
            )));
        }
        if self.loaded.count() != contents.pages() {
            return Err(invalid(format!("only {} of {} pages came", self.loaded.count(), contents.pages())));
        }
        if record.wide(1).to_le_bytes() != contents.proof(registers).to_le_bytes() {
            return Err(invalid("the pages are not the ones that the source had in the end"));
        }
        self.expects = Expects::Nothing;
        Ok(())
    }
}

/// How many bytes the record has, as far as is known.
fn whole_record(record: &SmallRecord) -> usize {
    if record.bytes().len() < HEAD {
        return HEAD;
    }
    match record_head(record).kind {
        data::KIND_HEADER => data::HEADER,
        data::KIND_REGISTERS => data::REGISTER_RECORD,
        _ => data::TRAILER,
    }
}

fn record_head(record: &SmallRecord) -> Head {
    Head::from_bytes(core::array::from_fn(|at| record.bytes().get(at).copied().unwrap_or(0)))
}

fn invalid(detail: impl Into<Box<str>>) -> CallError {
    CallError::because(Errno::EINVAL, detail)
}
