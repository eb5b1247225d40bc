//! The table of objects, between preamble and frames.

use std::collections::HashSet;

use super::{HeadError, MAX_OBJECTS, MAX_PASSPORT_ENTRIES, MAX_PASSPORT_VALUE, MAX_TABLE_LEN, StreamError};
use crate::passport::Entry;
use crate::session::{ObjectDescription, ObjectKind, Protocol};
use crate::{Capabilities, Estimate, Passport};

const DEVICE: u8 = 1;
const MEMORY: u8 = 2;
const REGION: u8 = 1;
const FSM: u8 = 2;

/// The table without its checksum.
pub(super) fn write(objects: &[ObjectDescription]) -> Result<Vec<u8>, HeadError> {
    let count = u32::try_from(objects.len()).ok().filter(|count| (1..=MAX_OBJECTS).contains(count));
    let count = count.ok_or(HeadError::Objects(objects.len()))?;
    let mut table = count.to_le_bytes().to_vec();
    let mut ids = HashSet::new();
    for object in objects {
        let id = &object.id;
        let length = name_length(id).ok_or_else(|| HeadError::Id(id.clone()))?;
        if !ids.insert(id) {
            return Err(HeadError::SameId(id.clone()));
        }
        table.push(match object.kind {
            ObjectKind::Device { .. } => DEVICE,
            ObjectKind::Memory { .. } => MEMORY,
        });
        table.push(length);
        table.extend_from_slice(id.as_bytes());
        table.push(u8::from(object.size.known().is_some()));
        table.extend_from_slice(&object.size.known().unwrap_or(0).to_le_bytes());
        match &object.kind {
            ObjectKind::Device { protocol, capabilities, passport } => {
                table.push(match protocol {
                    Protocol::Region => REGION,
                    Protocol::Fsm => FSM,
                });
                table.extend_from_slice(&capabilities.bits().to_le_bytes());
                write_passport(&mut table, id, passport)?;
            }
            ObjectKind::Memory { iova } => {
                let fits = object.size.known().is_some_and(|length| in_address_space(*iova, length));
                if !fits {
                    return Err(HeadError::Memory(id.clone()));
                }
                table.extend_from_slice(&iova.to_le_bytes());
            }
        }
    }
    // The checksum comes on top.
    match table.len() + 4 {
        len if u32::try_from(len).is_ok_and(|len| len <= MAX_TABLE_LEN) => Ok(table),
        len => Err(HeadError::Table(len)),
    }
}

fn write_passport(table: &mut Vec<u8>, id: &str, passport: &Passport) -> Result<(), HeadError> {
    let count = u16::try_from(passport.entries().len()).ok().filter(|count| *count <= MAX_PASSPORT_ENTRIES);
    let count = count.ok_or_else(|| HeadError::PassportEntries(id.into()))?;
    table.extend_from_slice(&count.to_le_bytes());
    let mut keys = HashSet::new();
    for Entry { key, value, needed } in passport.entries() {
        let wrong = || HeadError::PassportEntry { id: id.into(), key: key.clone() };
        let key_length = name_length(key).filter(|_| keys.insert(key)).ok_or_else(wrong)?;
        let length =
            u16::try_from(value.len()).ok().filter(|length| *length <= MAX_PASSPORT_VALUE).ok_or_else(wrong)?;
        table.push(u8::from(*needed));
        table.push(key_length);
        table.extend_from_slice(key.as_bytes());
        table.extend_from_slice(&length.to_le_bytes());
        table.extend_from_slice(value.as_bytes());
    }
    Ok(())
}

fn name_length(name: &str) -> Option<u8> {
    u8::try_from(name.len()).ok().filter(|length| *length > 0)
}

/// Whether the last byte still has an address.
fn in_address_space(iova: u64, length: u64) -> bool {
    length == 0 || iova.checked_add(length - 1).is_some()
}

/// Reads a table whose checksum was right. `at` is where it begins in the stream.
pub(super) fn parse(table: &[u8], at: u64) -> Result<Vec<ObjectDescription>, StreamError> {
    let mut reader = Reader { rest: table, at };
    let here = reader.at;
    let count = reader.u32()?;
    if !(1..=MAX_OBJECTS).contains(&count) {
        let found = u64::from(count);
        return Err(StreamError::Field { at: here, field: "the number of objects", expected: "1 to 1024", found });
    }
    // Not sized by the count, which is bounded but may still be a lie.
    let mut objects = Vec::new();
    let mut ids = HashSet::new();
    for _ in 0..count {
        let here = reader.at;
        let object = reader.object()?;
        if !ids.insert(object.id.clone()) {
            return Err(StreamError::Order { at: here, frame: "an object of the table", rule: "ids are unique" });
        }
        objects.push(object);
    }
    if reader.rest.is_empty() {
        return Ok(objects);
    }
    let found = reader.rest.len() as u64;
    Err(StreamError::Field { at: reader.at, field: "what follows the last object", expected: "nothing", found })
}

