//! `linux/vfio.h`: groups, devices, device features, migration.

use super::{numbers, structures};

numbers! {
    VFIO_GET_API_VERSION: u32 = 0x3b64;
    VFIO_CHECK_EXTENSION: u32 = 0x3b65;
    VFIO_SET_IOMMU: u32 = 0x3b66;
    VFIO_GROUP_GET_STATUS: u32 = 0x3b67;
    VFIO_GROUP_SET_CONTAINER: u32 = 0x3b68;
    VFIO_GROUP_UNSET_CONTAINER: u32 = 0x3b69;
    VFIO_GROUP_GET_DEVICE_FD: u32 = 0x3b6a;
    VFIO_DEVICE_GET_INFO: u32 = 0x3b6b;
    VFIO_DEVICE_GET_REGION_INFO: u32 = 0x3b6c;
    VFIO_DEVICE_GET_IRQ_INFO: u32 = 0x3b6d;
    VFIO_DEVICE_SET_IRQS: u32 = 0x3b6e;
    VFIO_DEVICE_RESET: u32 = 0x3b6f;
    VFIO_DEVICE_FEATURE: u32 = 0x3b75;
    VFIO_DEVICE_BIND_IOMMUFD: u32 = 0x3b76, if "VFIO_DEVICE_BIND_IOMMUFD";
    VFIO_DEVICE_ATTACH_IOMMUFD_PT: u32 = 0x3b77, if "VFIO_DEVICE_ATTACH_IOMMUFD_PT";
    VFIO_DEVICE_DETACH_IOMMUFD_PT: u32 = 0x3b78, if "VFIO_DEVICE_DETACH_IOMMUFD_PT";
    VFIO_MIG_GET_PRECOPY_INFO: u32 = 0x3b79, if "VFIO_MIG_GET_PRECOPY_INFO";

    VFIO_API_VERSION: u32 = 0;

    VFIO_GROUP_FLAGS_VIABLE: u32 = 1;
    VFIO_GROUP_FLAGS_CONTAINER_SET: u32 = 2;

    VFIO_DEVICE_FLAGS_RESET: u32 = 1;
    VFIO_DEVICE_FLAGS_PCI: u32 = 2;
    VFIO_DEVICE_FLAGS_CAPS: u32 = 128;

    VFIO_REGION_INFO_FLAG_READ: u32 = 1;
    VFIO_REGION_INFO_FLAG_WRITE: u32 = 2;
    VFIO_REGION_INFO_FLAG_MMAP: u32 = 4;
    VFIO_REGION_INFO_FLAG_CAPS: u32 = 8;
    VFIO_REGION_INFO_CAP_SPARSE_MMAP: u16 = 1;
    VFIO_REGION_INFO_CAP_TYPE: u16 = 2;
    VFIO_REGION_TYPE_MIGRATION_DEPRECATED: u32 = 3, if "VFIO_REGION_TYPE_MIGRATION_DEPRECATED";
    VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED: u32 = 1, if "VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED";
    VFIO_PCI_CONFIG_REGION_INDEX: u32 = 7;

    VFIO_IRQ_INFO_EVENTFD: u32 = 1;
    VFIO_IRQ_INFO_MASKABLE: u32 = 2;
    VFIO_IRQ_INFO_AUTOMASKED: u32 = 4;
    VFIO_IRQ_INFO_NORESIZE: u32 = 8;
    VFIO_IRQ_SET_DATA_NONE: u32 = 1;
    VFIO_IRQ_SET_DATA_BOOL: u32 = 2;
    VFIO_IRQ_SET_DATA_EVENTFD: u32 = 4;
    VFIO_IRQ_SET_ACTION_MASK: u32 = 8;
    VFIO_IRQ_SET_ACTION_UNMASK: u32 = 16;
    VFIO_IRQ_SET_ACTION_TRIGGER: u32 = 32;

    VFIO_DEVICE_FEATURE_MASK: u32 = 0xffff;
    VFIO_DEVICE_FEATURE_GET: u32 = 1 << 16;
    VFIO_DEVICE_FEATURE_SET: u32 = 1 << 17;
    VFIO_DEVICE_FEATURE_PROBE: u32 = 1 << 18;
    VFIO_DEVICE_FEATURE_PCI_VF_TOKEN: u32 = 0;
    VFIO_DEVICE_FEATURE_MIGRATION: u32 = 1;
    VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: u32 = 2;
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY: u32 = 3, if "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY";
    VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP: u32 = 4, if "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP";
    VFIO_DEVICE_FEATURE_LOW_POWER_EXIT: u32 = 5, if "VFIO_DEVICE_FEATURE_LOW_POWER_EXIT";
    VFIO_DEVICE_FEATURE_DMA_LOGGING_START: u32 = 6, if "VFIO_DEVICE_FEATURE_DMA_LOGGING_START";
    VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP: u32 = 7, if "VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP";
    VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: u32 = 8, if "VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT";
    VFIO_DEVICE_FEATURE_MIG_DATA_SIZE: u32 = 9, if "VFIO_DEVICE_FEATURE_MIG_DATA_SIZE";
    VFIO_DEVICE_FEATURE_BUS_MASTER: u32 = 10, if "VFIO_DEVICE_FEATURE_BUS_MASTER";
    VFIO_DEVICE_FEATURE_DMA_BUF: u32 = 11, if "VFIO_DEVICE_FEATURE_DMA_BUF";
    VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2: u32 = 12, if "VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2";

    VFIO_MIGRATION_STOP_COPY: u64 = 1;
    VFIO_MIGRATION_P2P: u64 = 2;
    VFIO_MIGRATION_PRE_COPY: u64 = 4, if "VFIO_MIGRATION_PRE_COPY";

    VFIO_DEVICE_STATE_ERROR: u32 = 0;
    VFIO_DEVICE_STATE_STOP: u32 = 1;
    VFIO_DEVICE_STATE_RUNNING: u32 = 2;
    VFIO_DEVICE_STATE_STOP_COPY: u32 = 3;
    VFIO_DEVICE_STATE_RESUMING: u32 = 4;
    VFIO_DEVICE_STATE_RUNNING_P2P: u32 = 5;
    VFIO_DEVICE_STATE_PRE_COPY: u32 = 6, if "VFIO_MIGRATION_PRE_COPY";
    VFIO_DEVICE_STATE_PRE_COPY_P2P: u32 = 7, if "VFIO_MIGRATION_PRE_COPY";

    VFIO_PRECOPY_INFO_REINIT: u32 = 1, if "VFIO_PRECOPY_INFO_REINIT";

    VFIO_DEVICE_FEATURE_CLEAR_MASTER: u32 = 0, if "VFIO_DEVICE_FEATURE_BUS_MASTER";
    VFIO_DEVICE_FEATURE_SET_MASTER: u32 = 1, if "VFIO_DEVICE_FEATURE_BUS_MASTER";

    VFIO_DEVICE_BIND_FLAG_TOKEN: u32 = 1, if "VFIO_DEVICE_BIND_FLAG_TOKEN";
    VFIO_DEVICE_ATTACH_PASID: u32 = 1, if "VFIO_DEVICE_ATTACH_PASID";
    VFIO_DEVICE_DETACH_PASID: u32 = 1, if "VFIO_DEVICE_DETACH_PASID";
}

