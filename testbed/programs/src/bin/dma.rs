//! `dma WAY NUMBER COMMAND ARGS...`: a program that holds one of our own test devices (`vfio-testdev.NUMBER`) and gives it
//! memory to write to, as one mapping, and runs a command that uses the same descriptors meanwhile. Ways are `group`, `cdev`,
//! and `group-tracked`, where this program has started the container's dirty tracking. Ends with the command's status.
//!
//! The command finds in its environment the numbers of its descriptors, `DEVICE` and, with commas, `BESIDE`; where region 0
//! lies in the device, `REGION`; and the mapping, `IOVA` and `LENGTH`.

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
    use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
    use std::path::Path;
    use std::process::{Command, ExitCode};

    use rustix::io::{FdFlags, fcntl_setfd};
    use testbed::{open, read_write};
    use vfio_migration_uapi::mapping::{Access, Mapping};
    use vfio_migration_uapi::{cdev, container, device, iommufd};

    const IOVA: u64 = 1 << 32;
    const LENGTH: u32 = 32 << 20;

    pub(super) fn run(arguments: &[String]) -> Result<ExitCode> {
        let [way, number, command, rest @ ..] = arguments else {
            return Err(Error::other("usage: dma group|group-tracked|cdev NUMBER COMMAND ARGS..."));
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
                vec![opened.device.into(), opened.container, opened.group]
            }
            "cdev" => {
                let (device, iommufd, ioas) = by_cdev(&folder)?;
                iommufd::map(iommufd.as_fd(), ioas, memory.whole(), IOVA, Access::ReadWrite)?;
                vec![device, iommufd]
            }
            other => return Err(Error::other(format!("there is no way {other}"))),
        };
        // The command inherits them by their numbers.
        for fd in &held {
            fcntl_setfd(fd, FdFlags::empty())?;
        }
        let numbers: Vec<String> = held.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
        let status = Command::new(command)
            .args(rest)
            .env("DEVICE", &numbers[0])
            .env("BESIDE", numbers[1..].join(","))
            .env("REGION", device::region(held[0].as_fd(), 0)?.offset.to_string())
            .env("IOVA", IOVA.to_string())
            .env("LENGTH", LENGTH.to_string())
            .status()?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
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
