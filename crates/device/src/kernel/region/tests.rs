//! A region in a real descriptor: a memfd stands for the device's, so that reads, writes and mappings are the kernel's.

use core::cell::RefCell;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::VecDeque;
use std::io::{PipeReader, pipe};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::thread;

use vfio_migration_model::{CallKind, ForeignMemory, GuestMemory, Model, Settings};
use vfio_migration_protocol::region::Register;
use vfio_migration_protocol::{Capabilities, Device, Passport, State, Then};

use super::*;
use crate::kernel::companions::Membership;
use crate::kernel::descriptor::Kind;
use crate::kernel::holding::{Beside, Kept};
use crate::region::{BadAreas, RegionDevice, RegionOptions};
use crate::sysfs::Host;

const PAGE: u64 = 4096;
/// Where the region begins in the descriptor, as in those of the kernel not at its beginning.
const START: u64 = 16 * PAGE;

fn memfd(len: u64) -> OwnedFd {
    Mapping::memfd("a device", usize::try_from(len.next_multiple_of(PAGE)).unwrap()).unwrap().1
}

fn info(size: u64) -> Info {
    let flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_MMAP;
    Info { flags, size, offset: START, kind: Some((3, 1)), mappable: None, capabilities: vec![2] }
}

/// A region of `size` bytes in a descriptor that has no more, and that descriptor.
fn region(size: u64, describe: impl FnOnce(&mut Info)) -> (Result<KernelRegion<KeptDevice>, UnfitRegion>, Arc<Kept>) {
    let kept = Arc::new(Kept { device: memfd(START + size), beside: Beside::Borrowed(Vec::new()), membership: None });
    let mut info = info(size);
    describe(&mut info);
    (KernelRegion::new(KeptDevice(Arc::clone(&kept)), kept.device.as_fd(), &info), kept)
}

#[test]
fn accesses_go_to_their_place_in_the_descriptor() {
    let (region, kept) = region(4 * PAGE, |info| info.mappable = Some(vec![(PAGE, 2 * PAGE)]));
    let mut region = region.unwrap();
    assert_eq!((region.size(), region.has_ndma(), region.mapped()), (4 * PAGE, false, vec![(PAGE, 2 * PAGE)]));
    assert_eq!(region.write(24, &7_u64.to_ne_bytes()), Ok(8));
    let mut bytes = [0; 8];
    pread(&kept.device, &mut bytes, START + 24).unwrap();
    assert_eq!(u64::from_ne_bytes(bytes), 7);

    // What goes through the mapping is what the descriptor has, and the other way round.
    region.store(PAGE + 5, b"through the window").unwrap();
    let mut bytes = [0; 18];
    assert_eq!(region.read(PAGE + 5, &mut bytes), Ok(18));
    assert_eq!(&bytes, b"through the window");
    pwrite(&kept.device, b"by a write", START + 3 * PAGE - 10).unwrap();
    let mut bytes = [0; 10];
    region.load(3 * PAGE - 10, &mut bytes).unwrap();
    assert_eq!(&bytes, b"by a write");
    for outside in [0, 3 * PAGE - 9, 3 * PAGE, 9 * PAGE] {
        assert_eq!(region.load(outside, &mut bytes).unwrap_err().errno, Number::EFAULT, "{outside:#x}");
    }
}

#[test]
fn what_the_device_offers_is_mapped_in_whole_pages() {
    let mapped = |size, flags, areas: Option<&[(u64, u64)]>| {
        let describe = |info: &mut Info| {
            info.flags = flags;
            info.mappable = areas.map(<[_]>::to_vec);
        };
        region(size, describe).0.unwrap().mapped()
    };
    let all = info(1).flags;
    assert_eq!(mapped(3 * PAGE, all, None), [(0, 3 * PAGE)], "all of it");
    assert_eq!(mapped(2 * PAGE + 100, all, None), [(0, 2 * PAGE)]);
    assert_eq!(mapped(3 * PAGE, all & !VFIO_REGION_INFO_FLAG_MMAP, None), []);
    assert_eq!(mapped(3 * PAGE, all & !VFIO_REGION_INFO_FLAG_MMAP, Some(&[(PAGE, PAGE)])), []);
    assert_eq!(mapped(3 * PAGE, all, Some(&[])), [], "it says which, and names none");
    let areas = [(3 * PAGE, PAGE), (100, 2 * PAGE), (2 * PAGE + 200, PAGE - 200)];
    assert_eq!(mapped(4 * PAGE, all, Some(&areas)), [(3 * PAGE, PAGE), (PAGE, PAGE)]);
}