struct Reader<'a> {
    rest: &'a [u8],
    at: u64,
}

impl<'a> Reader<'a> {
    fn object(&mut self) -> Result<ObjectDescription, StreamError> {
        let here = self.at;
        let kind = self.u8()?;
        if !matches!(kind, DEVICE | MEMORY) {
            return Err(StreamError::Unknown { at: here, field: "the kind of an object", found: u64::from(kind) });
        }
        let id = self.name("the id of an object")?;
        let here = self.at;
        let known = self.flag("whether the size is known")?;
        let size = match (known, self.u64()?) {
            (true, size) => Estimate::Known(size),
            (false, 0) => Estimate::Unknown,
            (false, found) => {
                return Err(StreamError::Field { at: here, field: "a size that is unknown", expected: "0", found });
            }
        };
        if kind == DEVICE {
            let here = self.at;
            let protocol = match self.u8()? {
                REGION => Protocol::Region,
                FSM => Protocol::Fsm,
                found => {
                    let found = u64::from(found);
                    return Err(StreamError::Unknown { at: here, field: "the protocol of a device", found });
                }
            };
            let capabilities = Capabilities::from_bits(self.u64()?);
            let passport = self.passport()?;
            return Ok(ObjectDescription { id, kind: ObjectKind::Device { protocol, capabilities, passport }, size });
        }
        let here = self.at;
        let iova = self.u64()?;
        let wrong = |expected, found| StreamError::Field { at: here, field: "the length of a memory", expected, found };
        let length = size.known().ok_or(wrong("known", 0))?;
        if !in_address_space(iova, length) {
            return Err(wrong("within the address space", length));
        }
        Ok(ObjectDescription { id, kind: ObjectKind::Memory { iova }, size })
    }

    fn passport(&mut self) -> Result<Passport, StreamError> {
        let here = self.at;
        let count = self.u16()?;
        let too_long = |at, field, limit: u16, found: u16| {
            if found <= limit {
                return Ok(());
            }
            Err(StreamError::TooLong { at, field, limit: u64::from(limit), found: u64::from(found) })
        };
        too_long(here, "the number of a passport's entries", MAX_PASSPORT_ENTRIES, count)?;
        let mut passport = Passport::new();
        let mut keys = HashSet::new();
        for _ in 0..count {
            let here = self.at;
            let needed = self.flag("whether a passport's entry is needed")?;
            let key = self.name("the key of a passport's entry")?;
            if !keys.insert(key.clone()) {
                return Err(StreamError::Order { at: here, frame: "a passport's entry", rule: "keys are unique" });
            }
            let here = self.at;
            let length = self.u16()?;
            too_long(here, "the value of a passport's entry", MAX_PASSPORT_VALUE, length)?;
            let value = self.text(usize::from(length), "the value of a passport's entry")?;
            passport = passport.with(Entry { key, value, needed });
        }
        Ok(passport)
    }

    fn name(&mut self, field: &'static str) -> Result<String, StreamError> {
        let at = self.at;
        match usize::from(self.u8()?) {
            0 => Err(StreamError::Field { at, field, expected: "1 to 255 bytes long", found: 0 }),
            length => self.text(length, field),
        }
    }

    fn text(&mut self, length: usize, field: &'static str) -> Result<String, StreamError> {
        let at = self.at;
        let bytes = self.bytes(length)?;
        str::from_utf8(bytes).map(Into::into).map_err(|_| StreamError::NotUtf8 { at, field })
    }

    fn flag(&mut self, field: &'static str) -> Result<bool, StreamError> {
        let at = self.at;
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            found => Err(StreamError::Field { at, field, expected: "0 or 1", found: u64::from(found) }),
        }
    }

    fn u8(&mut self) -> Result<u8, StreamError> {
        self.array().map(u8::from_le_bytes)
    }

    fn u16(&mut self) -> Result<u16, StreamError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, StreamError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, StreamError> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StreamError> {
        let (array, rest) = self.rest.split_first_chunk().ok_or_else(|| self.short())?;
        (self.rest, self.at) = (rest, self.at + N as u64);
        Ok(*array)
    }

    fn bytes(&mut self, length: usize) -> Result<&'a [u8], StreamError> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.short())?;
        (self.rest, self.at) = (rest, self.at + length as u64);
        Ok(bytes)
    }

    /// The table is as long as the preamble says and has its checksum, so it was written like this.
    fn short(&self) -> StreamError {
        StreamError::Order { at: self.at, frame: "the table of objects", rule: "it holds all of its objects" }
    }
}
