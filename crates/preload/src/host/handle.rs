//! What one of the program's descriptors stands for.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use vfio_migration_protocol::{Device as _, Errno};
use vfio_migration_uapi::layout::{
    NUMBERS, VFIO_DEVICE_FEATURE, VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_GET_REGION_INFO,
    VFIO_DEVICE_RESET, VFIO_DEVICE_SET_IRQS, VFIO_MIG_GET_PRECOPY_INFO,
};

use super::container::Container;
use super::data::DataFile;
use super::device::Device;
use super::group::GroupFile;
use super::interrupts::{self, Order};
use super::iommufd::Iommufd;
use super::program::Program;
use super::{binding, feature};
use crate::Place;

/// One of the program's descriptors. A clone is a duplicate (`dup`); dropping the last one closes it.
#[derive(Clone, Debug)]
pub struct Handle(Object);

/// What kind of descriptor it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The container of groups.
    Container,
    /// A device's group.
    Group(Place),
    /// An iommufd.
    Iommufd,
    /// A device's character device.
    Cdev(Place),
    /// A device that came from its group.
    Device(Place),
    /// A device's data fd.
    Data(Place),
}

#[derive(Clone, Debug)]
enum Object {
    Container(Arc<Container>),
    Group(Arc<GroupFile>),
    Iommufd(Arc<Iommufd>),
    Device(Arc<DeviceFile>),
    Data(Arc<DataFile>),
}

/// Why a request was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// Nobody here knows it.
    Request,
    /// It failed.
    Failed(Errno),
}

impl From<Errno> for Unknown {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno)
    }
}

/// An open device.
#[derive(Debug)]
struct DeviceFile {
    device: Arc<Device>,
    by: Opened,
}

/// How it was opened.
#[derive(Debug)]
enum Opened {
    /// From its group, which stays as long.
    Group { _group: Arc<GroupFile> },
    /// By itself; before it is bound, nothing can be done with it.
    Cdev(Mutex<Option<binding::Bound>>),
}

impl Handle {
    pub(super) fn container() -> Self {
        Self(Object::Container(Arc::default()))
    }

    pub(super) fn iommufd() -> Self {
        Self(Object::Iommufd(Arc::default()))
    }

    pub(super) fn group(device: &Arc<Device>) -> Result<Self, Errno> {
        GroupFile::open(device).map(|group| Self(Object::Group(Arc::new(group))))
    }

    pub(super) fn cdev(device: &Arc<Device>) -> Self {
        let by = Opened::Cdev(Mutex::new(None));
        Self(Object::Device(Arc::new(DeviceFile { device: Arc::clone(device), by })))
    }

    pub(super) fn device_of_group(group: Arc<GroupFile>) -> Self {
        let device = Arc::clone(&group.device);
        device.opened();
        Self(Object::Device(Arc::new(DeviceFile { device, by: Opened::Group { _group: group } })))
    }

    pub(super) fn data(file: DataFile) -> Self {
        Self(Object::Data(Arc::new(file)))
    }

    /// The container, if it is one.
    pub(super) const fn as_container(&self) -> Option<&Arc<Container>> {
        match &self.0 {
            Object::Container(container) => Some(container),
            _ => None,
        }
    }

    /// The iommufd, if it is one.
    pub(super) const fn as_iommufd(&self) -> Option<&Arc<Iommufd>> {
        match &self.0 {
            Object::Iommufd(iommufd) => Some(iommufd),
            _ => None,
        }
    }

    /// What kind of descriptor it is.
    pub fn kind(&self) -> Kind {
        match &self.0 {
            Object::Container(_) => Kind::Container,
            Object::Group(group) => Kind::Group(group.device.place),
            Object::Iommufd(_) => Kind::Iommufd,
            Object::Device(file) => match file.by {
                Opened::Group { .. } => Kind::Device(file.device.place),
                Opened::Cdev(_) => Kind::Cdev(file.device.place),
            },
            Object::Data(data) => Kind::Data(data.device().place),
        }
    }

    /// Answers `ioctl(fd, request, argument)`. A request that nobody here knows is ENOTTY, and whoever runs the program is
    /// told so.
    pub fn ioctl(&self, request: u32, argument: u64, program: &dyn Program) -> Result<i32, Errno> {
        let answer = match &self.0 {
            Object::Container(container) => container.ioctl(request, argument),
            Object::Group(group) => group.ioctl(request, argument, program),
            Object::Iommufd(iommufd) => iommufd.ioctl(request, argument, program),
            Object::Device(file) => file.ioctl(request, argument, program),
            Object::Data(data) if request == VFIO_MIG_GET_PRECOPY_INFO => {
                data.pre_copy_info(argument).map_err(Unknown::Failed)
            }
            Object::Data(_) => Err(Unknown::Request),
        };
        answer.map_err(|why| match why {
            Unknown::Failed(errno) => errno,
            Unknown::Request => {
                program.complain(&unknown(self.kind(), request));
                Errno::ENOTTY
            }
        })
    }

