//! What a guest with a driver of its own uses: registers as memory, a buffer for DMA, interrupts, the device's memory.

use std::sync::{Arc, Mutex};

use vfio_migration_model::{
    ForeignMemory, GuestMemory, INTERRUPTS, Model, PAGE_SIZE, Register, Scratch, Settings, SettingsError,
};
use vfio_migration_protocol::{Bitmap, CallError, Device, Errno, IovaRange, State, Tracker};

use crate::transfer::{save, write};

const SETTINGS: &str = "size=64KiB,device-memory=16KiB,dma-buffer,seed=3";

fn device(nonce: u64, memory: &GuestMemory) -> Model {
    let settings = Settings::parse(SETTINGS).expect("settings");
    let mut model = Model::with_memory(&settings, nonce, memory.clone()).expect("a device");
    model.note_ends();
    model
}

fn place(register: Register) -> u64 {
    8 * Register::ALL.iter().position(|one| *one == register).expect("it is one of them") as u64
}

fn give_buffer(model: &mut Model, address: u64, length: u64) -> Result<(), CallError> {
    model.store_registers(place(Register::Scratch(Scratch::A)), &address.to_le_bytes())?;
    model.store_registers(place(Register::Scratch(Scratch::B)), &length.to_le_bytes())?;
    model.store_registers(place(Register::Control), &(1 | INTERRUPTS).to_le_bytes())
}

#[test]
fn dma_goes_to_the_buffer_and_nowhere_else() -> Result<(), Box<dyn std::error::Error>> {
    let memory = GuestMemory::new(0, 64 * PAGE_SIZE)?;
    let mut model = device(1, &memory);
    model.start();
    model.advance(10);
    assert!(model.ground_truth().ok_or("memory")?.written().is_empty(), "no buffer, no DMA");
    give_buffer(&mut model, 16 * PAGE_SIZE, 4 * PAGE_SIZE)?;
    model.advance(50);
    model.store_registers(place(Register::Doorbell), &7_u32.to_le_bytes())?;
    let written = model.ground_truth().ok_or("memory")?.written().clone();
    assert_eq!(written.runs().collect::<Vec<_>>().len(), 1);
    assert_eq!((written.next(0), written.count()), (Some(16), 4));
    let mut word = [0; 8];
    memory.load(16 * PAGE_SIZE, &mut word)?;
    assert_eq!(u64::from_le_bytes(word), 7);
    assert_eq!((model.take_interrupts(), model.take_interrupts()), (1, 0));
    assert_eq!(model.ground_truth().ok_or("memory")?.missed(&memory), [0; 0]);
    Ok(())
}

