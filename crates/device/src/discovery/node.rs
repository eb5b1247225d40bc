use std::fs;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use crate::sysfs::Host;

/// Why a node in `/dev` cannot be opened by this process, without opening it. The kernel asks the file's mode, `SELinux`
/// and the device cgroup for `access` as for `open`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What is wrong with the node.
    pub(super) what: String,
    /// What can be done about it.
    pub(super) remedy: String,
}

/// Whether this process may open the node at `path` to read and write.
pub(super) fn may_open(host: &Host, path: &str) -> Result<(), Refusal> {
    let place = host.path(path);
    match accessat(CWD, &place, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS) {
        Ok(()) => Ok(()),
        Err(errno) => {
            let owner = fs::metadata(&place).ok().map(|node| (node.mode() & 0o777, node.uid(), node.gid()));
            let enforcing = fs::read_to_string(host.path("/sys/fs/selinux/enforce")).is_ok_and(|on| on.trim() == "1");
            Err(refusal(path, errno, owner, enforcing))
        }
    }
}

fn refusal(path: &str, errno: Errno, owner: Option<(u32, u32, u32)>, enforcing: bool) -> Refusal {
    let (what, remedy) = match errno {
        Errno::NOENT => (
            format!("{path} is missing"),
            format!("load the kernel's VFIO modules; in a container pass {path} into it"),
        ),
        Errno::ACCESS => {
            let owner = owner.map_or_else(String::new, |(mode, user, group)| {
                format!(" (mode {mode:03o}, user {user}, group {group})")
            });
            let selinux = if enforcing { ", or mend the SELinux policy: SELinux is enforcing" } else { "" };
            (
                format!("{path} may not be opened: EACCES{owner}"),
                format!("give this user read and write access to {path} with a udev rule or setfacl{selinux}"),
            )
        }
        Errno::PERM => (
            format!("{path} may not be opened: EPERM, from the device cgroup"),
            format!("allow {path} in the device cgroup: DeviceAllow= of systemd, --device of container engines"),
        ),
        errno => (format!("{path} may not be opened: {errno}"), format!("check what {path} is")),
    };
    Refusal { what, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_names_its_own_remedy() {
        let mode = refusal("/dev/vfio/7", Errno::ACCESS, Some((0o600, 0, 107)), false);
        assert_eq!(mode.what, "/dev/vfio/7 may not be opened: EACCES (mode 600, user 0, group 107)");
        assert!(mode.remedy.contains("udev") && !mode.remedy.contains("SELinux"), "{mode:?}");
        assert!(refusal("/dev/vfio/7", Errno::ACCESS, None, true).remedy.contains("SELinux"));
        assert!(refusal("/dev/vfio/7", Errno::PERM, None, true).remedy.contains("cgroup"));
        assert!(refusal("/dev/vfio/7", Errno::NOENT, None, true).what.contains("missing"));
        // In the C library's words.
        let other = refusal("/dev/vfio/7", Errno::LOOP, None, true);
        assert_eq!(other.what, format!("/dev/vfio/7 may not be opened: {}", Errno::LOOP));
    }
}
