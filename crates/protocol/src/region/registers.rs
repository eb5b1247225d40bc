use core::fmt;

/// The type of the migration region in `VFIO_REGION_INFO_CAP_TYPE`; named `..._DEPRECATED` since Linux 5.18.
pub const REGION_TYPE: u32 = 3;
/// Its subtype.
pub const REGION_SUBTYPE: u32 = 1;
/// The capability of the region's info that announces NDMA (thread, 9 December 2021; never merged).
pub const NDMA_CAPABILITY: u16 = 6;
/// Bytes of the register block at the start of the region. The data section lies behind it.
pub const BLOCK: u64 = 32;

/// A register of the migration region (`struct vfio_device_migration_info`). Accessed by its own width and alignment
/// only; a strict device refuses anything else. Values are in the host's byte order.
///
/// ```
/// use vfio_migration_protocol::region::Register;
/// assert_eq!((Register::PendingBytes.offset(), Register::PendingBytes.width()), (8, 8));
/// assert_eq!(Register::at(16, 8), Some(Register::DataOffset));
/// assert_eq!(Register::at(16, 4), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Register {
    /// `device_state`, 4 bytes: [`StateBits`](super::StateBits). A write returns when the device has changed.
    DeviceState,
    /// 4 bytes that read as 0.
    Reserved,
    /// `pending_bytes`, 8 bytes, read-only: an estimate of the bytes that are left, of which only zero or not zero
    /// counts, and that is final only when the device does not run. Undefined unless saving. Reading it says that the
    /// segment before has been taken.
    PendingBytes,
    /// `data_offset`, 8 bytes, read-only: where in the region the data of the current segment lies, or has to go.
    /// Reading it makes the device lay a segment there. Undefined unless saving or resuming.
    DataOffset,
    /// `data_size`, 8 bytes: when saving, the bytes of the current segment; when resuming, writing it makes the device
    /// take so many bytes.
    DataSize,
}

impl Register {
    /// All registers, by their offset.
    pub const ALL: [Self; 5] =
        [Self::DeviceState, Self::Reserved, Self::PendingBytes, Self::DataOffset, Self::DataSize];

    /// Where it lies in the region, in bytes.
    pub const fn offset(self) -> u64 {
        match self {
            Self::DeviceState => 0,
            Self::Reserved => 4,
            Self::PendingBytes => 8,
            Self::DataOffset => 16,
            Self::DataSize => 24,
        }
    }

    /// How wide it is, in bytes.
    pub const fn width(self) -> usize {
        match self {
            Self::DeviceState | Self::Reserved => 4,
            Self::PendingBytes | Self::DataOffset | Self::DataSize => 8,
        }
    }

    /// Whether the device refuses writes to it.
    pub const fn is_read_only(self) -> bool {
        matches!(self, Self::Reserved | Self::PendingBytes | Self::DataOffset)
    }

    /// The register that an access of so many bytes at this offset means, if it means one exactly.
    pub fn at(offset: u64, width: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|register| (register.offset(), register.width()) == (offset, width))
    }
}

impl fmt::Display for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::DeviceState => "device_state",
            Self::Reserved => "reserved",
            Self::PendingBytes => "pending_bytes",
            Self::DataOffset => "data_offset",
            Self::DataSize => "data_size",
        })
    }
}
