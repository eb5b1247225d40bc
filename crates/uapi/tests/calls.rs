//! Calls answer with an error where they are not understood, and never with anything of their own.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::os::fd::AsFd;

use vfio_migration_uapi::feature::{self, Operation};
use vfio_migration_uapi::layout::{DmaBufRange, DmaLoggingRange, IoasIovaRange};
use vfio_migration_uapi::mapping::{Access, Mapping, page_size};
use vfio_migration_uapi::{Errno, cdev, container, device, group, iommufd, irq, precopy};

#[test]
fn an_fd_of_another_kind_is_refused() {
    let file = File::open("/dev/null").unwrap();
    let fd = file.as_fd();
    let range = DmaLoggingRange { iova: 0, length: 4096 };
    let memory = Mapping::anonymous(page_size()).unwrap();
    let answers = [
        feature::probe(fd, 1, None),
        feature::probe(fd, 6, Some(Operation::Set)),
        feature::migration(fd).map(drop),
        feature::state(fd).map(drop),
        feature::set_state(fd, 1).map(drop),
        feature::start_dma_logging(fd, &[range], 4096).map(drop),
        feature::stop_dma_logging(fd),
        feature::report_dma_logging(fd, range, 4096, &mut [0]),
        feature::data_size(fd).map(drop),
        feature::opt_into_precopy_info_v2(fd),
        feature::set_vf_token(fd, [0; 16]),
        feature::enter_low_power(fd, None),
        feature::enter_low_power(fd, Some(fd)),
        feature::exit_low_power(fd),
        feature::set_bus_master(fd, true),
        feature::dma_buf(fd, 0, DmaBufRange::default()).map(drop),
        precopy::info(fd).map(drop),
        device::info(fd).map(drop),
        device::region(fd, 0).map(drop),
        device::reset(fd),
        irq::info(fd, 0).map(drop),
        irq::signal(fd, 0, 0, None),
        irq::disable(fd, 0),
        irq::fire(fd, 0, 0),
        group::status(fd).map(drop),
        group::set_container(fd, fd),
        group::unset_container(fd),
        group::device_fd(fd, c"0000:00:01.0").map(drop),
        container::api_version(fd).map(drop),
        container::has_extension(fd, 3).map(drop),
        container::set_iommu(fd, 3),
        container::info(fd).map(drop),
        container::map(fd, memory.whole(), 0, Access::Read),
        container::unmap(fd, 0, 4096).map(drop),
        container::unmap_all(fd).map(drop),
        container::unmap_dirty(fd, 0, 4096, 4096, &mut [0]).map(drop),
        container::start_dirty_tracking(fd),
        container::stop_dirty_tracking(fd),
        container::dirty(fd, 0, 4096, 4096, &mut [0]),
        cdev::bind(fd, fd, None).map(drop),
        cdev::bind(fd, fd, Some([1; 16])).map(drop),
        cdev::attach(fd, 1, None).map(drop),
        cdev::attach(fd, 1, Some(1)).map(drop),
        cdev::detach(fd, None),
        cdev::detach(fd, Some(1)),
        iommufd::alloc_ioas(fd).map(drop),
        iommufd::destroy(fd, 1),
        iommufd::addresses(fd, 1).map(drop),
        iommufd::map(fd, 1, memory.whole(), 0, Access::ReadWrite),
        iommufd::map_file(fd, 1, fd, 0, 4096, 0, Access::Read),
        iommufd::unmap(fd, 1, 0, 4096).map(drop),
        iommufd::set_huge_pages(fd, 1, false),
        iommufd::container_ioas(fd).map(drop),
        iommufd::hw_info(fd, 1).map(drop),
        iommufd::alloc_page_table(fd, 1, 1, true).map(drop),
        iommufd::set_dirty_tracking(fd, 1, true),
        iommufd::dirty(fd, 1, IoasIovaRange { start: 0, last: 4095 }, 4096, iommufd::AfterReport::Clear, &mut [0]),
    ];
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, Err(Errno::NOTTY), "call {number}");
    }
}

#[test]
fn a_bitmap_without_room_never_reaches_the_kernel() {
    let file = File::open("/dev/null").unwrap();
    let fd = file.as_fd();
    let length = 65 * 4096;
    let range = IoasIovaRange { start: 0, last: length - 1 };
    let short = &mut [0][..];
    let answers = [
        feature::report_dma_logging(fd, DmaLoggingRange { iova: 0, length }, 4096, short),
        container::dirty(fd, 0, length, 4096, short),
        container::unmap_dirty(fd, 0, length, 4096, short).map(drop),
        iommufd::dirty(fd, 1, range, 4096, iommufd::AfterReport::Keep, short),
        feature::report_dma_logging(fd, DmaLoggingRange { iova: 0, length }, 0, short),
        feature::probe(fd, 1 << 16, None),
    ];
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(*answer, Err(Errno::INVAL), "call {number}");
    }
    let backwards = IoasIovaRange { start: 1, last: 0 };
    let answer = iommufd::dirty(fd, 1, backwards, 4096, iommufd::AfterReport::Clear, short);
    assert!(answer.is_err());
    let name = std::ffi::CString::new(vec![b'x'; 4096]).unwrap();
    assert_eq!(group::device_fd(fd, &name).map(drop), Err(Errno::NAMETOOLONG));
}
