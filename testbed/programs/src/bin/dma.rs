//! `dma WAY NUMBER COMMAND ARGS...`: a program that holds one of our own test devices (`vfio-testdev.NUMBER`) and gives it
//! memory to write to, as one mapping, and runs a command that uses the same descriptors meanwhile. Ways are `group`, `cdev`,
//! and `group-tracked`, where this program has started the container's dirty tracking; and in a kernel with the devices that
//! iommufd makes up for its own tests `page-table`, where such a one writes to the same memory through a page table that
//! tracks, and `page-table-tracked`, where that was started. Ends with the command's status.
//!
//! The command finds in its environment the numbers of its descriptors, `DEVICE` and, with commas, `BESIDE`; where region 0
//! lies in the device, `REGION`; the mapping, `IOVA` and `LENGTH`; and the page table, `PAGE_TABLE`.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match linux::run(&std::env::args().skip(1).collect::<Vec<_>>()) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("dma: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("dma: there is no VFIO here");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::read_dir;
    use std::io::{Error, Result};
    use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
    use std::path::Path;
    use std::process::{Command, ExitCode};

    use rustix::io::{FdFlags, fcntl_setfd};
    use testbed::{open, read_write};
    use vfio_migration_uapi::mapping::{Access, Mapping};
    use vfio_migration_uapi::{cdev, container, device, iommufd, iommufd_mock};

    const IOVA: u64 = 1 << 32;
    const LENGTH: u32 = 32 << 20;

    /// What the command is given.
    struct Held {
        descriptors: Vec<OwnedFd>,
        iova: u64,
        page_table: Option<u32>,
    }

    pub(super) fn run(arguments: &[String]) -> Result<ExitCode> {
        let [way, number, command, rest @ ..] = arguments else {
            return Err(Error::other("usage: dma WAY NUMBER COMMAND ARGS..."));
        };
        let name = format!("vfio-testdev.{number}");
        let folder = Path::new("/sys/devices/platform").join(&name);
        let memory = Mapping::anonymous(LENGTH as usize)?;
        let held = match way.as_str() {
            "group" | "group-tracked" => {
                let opened = open(&folder, &name)?;
                container::map(opened.container.as_fd(), memory.whole(), IOVA, Access::ReadWrite)?;
                if way == "group-tracked" {
                    container::start_dirty_tracking(opened.container.as_fd())?;
                }
                let descriptors = vec![opened.device.into(), opened.container, opened.group];
                Held { descriptors, iova: IOVA, page_table: None }
            }
            "cdev" => {
                let (device, iommufd, ioas) = by_cdev(&folder)?;
                iommufd::map(iommufd.as_fd(), ioas, memory.whole(), IOVA, Access::ReadWrite)?;
                Held { descriptors: vec![device, iommufd], iova: IOVA, page_table: None }
            }
            "page-table" | "page-table-tracked" => {
                let (device, iommufd, ioas) = by_cdev(&folder)?;
                let page_table = made_up(iommufd.as_fd(), ioas)?;
                let (iova, _) = iommufd_mock::ADDRESSES;
                iommufd::map(iommufd.as_fd(), ioas, memory.whole(), iova, Access::ReadWrite)?;
                if way == "page-table-tracked" {
                    iommufd::set_dirty_tracking(iommufd.as_fd(), page_table, true)?;
                }
                Held { descriptors: vec![device, iommufd], iova, page_table: Some(page_table) }
            }
            other => return Err(Error::other(format!("there is no way {other}"))),
        };
        // The command inherits them by their numbers.
        let fds = &held.descriptors;
        for fd in fds {
            fcntl_setfd(fd, FdFlags::empty())?;
        }
        let numbers: Vec<String> = fds.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
        let status = Command::new(command)
            .args(rest)
            .env("DEVICE", &numbers[0])
            .env("BESIDE", numbers[1..].join(","))
            .env("REGION", device::region(fds[0].as_fd(), 0)?.offset.to_string())
            .env("IOVA", held.iova.to_string())
            .env("LENGTH", LENGTH.to_string())
            .env("PAGE_TABLE", held.page_table.map_or_else(String::new, |id| id.to_string()))
            .status()?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
    }

    /// A made-up device that is attached to a page table with dirty tracking: the table's id.
    fn made_up(iommufd: BorrowedFd<'_>, ioas: u32) -> Result<u32> {
        // Otherwise newer kernels join pages, and one bit stands for all of them.
        iommufd::set_huge_pages(iommufd, ioas, false)?;
        let device = iommufd_mock::make_device(iommufd, ioas, true)?;
        let page_table = iommufd::alloc_page_table(iommufd, device.device, ioas, true)?;
        iommufd_mock::attach(iommufd, device, page_table)?;
        Ok(page_table)
    }

    fn by_cdev(folder: &Path) -> Result<(OwnedFd, OwnedFd, u32)> {
        let node =
            read_dir(folder.join("vfio-dev"))?.next().ok_or_else(|| Error::other("the device has no node"))??;
        let device = read_write(&Path::new("/dev/vfio/devices").join(node.file_name()))?;
        let iommufd = read_write(Path::new("/dev/iommu"))?;
        cdev::bind(device.as_fd(), iommufd.as_fd(), None)?;
        let ioas = iommufd::alloc_ioas(iommufd.as_fd())?;
        cdev::attach(device.as_fd(), ioas, None)?;
        Ok((device, iommufd, ioas))
    }
}
