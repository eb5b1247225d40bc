//! What this crate declares is what independent crates declare, which were generated from newer headers than most
//! machines have.
#![cfg(target_os = "linux")]

use std::collections::HashMap;

use vfio_migration_uapi::layout::{NUMBERS, STRUCTURES};

/// Size and offsets of structures of another crate, under their C names.
macro_rules! structures {
    ($krate:path { $($name:ident: $($field:ident)*;)* }) => {{
        use $krate as krate;
        [$((
            concat!("struct ", stringify!($name)),
            size_of::<krate::$name>(),
            vec![$((stringify!($field).trim_end_matches('_'), core::mem::offset_of!(krate::$name, $field)),)*],
        ),)*]
    }};
}

/// Values of constants of another crate, under their C names.
macro_rules! numbers {
    ($krate:path { $($name:ident)* }) => {{
        use $krate as krate;
        [$((stringify!($name), u64::from(krate::$name)),)*]
    }};
}

#[test]
fn structures_are_the_same() {
    let vfio = structures!(vfio_bindings::bindings::vfio {
        vfio_info_cap_header: id version next;
        vfio_group_status: argsz flags;
        vfio_device_info: argsz flags num_regions num_irqs cap_offset;
        vfio_region_info: argsz flags index cap_offset size offset;
        vfio_region_info_cap_sparse_mmap: header nr_areas;
        vfio_region_sparse_mmap_area: offset size;
        vfio_region_info_cap_type: header type_ subtype;
        vfio_irq_info: argsz flags index count;
        vfio_irq_set: argsz flags index start count;
        vfio_device_feature: argsz flags;
        vfio_device_feature_migration: flags;
        vfio_device_feature_mig_state: device_state data_fd;
        vfio_device_low_power_entry_with_wakeup: wakeup_eventfd;
        vfio_device_feature_dma_logging_control: page_size num_ranges ranges;
        vfio_device_feature_dma_logging_range: iova length;
        vfio_device_feature_dma_logging_report: iova length page_size bitmap;
        vfio_device_feature_mig_data_size: stop_copy_length;
        vfio_device_feature_bus_master: op;
        vfio_device_feature_dma_buf: region_index open_flags flags nr_ranges;
        vfio_region_dma_range: offset length;
        vfio_precopy_info: argsz flags initial_bytes dirty_bytes;
        vfio_device_bind_iommufd: argsz flags iommufd out_devid token_uuid_ptr;
        vfio_device_attach_iommufd_pt: argsz flags pt_id pasid;
        vfio_device_detach_iommufd_pt: argsz flags pasid;
        vfio_iommu_type1_info: argsz flags iova_pgsizes cap_offset;
        vfio_iommu_type1_info_cap_iova_range: header nr_iovas;
        vfio_iova_range: start end;
        vfio_iommu_type1_info_cap_migration: header flags pgsize_bitmap max_dirty_bitmap_size;
        vfio_iommu_type1_info_dma_avail: header avail;
        vfio_iommu_type1_dma_map: argsz flags vaddr iova size;
        vfio_iommu_type1_dma_unmap: argsz flags iova size;
        vfio_bitmap: pgsize size data;
        vfio_iommu_type1_dirty_bitmap: argsz flags;
        vfio_iommu_type1_dirty_bitmap_get: iova size bitmap;
    });
    let iommufd = structures!(iommufd_bindings {
        iommu_destroy: size id;
        iommu_ioas_alloc: size flags out_ioas_id;
        iommu_ioas_iova_ranges: size ioas_id num_iovas allowed_iovas out_iova_alignment;
        iommu_iova_range: start last;
        iommu_ioas_map: size flags ioas_id user_va length iova;
        iommu_ioas_map_file: size flags ioas_id fd start length iova;
        iommu_ioas_unmap: size ioas_id iova length;
        iommu_option: size option_id op object_id val64;
        iommu_vfio_ioas: size ioas_id op;
        iommu_hwpt_alloc: size flags dev_id pt_id out_hwpt_id data_type data_len data_uptr;
        iommu_hw_info: size flags dev_id data_len data_uptr out_capabilities;
        iommu_hwpt_set_dirty_tracking: size flags hwpt_id;
        iommu_hwpt_get_dirty_bitmap: size hwpt_id flags iova length page_size data;
    });
    let theirs: HashMap<_, _> =
        vfio.into_iter().chain(iommufd).map(|(name, size, fields)| (name, (size, fields))).collect();
    for ours in STRUCTURES.iter().copied().flatten() {
        let (size, fields) = theirs.get(ours.name).unwrap_or_else(|| panic!("{} is compared with nothing", ours.name));
        assert_eq!(ours.size, *size, "size of {}", ours.name);
        for (field, offset) in fields {
            let found = ours.fields.iter().find(|(name, ..)| name.trim_start_matches("r#") == *field);
            let (_, ours_at, _) = found.unwrap_or_else(|| panic!("{} lacks {field}", ours.name));
            assert_eq!(ours_at, offset, "{}.{field}", ours.name);
        }
    }
}

