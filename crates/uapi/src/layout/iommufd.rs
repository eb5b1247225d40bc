//! `linux/iommufd.h`: address spaces, page tables and their dirty tracking. Each structure begins with its own size.

use super::{numbers, structures};

numbers! {
    IOMMU_DESTROY: u32 = 0x3b80, if "IOMMU_DESTROY";
    IOMMU_IOAS_ALLOC: u32 = 0x3b81, if "IOMMU_IOAS_ALLOC";
    IOMMU_IOAS_IOVA_RANGES: u32 = 0x3b84, if "IOMMU_IOAS_IOVA_RANGES";
    IOMMU_IOAS_MAP: u32 = 0x3b85, if "IOMMU_IOAS_MAP";
    IOMMU_IOAS_UNMAP: u32 = 0x3b86, if "IOMMU_IOAS_UNMAP";
    IOMMU_OPTION: u32 = 0x3b87, if "IOMMU_OPTION";
    IOMMU_VFIO_IOAS: u32 = 0x3b88, if "IOMMU_VFIO_IOAS";
    IOMMU_HWPT_ALLOC: u32 = 0x3b89, if "IOMMU_HWPT_ALLOC";
    IOMMU_GET_HW_INFO: u32 = 0x3b8a, if "IOMMU_GET_HW_INFO";
    IOMMU_HWPT_SET_DIRTY_TRACKING: u32 = 0x3b8b, if "IOMMU_HWPT_SET_DIRTY_TRACKING";
    IOMMU_HWPT_GET_DIRTY_BITMAP: u32 = 0x3b8c, if "IOMMU_HWPT_GET_DIRTY_BITMAP";
    IOMMU_IOAS_MAP_FILE: u32 = 0x3b8f, if "IOMMU_IOAS_MAP_FILE";

    IOMMU_IOAS_MAP_FIXED_IOVA: u32 = 1, if "IOMMU_IOAS_MAP";
    IOMMU_IOAS_MAP_WRITEABLE: u32 = 2, if "IOMMU_IOAS_MAP";
    IOMMU_IOAS_MAP_READABLE: u32 = 4, if "IOMMU_IOAS_MAP";
    IOMMU_OPTION_RLIMIT_MODE: u32 = 0, if "IOMMU_OPTION";
    IOMMU_OPTION_HUGE_PAGES: u32 = 1, if "IOMMU_OPTION";
    IOMMU_OPTION_OP_SET: u16 = 0, if "IOMMU_OPTION";
    IOMMU_OPTION_OP_GET: u16 = 1, if "IOMMU_OPTION";
    IOMMU_VFIO_IOAS_GET: u16 = 0, if "IOMMU_VFIO_IOAS";
    IOMMU_VFIO_IOAS_SET: u16 = 1, if "IOMMU_VFIO_IOAS";
    IOMMU_VFIO_IOAS_CLEAR: u16 = 2, if "IOMMU_VFIO_IOAS";
    IOMMU_HWPT_ALLOC_NEST_PARENT: u32 = 1, if "IOMMU_HWPT_SET_DIRTY_TRACKING";
    IOMMU_HWPT_ALLOC_DIRTY_TRACKING: u32 = 2, if "IOMMU_HWPT_SET_DIRTY_TRACKING";
    IOMMU_HWPT_DIRTY_TRACKING_ENABLE: u32 = 1, if "IOMMU_HWPT_SET_DIRTY_TRACKING";
    IOMMU_HWPT_GET_DIRTY_BITMAP_NO_CLEAR: u32 = 1, if "IOMMU_HWPT_GET_DIRTY_BITMAP";
    IOMMU_HW_CAP_DIRTY_TRACKING: u64 = 1, if "IOMMU_HWPT_SET_DIRTY_TRACKING";
}

