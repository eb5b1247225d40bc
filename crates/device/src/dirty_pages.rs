use vfio_migration_protocol::{Bitmap, IovaRange, Runs};

/// The pages that a [`DirtyLog`](crate::DirtyLog) has read and cleared.
///
/// ```
/// # use vfio_migration_device::{DirtyLog, open};
/// # use vfio_migration_model::GuestMemory;
/// # use vfio_migration_protocol::IovaRange;
/// # let all = IovaRange { iova: 0, length: 1 << 20 };
/// # let mut opened = open("model:size=1MiB,dirty-tracking", Some(GuestMemory::new(0, 1 << 20)?))?;
/// # let mut log = DirtyLog::start(&mut opened.trackers, vec![all], 4096)?;
/// let pages = log.drain(None)?;
/// for IovaRange { iova, length } in pages.ranges() {
///     println!("{length} bytes at {iova:#x}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirtyPages {
    page_size: u64,
    /// In ascending order, none overlapping another.
    parts: Vec<(IovaRange, Bitmap)>,
}

impl DirtyPages {
    pub(crate) const fn new(page_size: u64, parts: Vec<(IovaRange, Bitmap)>) -> Self {
        Self { page_size, parts }
    }

    /// Bytes a page: the smallest that any tracker has.
    pub const fn page_size(&self) -> u64 {
        self.page_size
    }

    /// How many pages were written to.
    pub fn count(&self) -> u64 {
        self.parts.iter().map(|(_, pages)| pages.count()).sum()
    }

    /// Each range that was read, in ascending order, with a bit for each of its pages.
    pub fn bitmaps(&self) -> impl Iterator<Item = (IovaRange, &Bitmap)> {
        self.parts.iter().map(|(range, pages)| (*range, pages))
    }

    /// What was written to, in ascending order and merged. They are found while they are asked for: no list of them is
    /// made.
    pub fn ranges(&self) -> DirtyRanges<'_> {
        self.ranges_from(0)
    }

    /// As [`ranges`](Self::ranges), from the page on in which the address `iova` lies.
    pub fn ranges_from(&self, iova: u64) -> DirtyRanges<'_> {
        let first = self.parts.partition_point(|(part, _)| part.iova + part.length <= iova);
        let mut ranges = DirtyRanges { page_size: self.page_size, parts: &self.parts[first..], part: None, held: None };
        ranges.enter(iova);
        ranges
    }
}

/// Ranges of addresses that were written to, by [`DirtyPages::ranges`].
#[derive(Clone, Debug)]
pub struct DirtyRanges<'a> {
    page_size: u64,
    /// Those after the current one.
    parts: &'a [(IovaRange, Bitmap)],
    part: Option<(IovaRange, Runs<'a>)>,
    /// The last range that was found: one that the next begins where it ends is part of it.
    held: Option<IovaRange>,
}

impl DirtyRanges<'_> {
    /// Goes on with the next part, from an address on.
    fn enter(&mut self, from: u64) {
        self.part = self.parts.split_first().map(|((part, pages), rest)| {
            self.parts = rest;
            (*part, pages.runs_from(from.saturating_sub(part.iova) / self.page_size))
        });
    }

    /// The next range of the part that it lies in.
    fn found(&mut self) -> Option<IovaRange> {
        loop {
            let (part, runs) = self.part.as_mut()?;
            if let Some((first, count)) = runs.next() {
                let begin = first * self.page_size;
                // The last page may end behind the range.
                let length = (count * self.page_size).min(part.length - begin);
                return Some(IovaRange { iova: part.iova + begin, length });
            }
            self.enter(0);
        }
    }
}

impl Iterator for DirtyRanges<'_> {
    type Item = IovaRange;

    fn next(&mut self) -> Option<IovaRange> {
        loop {
            match (self.held.take(), self.found()) {
                (None, None) => return None,
                (None, found) => self.held = found,
                (Some(held), Some(found)) if held.iova + held.length == found.iova => {
                    self.held = Some(IovaRange { iova: held.iova, length: held.length + found.length });
                }
                (Some(held), found) => {
                    self.held = found;
                    return Some(held);
                }
            }
        }
    }
}
