//! Runs of marked pages: by the edges of a word, where runs begin and end, and by leaps where all pages are alike.

/// How many words are looked at in one go.
const BLOCK: usize = 8;

/// From how many edges of a block's first word on those of the whole block are looked up byte by byte.
const MANY: u32 = 8;

/// The runs of marked pages of a [`Bitmap`](super::Bitmap), by [`Bitmap::runs`](super::Bitmap::runs).
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    /// The words that were not looked at yet.
    words: &'a [u64],
    /// The page of their first bit.
    behind: u64,
    pages: u64,
    /// What is left of the word before them.
    edges: Edges,
}

impl<'a> Runs<'a> {
    /// Those of the bits from `from` on. Bits beyond `pages` are a tracker's own affair.
    pub(super) fn new(words: &'a [u64], pages: u64, from: u64) -> Self {
        let first = usize::try_from(from / 64).unwrap_or(usize::MAX);
        let words = words.get(first..).unwrap_or_default();
        let mut runs = Self { words, behind: from & !63, pages, edges: Edges::default() };
        if let Some((word, rest)) = words.split_first() {
            runs.words = rest;
            runs.look(word & u64::MAX << (from % 64));
        }
        runs
    }

    /// Looks at a word, the first of those that were not looked at.
    #[inline]
    fn look(&mut self, mut word: u64) {
        let from = self.behind;
        self.behind += 64;
        if self.behind > self.pages {
            word &= u64::MAX >> (self.behind - self.pages);
        }
        self.edges = self.edges.of(word, from);
    }

    /// The next run that ends in none of the words that were looked at.
    fn find(&mut self) -> Option<(u64, u64)> {
        loop {
            let alike = if self.edges.last == 0 { leading(self.words, 0) } else { leading(self.words, u64::MAX) };
            self.words = &self.words[alike..];
            self.behind += alike as u64 * 64;
            let Some((word, rest)) = self.words.split_first() else {
                let Edges { begun, .. } = self.edges;
                return (core::mem::take(&mut self.edges.last) != 0).then(|| (begun, self.pages - begun));
            };
            self.words = rest;
            self.look(*word);
            let found = self.edges.run();
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
        self.edges.run().or_else(|| self.find())
    }

    /// Block by block, which is faster than one run at a time.
    #[inline]
    fn fold<All, Add: FnMut(All, (u64, u64)) -> All>(mut self, mut all: All, mut add: Add) -> All {
        // What the compiler is to keep in registers.
        let mut edges = self.edges;
        while let Some(run) = edges.run() {
            all = add(all, run);
        }
        // The last word may have bits beyond the last page.
        let whole = self.words.len().saturating_sub(1);
        let (mut blocks, rest) = self.words[..whole].as_chunks();
        let mut places = Places::new();
        loop {
            let alike = if edges.last == 0 { leading_blocks(blocks, 0) } else { leading_blocks(blocks, u64::MAX) };
            self.behind += (64 * BLOCK * alike) as u64;
            let Some((block, more)) = blocks[alike..].split_first() else { break };
            blocks = more;
            let bits = edges_of(block, edges.last);
            let mut odd = bits.iter().zip(0..).fold(0_u32, |odd, (bits, at)| odd | u32::from(*bits != 0) << at);
            if odd == (1 << BLOCK) - 1 && has_many(bits[0]) {
                // One loop for all of them: that of each word would end where nobody can foretell it.
                let from = self.behind;
                let mut found = places.of(&bits);
                if edges.last != 0
                    && let Some((end, rest)) = found.split_first()
                {
                    all = add(all, (edges.begun, from + u64::from(*end) - edges.begun));
                    found = rest;
                }
                let (found, begun) = found.as_chunks();
                for [begin, end] in found {
                    all = add(all, (from + u64::from(*begin), u64::from(*end) - u64::from(*begin)));
                }
                if let [begun] = begun {
                    edges.begun = from + u64::from(*begun);
                }
                edges.last = block[BLOCK - 1] >> 63;
            } else {
                while odd != 0 {
                    let at = odd.trailing_zeros();
                    odd &= odd - 1;
                    edges = edges.of(block[at as usize % BLOCK], self.behind + 64 * u64::from(at));
                    while let Some(run) = edges.run() {
                        all = add(all, run);
                    }
                }
            }
            self.behind += 64 * BLOCK as u64;
        }
        self.words = &self.words[whole - rest.len()..];
        self.edges = edges;
        for run in self {
            all = add(all, run);
        }
        all
    }
}

/// Where in a word runs begin and end, as far as they were not told yet.
#[derive(Clone, Copy, Debug, Default)]
struct Edges {
    /// The word's first page.
    from: u64,
    /// Whether its last page is marked, as a bit.
    last: u64,
    /// Where the run begins that ends next.
    begun: u64,
    /// Where others begin, and where runs end.
    begins: u64,
    ends: u64,
}

impl Edges {
    /// Those of another word, whose first page is `from`. Words in between have none.
    #[inline]
    fn of(self, word: u64, from: u64) -> Self {
        let shifted = word << 1 | self.last;
        let (begins, ends) = (word & !shifted, !word & shifted);
        // Without a branch: where pages differ much nobody can foretell which way it goes.
        let goes_on = self.last.wrapping_neg();
        let first = from + u64::from(begins.trailing_zeros());
        Self {
            from,
            last: word >> 63,
            begun: self.begun & goes_on | first & !goes_on,
            begins: begins & (begins.wrapping_sub(1) | goes_on),
            ends,
        }
    }

