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
        let mut page = from;
        while page < self.pages {
            let rest = self.words[word(page)] >> (page % 64);
            if rest != 0 {
                return Some(page + u64::from(rest.trailing_zeros())).filter(|found| *found < self.pages);
            }
            page = (page / 64 + 1) * 64;
        }
        None
    }

    /// Takes the first run of at most `most` marked pages at or after `from`: clears it, and returns its first page
    /// and its length in pages.
    pub fn take_run(&mut self, from: u64, most: u64) -> Option<(u64, u64)> {
        let first = self.next(from)?;
        let mut end = first;
        while end - first < most && self.get(end) {
            self.clear(end);
            end += 1;
        }
        Some((first, end - first))
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
