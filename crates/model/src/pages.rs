//! What a page holds: a function of the device's secret, the page's number and its version.
//!
//! A few bytes a page are all that the model keeps. Any part of a page can be made or checked by itself, so that
//! neither saving nor loading needs a buffer. The function mixes well enough that nobody guesses a page without the
//! secret by accident; it is a proof against bugs, not against attackers.

use crate::guest_memory::GuestMemory;
use crate::proof::Proof;

/// Bytes in a page of the device and of guest memory.
pub const PAGE_SIZE: u64 = 4096;

/// A page as a number of bytes in memory.
pub(crate) const PAGE_LEN: usize = 4096;

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Everything in the device but its registers.
#[derive(Debug)]
pub(crate) struct Contents {
    secret: u128,
    size: u64,
    versions: Vec<u32>,
    /// What the guest writes to by itself.
    memory: Option<GuestMemory>,
}

impl Contents {
    pub(crate) fn new(secret: u128, size: u64, memory: Option<GuestMemory>) -> Self {
        let pages = usize::try_from(size.div_ceil(PAGE_SIZE)).expect("settings limit the size to what has an index");
        Self { secret, size, versions: vec![0; pages], memory }
    }

    /// Forgets everything: another secret, every page in its first version.
    pub(crate) fn renew(&mut self, secret: u128) {
        self.secret = secret;
        self.versions.fill(0);
        for page in 0..self.memory_pages() {
            self.store_memory(page, &[0; PAGE_LEN]);
        }
    }

    pub(crate) const fn memory(&self) -> Option<&GuestMemory> {
        self.memory.as_ref()
    }

    pub(crate) fn set_memory(&mut self, memory: GuestMemory) -> Result<(), GuestMemory> {
        if memory.pages() != self.memory_pages() {
            return Err(memory);
        }
        self.memory = Some(memory);
        Ok(())
    }

    pub(crate) fn memory_pages(&self) -> u64 {
        self.memory.as_ref().map_or(0, GuestMemory::pages)
    }

    /// What a page of the memory holds.
    pub(crate) fn load_memory(&self, page: u64) -> [u8; PAGE_LEN] {
        let mut bytes = [0; PAGE_LEN];
        if let Some(memory) = &self.memory {
            // What cannot be read holds nothing.
            let _ = memory.load(page * PAGE_SIZE, &mut bytes);
        }
        bytes
    }

    pub(crate) fn store_memory(&self, page: u64, bytes: &[u8]) {
        if let Some(memory) = &self.memory {
            // What cannot be written shows in the proof.
            let _ = memory.store(page * PAGE_SIZE, bytes);
        }
    }

    pub(crate) const fn secret(&self) -> u128 {
        self.secret
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    pub(crate) const fn pages(&self) -> u64 {
        self.size.div_ceil(PAGE_SIZE)
    }

    /// How many bytes a page has: all but the last one have [`PAGE_SIZE`].
    pub(crate) fn len_of(&self, page: u64) -> usize {
        let rest = self.size.saturating_sub(page.saturating_mul(PAGE_SIZE));
        usize::try_from(rest.min(PAGE_SIZE)).expect("a page's length is small")
    }

    pub(crate) fn version(&self, page: u64) -> u32 {
        self.versions[index(page)]
    }

    pub(crate) fn set_version(&mut self, page: u64, version: u32) {
        self.versions[index(page)] = version;
    }

    /// The device writes to a page of its own.
    pub(crate) fn change(&mut self, page: u64) {
        let version = &mut self.versions[index(page)];
        *version = version.wrapping_add(1);
    }

    pub(crate) fn key(&self, page: u64, version: u32) -> PageKey {
        PageKey::new(self.secret, Domain::Own, page, u64::from(version))
    }

    /// What two ends compare: the secret, the version of every page, the registers.
    pub(crate) fn proof(&self, registers: &[u64]) -> Proof {
        let (high, low) = halves(self.secret);
        let (mut first, mut second) = (mix(high ^ self.size), mix(low.wrapping_add(self.size)));
        for (page, version) in (0u64..).zip(&self.versions) {
            let place = page.wrapping_mul(GOLDEN) ^ u64::from(*version);
            first = first.wrapping_add(mix(place ^ high));
            second = second.wrapping_add(mix(place.wrapping_add(low)));
        }
        for page in 0..self.memory_pages() {
            let digest = self.memory.as_ref().map_or(0, |memory| memory.page_digest(page));
            first = mix(first ^ digest.wrapping_add(page));
            second = mix(second.wrapping_add(digest) ^ page);
        }
        for (number, value) in (1u64..).zip(registers) {
            first = mix(first ^ value.wrapping_add(number));
            second = mix(second.wrapping_add(*value) ^ number);
        }
        Proof::from_halves(first, second)
    }
}

/// Keeps the pages of the device apart from what its DMA writes, under one secret.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Domain {
    Own = 1,
    Dma = 2,
}

/// From which every word of one version of one page follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageKey {
    start: u64,
    factor: u64,
}

impl PageKey {
    pub(crate) fn new(secret: u128, domain: Domain, page: u64, version: u64) -> Self {
        let (high, low) = halves(secret);
        let place = mix(mix(low.wrapping_add(page)) ^ high);
        let start = mix(place.wrapping_add(version << 2 | domain as u64));
        Self { start, factor: mix(start ^ low) | 1 }
    }

