use super::runs::{Runs, leading};

/// One bit a page. The layout is the kernel's: word i / 64, bit i % 64.
///
/// ```
/// use vfio_migration_protocol::Bitmap;
/// let mut dirty = Bitmap::new(100);
/// dirty.set(3);
/// dirty.set(4);
/// dirty.set(99);
/// assert_eq!(dirty.count(), 3);
/// assert_eq!(dirty.take_run(0, 16), Some((3, 2)));
/// assert_eq!(dirty.take_run(0, 16), Some((99, 1)));
/// assert!(dirty.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    pages: u64,
}

impl Bitmap {
    /// A bitmap of `pages` clear bits.
    pub fn new(pages: u64) -> Self {
        let words = usize::try_from(pages.div_ceil(64)).expect("a bitmap of memory that this machine has fits into it");
        Self { words: vec![0; words], pages }
    }

    /// How many pages it covers.
    pub const fn pages(&self) -> u64 {
        self.pages
    }

    /// The words. Bits beyond the last page mean nothing.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// A copy of the words, without bits beyond the last page.
    pub fn to_words(&self) -> Vec<u64> {
        let mut copy = self.clone();
        copy.trim();
        copy.words
    }

    /// The words, for the kernel or a peer to set bits in. Bits beyond the last page are ignored.
    pub fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Marks a page. A page beyond the end is ignored: what a tracker says of memory we do not move means nothing.
    pub fn set(&mut self, page: u64) {
        if page < self.pages {
            self.words[word(page)] |= 1 << (page % 64);
        }
    }

    /// Clears a page's mark.
    pub fn clear(&mut self, page: u64) {
        if page < self.pages {
            self.words[word(page)] &= !(1 << (page % 64));
        }
    }

    /// Whether a page is marked.
    pub fn get(&self, page: u64) -> bool {
        page < self.pages && self.words[word(page)] & (1 << (page % 64)) != 0
    }

    /// Marks every page.
    pub fn fill(&mut self) {
        self.words.fill(u64::MAX);
        self.trim();
    }

    /// Marks what `other` marks.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
        self.trim();
    }

    /// How many pages are marked.
    pub fn count(&self) -> u64 {
        let beyond = match (self.words.last(), self.pages % 64) {
            (Some(last), used @ 1..) => u64::from((last >> used).count_ones()),
            _ => 0,
        };
        self.words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>() - beyond
    }

    /// Whether no page is marked.
    pub fn is_empty(&self) -> bool {
        self.next(0).is_none()
    }

    /// The first marked page at or after `from`.
    pub fn next(&self, from: u64) -> Option<u64> {
        if from >= self.pages {
            return None;
        }
        let first = word(from);
        let rest = self.words[first] >> (from % 64);
        let page = if rest != 0 {
            from + u64::from(rest.trailing_zeros())
        } else {
            let marked = first + 1 + leading(&self.words[first + 1..], 0);
            marked as u64 * 64 + u64::from(self.words.get(marked)?.trailing_zeros())
        };
        Some(page).filter(|found| *found < self.pages)
    }

    /// Takes the first run of at most `most` marked pages at or after `from`: clears it, and returns its first page
    /// and its length in pages.
    pub fn take_run(&mut self, from: u64, most: u64) -> Option<(u64, u64)> {
        let first = self.next(from)?;
        let limit = first.saturating_add(most).min(self.pages);
        let mut end = first;
        while end < limit {
            let marked = u64::from((!(self.words[word(end)] >> (end % 64))).trailing_zeros()).min(64 - end % 64);
            end += marked;
            if marked == 0 || end % 64 != 0 {
                break;
            }
        }
        let count = end.min(limit) - first;
        self.clear_run(first, count);
        Some((first, count))
    }

    /// Marks `count` pages from `first` on. Pages beyond the end are ignored.
    pub fn set_run(&mut self, first: u64, count: u64) {
        self.each_word(first, count, |word, mask| *word |= mask);
    }

    /// Clears the marks of `count` pages from `first` on. Pages beyond the end are ignored.
    pub fn clear_run(&mut self, first: u64, count: u64) {
        self.each_word(first, count, |word, mask| *word &= !mask);
    }

    /// Marks what `words` mark, which are another piece of the same memory: page `at` is their bit `from`, and so on for
    /// `count` pages. Pages beyond either end are ignored.
    ///
    /// ```
    /// use vfio_migration_protocol::Bitmap;
    /// let mut dirty = Bitmap::new(100);
    /// dirty.merge_at(60, &[0b101, 1], 0, 128);
    /// assert_eq!(dirty.runs().collect::<Vec<_>>(), [(60, 1), (62, 1)]);
    /// ```
    pub fn merge_at(&mut self, at: u64, words: &[u64], from: u64, count: u64) {
        let mut bit = from;
        let there = (words.len() as u64).saturating_mul(64).saturating_sub(from);
        let count = count.min(there);
        self.each_word(at, count, |word, mask| {
            let bits = two_words(words, bit) << mask.trailing_zeros();
            *word |= bits & mask;
            bit += u64::from(mask.count_ones());
        });
    }

    /// All runs of marked pages in order, as long as they are: first page and length in pages. Read at the speed of
    /// memory where few are marked, or few are not.
    pub fn runs(&self) -> Runs<'_> {
        self.runs_from(0)
    }

    /// As [`runs`](Self::runs), of the pages from `from` on.
    ///
    /// ```
    /// use vfio_migration_protocol::Bitmap;
    /// let mut dirty = Bitmap::new(100);
    /// dirty.set_run(10, 60);
    /// assert_eq!(dirty.runs_from(12).next(), Some((12, 58)));
    /// ```
    pub fn runs_from(&self, from: u64) -> Runs<'_> {
        Runs::new(&self.words, self.pages, from)
    }

    /// Shows every word in which pages of a run lie, with a bit set for each of them.
    fn each_word(&mut self, first: u64, count: u64, mut change: impl FnMut(&mut u64, u64)) {
        let end = first.saturating_add(count).min(self.pages);
        let mut page = first;
        while page < end {
            let here = (end - page).min(64 - page % 64);
            change(&mut self.words[word(page)], u64::MAX >> (64 - here) << (page % 64));
            page += here;
        }
    }

    fn trim(&mut self) {
        if let (Some(last), used @ 1..) = (self.words.last_mut(), self.pages % 64) {
            *last &= (1 << used) - 1;
        }
    }
}

fn word(page: u64) -> usize {
    usize::try_from(page / 64).expect("a page below the length lies in a word that exists")
}

/// The 64 bits from `bit` on; those beyond the end are clear.
fn two_words(words: &[u64], bit: u64) -> u64 {
    let (index, shift) = (word(bit), bit % 64);
    let at = |index: usize| words.get(index).copied().unwrap_or(0);
    let low = at(index) >> shift;
    if shift == 0 { low } else { low | at(index + 1) << (64 - shift) }
}
