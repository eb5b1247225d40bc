//! A program that uses software devices without any interception: what it would do with descriptors, it does with handles.

#![expect(dead_code, reason = "each test uses a part of it")]

use std::collections::BTreeMap;
use std::os::fd::{OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use vfio_migration_preload::host::{Handle, Host, Options, Program};
use vfio_migration_preload::{Node, Place};
use vfio_migration_protocol::Errno;
use vfio_migration_protocol::trace::{Access, Trace};
use vfio_migration_uapi::layout::*;

/// The program: its descriptors, what was said to whoever runs it, and a trace.
pub(crate) struct Tester {
    pub(crate) host: Host,
    pub(crate) said: Mutex<Vec<String>>,
    table: Mutex<BTreeMap<RawFd, Handle>>,
    eventfds: Mutex<BTreeMap<RawFd, OwnedFd>>,
    full: Mutex<bool>,
    trace: PathBuf,
}

impl Program for Tester {
    fn handle(&self, fd: RawFd) -> Option<Handle> {
        self.table.lock().unwrap().get(&fd).cloned()
    }

    fn give(&self, handle: Handle) -> Result<RawFd, Errno> {
        if *self.full.lock().unwrap() {
            return Err(Errno::EMFILE);
        }
        let mut table = self.table.lock().unwrap();
        let fd = table.keys().next_back().map_or(1000, |last| last + 1);
        table.insert(fd, handle);
        Ok(fd)
    }

    fn duplicate(&self, fd: RawFd) -> Result<OwnedFd, Errno> {
        let eventfds = self.eventfds.lock().unwrap();
        let fd = eventfds.get(&fd).ok_or(Errno::EBADF)?;
        fd.try_clone().map_err(|_| Errno::EMFILE)
    }

    fn complain(&self, sentence: &str) {
        self.said.lock().unwrap().push(sentence.to_owned());
    }
}

static TESTS: AtomicU32 = AtomicU32::new(0);

impl Tester {
    pub(crate) fn new(addresses: &[&str]) -> Self {
        Self::with(addresses, false)
    }

    pub(crate) fn blind(addresses: &[&str]) -> Self {
        Self::with(addresses, true)
    }

    fn with(addresses: &[&str], blind: bool) -> Self {
        let name = format!("vfio-migration-host-{}-{}", std::process::id(), TESTS.fetch_add(1, Ordering::Relaxed));
        let trace = std::env::temp_dir().join(name);
        let host =
            Host::new(addresses, &Options { trace: Some(trace.clone()), blind }).expect("the addresses are right");
        let (said, table) = (Mutex::default(), Mutex::default());
        Self { host, said, table, eventfds: Mutex::default(), full: Mutex::default(), trace }
    }

    pub(crate) fn open(&self, node: Node) -> Result<RawFd, Errno> {
        self.host.open(node).and_then(|handle| self.give(handle))
    }

    pub(crate) fn close(&self, fd: RawFd) {
        drop(self.table.lock().unwrap().remove(&fd).expect("it is open"));
    }

    /// From now on no descriptor can be made, or again.
    pub(crate) fn fill(&self, full: bool) {
        *self.full.lock().unwrap() = full;
    }

    pub(crate) fn eventfd(&self, number: RawFd) {
        let fd = rustix::event::eventfd(0, rustix::event::EventfdFlags::NONBLOCK).expect("there are eventfds");
        self.eventfds.lock().unwrap().insert(number, fd);
    }

    /// A file of the program's.
    pub(crate) fn file(&self, number: RawFd, file: OwnedFd) {
        self.eventfds.lock().unwrap().insert(number, file);
    }

    /// How often an eventfd was written to since this was last asked.
    pub(crate) fn signals(&self, number: RawFd) -> u64 {
        let mut count = [0; 8];
        let read = rustix::io::read(&self.eventfds.lock().unwrap()[&number], &mut count);
        read.map_or(0, |_| u64::from_ne_bytes(count))
    }

    pub(crate) fn get(&self, fd: RawFd) -> Handle {
        self.handle(fd).expect("it is open")
    }

    pub(crate) fn ioctl(&self, fd: RawFd, request: u32, argument: u64) -> Result<i32, Errno> {
        self.get(fd).ioctl(request, argument, self)
    }

    /// A request about words, which are the structure.
    pub(crate) fn ask(&self, fd: RawFd, request: u32, words: &mut [u32]) -> Result<i32, Errno> {
        self.ioctl(fd, request, address(words))
    }

    /// Opens a container and the groups of the first devices, and gives them an IOMMU: the container, and the devices.
    pub(crate) fn open_by_group<const N: usize>(&self) -> (RawFd, [RawFd; N]) {
        let container = self.open(Node::Container).expect("it can be opened");
        let groups: [_; N] = core::array::from_fn(|index| {
            let group = self.open(Node::Group(place(index))).expect("it is free");
            assert_eq!(self.ask(group, VFIO_GROUP_SET_CONTAINER, &mut [container.cast_unsigned()]), Ok(0));
            group
        });
        assert_eq!(self.ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU.into()), Ok(0));
        let devices = core::array::from_fn(|index| {
            let name = std::ffi::CString::new(place(index).address()).expect("it is a name");
            let name = name.as_ptr().expose_provenance() as u64;
            self.ioctl(groups[index], VFIO_GROUP_GET_DEVICE_FD, name).expect("it is there")
        });
        (container, devices)
    }

    /// Gives devices of a container some memory.
    pub(crate) fn map(&self, container: RawFd, memory: &mut [u8], iova: u64) -> Result<i32, Errno> {
        let memory = (memory.as_mut_ptr().expose_provenance() as u64, memory.len() as u64);
        let mut words = [32, 3, low(memory.0), high(memory.0), low(iova), high(iova), low(memory.1), high(memory.1)];
        self.ask(container, VFIO_IOMMU_MAP_DMA, &mut words)
    }

    /// A feature of a device: its head and data.
    pub(crate) fn feature<const N: usize>(
        &self,
        device: RawFd,
        flags: u32,
        data: [u32; N],
    ) -> Result<[u32; N], (Errno, [u32; N])> {
        let mut words = vec![8 + u32::try_from(N).expect("it is short") * 4, flags];
        words.extend(data);
        let answer = self.ask(device, VFIO_DEVICE_FEATURE, &mut words);
        let data = core::array::from_fn(|at| words[2 + at]);
        answer.map(|_| data).map_err(|errno| (errno, data))
    }

    /// Changes a device's state: the data fd, if there is one.
    pub(crate) fn set_state(&self, device: RawFd, state: u32) -> Result<Option<RawFd>, Errno> {
        let set = VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
        let [_, fd] = self.feature(device, set, [state, u32::MAX]).map_err(|(errno, _)| errno)?;
        Ok((fd != u32::MAX).then_some(fd.cast_signed()))
    }

    pub(crate) fn state(&self, device: RawFd) -> u32 {
        let get = VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE;
        self.feature(device, get, [99, 0]).expect("it can be asked")[0]
    }

    /// Writes a register of the device's.
    pub(crate) fn write_register(&self, device: RawFd, register: u64, value: u32) {
        assert_eq!(self.get(device).pwrite(&value.to_le_bytes(), register), Ok(4));
    }

    pub(crate) fn register(&self, device: RawFd, register: u64) -> u32 {
        let mut bytes = [0; 4];
        assert_eq!(self.get(device).pread(&mut bytes, register), Ok(4));
        u32::from_le_bytes(bytes)
    }

    /// Starts the device as its driver would, with DMA to a buffer.
    pub(crate) fn start(&self, device: RawFd, buffer: u32, length: u32) {
        self.write_register(device, SCRATCH_A, buffer);
        self.write_register(device, SCRATCH_B, length);
        self.write_register(device, CONTROL, 1);
    }

    /// Everything that is read from a data fd until it pauses, or ends.
    pub(crate) fn drain(&self, data_fd: RawFd) -> (Vec<u8>, Option<Errno>) {
        let (mut all, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            match self.get(data_fd).read(&mut buffer) {
                Ok(0) => return (all, None),
                Ok(read) => all.extend(&buffer[..read]),
                Err(errno) => return (all, Some(errno)),
            }
        }
    }

    /// What was written down.
    pub(crate) fn trace(&self) -> Vec<Access> {
        self.host.finish();
        let text = std::fs::read_to_string(&self.trace).expect("it was made");
        let mut lines = Vec::new();
        text.parse::<Trace>().expect("it is a trace").visit(&mut |access| lines.push(access.clone()));
        lines
    }

    /// The notes of one name, with their words.
    pub(crate) fn notes(&self, name: &str) -> Vec<Vec<String>> {
        let words = |access: &Access| access.arguments().map(str::to_owned).collect::<Vec<_>>();
        let notes = self.trace().iter().filter(|access| access.is_note()).map(words).collect::<Vec<_>>();
        notes.into_iter().filter(|words| words[0] == name).map(|words| words[1..].to_vec()).collect()
    }

    /// The calls, as text without notes.
    pub(crate) fn calls(&self) -> Vec<String> {
        let line = |access: &Access| access.to_string().split_whitespace().skip(1).collect::<Vec<_>>().join(" ");
        self.trace().iter().filter(|access| !access.is_note()).map(line).collect()
    }
}

