//! What devices see of the program's memory: the mappings of a container or of an address space.

use core::ops::Bound;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use vfio_migration_model::{ForeignMemory, PAGE_SIZE};
use vfio_migration_protocol::{CallError, Errno, IovaRange};

use super::memory;

/// The last address that can be mapped: 48 bits, as IOMMUs have them.
pub(super) const LAST_ADDRESS: u64 = (1 << 48) - 1;

/// Mappings, by the addresses that devices use.
#[derive(Debug, Default)]
pub(super) struct Space(RwLock<BTreeMap<u64, Mapping>>);

#[derive(Clone, Debug)]
struct Mapping {
    length: u64,
    backing: Backing,
    readable: bool,
    writable: bool,
}

/// What is mapped.
#[derive(Clone, Debug)]
pub(super) enum Backing {
    /// The program's memory, from an address on.
    Program(u64),
    /// A file, from an offset on.
    File(Arc<File>, u64),
}

/// What devices may do with a mapping.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rights {
    pub(super) read: bool,
    pub(super) write: bool,
}

impl Space {
    /// Maps whole pages. EINVAL: it is no whole pages, or beyond the last address; EEXIST: something is there; EFAULT: the
    /// program has no such memory.
    pub(super) fn map(&self, range: IovaRange, backing: Backing, rights: Rights) -> Result<(), Errno> {
        let last = last_of(range)?;
        if let Backing::Program(address) = backing {
            let end = address.checked_add(range.length - 1).ok_or(Errno::EINVAL)?;
            // As far as a kernel would notice when it pins the pages.
            memory::load(address, &mut [0])?;
            memory::load(end, &mut [0])?;
        }
        let mut mappings = self.write();
        let before = mappings.range(..=last).next_back();
        if before.is_some_and(|(iova, mapping)| iova + (mapping.length - 1) >= range.iova) {
            return Err(Errno::EEXIST);
        }
        let Rights { read, write } = rights;
        mappings.insert(range.iova, Mapping { length: range.length, backing, readable: read, writable: write });
        Ok(())
    }

    /// The lowest hole of so many bytes, from the second page on.
    pub(super) fn hole(&self, length: u64) -> Option<u64> {
        let mut at = PAGE_SIZE;
        for (iova, mapping) in self.read().iter() {
            if iova.checked_sub(at).is_some_and(|room| room >= length) {
                break;
            }
            at = at.max(iova + mapping.length);
        }
        last_of(IovaRange { iova: at, length }).ok().map(|_| at)
    }

    /// Unmaps everything in a range, and returns how many bytes that were. EINVAL: it cuts a mapping in two.
    pub(super) fn unmap(&self, range: IovaRange) -> Result<u64, Errno> {
        let mut mappings = self.write();
        let inside = inside(&mappings, range)?;
        Ok(inside.iter().filter_map(|range| mappings.remove(&range.iova)).map(|mapping| mapping.length).sum())
    }

    /// The mappings in a range, in order. EINVAL: it cuts one in two.
    pub(super) fn mapped(&self, range: IovaRange) -> Result<Vec<IovaRange>, Errno> {
        inside(&self.read(), range)
    }

    /// Unmaps everything.
    pub(super) fn clear(&self) {
        self.write().clear();
    }

    /// Whether nothing but files is mapped.
    pub(super) fn has_files_only(&self) -> bool {
        self.read().values().all(|mapping| matches!(mapping.backing, Backing::File(..)))
    }

