//! Runs of marked pages: by their edges, which are written down for a block of words at a time, and by leaps where all pages
//! are alike.

use core::ops::Range;

/// How many words are looked at in one go.
const BLOCK: usize = 8;

/// How many edges of a word are found one by one. Where it has more, those of each byte are looked up.
const FEW: usize = 4;

/// The runs of marked pages of a [`Bitmap`](super::Bitmap), by [`Bitmap::runs`](super::Bitmap::runs).
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    /// The words that were not looked at yet.
    words: &'a [u64],
    /// The page of their first bit.
    behind: u64,
    pages: u64,
    /// Whether the page before that one is marked, as a bit.
    before: u64,
    /// Where a run begins whose end was not found yet.
    begun: Option<u64>,
    /// The edges of the block that was looked at last.
    edges: Edges,
    /// Those that are left: a begin and an end in turn.
    left: Range<usize>,
}

impl<'a> Runs<'a> {
    /// Those of the bits from `from` on. Bits beyond `pages` are a tracker's own affair.
    pub(super) fn new(words: &'a [u64], pages: u64, from: u64) -> Self {
        let first = usize::try_from(from / 64).unwrap_or(usize::MAX);
        let words = words.get(first..).unwrap_or_default();
        let edges = Edges { from: 0, places: [0; Edges::ROOM] };
        let mut runs = Self { words, behind: from & !63, pages, before: 0, begun: None, edges, left: 0..0 };
        runs.look(1, u64::MAX << (from % 64));
        runs
    }

    /// Looks at the next words, `most` of them, and of the first only at the bits in `mask`. False if there is none.
    #[inline]
    fn look(&mut self, most: usize, mut mask: u64) -> bool {
        let block;
        (block, self.words) = self.words.split_at(most.min(self.words.len()));
        self.edges.from = self.behind;
        let mut count = 0;
        for (offset, word) in (0..).step_by(64).zip(block) {
            self.behind += 64;
            if self.behind > self.pages {
                mask &= u64::MAX >> (self.behind - self.pages);
            }
            let word = word & mask;
            mask = u64::MAX;
            count = self.edges.add(count, word ^ (word << 1 | self.before), offset);
            self.before = word >> 63;
        }
        self.left = 0..count;
        !block.is_empty()
    }

    /// The next run of which both edges were found already.
    #[inline]
    fn found(&mut self) -> Option<(u64, u64)> {
        if self.left.len() < 2 {
            return None;
        }
        let [begin, end] = *self.edges.places.get(self.left.start..)?.first_chunk()?;
        self.left.start += 2;
        Some(self.edges.run([begin, end]))
    }

    /// The next run of those that are still to be found.
    #[cold]
    #[inline(never)]
    fn find(&mut self) -> Option<(u64, u64)> {
        loop {
            if let Some(last) = self.left.next() {
                self.begun = Some(self.edges.page(last));
            }
            let alike = if self.before == 0 { leading(self.words, 0) } else { leading(self.words, u64::MAX) };
            self.words = &self.words[alike..];
            self.behind += alike as u64 * 64;
            if !self.look(BLOCK, u64::MAX) {
                return self.begun.take().map(|begun| (begun, self.pages - begun));
            }
            let begun = if self.left.is_empty() { None } else { self.begun.take() };
            if let Some(begun) = begun {
                return self.left.next().map(|end| (begun, self.edges.page(end) - begun));
            }
            let found = self.found();
            if found.is_some() {
                return found;
            }
        }
    }
}

impl Iterator for Runs<'_> {
    /// First page and length in pages.
    type Item = (u64, u64);

    #[inline]
    fn next(&mut self) -> Option<(u64, u64)> {
        self.found().or_else(|| self.find())
    }

    /// All that was found of a block goes in one loop: a quarter faster than one run at a time.
    #[inline]
    fn fold<All, Add: FnMut(All, (u64, u64)) -> All>(mut self, mut all: All, mut add: Add) -> All {
        loop {
            let (found, _) = self.edges.places.get(self.left.clone()).unwrap_or_default().as_chunks();
            for edges in found {
                all = add(all, self.edges.run(*edges));
            }
            self.left.start += 2 * found.len();
            match self.find() {
                Some(run) => all = add(all, run),
                None => return all,
            }
        }
    }
}

/// The edges of the pages of a block: those that are marked where the page before is not, or the other way round.
#[derive(Clone, Debug)]
struct Edges {
    /// The page from which they count.
    from: u64,
    /// What stands behind the last one means nothing.
    places: [u16; Self::ROOM],
}

impl Edges {
    /// One for each page, and what a look-up writes behind the last.
    const ROOM: usize = 64 * BLOCK + 8;

    fn page(&self, at: usize) -> u64 {
        self.from + u64::from(self.places[at])
    }

    fn run(&self, [begin, end]: [u16; 2]) -> (u64, u64) {
        (self.from + u64::from(begin), u64::from(end) - u64::from(begin))
    }

    /// Adds the edges of a word, whose first page is `offset` behind the block's, to `count` others. How many there are then.
    #[inline]
    fn add(&mut self, count: usize, edges: u64, offset: u16) -> usize {
        if edges == 0 {
            return count;
        }
        let without_first = |bits: u64| bits & bits.wrapping_sub(1);
        if (0..FEW).fold(edges, |rest, _| without_first(rest)) == 0 {
            let mut rest = edges;
            if let Some(places) = self.places[count..].first_chunk_mut::<FEW>() {
                // As many as there might be, since a loop whose end nobody can foretell would cost more.
                for place in places {
                    *place = offset + u16::try_from(rest.trailing_zeros()).unwrap_or_default();
                    rest = without_first(rest);
                }
            }
            return count + edges.count_ones() as usize;
        }
        let (mut count, mut offset) = (count, offset);
        for byte in edges.to_le_bytes().map(usize::from) {
            if let Some(places) = self.places[count..].first_chunk_mut() {
                *places = BITS[byte].map(|bit| offset + bit);
            }
            count += usize::from(COUNTS[byte]);
            offset += 8;
        }
        count
    }
}

/// The bits that are set in each byte, from the lowest on; what stands behind the last one means nothing.
static BITS: [[u16; 8]; 256] = BYTES.0;

/// How many these are.
static COUNTS: [u8; 256] = BYTES.1;

const BYTES: ([[u16; 8]; 256], [u8; 256]) = {
    let (mut bits, mut counts) = ([[0; 8]; 256], [0; 256]);
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            if byte >> bit & 1 != 0 {
                bits[byte][counts[byte] as usize] = bit;
                counts[byte] += 1;
            }
            bit += 1;
        }
        byte += 1;
    }
    (bits, counts)
};

/// How many words from the first on are `alike`, which is a constant where it matters.
#[inline]
pub(super) fn leading(words: &[u64], alike: u64) -> usize {
    let mut count = 0;
    // Where pages differ much, the next word is another one already.
    if words.first() == Some(&alike) {
        // Eight words are looked at as one: this is what becomes vector instructions.
        let blocks = words.chunks_exact(8);
        count = 8 * blocks.take_while(|block| block.iter().fold(0, |all, word| all | word ^ alike) == 0).count();
    }
    count + words[count..].iter().take_while(|word| **word == alike).count()
}