    /// The word at `index`; a page has 512.
    #[inline]
    pub(crate) const fn word(self, index: u64) -> u64 {
        let word = self.start.wrapping_add(index.wrapping_mul(GOLDEN));
        let word = (word ^ (word >> 32)).wrapping_mul(self.factor);
        let word = (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word ^ (word >> 32)
    }

    /// Makes the bytes from `offset` on.
    pub(crate) fn fill(self, offset: usize, out: &mut [u8]) {
        let (mut word, head) = (offset as u64 / 8, offset % 8);
        let (start, out) = out.split_at_mut(out.len().min((8 - head) % 8));
        if !start.is_empty() {
            start.copy_from_slice(&self.word(word).to_le_bytes()[head..head + start.len()]);
            word += 1;
        }
        let (whole, end) = out.as_chunks_mut::<8>();
        for bytes in whole {
            *bytes = self.word(word).to_le_bytes();
            word += 1;
        }
        end.copy_from_slice(&self.word(word).to_le_bytes()[..end.len()]);
    }

    /// Whether `data` are the bytes from `offset` on.
    pub(crate) fn matches(self, offset: usize, data: &[u8]) -> bool {
        let (mut word, head) = (offset as u64 / 8, offset % 8);
        let (start, data) = data.split_at(data.len().min((8 - head) % 8));
        let mut good = true;
        if !start.is_empty() {
            good &= start == &self.word(word).to_le_bytes()[head..head + start.len()];
            word += 1;
        }
        let (whole, end) = data.as_chunks::<8>();
        let mut different = 0;
        for bytes in whole {
            different |= self.word(word) ^ u64::from_le_bytes(*bytes);
            word += 1;
        }
        good && different == 0 && (end == &self.word(word).to_le_bytes()[..end.len()])
    }
}

/// A well-mixed word from a word (the finalizer of `SplitMix64`).
pub(crate) const fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(GOLDEN);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A number below `count`, which is not 0, from a well-mixed word.
pub(crate) const fn below(count: u64, word: u64) -> u64 {
    ((word as u128 * count as u128) >> 64) as u64
}

/// A secret that depends on every bit of what it is drawn from.
pub(crate) fn draw_secret(seed: u64, nonce: u64, generation: u64) -> u128 {
    let first = mix(mix(mix(seed) ^ nonce) ^ generation);
    let second = mix(mix(mix(nonce.wrapping_add(GOLDEN)) ^ generation) ^ seed);
    u128::from(first) << 64 | u128::from(second)
}

#[expect(clippy::cast_possible_truncation, reason = "it takes the halves apart")]
const fn halves(secret: u128) -> (u64, u64) {
    ((secret >> 64) as u64, secret as u64)
}

fn index(page: u64) -> usize {
    usize::try_from(page).expect("a page of this device has an index")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_of_a_page_is_the_same_part_of_the_whole() {
        let key = PageKey::new(77, Domain::Own, 5, 3);
        let mut whole = vec![0; PAGE_LEN];
        key.fill(0, &mut whole);
        for offset in (0..40).chain(4050..4096) {
            for len in (0..20).chain([PAGE_LEN - offset]).filter(|len| offset + len <= PAGE_LEN) {
                let mut part = vec![0; len];
                key.fill(offset, &mut part);
                assert_eq!(part, whole[offset..offset + len], "{offset}+{len}");
                assert!(key.matches(offset, &part));
                for at in 0..len.min(20) {
                    part[at] ^= 0x10;
                    assert!(!key.matches(offset, &part), "a flip at {at} of {offset}+{len}");
                    part[at] ^= 0x10;
                }
            }
        }
    }

    #[test]
    fn pages_differ_by_secret_number_version_and_domain() {
        let keys = [
            PageKey::new(1, Domain::Own, 0, 0),
            PageKey::new(2, Domain::Own, 0, 0),
            PageKey::new(1 << 64, Domain::Own, 0, 0),
            PageKey::new(1, Domain::Own, 1, 0),
            PageKey::new(1, Domain::Own, 0, 1),
            PageKey::new(1, Domain::Dma, 0, 0),
        ];
        for (number, one) in keys.iter().enumerate() {
            for other in &keys[number + 1..] {
                assert!((0..512).all(|word| one.word(word) != other.word(word)));
            }
        }
    }

    #[test]
    fn a_page_looks_like_noise() {
        let key = PageKey::new(1, Domain::Own, 0, 0);
        let ones: u32 = (0..512).map(|word| key.word(word).count_ones()).sum();
        assert!((15_700..17_100).contains(&ones), "{ones} of 32768 bits are set");
    }

    #[test]
    fn the_proof_sees_every_page_and_register() {
        let mut contents = Contents::new(9, 10 * PAGE_SIZE, None);
        let registers = [1, 2, 3];
        let proof = contents.proof(&registers);
        for page in 0..10 {
            contents.change(page);
            assert_ne!(contents.proof(&registers), proof);
            contents.set_version(page, 0);
        }
        assert_eq!(contents.proof(&registers), proof);
        assert_ne!(contents.proof(&[1, 2, 4]), proof);
        assert_ne!(contents.proof(&[2, 1, 3]), proof);
    }
}
