//! Structures of the program's: copied in and out, never trusted.

use vfio_migration_protocol::Errno;

use super::memory;

/// Some bytes of a structure that a call points to.
#[derive(Debug)]
pub(super) struct Structure {
    address: u64,
    bytes: Vec<u8>,
}

impl Structure {
    /// Copies `size` bytes in.
    pub(super) fn load(address: u64, size: usize) -> Result<Self, Errno> {
        let mut bytes = vec![0; size];
        memory::load(address, &mut bytes)?;
        Ok(Self { address, bytes })
    }

    /// Copies in a structure that begins with its size (`argsz`): up to `known` bytes of it. EINVAL if it says less than
    /// `least`.
    pub(super) fn sized(address: u64, least: usize, known: usize) -> Result<Self, Errno> {
        let claimed = Self::load(address, 4)?.u32(0) as usize;
        if claimed < least {
            return Err(Errno::EINVAL);
        }
        Self::load(address, claimed.min(known))
    }

    /// Copies in a structure of iommufd's: as [`sized`](Self::sized), but what lies beyond `known` must be zero (E2BIG),
    /// so that nothing that is asked for is overlooked.
    pub(super) fn exact(address: u64, least: usize, known: usize) -> Result<Self, Errno> {
        /// No structure has more; the kernel refuses more than a page too.
        const MOST: usize = 4096;
        let claimed = Self::load(address, 4)?.u32(0) as usize;
        if claimed > MOST {
            return Err(Errno::E2BIG);
        }
        let mut structure = Self::sized(address, least, MOST)?;
        if structure.bytes.iter().skip(known).any(|byte| *byte != 0) {
            return Err(Errno::E2BIG);
        }
        structure.bytes.truncate(known);
        Ok(structure)
    }

    /// A number; 0 beyond what the program passed.
    pub(super) fn u32(&self, offset: usize) -> u32 {
        let bytes = self.bytes.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok());
        u32::from_ne_bytes(bytes.unwrap_or_default())
    }

    /// A number; 0 beyond what the program passed.
    pub(super) fn u16(&self, offset: usize) -> u16 {
        let bytes = self.bytes.get(offset..offset + 2).and_then(|bytes| bytes.try_into().ok());
        u16::from_ne_bytes(bytes.unwrap_or_default())
    }

    /// A number with a sign; 0 beyond what the program passed.
    pub(super) fn i32(&self, offset: usize) -> i32 {
        self.u32(offset).cast_signed()
    }

    /// A number; 0 beyond what the program passed.
    pub(super) fn u64(&self, offset: usize) -> u64 {
        let bytes = self.bytes.get(offset..offset + 8).and_then(|bytes| bytes.try_into().ok());
        u64::from_ne_bytes(bytes.unwrap_or_default())
    }

    /// Changes a number, if the program passed it.
    pub(super) fn set_u32(&mut self, offset: usize, value: u32) {
        self.set(offset, &value.to_ne_bytes());
    }

    /// Changes a number, if the program passed it.
    pub(super) fn set_u64(&mut self, offset: usize, value: u64) {
        self.set(offset, &value.to_ne_bytes());
    }

    fn set(&mut self, offset: usize, value: &[u8]) {
        if let Some(bytes) = self.bytes.get_mut(offset..offset + value.len()) {
            bytes.copy_from_slice(value);
        }
    }

    /// Copies it out again.
    pub(super) fn store(&self) -> Result<(), Errno> {
        memory::store(self.address, &self.bytes)
    }
}

/// A structure to be answered with, and the chain of capabilities behind it.
#[derive(Debug)]
pub(super) struct Chained {
    bytes: Vec<u8>,
    /// Where the offset of the first capability stands.
    first: usize,
    last: Option<usize>,
}

impl Chained {
    /// A structure of `size` bytes; at `first` stands where its chain begins.
    pub(super) fn new(size: usize, first: usize) -> Self {
        Self { bytes: vec![0; size], first, last: None }
    }

    /// Changes a number of the structure itself.
    pub(super) fn set_u32(&mut self, offset: usize, value: u32) {
        self.bytes[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
    }

    /// Changes a number of the structure itself.
    pub(super) fn set_u64(&mut self, offset: usize, value: u64) {
        self.bytes[offset..offset + 8].copy_from_slice(&value.to_ne_bytes());
    }

    /// One capability more, of what follows its head.
    pub(super) fn capability(&mut self, id: u16, version: u16, body: &[u8]) {
        let at = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(at, 0);
        self.bytes.extend(id.to_ne_bytes());
        self.bytes.extend(version.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend(body);
        let offset = u32::try_from(at).expect("a chain is short");
        self.set_u32(self.last.map_or(self.first, |last| last + 4), offset);
        self.last = Some(at);
    }

    /// Answers a program that has room for `room` bytes, at least for the structure itself. Without room for the chain it
    /// is told how much there is (`argsz`), and no chain.
    pub(super) fn answer(mut self, address: u64, room: usize, least: usize) -> Result<i32, Errno> {
        let whole = self.bytes.len();
        self.set_u32(0, u32::try_from(whole).expect("a chain is short"));
        if room < whole && self.last.is_some() {
            self.set_u32(self.first, 0);
            self.bytes.truncate(least);
        }
        self.bytes.truncate(room);
        memory::store(address, &self.bytes)?;
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(bytes: &mut [u8]) -> u64 {
        bytes.as_mut_ptr().expose_provenance() as u64
    }

    #[test]
    fn a_structure_is_as_large_as_it_says() {
        let mut bytes = [0_u8; 24];
        bytes[0] = 16;
        bytes[8] = 7;
        bytes[16] = 9;
        let mut structure = Structure::sized(address(&mut bytes), 12, 24).expect("it is there");
        assert_eq!((structure.u32(0), structure.u64(8), structure.u32(16)), (16, 7, 0));
        structure.set_u32(16, 5);
        structure.set_u32(12, 6);
        structure.store().expect("it is there");
        assert_eq!((bytes[12], bytes[16]), (6, 9), "what it does not have is not written");
        assert_eq!(Structure::sized(address(&mut bytes), 17, 24).unwrap_err(), Errno::EINVAL);
        assert_eq!(Structure::exact(address(&mut bytes), 8, 12).map(|_| ()), Err(Errno::E2BIG));
        assert!(Structure::exact(address(&mut bytes), 8, 16).is_ok());
    }

    #[test]
    fn a_chain_is_given_where_there_is_room() {
        let chain = || {
            let mut chain = Chained::new(24, 16);
            chain.capability(2, 1, &[1; 8]);
            chain.capability(1, 1, &[2; 4]);
            chain
        };
        let mut bytes = [0xff_u8; 64];
        let place = address(&mut bytes);
        assert_eq!(chain().answer(place, 64, 24), Ok(0));
        let read = Structure::load(place, 64).expect("it is there");
        assert_eq!((read.u32(0), read.u32(16), read.u32(24 + 4), read.u32(40 + 4)), (52, 24, 40, 0));
        let mut bytes = [0xff_u8; 64];
        let place = address(&mut bytes);
        assert_eq!(chain().answer(place, 30, 24), Ok(0));
        let read = Structure::load(place, 64).expect("it is there");
        assert_eq!((read.u32(0), read.u32(16), read.u32(24)), (52, 0, u32::MAX));
    }
}