    /// Answers `read`. EINVAL for everything but data fds.
    pub fn read(&self, into: &mut [u8]) -> Result<usize, Errno> {
        match &self.0 {
            Object::Data(data) => data.read(into),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Answers `write`. EINVAL for everything but data fds.
    pub fn write(&self, from: &[u8]) -> Result<usize, Errno> {
        match &self.0 {
            Object::Data(data) => data.write(from),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Answers `pread`. Data fds have no offsets: ESPIPE.
    pub fn pread(&self, into: &mut [u8], offset: u64) -> Result<usize, Errno> {
        self.usable()?.read_at(offset, into)
    }

    /// Answers `pwrite`. Data fds have no offsets: ESPIPE.
    pub fn pwrite(&self, from: &[u8], offset: u64) -> Result<usize, Errno> {
        self.usable()?.write_at(offset, from)
    }

    /// What `mmap` is to map in place of `length` bytes from `offset` on: a file, and the offset into it. EINVAL: that
    /// cannot be mapped.
    pub fn mmap(&self, offset: u64, length: u64) -> Result<(Arc<File>, u64), Errno> {
        self.usable()?.map_at(offset, length)
    }

    /// The device, if it is one, and bound if it has to be.
    fn usable(&self) -> Result<&Device, Errno> {
        match &self.0 {
            Object::Device(file) if file.is_usable() => Ok(&file.device),
            Object::Data(_) => Err(Errno::ESPIPE),
            _ => Err(Errno::EINVAL),
        }
    }
}

impl DeviceFile {
    fn is_usable(&self) -> bool {
        match &self.by {
            Opened::Group { .. } => true,
            Opened::Cdev(bound) => bound.lock().unwrap_or_else(PoisonError::into_inner).is_some(),
        }
    }

    fn ioctl(&self, request: u32, argument: u64, program: &dyn Program) -> Result<i32, Unknown> {
        if let Some(answer) = self.binding(request, argument, program) {
            return Ok(answer?);
        }
        if !self.is_usable() {
            return Err(Errno::EINVAL.into());
        }
        let device = &self.device;
        Ok(match request {
            VFIO_DEVICE_GET_INFO => device.regions.device_info(argument)?,
            VFIO_DEVICE_GET_REGION_INFO => device.regions.region_info(argument)?,
            VFIO_DEVICE_GET_IRQ_INFO => interrupts::info(argument)?,
            VFIO_DEVICE_SET_IRQS => {
                let order = Order::read(argument, program)?;
                device.with(|inside| inside.interrupts.set(order))?
            }
            VFIO_DEVICE_RESET => {
                let reset = device.call("reset", |inside| inside.model.reset(), |line, _| line);
                reset.map(|()| 0).map_err(|error| error.errno)?
            }
            VFIO_DEVICE_FEATURE => feature::feature(device, argument, program)?,
            _ => return Err(Unknown::Request),
        })
    }

    /// Answers what only devices that were opened by themselves are asked: EINVAL for others.
    fn binding(&self, request: u32, argument: u64, program: &dyn Program) -> Option<Result<i32, Errno>> {
        if !binding::REQUESTS.contains(&request) {
            return None;
        }
        Some(match &self.by {
            Opened::Group { .. } => Err(Errno::EINVAL),
            Opened::Cdev(bound) => {
                let mut bound = bound.lock().unwrap_or_else(PoisonError::into_inner);
                binding::answer(&self.device, &mut bound, request, argument, program)
            }
        })
    }
}

impl Drop for DeviceFile {
    fn drop(&mut self) {
        match &mut self.by {
            Opened::Group { .. } => self.device.closed(),
            Opened::Cdev(bound) => {
                if let Some(bound) = bound.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
                    bound.unbind(&self.device);
                    self.device.closed();
                    self.device.give_back();
                }
            }
        }
    }
}

/// Requests that devices of the kernel know and software devices do not.
const DEVICE_REQUESTS: [(u32, &str); 5] = [
    (0x3b70, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO"),
    (0x3b71, "VFIO_DEVICE_PCI_HOT_RESET"),
    (0x3b72, "VFIO_DEVICE_QUERY_GFX_PLANE"),
    (0x3b73, "VFIO_DEVICE_GET_GFX_DMABUF"),
    (0x3b74, "VFIO_DEVICE_IOEVENTFD"),
];

/// What is to be said of a request that nobody knows.
fn unknown(kind: Kind, request: u32) -> String {
    let of = match kind {
        Kind::Container => "the container".into(),
        Kind::Group(place) => format!("the group of {}", place.address()),
        Kind::Iommufd => "an iommufd".into(),
        Kind::Cdev(place) | Kind::Device(place) => format!("the device {}", place.address()),
        Kind::Data(place) => format!("the data fd of {}", place.address()),
    };
    // Devices have requests of their own under numbers that mean something else to containers.
    let of_device = matches!(kind, Kind::Cdev(_) | Kind::Device(_));
    let of_device = DEVICE_REQUESTS.iter().filter(|(number, _)| of_device && *number == request).map(|(_, name)| *name);
    // The numbers of requests begin with the letter of VFIO's.
    let known = NUMBERS.iter().copied().flatten().filter(|number| number.value == u64::from(request));
    let known = known.filter(|_| request >> 8 == 0x3b).map(|number| number.name);
    let mut names: Vec<_> = of_device.collect();
    if names.is_empty() {
        names.extend(known);
    }
    let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(" or ")) };
    format!("the program asked {of} for {request:#x}{names}, which software devices do not know: it got ENOTTY")
}