impl Tester {
    /// Removes the file of the trace.
    pub(crate) fn forget_trace(&self) {
        let _ = std::fs::remove_file(&self.trace);
    }
}

impl Drop for Tester {
    fn drop(&mut self) {
        self.forget_trace();
    }
}

pub(crate) const COUNTER: u64 = 0;
pub(crate) const CONTROL: u64 = 0x10;
pub(crate) const DOORBELL: u64 = 0x18;
pub(crate) const SCRATCH_A: u64 = 0x20;
pub(crate) const SCRATCH_B: u64 = 0x28;

pub(crate) fn place(index: usize) -> Place {
    Place::of(index).expect("there is room")
}

pub(crate) fn address<T>(of: &mut [T]) -> u64 {
    of.as_mut_ptr().expose_provenance() as u64
}

pub(crate) const fn low(value: u64) -> u32 {
    (value & 0xffff_ffff) as u32
}

pub(crate) const fn high(value: u64) -> u32 {
    (value >> 32) as u32
}

/// Two numbers that lie side by side.
pub(crate) fn pair(first: u32, second: u32) -> u64 {
    u64::from(first) | u64::from(second) << 32
}

/// Memory of whole pages, at a multiple of their size.
pub(crate) struct Pages(Vec<u8>, usize);

impl Pages {
    pub(crate) fn new(count: usize) -> Self {
        let bytes = vec![0; (count + 1) << 12];
        let start = bytes.as_ptr().align_offset(4096);
        Self(bytes, start)
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        let Self(bytes, start) = self;
        let length = bytes.len() - 4096;
        std::hint::black_box(&mut bytes[*start..*start + length])
    }
}
