//! The migration region (v1) as the device has it: registers, a window, and what it puts up with.
//!
//! With `protocol=region` in its settings a model has no data fd. It is driven as the region of a real one:
//! [`Model::region_read`](crate::Model::region_read) and [`Model::region_write`](crate::Model::region_write) are accesses
//! to the device's fd, and what is mapped is [`Model::window`](crate::Model::window), of which the device sees nothing.
//!
//! It is strict: it follows the text as it was clarified last ("vfio: Update/Clarify migration uAPI, add NDMA state", 9
//! December 2021) in the arcs of its [`Dialect`](vfio_migration_protocol::state::Dialect), takes registers by their own
//! width only, and refuses what a real device may refuse. What deployed programs need beyond that is a list of
//! [`Tolerance`]s.
//!
//! ```
//! use vfio_migration_model::{Model, Settings};
//! let mut model = Model::new(&Settings::parse("size=64KiB,protocol=region,window=32KiB")?, 1)?;
//! let mut state = [0; 4];
//! assert_eq!(model.region_read(0, &mut state), Ok(4));
//! assert_eq!(u32::from_ne_bytes(state), 1);
//! model.region_write(0, &2_u32.to_ne_bytes())?;
//! let mut register = [0; 8];
//! model.region_read(8, &mut register)?;
//! assert!(u64::from_ne_bytes(register) > 64 << 10, "the pages, and what describes them");
//! // A register is not read in parts, and this one not before the data has been asked for.
//! assert!(model.region_read(8, &mut register[..4]).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod segment;
mod settings;
mod tolerance;

pub(crate) use segment::{Joiner, SEGMENT_HEAD, sealed};
pub use settings::{MAX_WINDOW, Mapped, RegionSettings};
pub use tolerance::{NotATolerance, Tolerance, Tolerances};

use crate::pages::PAGE_SIZE;

/// Where things lie in a model's region.
///
/// ```
/// use vfio_migration_model::Settings;
/// let settings = Settings::parse("protocol=region,window=16KiB,mmap=sparse")?;
/// let layout = settings.layout().ok_or("no region")?;
/// assert_eq!((layout.size, layout.data), (0x5000, 0x1000));
/// assert_eq!(layout.areas, Some(vec![(0x3000, 0x2000), (0x1000, 0x1000)]), "in no order, and with a gap");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the region.
    pub size: u64,
    /// Where the window begins: a multiple of 4 KiB. It ends where the region does.
    pub data: u64,
    /// Whether any of it can be mapped (`VFIO_REGION_INFO_FLAG_MMAP`).
    pub mmap: bool,
    /// Which parts can be mapped, where not all of it: offset in the region and bytes
    /// (`VFIO_REGION_INFO_CAP_SPARSE_MMAP`).
    pub areas: Option<Vec<(u64, u64)>>,
    /// Whether the region announces NDMA.
    pub ndma: bool,
}

impl Layout {
    /// The parts that can be mapped: offset in the region and bytes, in no order.
    pub fn mapped(&self) -> Vec<(u64, u64)> {
        match &self.areas {
            _ if !self.mmap => Vec::new(),
            Some(areas) => areas.clone(),
            None => vec![(0, self.size)],
        }
    }

    pub(crate) fn of(region: &RegionSettings, ndma: bool) -> Self {
        let &RegionSettings { window, mapped, .. } = region;
        // The registers have a page of their own, so that the window can be mapped without them.
        let (data, end) = (PAGE_SIZE, PAGE_SIZE + window);
        let areas = (mapped == Mapped::Sparse).then(|| {
            let gap = data + window / PAGE_SIZE / 3 * PAGE_SIZE;
            if gap > data {
                vec![(gap + PAGE_SIZE, end - gap - PAGE_SIZE), (data, gap - data)]
            } else {
                vec![(data, window)]
            }
        });
        Self { size: end, data, mmap: mapped != Mapped::Nothing, areas, ndma }
    }
}