structures! {
    /// `IOMMU_DESTROY`
    Destroy = "struct iommu_destroy" if "IOMMU_DESTROY", 8 {
        0 size: u32,
        4 id: u32,
    }
    /// `IOMMU_IOAS_ALLOC`
    IoasAlloc = "struct iommu_ioas_alloc" if "IOMMU_IOAS_ALLOC", 12 {
        0 size: u32,
        4 flags: u32,
        8 out_ioas_id: u32,
    }
    /// `IOMMU_IOAS_IOVA_RANGES`
    IoasIovaRanges = "struct iommu_ioas_iova_ranges" if "IOMMU_IOAS_IOVA_RANGES", 32 {
        0 size: u32,
        4 ioas_id: u32,
        8 num_iovas: u32,
        12 reserved: u32,
        16 allowed_iovas: u64,
        24 out_iova_alignment: u64,
    }
    /// One range of addresses that can be mapped: first and last.
    IoasIovaRange = "struct iommu_iova_range" if "IOMMU_IOAS_IOVA_RANGES", 16 {
        0 start: u64,
        8 last: u64,
    }
    /// `IOMMU_IOAS_MAP`
    IoasMap = "struct iommu_ioas_map" if "IOMMU_IOAS_MAP", 40 {
        0 size: u32,
        4 flags: u32,
        8 ioas_id: u32,
        12 reserved: u32,
        16 user_va: u64,
        24 length: u64,
        32 iova: u64,
    }
    /// `IOMMU_IOAS_MAP_FILE`
    IoasMapFile = "struct iommu_ioas_map_file" if "IOMMU_IOAS_MAP_FILE", 40 {
        0 size: u32,
        4 flags: u32,
        8 ioas_id: u32,
        12 fd: i32,
        16 start: u64,
        24 length: u64,
        32 iova: u64,
    }
    /// `IOMMU_IOAS_UNMAP`
    IoasUnmap = "struct iommu_ioas_unmap" if "IOMMU_IOAS_UNMAP", 24 {
        0 size: u32,
        4 ioas_id: u32,
        8 iova: u64,
        16 length: u64,
    }
    /// `IOMMU_OPTION`
    IommuOption = "struct iommu_option" if "IOMMU_OPTION", 24 {
        0 size: u32,
        4 option_id: u32,
        8 op: u16,
        10 reserved: u16,
        12 object_id: u32,
        16 val64: u64,
    }
    /// `IOMMU_VFIO_IOAS`
    VfioIoas = "struct iommu_vfio_ioas" if "IOMMU_VFIO_IOAS", 12 {
        0 size: u32,
        4 ioas_id: u32,
        8 op: u16,
        10 reserved: u16,
    }
    /// `IOMMU_HWPT_ALLOC`. Kernels before fault queues know the first 40 bytes.
    HwptAlloc = "struct iommu_hwpt_alloc" if "IOMMU_FAULT_QUEUE_ALLOC", 48 {
        0 size: u32,
        4 flags: u32,
        8 dev_id: u32,
        12 pt_id: u32,
        16 out_hwpt_id: u32,
        20 reserved: u32,
        24 data_type: u32,
        28 data_len: u32,
        32 data_uptr: u64,
        40 fault_id: u32,
        44 reserved2: u32,
    }
    /// `IOMMU_GET_HW_INFO`. Newer kernels say a device's PASID width in the first byte of `reserved`.
    HwInfo = "struct iommu_hw_info" if "IOMMU_HWPT_SET_DIRTY_TRACKING", 40 {
        0 size: u32,
        4 flags: u32,
        8 dev_id: u32,
        12 data_len: u32,
        16 data_uptr: u64,
        24 out_data_type: u32,
        28 reserved: u32,
        32 out_capabilities: u64,
    }
    /// `IOMMU_HWPT_SET_DIRTY_TRACKING`
    HwptSetDirtyTracking = "struct iommu_hwpt_set_dirty_tracking" if "IOMMU_HWPT_SET_DIRTY_TRACKING", 16 {
        0 size: u32,
        4 flags: u32,
        8 hwpt_id: u32,
        12 reserved: u32,
    }
    /// `IOMMU_HWPT_GET_DIRTY_BITMAP`
    HwptGetDirtyBitmap = "struct iommu_hwpt_get_dirty_bitmap" if "IOMMU_HWPT_GET_DIRTY_BITMAP", 48 {
        0 size: u32,
        4 hwpt_id: u32,
        8 flags: u32,
        12 reserved: u32,
        16 iova: u64,
        24 length: u64,
        32 page_size: u64,
        40 data: u64,
    }
}
