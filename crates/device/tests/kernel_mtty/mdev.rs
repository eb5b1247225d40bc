//! mdevs of the kernel's sample driver, and the ways to them.

use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use vfio_migration_device::sysfs::{Host, Uuid};
use vfio_migration_device::{Opened, open};
use vfio_migration_uapi::device;

const TYPE: &str = "/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2";

/// Descriptors and their limit belong to the whole process, so one test runs at a time.
static TURN: Mutex<()> = Mutex::new(());

/// A device of the sample driver, which goes when this does.
pub(crate) struct Mdev {
    uuid: Uuid,
}

/// Runs a test by each way that there is here, or says why it does not.
pub(crate) fn by_each_way(test: impl Fn(&str)) {
    let Some(_turn) = turn() else { return };
    for by in ways() {
        eprintln!("by {by}");
        test(by);
    }
}

/// Takes its turn, if this machine has the driver.
pub(crate) fn turn() -> Option<MutexGuard<'static, ()>> {
    if fs::exists(TYPE).unwrap_or(false) {
        return Some(TURN.lock().unwrap_or_else(PoisonError::into_inner));
    }
    skipped();
    None
}

/// Says it where a passing test is heard too.
#[expect(clippy::explicit_write, reason = "eprintln! is kept back by a test that passes")]
fn skipped() {
    writeln!(std::io::stderr(), "skipped: no mtty here ({TYPE} does not exist): run it in the test bed").unwrap();
}

fn ways() -> Vec<&'static str> {
    let mut ways = vec!["group"];
    if fs::exists("/dev/iommu").unwrap_or(false) {
        ways.push("cdev");
    }
    ways
}

impl Mdev {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let uuid = format!("83b8f4f2-509f-382f-3c1e-{:04x}{number:08x}", std::process::id() & 0xffff);
        fs::write(format!("{TYPE}/create"), &uuid).unwrap();
        let uuid = uuid.parse().unwrap();
        assert!(Host::new().mdev(uuid).is_some());
        Self { uuid }
    }

    pub(crate) fn address(&self, by: &str) -> String {
        format!("mdev:{}?by={by}", self.uuid)
    }

    pub(crate) fn place(&self) -> String {
        format!("mdev:{}", self.uuid)
    }

    pub(crate) fn open(&self, by: &str) -> Opened {
        open(&self.address(by), None).unwrap()
    }
}

impl Drop for Mdev {
    fn drop(&mut self) {
        // A test that failed has reason enough.
        let _ = fs::write(format!("/sys/bus/mdev/devices/{}/remove", self.uuid), "1");
    }
}

/// The scratch register of the first port: one byte that is in the device's data.
pub(crate) fn scratch(opened: &Opened, write: Option<u8>) -> u8 {
    let device = descriptor(opened);
    let place = device::region(device.as_fd(), 0).unwrap().offset + 7;
    if let Some(byte) = write {
        assert_eq!(rustix::io::pwrite(&device, &[byte], place), Ok(1));
    }
    let mut byte = [0];
    assert_eq!(rustix::io::pread(&device, &mut byte, place), Ok(1));
    byte[0]
}

/// The device's own descriptor.
pub(crate) fn descriptor(opened: &Opened) -> OwnedFd {
    opened.kernel.as_ref().unwrap().descriptors().unwrap().remove(0)
}
