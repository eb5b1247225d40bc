//! An open device, by its group and a container or by its character device and an iommufd.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::{Result, pread, pwrite, read, write};
use vfio_migration_protocol::State;
use vfio_migration_uapi::layout::{PrecopyInfo, VFIO_TYPE1v2_IOMMU};
use vfio_migration_uapi::mapping::{Access, Piece};
use vfio_migration_uapi::{cdev, container, device, feature, group, iommufd, precopy};

use crate::bench::Knobs;

/// The device's registers, by their offset in region 0.
#[derive(Clone, Copy)]
pub(crate) enum Register {
    Magic = 0x00,
    Counter = 0x08,
    Iova = 0x10,
    Length = 0x18,
    Control = 0x28,
    Seed = 0x30,
    Doorbell = 0x38,
    Written = 0x40,
    Failed = 0x48,
    Scratch = 0x50,
    Interrupt = 0x58,
}

pub(crate) enum Way {
    Group { container: File, _group: File },
    Cdev { iommufd: File, ioas: u32 },
}

pub(crate) struct OpenDevice {
    fd: OwnedFd,
    pub(crate) way: Way,
    region: u64,
}

fn open(path: impl AsRef<Path>) -> File {
    let path = path.as_ref();
    OpenOptions::new().read(true).write(true).open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folder(number: u32) -> PathBuf {
    format!("/sys/devices/platform/vfio-testdev.{number}").into()
}

/// Whether the device has a character device: the kernel has iommufd.
pub(crate) fn has_cdev(knobs: &Knobs) -> bool {
    folder(knobs.number).join("vfio-dev").is_dir() && Path::new("/dev/iommu").exists()
}

impl OpenDevice {
    pub(crate) fn by_group(knobs: &Knobs) -> Self {
        let link = fs::read_link(folder(knobs.number).join("iommu_group")).expect("every device has a group");
        let container = open("/dev/vfio/vfio");
        let group = open(Path::new("/dev/vfio").join(link.file_name().expect("a group has a number")));
        group::set_container(group.as_fd(), container.as_fd()).expect("the group takes a container");
        container::set_iommu(container.as_fd(), VFIO_TYPE1v2_IOMMU).expect("the container takes type1");
        let name = CString::new(format!("vfio-testdev.{}", knobs.number)).expect("no zero in it");
        let fd = group::device_fd(group.as_fd(), &name).expect("the group gives its device");
        Self::of(fd, Way::Group { container, _group: group })
    }

    pub(crate) fn by_cdev(knobs: &Knobs) -> Self {
        let mut names = fs::read_dir(folder(knobs.number).join("vfio-dev")).expect("the kernel has cdevs");
        let name = names.next().expect("the device has one").expect("it is read").file_name();
        let fd = OwnedFd::from(open(Path::new("/dev/vfio/devices").join(name)));
        let iommufd = open("/dev/iommu");
        cdev::bind(fd.as_fd(), iommufd.as_fd(), None).expect("the device is bound");
        let ioas = iommufd::alloc_ioas(iommufd.as_fd()).expect("an address space");
        cdev::attach(fd.as_fd(), ioas, None).expect("the device is attached");
        Self::of(fd, Way::Cdev { iommufd, ioas })
    }

    fn of(fd: OwnedFd, way: Way) -> Self {
        let region = device::region(fd.as_fd(), 0).expect("region 0 is there").offset;
        let device = Self { fd, way, region };
        assert_eq!(device.register(Register::Magic), 0x7665_6444_7473_6554);
        device
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn map(&self, memory: Piece<'_>, iova: u64) {
        match &self.way {
            Way::Group { container, .. } => container::map(container.as_fd(), memory, iova, Access::ReadWrite),
            Way::Cdev { iommufd, ioas } => iommufd::map(iommufd.as_fd(), *ioas, memory, iova, Access::ReadWrite),
        }
        .expect("the memory is mapped");
    }

    pub(crate) fn unmap(&self, iova: u64, length: u64) {
        let unmapped = match &self.way {
            Way::Group { container, .. } => container::unmap(container.as_fd(), iova, length),
            Way::Cdev { iommufd, ioas } => iommufd::unmap(iommufd.as_fd(), *ioas, iova, length),
        };
        assert_eq!(unmapped, Ok(length));
    }

    pub(crate) fn register(&self, register: Register) -> u64 {
        let mut bytes = [0; 8];
        assert_eq!(pread(&self.fd, &mut bytes, self.region + register as u64), Ok(8));
        u64::from_ne_bytes(bytes)
    }

    pub(crate) fn set_register(&self, register: Register, value: u64) {
        assert_eq!(pwrite(&self.fd, &value.to_ne_bytes(), self.region + register as u64), Ok(8));
    }

    pub(crate) fn state(&self) -> State {
        State::from_fsm(feature::state(self.fd()).expect("the state is read"))
    }

    pub(crate) fn try_to(&self, state: State) -> Result<Option<OwnedFd>> {
        feature::set_state(self.fd(), state.to_fsm())
    }

    /// Changes the state, to one that opens no data fd.
    pub(crate) fn to(&self, state: State) {
        assert!(self.try_to(state).unwrap_or_else(|error| panic!("to {state}: {error}")).is_none(), "{state}");
        assert_eq!(self.state(), state);
    }

    /// Changes the state, to one that opens a data fd.
    pub(crate) fn open_data(&self, state: State) -> OwnedFd {
        let fd = self.try_to(state).unwrap_or_else(|error| panic!("to {state}: {error}"));
        assert_eq!(self.state(), state);
        fd.unwrap_or_else(|| panic!("no data fd in {state}"))
    }

    pub(crate) fn reset(&self) -> Result<()> {
        device::reset(self.fd())
    }

    /// All data of a stopped device, which ends in stop again.
    pub(crate) fn save(&self) -> Vec<u8> {
        self.to(State::Stop);
        let fd = self.open_data(State::StopCopy);
        let data = read_to_end(&fd);
        self.to(State::Stop);
        data
    }

    /// Loads data in pieces of at most `most` bytes and leaves resuming: what the first call that failed said.
    pub(crate) fn load(&self, data: &[u8], most: usize) -> Result<()> {
        let fd = self.open_data(State::Resuming);
        for piece in data.chunks(most) {
            write_all(&fd, piece)?;
        }
        self.try_to(State::Stop).map(|fd| assert!(fd.is_none()))
    }
}

/// Writes all of it, however little is taken at a time.
pub(crate) fn write_all(fd: &OwnedFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let count = write(fd, bytes)?;
        assert!(count > 0, "a write that takes nothing");
        bytes = &bytes[count..];
    }
    Ok(())
}

/// Reads to the end in stop-copy, which stays the end.
pub(crate) fn read_to_end(fd: &OwnedFd) -> Vec<u8> {
    let mut data = Vec::new();
    assert_eq!(read_to_pause(fd, &mut data), Ok(0));
    assert_eq!(read(fd, &mut [0]), Ok(0));
    data
}

/// Reads what there is now: ends with what the last read said, 0 or an error.
pub(crate) fn read_to_pause(fd: &OwnedFd, data: &mut Vec<u8>) -> Result<usize> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match read(fd, &mut buffer)? {
            0 => return Ok(0),
            count => data.extend_from_slice(&buffer[..count]),
        }
    }
}

pub(crate) fn precopy_info(fd: &OwnedFd) -> Result<PrecopyInfo> {
    precopy::info(fd.as_fd())
}