    /// The next run that ends in the word.
    #[inline]
    fn run(&mut self) -> Option<(u64, u64)> {
        if self.ends == 0 {
            return None;
        }
        let (begun, end) = (self.begun, self.from + u64::from(self.ends.trailing_zeros()));
        self.ends = without_first(self.ends);
        self.begun = self.from + u64::from(self.begins.trailing_zeros());
        self.begins = without_first(self.begins);
        Some((begun, end - begun))
    }
}

/// The pages of each word that are marked where the one before is not, or the other way round.
#[inline]
fn edges_of(block: &[u64; BLOCK], mut last: u64) -> [u64; BLOCK] {
    block.map(|word| {
        let edges = word ^ (word << 1 | last);
        last = word >> 63;
        edges
    })
}

const fn without_first(bits: u64) -> u64 {
    bits & bits.wrapping_sub(1)
}

/// Whether so many bits are set that a loop over each costs more than a look-up of them all.
#[inline]
fn has_many(bits: u64) -> bool {
    (1..MANY).fold(bits, |rest, _| without_first(rest)) != 0
}

/// The edges of a block in order, counted from its first page.
struct Places([u16; Self::ROOM]);

impl Places {
    /// One for each page, and what a look-up writes behind the last.
    const ROOM: usize = 64 * BLOCK + 8;

    const fn new() -> Self {
        Self([0; Self::ROOM])
    }

    #[inline]
    fn of(&mut self, edges: &[u64; BLOCK]) -> &[u16] {
        let (mut count, mut offset) = (0, 0);
        for byte in edges.iter().flat_map(|word| word.to_le_bytes()).map(usize::from) {
            if let Some(places) = self.0[count..].first_chunk_mut() {
                *places = BITS[byte].map(|bit| offset + bit);
            }
            count += usize::from(COUNTS[byte]);
            offset += 8;
        }
        &self.0[..count]
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
        count = BLOCK * leading_blocks(words.as_chunks().0, alike);
    }
    count + words[count..].iter().take_while(|word| **word == alike).count()
}

/// How many blocks from the first on are. A block is looked at as one word: this is what becomes vector instructions.
#[inline]
fn leading_blocks(blocks: &[[u64; BLOCK]], alike: u64) -> usize {
    blocks.iter().take_while(|block| block.iter().fold(0, |all, word| all | word ^ alike) == 0).count()
}