#[test]
fn a_region_that_cannot_be_is_refused() {
    let refused = |describe: fn(&mut Info)| region(4 * PAGE, describe).0.err();
    assert_eq!(refused(|info| info.flags &= !VFIO_REGION_INFO_FLAG_WRITE), Some(UnfitRegion::Access));
    assert_eq!(refused(|info| info.flags &= !VFIO_REGION_INFO_FLAG_READ), Some(UnfitRegion::Access));
    for (offset, size) in [(u64::MAX, 2), (i64::MAX as u64, 1), (1, u64::MAX)] {
        let kept = Arc::new(Kept { device: memfd(PAGE), beside: Beside::Borrowed(Vec::new()), membership: None });
        let info = Info { offset, size, ..info(1) };
        let region = KernelRegion::new(KeptDevice(Arc::clone(&kept)), kept.device.as_fd(), &info);
        assert_eq!(region.err(), Some(UnfitRegion::Place { offset, size }));
    }
    // Also where the kernel would not map them: what the device says makes no sense.
    let outside = BadAreas::Outside { offset: 4 * PAGE, len: PAGE, size: 4 * PAGE };
    assert_eq!(refused(|info| info.mappable = Some(vec![(4 * PAGE, PAGE)])), Some(UnfitRegion::Areas(outside)));
    let overlap = BadAreas::Overlap { one: 1, other: 2 };
    assert_eq!(refused(|info| info.mappable = Some(vec![(2, 2), (1, 2)])), Some(UnfitRegion::Areas(overlap)));
}

#[test]
fn the_region_is_found_by_its_type_and_ndma_by_its_capability() {
    let of = |kind| Ok(Info { kind, ..info(PAGE) });
    let others = [of(None), Err(Errno::INVAL), of(Some((3, 2))), of(Some((0x8000_8086, 1)))];
    assert_eq!(first(others.clone().into_iter()), Ok(None));
    let found = Info { capabilities: vec![1, 2, 6], ..info(PAGE) };
    let all = others.clone().into_iter().chain([Ok(found.clone()), of(Some((3, 1)))]);
    assert_eq!(first(all), Ok(Some(found.clone())));
    let (region, _) = region(2 * PAGE, |info| info.capabilities.clone_from(&found.capabilities));
    assert!(region.unwrap().has_ndma());
    assert_eq!(first(others.into_iter().chain([Err(Errno::BADMSG), Ok(found)])), Err(Errno::BADMSG));
}

/// Answers by a script: how many bytes, or an error.
struct Script(RefCell<VecDeque<Result<usize, Errno>>>);

impl Script {
    fn region(answers: impl IntoIterator<Item = Result<usize, Errno>>) -> KernelRegion<Self> {
        let info = Info { flags: 3, ..info(4 * PAGE) };
        KernelRegion::new(Self(RefCell::new(answers.into_iter().collect())), memfd(PAGE).as_fd(), &info).unwrap()
    }

    fn next(&self) -> Result<usize, Errno> {
        self.0.borrow_mut().pop_front().expect("one call too many")
    }
}

impl Accesses for Script {
    fn read(&self, _: u64, _: &mut [u8]) -> Result<usize, Errno> {
        self.next()
    }

    fn write(&self, _: u64, _: &[u8]) -> Result<usize, Errno> {
        self.next()
    }

    fn reset(&self) -> Result<(), Errno> {
        self.next().map(drop)
    }
}

#[test]
fn a_call_that_a_signal_interrupted_is_made_again_unless_it_may_have_done_its_work() {
    let mut region = Script::region([Err(Errno::INTR), Err(Errno::INTR), Ok(4), Err(Errno::INTR), Ok(3)]);
    assert_eq!(region.read(0, &mut [0; 4]), Ok(4));
    assert_eq!(region.write(PAGE, &[0; 4]), Ok(3));
    assert!(region.accesses.0.borrow().is_empty());
    for register in [Register::DeviceState, Register::DataSize] {
        let mut region = Script::region([Err(Errno::INTR), Ok(8)]);
        let error = region.write(register.offset(), &[0; 8][..register.width()]).unwrap_err();
        assert_eq!((error.errno, region.accesses.0.borrow().len()), (Number::EINTR, 1), "{register}");
    }
}

