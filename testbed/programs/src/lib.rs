//! Programs for the machines of the test bed are under `src/bin`; what they share is here.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

use std::ffi::CString;
use std::fs::{File, OpenOptions, read_link};
use std::io::{Error, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use vfio_migration_uapi::{container, group};

/// The type1 container with unmaps of any size.
const TYPE1_V2: u32 = 3;

/// A device opened by its group, with what must stay open as long as it.
#[derive(Debug)]
pub struct Opened {
    /// The device, for reads and writes of its regions.
    pub device: File,
    /// Its group.
    pub group: OwnedFd,
    /// Its container, a type1.
    pub container: OwnedFd,
}

/// Opens a device that nobody else has open: an mdev's UUID, or whatever name its group knows it by, with its folder in
/// sysfs.
///
/// # Errors
/// The operating system's: no such device, its group or container cannot be had, or somebody else has it.
pub fn open(sysfs: &Path, name: &str) -> Result<Opened> {
    let link = read_link(sysfs.join("iommu_group"))?;
    let number = link.file_name().ok_or_else(|| Error::other("the device's group has no number"))?;
    let container = read_write(Path::new("/dev/vfio/vfio"))?;
    let group = read_write(&Path::new("/dev/vfio").join(number))?;
    group::set_container(group.as_fd(), container.as_fd())?;
    container::set_iommu(container.as_fd(), TYPE1_V2)?;
    let name = CString::new(name).map_err(Error::other)?;
    let device = File::from(group::device_fd(group.as_fd(), &name)?);
    Ok(Opened { device, group, container })
}

/// Opens a file to read and write.
///
/// # Errors
/// The operating system's.
pub fn read_write(path: &Path) -> Result<OwnedFd> {
    Ok(OpenOptions::new().read(true).write(true).open(path)?.into())
}
