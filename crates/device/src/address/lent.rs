/// A log of dirty pages beside a device's own that a caller lets us use
/// ([`OpenOptions::lent`](super::OpenOptions::lent)). What belongs to a caller is not started, stopped or read without it.
///
/// Such a log answers for whole mappings. Each range that a tracker is started on must be one, and stay mapped until it is
/// stopped: what was written to memory that is unmapped meanwhile is lost. Whoever maps and unmaps makes a tracker of his
/// own that he can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lent {
    /// That of the device's type1 container.
    Container {
        /// The caller has started it, with pages of so many bytes, and stops it: it is read and cleared, no more.
        started: Option<u64>,
    },
    /// That of a page table (HWPT) of the device's iommufd, made with dirty tracking.
    PageTable {
        /// Its number in the iommufd.
        id: u32,
        /// As that of a container.
        started: Option<u64>,
    },
}