#[test]
fn what_the_kernel_answers_is_said_in_words() {
    let error = Script::region([Err(Errno::NODEV)]).read(0, &mut [0; 4]).unwrap_err();
    assert_eq!((error.errno, error.to_string().contains("the device is gone")), (Number::ENODEV, true), "{error}");
    assert_eq!(Script::region([Err(Errno::IO)]).write(0, &[0; 4]).unwrap_err().errno, Number::EIO);
    let mut region = Script::region([Err(Errno::AGAIN), Ok(0), Err(Errno::NOTTY)]);
    region.reset().unwrap();
    assert!(region.reset().unwrap_err().to_string().contains("no reset that works"));
}

/// A read that blocks until a signal comes.
struct Blocks(PipeReader);

impl Accesses for Blocks {
    fn read(&self, _: u64, into: &mut [u8]) -> Result<usize, Errno> {
        rustix::io::read(&self.0, into)
    }

    fn write(&self, _: u64, _: &[u8]) -> Result<usize, Errno> {
        Err(Errno::IO)
    }

    fn reset(&self) -> Result<(), Errno> {
        Err(Errno::IO)
    }
}

#[test]
fn a_read_that_blocks_is_ended_from_another_thread() {
    let (reader, _writer) = pipe().unwrap();
    let info = Info { flags: 3, ..info(4 * PAGE) };
    let region = KernelRegion::new(Blocks(reader), memfd(PAGE).as_fd(), &info).unwrap();
    let mut device = RegionDevice::new(region, Passport::new(), Capabilities::STOP_COPY, RegionOptions::default());
    let interrupt = device.as_ref().ok().and_then(Device::interrupter).expect("it can be ended");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                interrupt();
                thread::sleep(Duration::from_millis(1));
            }
        });
        let error = device.as_mut().unwrap().state().unwrap_err();
        over.store(true, Ordering::Relaxed);
        assert_eq!(error.errno, Number::EINTR);
        assert!(error.to_string().contains("reading device_state failed: the call did not return"), "{error}");
    });
}

/// A software device behind a descriptor, in which its window lies.
struct Served {
    model: Mutex<Model>,
    file: OwnedFd,
}

/// The window, as the device reaches it.
#[derive(Debug)]
struct Window(Mutex<Mapping>);

impl ForeignMemory for Window {
    fn load(&self, offset: u64, into: &mut [u8]) -> Result<(), CallError> {
        let mapping = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mapping.read(usize::try_from(offset).unwrap(), into).map_err(|_| outside(offset))
    }

    fn store(&self, offset: u64, from: &[u8]) -> Result<(), CallError> {
        let mut mapping = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mapping.write(usize::try_from(offset).unwrap(), from).map_err(|_| outside(offset))
    }
}

impl Served {
    fn new(settings: &str, nonce: u64) -> (Arc<Self>, Info) {
        let settings = Settings::parse(&format!("{settings},protocol=region,trace")).unwrap();
        let mut model = Model::new(&settings, nonce).unwrap();
        let layout = model.region().unwrap().clone();
        let file = memfd(START + layout.size);
        let range = model.window().unwrap().range();
        let mapping =
            Mapping::shared(file.as_fd(), START + layout.data, usize::try_from(range.length).unwrap()).unwrap();
        let window = Arc::new(Window(Mutex::new(mapping)));
        model.set_window(GuestMemory::foreign(range.iova, range.length, window).unwrap()).unwrap();
        let flags = if layout.mmap { info(1).flags } else { 3 };
        let mut capabilities = vec![2];
        capabilities.extend(layout.ndma.then_some(6));
        let info = Info { flags, mappable: layout.areas.clone(), capabilities, ..info(layout.size) };
        (Arc::new(Self { model: Mutex::new(model), file }), info)
    }