    /// Does something with each piece of the mappings that an access meets: where it begins in the access, and its bytes.
    fn pieces(
        &self,
        iova: u64,
        len: usize,
        mut each: impl FnMut(&Mapping, u64, core::ops::Range<usize>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mappings = self.read();
        let mut at = 0;
        while at < len {
            let address = iova.checked_add(at as u64).ok_or(Errno::EFAULT)?;
            let (start, mapping) = mappings.range(..=address).next_back().ok_or(Errno::EFAULT)?;
            let within = address - start;
            let room = mapping.length.checked_sub(within).filter(|room| *room > 0).ok_or(Errno::EFAULT)?;
            let end = len.min(at.saturating_add(usize::try_from(room).unwrap_or(usize::MAX)));
            each(mapping, within, at..end)?;
            at = end;
        }
        Ok(())
    }

    fn load(&self, iova: u64, into: &mut [u8]) -> Result<(), Errno> {
        self.pieces(iova, into.len(), |mapping, within, part| match &mapping.backing {
            _ if !mapping.readable => Err(Errno::EFAULT),
            Backing::Program(address) => memory::load(address + within, &mut into[part]),
            Backing::File(file, start) => {
                file.read_exact_at(&mut into[part], start + within).map_err(|error| no_file(&error))
            }
        })
    }

    fn store(&self, iova: u64, from: &[u8]) -> Result<(), Errno> {
        self.pieces(iova, from.len(), |mapping, within, part| match &mapping.backing {
            _ if !mapping.writable => Err(Errno::EFAULT),
            Backing::Program(address) => memory::store(address + within, &from[part]),
            Backing::File(file, start) => {
                file.write_all_at(&from[part], start + within).map_err(|error| no_file(&error))
            }
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<u64, Mapping>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<u64, Mapping>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn no_file(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EFAULT, Errno::from_linux)
}

/// The last address of whole pages that can be mapped.
fn last_of(range: IovaRange) -> Result<u64, Errno> {
    let IovaRange { iova, length } = range;
    if length == 0 || !iova.is_multiple_of(PAGE_SIZE) || !length.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    iova.checked_add(length - 1).filter(|last| *last <= LAST_ADDRESS).ok_or(Errno::EINVAL)
}

fn inside(mappings: &BTreeMap<u64, Mapping>, range: IovaRange) -> Result<Vec<IovaRange>, Errno> {
    let last = match range.length.checked_sub(1) {
        None => return Ok(Vec::new()),
        Some(more) => range.iova.checked_add(more).ok_or(Errno::EINVAL)?,
    };
    let end = |(iova, mapping): (&u64, &Mapping)| iova + (mapping.length - 1);
    let before = mappings.range(..range.iova).next_back().map(end);
    let met = mappings.range((Bound::Included(range.iova), Bound::Included(last)));
    if before.is_some_and(|end| end >= range.iova) || met.clone().next_back().is_some_and(|one| end(one) > last) {
        return Err(Errno::EINVAL);
    }
    Ok(met.map(|(iova, mapping)| IovaRange { iova: *iova, length: mapping.length }).collect())
}

/// What one device sees: the space that it is attached to, if it is.
#[derive(Debug, Default)]
pub(super) struct View(RwLock<Option<Arc<Space>>>);

impl View {
    /// How far devices see: their addresses have 36 bits, so that there is memory above what 32 bits reach, and a log of all
    /// of it is small.
    pub(super) const REACH: IovaRange = IovaRange { iova: 0, length: 1 << 36 };

    /// Attaches the device to a space, or to none.
    pub(super) fn attach(&self, space: Option<Arc<Space>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = space;
    }

    fn space(&self) -> Result<Arc<Space>, Errno> {
        let space = self.0.read().unwrap_or_else(PoisonError::into_inner);
        space.clone().ok_or(Errno::EFAULT)
    }
}

impl ForeignMemory for View {
    fn load(&self, offset: u64, into: &mut [u8]) -> Result<(), CallError> {
        Ok(self.space()?.load(Self::REACH.iova + offset, into)?)
    }

    fn store(&self, offset: u64, from: &[u8]) -> Result<(), CallError> {
        Ok(self.space()?.store(Self::REACH.iova + offset, from)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Rights = Rights { read: true, write: true };
    const READ: Rights = Rights { read: true, write: false };

    fn range(iova: u64, length: u64) -> IovaRange {
        IovaRange { iova, length }
    }

    #[test]
    fn devices_reach_what_is_mapped_and_nothing_else() {
        let mut program = vec![0_u8; 3 << 12];
        let address = program.as_mut_ptr().expose_provenance() as u64;
        let space = Arc::new(Space::default());
        assert_eq!(space.map(range(0x2000, 0x1000), Backing::Program(address), BOTH), Ok(()));
        assert_eq!(space.map(range(0x3000, 0x2000), Backing::Program(address + 0x1000), READ), Ok(()));
        let view = View::default();
        assert!(view.store(0x2000, &[1]).is_err(), "it is attached to nothing");
        view.attach(Some(Arc::clone(&space)));
        assert_eq!(view.store(0x2fff, &[7]), Ok(()));
        let mut bytes = [0; 2];
        assert_eq!(view.load(0x2fff, &mut bytes), Ok(()), "across two mappings");
        assert_eq!(bytes, [7, 0]);
        assert_eq!(std::hint::black_box(&program)[0xfff], 7);
        for (iova, len) in [(0x1fff, 2), (0x2fff, 2), (0x3000, 1), (0x4fff, 2), (u64::MAX, 4)] {
            assert_eq!(view.store(iova, &vec![1; len]), Err(Errno::EFAULT.into()), "{iova:#x}");
        }
    }

    #[test]
    fn mappings_do_not_overlap_and_are_not_cut() {
        let program = vec![0_u8; 0x4000];
        let backing = || Backing::Program(program.as_ptr().expose_provenance() as u64);
        let space = Space::default();
        let map = |iova, length| space.map(range(iova, length), backing(), BOTH);
        assert_eq!(map(0x4000, 0x2000), Ok(()));
        assert_eq!(map(0x8000, 0x1000), Ok(()));
        for (iova, length) in [(0x3000, 0x2000), (0x5000, 0x1000), (0x5000, 0x4000), (0x4000, 0x2000)] {
            assert_eq!(map(iova, length), Err(Errno::EEXIST), "{iova:#x}");
        }
        for (iova, length) in [(1, 0x1000), (0, 0), (0, 1), (u64::MAX - 0xfff, 0x1000), (1 << 48, 0x1000)] {
            assert_eq!(map(iova, length), Err(Errno::EINVAL), "{iova:#x}");
        }
        assert_eq!(space.map(range(0, 0x1000), Backing::Program(8), BOTH), Err(Errno::EFAULT));
        assert_eq!((space.hole(0x3000), space.hole(0x2000)), (Some(0x1000), Some(0x1000)));
        assert_eq!(space.hole(0x4000), Some(0x9000));
        assert_eq!(space.unmap(range(0x5000, 0x1000)), Err(Errno::EINVAL));
        assert_eq!(space.unmap(range(0, 0x5000)), Err(Errno::EINVAL));
        assert_eq!(space.mapped(range(0, u64::MAX)).map(|all| all.len()), Ok(2));
        assert_eq!(space.unmap(range(0, 0x9000)), Ok(0x3000));
        assert_eq!(space.unmap(range(0, 0x9000)), Ok(0));
    }
}