#[test]
fn registers_are_memory() -> Result<(), Box<dyn std::error::Error>> {
    let memory = GuestMemory::new(0, PAGE_SIZE)?;
    let mut model = device(1, &memory);
    let at = place(Register::Scratch(Scratch::C));
    model.store_registers(at, &0x1122_3344_u32.to_le_bytes())?;
    model.store_registers(at + 4, &[0x55])?;
    assert_eq!(model.register(Register::Scratch(Scratch::C)), 0x55_1122_3344);
    let mut bytes = [0xff; 12];
    model.load_registers(at + 3, &mut bytes);
    assert_eq!(bytes, [0x11, 0x55, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(model.store_registers(place(Register::Counter), &[1]).map_err(|error| error.errno), Err(Errno::EINVAL));
    model.store_registers(8 * 8, &[1])?;
    model.load_registers(u64::MAX - 1, &mut bytes);
    Ok(())
}

#[test]
fn the_devices_memory_arrives_and_counts_in_the_proof() -> Result<(), Box<dyn std::error::Error>> {
    let memory = GuestMemory::new(0, 64 * PAGE_SIZE)?;
    let (mut source, mut destination) = (device(1, &memory), device(2, &GuestMemory::new(0, 64 * PAGE_SIZE)?));
    let before = source.proof();
    source.device_memory().ok_or("memory")?.store(5000, b"what the guest wrote")?;
    assert_ne!(source.proof(), before);
    give_buffer(&mut source, 0, PAGE_SIZE)?;
    destination.device_memory().ok_or("memory")?.store(0, b"what was there before")?;
    let data = save(&mut source, 1000);
    destination.set_state(State::Resuming)?;
    write(&mut destination, &data, 777)?;
    destination.set_state(State::Running)?;
    assert!(source.saved().is_some());
    assert_eq!(source.saved(), destination.loaded());
    let there = destination.device_memory().ok_or("memory")?;
    assert!(there.differing_pages(source.device_memory().ok_or("memory")?).is_empty());
    source.reset()?;
    let mut bytes = [1; 20];
    source.device_memory().ok_or("memory")?.load(5000, &mut bytes)?;
    assert_eq!(bytes, [0; 20]);
    Ok(())
}

#[test]
fn the_iommu_logs_the_same_writes_by_itself() -> Result<(), Box<dyn std::error::Error>> {
    let memory = GuestMemory::new(0, 64 * PAGE_SIZE)?;
    let mut model = device(1, &memory);
    assert!(model.tracker().is_none(), "the settings do not say so");
    let mut tracker = model.iommu_tracker();
    tracker.start(&[memory.range()], PAGE_SIZE)?;
    give_buffer(&mut model, 8 * PAGE_SIZE, 8 * PAGE_SIZE)?;
    model.advance(20);
    let report = |tracker: &mut dyn FnMut(IovaRange, &mut Bitmap) -> Result<(), CallError>| {
        let mut dirty = Bitmap::new(memory.pages());
        tracker(memory.range(), &mut dirty).map(|()| dirty)
    };
    let peeked = report(&mut |range, into| tracker.peek(range, into))?;
    let reported = report(&mut |range, into| tracker.report(range, into))?;
    let again = report(&mut |range, into| tracker.report(range, into))?;
    assert_eq!(&peeked, model.ground_truth().ok_or("memory")?.written());
    assert_eq!(peeked, reported);
    assert!(again.is_empty());
    Ok(())
}

/// Memory with a hole in the middle.
#[derive(Debug)]
struct Holed(Mutex<Vec<u8>>);

impl Holed {
    fn with(&self, offset: u64, len: usize, work: impl FnOnce(&mut [u8])) -> Result<(), CallError> {
        let offset = usize::try_from(offset).map_err(|_| CallError::new(Errno::EFAULT))?;
        if (8192..12288).contains(&offset) {
            return Err(CallError::new(Errno::EFAULT));
        }
        let mut bytes = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        work(bytes.get_mut(offset..offset + len).ok_or_else(|| CallError::new(Errno::EFAULT))?);
        Ok(())
    }
}

impl ForeignMemory for Holed {
    fn load(&self, offset: u64, into: &mut [u8]) -> Result<(), CallError> {
        self.with(offset, into.len(), |bytes| into.copy_from_slice(bytes))
    }

    fn store(&self, offset: u64, from: &[u8]) -> Result<(), CallError> {
        self.with(offset, from.len(), |bytes| bytes.copy_from_slice(from))
    }
}

#[test]
fn foreign_memory_may_have_holes() -> Result<(), Box<dyn std::error::Error>> {
    let foreign = GuestMemory::foreign(0x10_0000, 16384, Arc::new(Holed(Mutex::new(vec![0; 16384]))))?;
    let own = GuestMemory::new(0x10_0000, 16384)?;
    assert_eq!(foreign.differing_pages(&own), [2], "only the hole");
    assert_eq!(foreign.page_digests()[0], own.page_digests()[0]);
    let part = foreign.part(4096, 4096)?;
    part.store(8, &[1])?;
    let mut byte = [0];
    foreign.load(4104, &mut byte)?;
    assert_eq!(byte, [1]);
    assert!(part.load(4096, &mut byte).is_err() && foreign.load(8192, &mut byte).is_err());

    let mut model = Model::with_memory(&Settings::parse("size=0,dma-rate=20")?, 1, foreign.clone())?;
    model.start();
    model.advance(20);
    let truth = model.ground_truth().ok_or("memory")?;
    assert_eq!(truth.written().count(), 3);
    assert!(!truth.written().get(2) && truth.missed(&foreign).is_empty());
    Ok(())
}

#[test]
fn device_memory_has_bounds() {
    for (text, good) in [("device-memory=4KiB", true), ("device-memory=5000", false), ("device-memory=2GiB", false)] {
        let parsed = Settings::parse(text);
        assert_eq!(parsed.is_ok(), good, "{text}");
        assert_eq!(matches!(parsed, Err(SettingsError::Conflict(_))), !good, "{text}");
    }
    assert!(Settings::parse("size=0,empty-stream,device-memory=4KiB").is_err());
}
