//! Runs of marked pages: found by words, and by blocks of words where all pages are alike.

/// The runs of marked pages of a [`Bitmap`](super::Bitmap), by [`Bitmap::runs`](super::Bitmap::runs).
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    /// What was not seen yet of the current word.
    word: u64,
    /// The words behind it.
    words: &'a [u64],
    /// The page of their first bit.
    behind: u64,
    pages: u64,
}

impl<'a> Runs<'a> {
    /// Those of the bits from `from` on. Bits beyond `pages` are a tracker's own affair.
    pub(super) fn new(words: &'a [u64], pages: u64, from: u64) -> Self {
        let first = usize::try_from(from / 64).unwrap_or(usize::MAX);
        let mut runs = Self { word: 0, words: words.get(first..).unwrap_or_default(), behind: from & !63, pages };
        runs.go(0);
        runs.word &= u64::MAX << (from % 64);
        runs
    }

    /// Makes the word behind the next `skip` ones the current one. `None`: there is no such word.
    #[inline]
    fn go(&mut self, skip: usize) -> Option<()> {
        self.words = self.words.get(skip..).unwrap_or_default();
        let (word, words) = self.words.split_first()?;
        (self.word, self.words) = (*word, words);
        self.behind += (skip as u64 + 1) * 64;
        if self.behind > self.pages {
            self.word &= u64::MAX >> (self.behind - self.pages);
        }
        Some(())
    }
}

impl Iterator for Runs<'_> {
    /// First page and length in pages.
    type Item = (u64, u64);

    #[inline]
    fn next(&mut self) -> Option<(u64, u64)> {
        while self.word == 0 {
            self.go(leading(self.words, 0))?;
        }
        let base = self.behind - 64;
        let first = base + u64::from(self.word.trailing_zeros());
        // Adding its first bit to a run carries through all of it.
        let carried = self.word.wrapping_add(self.word & self.word.wrapping_neg());
        self.word &= carried;
        if carried != 0 {
            return Some((first, base + u64::from(carried.trailing_zeros()) - first));
        }
        // It ends at the first word that is not full.
        let full = leading(self.words, u64::MAX);
        let mut end = self.behind + full as u64 * 64;
        if self.go(full).is_some() {
            end += u64::from(self.word.trailing_ones());
            self.word &= self.word.wrapping_add(1);
        }
        Some((first, end.min(self.pages) - first))
    }
}

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
