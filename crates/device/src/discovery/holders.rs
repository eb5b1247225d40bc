use std::fs;
use std::path::Path;

use crate::sysfs::{Host, SysDevice};

/// Who has a device open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InUse {
    /// Nobody: every process of the host could be looked at.
    No,
    /// Nobody who can be seen; some processes cannot.
    Unknown,
    /// These, and maybe others.
    By(Vec<Holder>),
}

/// A process that has a device, or its group, open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holder {
    /// Its number.
    pub pid: u32,
    /// What it is called.
    pub command: String,
    /// The file descriptor that is the device itself, where the kernel says which device it is: another program may be
    /// given it (`pidfd:PID:FD`).
    pub device_fd: Option<u32>,
}

/// The process ids that begin with this one are the host's, all of them: Linux gives the first namespace this number.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Open files of all processes that can be looked at, as far as they are VFIO's.
pub(super) struct Holders {
    files: Vec<(Holder, Opened)>,
    complete: bool,
}

#[derive(PartialEq)]
enum Opened {
    /// A node in `/dev/vfio`.
    Node(String),
    /// A device, by its folder in sysfs. Kernels from 6.18 on say which.
    Device(String),
}

impl Holders {
    pub(super) fn of(host: &Host) -> Self {
        let proc = host.path("/proc");
        let pids: Vec<u32> = fs::read_dir(&proc)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect();
        let link = |path: &Path| Some(fs::read_link(path).ok()?.to_str()?.to_owned());
        let all = link(&proc.join("self/ns/pid")).as_deref() == Some(FIRST_PID_NAMESPACE) && pids.contains(&1);
        let mut holders = Self { files: Vec::new(), complete: all };
        for pid in pids {
            let folder = proc.join(pid.to_string());
            let Ok(entries) = fs::read_dir(folder.join("fd")) else {
                // One that has ended meanwhile holds nothing.
                holders.complete &= !folder.is_dir();
                continue;
            };
            for fd in entries.flatten() {
                let Some(target) = link(&fd.path()) else { continue };
                let fd = fd.file_name().to_str().and_then(|fd| fd.parse::<u32>().ok());
                let opened = if target.starts_with("/dev/vfio/") {
                    Opened::Node(target)
                } else if target == "anon_inode:[vfio-device]" {
                    let info = fd.and_then(|fd| fs::read_to_string(folder.join(format!("fdinfo/{fd}"))).ok());
                    let path = info.as_deref().and_then(|info| {
                        Some(info.lines().find_map(|line| line.strip_prefix("vfio-device-syspath:"))?.trim().to_owned())
                    });
                    let Some(path) = path else {
                        // It may be any device.
                        holders.complete = false;
                        continue;
                    };
                    Opened::Device(path)
                } else {
                    continue;
                };
                let command = fs::read_to_string(folder.join("comm")).unwrap_or_default().trim_end().to_owned();
                // A cdev's node is the device as well.
                let is_device = match &opened {
                    Opened::Node(node) => node.starts_with("/dev/vfio/devices/"),
                    Opened::Device(_) => true,
                };
                holders.files.push((Holder { pid, command, device_fd: fd.filter(|_| is_device) }, opened));
            }
        }
        holders
    }

    pub(super) fn of_device(&self, device: &SysDevice, group: Option<&str>, cdev: Option<&str>) -> InUse {
        // The kernel's path begins with /sys, a test's folder does not.
        let folder = device.folder().to_string_lossy();
        let is_it = |opened: &Opened| match opened {
            Opened::Node(node) => Some(node.as_str()) == group || Some(node.as_str()) == cdev,
            Opened::Device(path) => folder.ends_with(path.as_str()),
        };
        let mut by: Vec<Holder> = Vec::new();
        for (holder, _) in self.files.iter().filter(|(_, opened)| is_it(opened)) {
            match by.iter_mut().find(|known| known.pid == holder.pid) {
                Some(known) => known.device_fd = known.device_fd.or(holder.device_fd),
                None => by.push(holder.clone()),
            }
        }
        by.sort();
        if !by.is_empty() {
            InUse::By(by)
        } else if self.complete {
            InUse::No
        } else {
            InUse::Unknown
        }
    }
}
