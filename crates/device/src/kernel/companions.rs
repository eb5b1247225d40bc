//! Which devices of each IOMMU group this process has open.

use std::sync::{Mutex, MutexGuard, PoisonError};

use vfio_migration_protocol::Companions;

use super::descriptor::Kind;
use crate::sysfs::{Host, SysDevice};

/// Of every device that is open and whose group is known.
static OPEN: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    host: Host,
    group: u32,
    name: String,
}

/// An open device's place among those of its group, until it is dropped.
#[derive(Debug)]
pub(super) struct Membership(Entry);

impl Membership {
    /// That of a device which is about to be kept open; `None` for one without an IOMMU group.
    pub(super) fn of(host: &Host, device: &SysDevice) -> Option<Self> {
        Some(Self::new(host, device.group_number()?, device.name().to_owned()))
    }

    /// That of a device of which only the descriptors beside it are known: `from` says where it comes from. A group with
    /// one device says which it is. `None` if its group is not among them.
    pub(super) fn by_group(host: &Host, beside: &[Kind], from: &str) -> Option<Self> {
        let number = beside.iter().find_map(|kind| match kind {
            Kind::Group(node) => node.strip_prefix("noiommu-").unwrap_or(node).parse().ok(),
            _ => None,
        })?;
        let members = host.group(number).map(|group| group.members).unwrap_or_default();
        let name = match members.as_slice() {
            [only] => only.name().to_owned(),
            _ => from.to_owned(),
        };
        Some(Self::new(host, number, name))
    }

    fn new(host: &Host, group: u32, name: String) -> Self {
        let entry = Entry { host: host.clone(), group, name };
        open().push(entry.clone());
        Self(entry)
    }

    /// All that are open by now.
    pub(super) fn companions(&self) -> Companions {
        let Entry { host, group, name } = &self.0;
        let open = open();
        let all = open.iter().filter(|entry| entry.host == *host && entry.group == *group);
        let mut names: Vec<_> = all.map(|entry| entry.name.clone()).collect();
        names.sort_unstable();
        // A device may be open twice.
        names.dedup();
        Companions { group: *group, name: name.clone(), open: names }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut open = open();
        if let Some(place) = open.iter().position(|entry| *entry == self.0) {
            open.swap_remove(place);
        }
    }
}

fn open() -> MutexGuard<'static, Vec<Entry>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    const FIRST: &str = "0000:65:00.0";
    const SECOND: &str = "0000:65:00.1";

    /// A host with some functions in groups, in a folder that goes with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str, functions: &[(&str, u32)]) -> Self {
            let root = std::env::temp_dir().join(format!("vfio-migration-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&root);
            let devices = root.join("sys/bus/pci/devices");
            for (function, number) in functions {
                let members = root.join(format!("sys/kernel/iommu_groups/{number}/devices"));
                fs::create_dir_all(devices.join(function)).unwrap();
                fs::create_dir_all(&members).unwrap();
                symlink(devices.join(function), members.join(function)).unwrap();
                symlink(members.parent().unwrap(), devices.join(function).join("iommu_group")).unwrap();
            }
            Self(root)
        }

        fn host(&self) -> Host {
            Host::at(&self.0)
        }

        fn member(&self, function: &str) -> Membership {
            let host = self.host();
            Membership::of(&host, &host.on_bus("pci", function).unwrap()).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_device_names_those_of_its_group_as_long_as_they_are_open() {
        let folder = Folder::new("companions", &[(FIRST, 40), (SECOND, 40), ("0000:66:00.0", 41)]);
        let (first, other) = (folder.member(FIRST), folder.member("0000:66:00.0"));
        let alone = Companions { group: 40, name: FIRST.into(), open: vec![FIRST.into()] };
        assert_eq!(first.companions(), alone);
        let (second, again) = (folder.member(SECOND), folder.member(SECOND));
        assert_eq!(first.companions().open, [FIRST, SECOND]);
        assert_eq!(second.companions().name, SECOND);
        assert_eq!(other.companions().open, ["0000:66:00.0"]);
        drop(second);
        assert_eq!(first.companions().open, [FIRST, SECOND], "it is open a second time");
        drop(again);
        assert_eq!(first.companions(), alone);
    }

    #[test]
    fn hosts_are_kept_apart() {
        let (one, other) = (Folder::new("apart-1", &[(FIRST, 40)]), Folder::new("apart-2", &[(SECOND, 40)]));
        let (first, _second) = (one.member(FIRST), other.member(SECOND));
        assert_eq!(first.companions().open, [FIRST]);
    }

    #[test]
    fn a_group_beside_a_device_that_nobody_named_says_whose_it_is() {
        let folder = Folder::new("beside", &[(FIRST, 40), (SECOND, 40), ("0000:66:00.0", 41)]);
        let of = |kinds: &[Kind]| Membership::by_group(&folder.host(), kinds, "fd:5").map(|open| open.companions());
        let group = |node: &str| [Kind::Container, Kind::Group(node.into())];
        let named = |group, name: &str| Some(Companions { group, name: name.into(), open: vec![name.into()] });
        assert_eq!(of(&group("41")), named(41, "0000:66:00.0"));
        assert_eq!(of(&group("noiommu-41")), named(41, "0000:66:00.0"));
        assert_eq!(of(&group("40")), named(40, "fd:5"), "it is one of two");
        assert_eq!(of(&[Kind::Container]), None);
        assert_eq!(of(&group("x")), None);
        let first = folder.member(FIRST);
        let unnamed = Membership::by_group(&folder.host(), &group("40"), "fd:5").unwrap();
        assert_eq!(first.companions().open, [FIRST, "fd:5"]);
        drop(unnamed);
    }
}