#[test]
fn numbers_are_the_same() {
    let theirs = numbers!(vfio_bindings::bindings::vfio {
        VFIO_API_VERSION VFIO_TYPE1_IOMMU VFIO_TYPE1v2_IOMMU VFIO_NOIOMMU_IOMMU VFIO_UNMAP_ALL
        VFIO_GROUP_FLAGS_VIABLE VFIO_GROUP_FLAGS_CONTAINER_SET
        VFIO_DEVICE_FLAGS_RESET VFIO_DEVICE_FLAGS_PCI VFIO_DEVICE_FLAGS_CAPS
        VFIO_REGION_INFO_FLAG_READ VFIO_REGION_INFO_FLAG_WRITE VFIO_REGION_INFO_FLAG_MMAP VFIO_REGION_INFO_FLAG_CAPS
        VFIO_REGION_INFO_CAP_SPARSE_MMAP VFIO_REGION_INFO_CAP_TYPE
        VFIO_REGION_TYPE_MIGRATION_DEPRECATED VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED
        VFIO_IRQ_INFO_EVENTFD VFIO_IRQ_INFO_MASKABLE VFIO_IRQ_INFO_AUTOMASKED VFIO_IRQ_INFO_NORESIZE
        VFIO_IRQ_SET_DATA_NONE VFIO_IRQ_SET_DATA_BOOL VFIO_IRQ_SET_DATA_EVENTFD VFIO_IRQ_SET_ACTION_MASK
        VFIO_IRQ_SET_ACTION_UNMASK VFIO_IRQ_SET_ACTION_TRIGGER
        VFIO_DEVICE_FEATURE_MASK VFIO_DEVICE_FEATURE_GET VFIO_DEVICE_FEATURE_SET VFIO_DEVICE_FEATURE_PROBE
        VFIO_DEVICE_FEATURE_PCI_VF_TOKEN VFIO_DEVICE_FEATURE_MIGRATION VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE
        VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP
        VFIO_DEVICE_FEATURE_LOW_POWER_EXIT VFIO_DEVICE_FEATURE_DMA_LOGGING_START VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP
        VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT VFIO_DEVICE_FEATURE_MIG_DATA_SIZE VFIO_DEVICE_FEATURE_BUS_MASTER
        VFIO_DEVICE_FEATURE_DMA_BUF VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2
        VFIO_MIGRATION_STOP_COPY VFIO_MIGRATION_P2P VFIO_MIGRATION_PRE_COPY VFIO_PRECOPY_INFO_REINIT
        VFIO_DEVICE_FEATURE_CLEAR_MASTER VFIO_DEVICE_FEATURE_SET_MASTER
        VFIO_DEVICE_BIND_FLAG_TOKEN VFIO_DEVICE_ATTACH_PASID VFIO_DEVICE_DETACH_PASID
        VFIO_IOMMU_INFO_PGSIZES VFIO_IOMMU_INFO_CAPS VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE
        VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL
        VFIO_DMA_MAP_FLAG_READ VFIO_DMA_MAP_FLAG_WRITE VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP VFIO_DMA_UNMAP_FLAG_ALL
        VFIO_IOMMU_DIRTY_PAGES_FLAG_START VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP
    });
    let ours: HashMap<_, _> = NUMBERS.iter().copied().flatten().map(|number| (number.name, number.value)).collect();
    for (name, value) in theirs {
        assert_eq!(ours.get(name), Some(&value), "{name}");
    }
    let type_and_base =
        vfio_bindings::bindings::vfio::VFIO_BASE | u32::from(vfio_bindings::bindings::vfio::VFIO_TYPE) << 8;
    assert_eq!(ours["VFIO_GET_API_VERSION"], u64::from(type_and_base));
    for (name, command) in [
        ("IOMMU_DESTROY", iommufd_bindings::IOMMUFD_CMD_DESTROY),
        ("IOMMU_IOAS_ALLOC", iommufd_bindings::IOMMUFD_CMD_IOAS_ALLOC),
        ("IOMMU_IOAS_IOVA_RANGES", iommufd_bindings::IOMMUFD_CMD_IOAS_IOVA_RANGES),
        ("IOMMU_IOAS_MAP", iommufd_bindings::IOMMUFD_CMD_IOAS_MAP),
        ("IOMMU_IOAS_UNMAP", iommufd_bindings::IOMMUFD_CMD_IOAS_UNMAP),
        ("IOMMU_OPTION", iommufd_bindings::IOMMUFD_CMD_OPTION),
        ("IOMMU_VFIO_IOAS", iommufd_bindings::IOMMUFD_CMD_VFIO_IOAS),
        ("IOMMU_HWPT_ALLOC", iommufd_bindings::IOMMUFD_CMD_HWPT_ALLOC),
        ("IOMMU_GET_HW_INFO", iommufd_bindings::IOMMUFD_CMD_GET_HW_INFO),
        ("IOMMU_HWPT_SET_DIRTY_TRACKING", iommufd_bindings::IOMMUFD_CMD_HWPT_SET_DIRTY_TRACKING),
        ("IOMMU_HWPT_GET_DIRTY_BITMAP", iommufd_bindings::IOMMUFD_CMD_HWPT_GET_DIRTY_BITMAP),
        ("IOMMU_IOAS_MAP_FILE", iommufd_bindings::IOMMUFD_CMD_IOAS_MAP_FILE),
    ] {
        assert_eq!(ours[name], u64::from(iommufd_bindings::IOMMUFD_TYPE) << 8 | u64::from(command), "{name}");
    }
}
