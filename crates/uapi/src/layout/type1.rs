//! `linux/vfio.h`: the type1 container and its dirty tracking.

use super::{CapabilityHeader, numbers, structures};

numbers! {
    VFIO_IOMMU_GET_INFO: u32 = 0x3b70;
    VFIO_IOMMU_MAP_DMA: u32 = 0x3b71;
    VFIO_IOMMU_UNMAP_DMA: u32 = 0x3b72;
    VFIO_IOMMU_DIRTY_PAGES: u32 = 0x3b75;

    VFIO_TYPE1_IOMMU: u32 = 1;
    VFIO_TYPE1v2_IOMMU: u32 = 3;
    VFIO_NOIOMMU_IOMMU: u32 = 8;
    VFIO_UNMAP_ALL: u32 = 9;

    VFIO_IOMMU_INFO_PGSIZES: u32 = 1;
    VFIO_IOMMU_INFO_CAPS: u32 = 2;
    VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE: u16 = 1;
    VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION: u16 = 2;
    VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL: u16 = 3;

    VFIO_DMA_MAP_FLAG_READ: u32 = 1;
    VFIO_DMA_MAP_FLAG_WRITE: u32 = 2;
    VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP: u32 = 1;
    VFIO_DMA_UNMAP_FLAG_ALL: u32 = 2;

    VFIO_IOMMU_DIRTY_PAGES_FLAG_START: u32 = 1;
    VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP: u32 = 2;
    VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP: u32 = 4;
}

structures! {
    /// `VFIO_IOMMU_GET_INFO`
    Type1Info = "struct vfio_iommu_type1_info" if "VFIO_DEVICE_BIND_IOMMUFD", 24 {
        0 argsz: u32,
        4 flags: u32,
        8 iova_pgsizes: u64,
        16 cap_offset: u32,
        20 pad: u32,
    }
    /// The head of a capability that lists the addresses that can be mapped.
    Type1IovaRanges = "struct vfio_iommu_type1_info_cap_iova_range", 16 {
        0 header: CapabilityHeader,
        8 nr_iovas: u32,
        12 reserved: u32,
    }
    /// One range of addresses that can be mapped: first and last.
    Type1IovaRange = "struct vfio_iova_range", 16 {
        0 start: u64,
        8 end: u64,
    }
    /// A capability: dirty tracking.
    Type1Migration = "struct vfio_iommu_type1_info_cap_migration", 32 {
        0 header: CapabilityHeader,
        8 flags: u32,
        16 pgsize_bitmap: u64,
        24 max_dirty_bitmap_size: u64,
    }
    /// A capability: how many more mappings there can be.
    Type1Available = "struct vfio_iommu_type1_info_dma_avail", 12 {
        0 header: CapabilityHeader,
        8 avail: u32,
    }
    /// `VFIO_IOMMU_MAP_DMA`
    Type1Map = "struct vfio_iommu_type1_dma_map", 32 {
        0 argsz: u32,
        4 flags: u32,
        8 vaddr: u64,
        16 iova: u64,
        24 size: u64,
    }
    /// `VFIO_IOMMU_UNMAP_DMA`: the head, which a [`DirtyBitmap`] may follow
    Type1Unmap = "struct vfio_iommu_type1_dma_unmap", 24 {
        0 argsz: u32,
        4 flags: u32,
        8 iova: u64,
        16 size: u64,
    }
    /// Where dirty bits go.
    DirtyBitmap = "struct vfio_bitmap", 24 {
        0 pgsize: u64,
        8 size: u64,
        16 data: u64,
    }
    /// `VFIO_IOMMU_DIRTY_PAGES`: the head, which [`DirtyPagesRange`] may follow
    DirtyPages = "struct vfio_iommu_type1_dirty_bitmap", 8 {
        0 argsz: u32,
        4 flags: u32,
    }
    /// `VFIO_IOMMU_DIRTY_PAGES`: what to report
    DirtyPagesRange = "struct vfio_iommu_type1_dirty_bitmap_get", 40 {
        0 iova: u64,
        8 size: u64,
        16 bitmap: DirtyBitmap,
    }
}