structures! {
    /// Head of a capability in a chain; `next` counts from the start of the structure that carries the chain.
    CapabilityHeader = "struct vfio_info_cap_header", 8 {
        0 id: u16,
        2 version: u16,
        4 next: u32,
    }
    /// `VFIO_GROUP_GET_STATUS`
    GroupStatus = "struct vfio_group_status", 8 {
        0 argsz: u32,
        4 flags: u32,
    }
    /// `VFIO_DEVICE_GET_INFO`
    DeviceInfo = "struct vfio_device_info" if "VFIO_DEVICE_BIND_IOMMUFD", 24 {
        0 argsz: u32,
        4 flags: u32,
        8 num_regions: u32,
        12 num_irqs: u32,
        16 cap_offset: u32,
        20 pad: u32,
    }
    /// `VFIO_DEVICE_GET_REGION_INFO`
    RegionInfo = "struct vfio_region_info", 32 {
        0 argsz: u32,
        4 flags: u32,
        8 index: u32,
        12 cap_offset: u32,
        16 size: u64,
        24 offset: u64,
    }
    /// The head of a capability that lists the parts of a region that can be mapped.
    RegionSparseMmap = "struct vfio_region_info_cap_sparse_mmap", 16 {
        0 header: CapabilityHeader,
        8 nr_areas: u32,
        12 reserved: u32,
    }
    /// A part of a region that can be mapped.
    RegionSparseMmapArea = "struct vfio_region_sparse_mmap_area", 16 {
        0 offset: u64,
        8 size: u64,
    }
    /// A capability that says what a region is for.
    RegionType = "struct vfio_region_info_cap_type", 16 {
        0 header: CapabilityHeader,
        8 r#type: u32,
        12 subtype: u32,
    }
    /// `VFIO_DEVICE_GET_IRQ_INFO`
    IrqInfo = "struct vfio_irq_info", 16 {
        0 argsz: u32,
        4 flags: u32,
        8 index: u32,
        12 count: u32,
    }
    /// `VFIO_DEVICE_SET_IRQS`: the head, which eventfds or bytes may follow
    IrqSet = "struct vfio_irq_set", 20 {
        0 argsz: u32,
        4 flags: u32,
        8 index: u32,
        12 start: u32,
        16 count: u32,
    }
    /// `VFIO_DEVICE_FEATURE`: the head, which the feature's data follows
    FeatureHeader = "struct vfio_device_feature", 8 {
        0 argsz: u32,
        4 flags: u32,
    }
    /// Feature 1
    MigrationFlags = "struct vfio_device_feature_migration", 8 {
        0 flags: u64,
    }
    /// Feature 2
    MigState = "struct vfio_device_feature_mig_state", 8 {
        0 device_state: u32,
        4 data_fd: i32,
    }
    /// Feature 4
    LowPowerEntryWithWakeup = "struct vfio_device_low_power_entry_with_wakeup"
        if "VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP", 8 {
        0 wakeup_eventfd: i32,
        4 reserved: u32,
    }
    /// Feature 6
    DmaLoggingControl = "struct vfio_device_feature_dma_logging_control"
        if "VFIO_DEVICE_FEATURE_DMA_LOGGING_START", 24 {
        0 page_size: u64,
        8 num_ranges: u32,
        12 reserved: u32,
        16 ranges: u64,
    }
    /// One range of feature 6
    DmaLoggingRange = "struct vfio_device_feature_dma_logging_range"
        if "VFIO_DEVICE_FEATURE_DMA_LOGGING_START", 16 {
        0 iova: u64,
        8 length: u64,
    }
    /// Feature 8
    DmaLoggingReport = "struct vfio_device_feature_dma_logging_report"
        if "VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT", 32 {
        0 iova: u64,
        8 length: u64,
        16 page_size: u64,
        24 bitmap: u64,
    }
    /// Feature 9
    MigDataSize = "struct vfio_device_feature_mig_data_size" if "VFIO_DEVICE_FEATURE_MIG_DATA_SIZE", 8 {
        0 stop_copy_length: u64,
    }
    /// Feature 10
    BusMaster = "struct vfio_device_feature_bus_master" if "VFIO_DEVICE_FEATURE_BUS_MASTER", 4 {
        0 op: u32,
    }
    /// Feature 11: the head, which ranges follow
    DmaBuf = "struct vfio_device_feature_dma_buf" if "VFIO_DEVICE_FEATURE_DMA_BUF", 16 {
        0 region_index: u32,
        4 open_flags: u32,
        8 flags: u32,
        12 nr_ranges: u32,
    }
    /// One range of feature 11
    DmaBufRange = "struct vfio_region_dma_range" if "VFIO_DEVICE_FEATURE_DMA_BUF", 16 {
        0 offset: u64,
        8 length: u64,
    }
    /// `VFIO_MIG_GET_PRECOPY_INFO`
    PrecopyInfo = "struct vfio_precopy_info" if "VFIO_MIG_GET_PRECOPY_INFO", 24 {
        0 argsz: u32,
        4 flags: u32,
        8 initial_bytes: u64,
        16 dirty_bytes: u64,
    }
    /// `VFIO_DEVICE_BIND_IOMMUFD`. Kernels before the token know the first 16 bytes.
    BindIommufd = "struct vfio_device_bind_iommufd" if "VFIO_DEVICE_BIND_FLAG_TOKEN", 24 {
        0 argsz: u32,
        4 flags: u32,
        8 iommufd: i32,
        12 out_devid: u32,
        16 token_uuid_ptr: u64,
    }
    /// `VFIO_DEVICE_ATTACH_IOMMUFD_PT`. Kernels before PASIDs know the first 12 bytes.
    AttachIommufdPt = "struct vfio_device_attach_iommufd_pt" if "VFIO_DEVICE_ATTACH_PASID", 16 {
        0 argsz: u32,
        4 flags: u32,
        8 pt_id: u32,
        12 pasid: u32,
    }
    /// `VFIO_DEVICE_DETACH_IOMMUFD_PT`. Kernels before PASIDs know the first 8 bytes.
    DetachIommufdPt = "struct vfio_device_detach_iommufd_pt" if "VFIO_DEVICE_DETACH_PASID", 12 {
        0 argsz: u32,
        4 flags: u32,
        8 pasid: u32,
    }
}