    fn client(self: &Arc<Self>, info: &Info) -> RegionDevice<KernelRegion<Arc<Self>>> {
        let region = KernelRegion::new(Arc::clone(self), self.file.as_fd(), info).unwrap();
        let dialect = self.with(|model| model.settings().region.as_ref().unwrap().dialect);
        let options = RegionOptions { dialect, ..RegionOptions::default() };
        RegionDevice::new(region, Passport::new(), Capabilities::STOP_COPY, options).unwrap()
    }

    fn with<T>(&self, work: impl FnOnce(&mut Model) -> T) -> T {
        work(&mut self.model.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, kind: CallKind) -> u64 {
        self.with(|model| model.count(kind))
    }
}

fn answer(done: Result<usize, CallError>) -> Result<usize, Errno> {
    done.map_err(|error| Errno::from_raw_os_error(error.errno.to_linux()))
}

impl Accesses for Arc<Served> {
    fn read(&self, offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
        self.with(|model| answer(model.region_read(offset - START, into)))
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<usize, Errno> {
        self.with(|model| answer(model.region_write(offset - START, from)))
    }

    fn reset(&self) -> Result<(), Errno> {
        self.with(|model| answer(Device::reset(model).map(|()| 0)).map(drop))
    }
}

#[test]
fn a_device_moves_through_its_descriptor() {
    for (settings, is_read, is_mapped) in [
        ("size=300KiB,window=16KiB,mmap=whole", false, true),
        ("size=300KiB,window=32KiB,mmap=sparse,pre-copy", true, true),
        ("size=300KiB,window=16KiB,mmap=none,pre-copy,p2p", true, false),
        ("size=300KiB,window=16KiB,mmap=whole,segment=100..9000,dialect=libvfio-user,reserved=4096", false, true),
    ] {
        let ((source, from), (destination, to)) = (Served::new(settings, 1), Served::new(settings, 2));
        let (mut saving, mut resuming) = (source.client(&from), destination.client(&to));
        source.with(|model| {
            model.start();
            model.advance(9);
        });
        assert_eq!(saving.state(), Ok(State::Running));
        saving.set_state(State::PreCopy).unwrap();
        source.with(|model| model.advance(5));
        saving.set_state(State::StopCopy).unwrap();
        resuming.set_state(State::Resuming).unwrap();
        let mut buffer = vec![0; 10_000];
        loop {
            let filled = saving.read(&mut buffer).unwrap();
            if filled.then == Then::End {
                break;
            }
            let written = resuming.write(&buffer[..filled.len], filled.then == Then::SegmentEnd).unwrap();
            assert_eq!(written, filled.len);
        }
        resuming.set_state(State::Running).unwrap();
        let proof = |served: &Served| served.with(|model| model.proof());
        assert_eq!(proof(&source), proof(&destination), "{settings}");
        for (served, data, info) in [(&source, CallKind::ReadWindow, &from), (&destination, CallKind::WriteWindow, &to)]
        {
            assert_eq!((served.count(CallKind::Misaccess), served.with(|model| Device::resets(model))), (0, Some(0)));
            assert_eq!(served.count(data) > 0, is_read, "{settings}: what is mapped is not read");
            let region = KernelRegion::new(Arc::clone(served), served.file.as_fd(), info).unwrap();
            assert_eq!(!region.mapped().is_empty(), is_mapped, "{settings}");
        }
    }
}

#[test]
fn it_says_who_else_of_its_group_is_open() {
    let beside = [Kind::Group("4711".into())];
    let open = |from| Membership::by_group(&Host::at("/nonexistent"), &beside, from);
    let device = memfd(START + PAGE);
    let kept = Arc::new(Kept { device, beside: Beside::Borrowed(Vec::new()), membership: open("fd:5") });
    let region = KernelRegion::new(KeptDevice(Arc::clone(&kept)), kept.device.as_fd(), &info(PAGE)).unwrap();
    let device = RegionDevice::new(region, Passport::new(), Capabilities::STOP_COPY, RegionOptions::default()).unwrap();
    let other = open("fd:6");
    assert_eq!(device.companions().unwrap().open, ["fd:5", "fd:6"]);
    drop(other);
    assert_eq!(device.companions().unwrap().open, ["fd:5"]);
}
