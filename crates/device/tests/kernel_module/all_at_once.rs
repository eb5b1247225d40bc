//! Everything at once, from many threads: whatever the order, the driver survives it and the device is good afterwards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::io::{read, write};
use vfio_migration_protocol::State;
use vfio_migration_uapi::layout::DmaLoggingRange;
use vfio_migration_uapi::mapping::Mapping;
use vfio_migration_uapi::{device, feature};

use crate::bench::Bench;
use crate::open_device::{OpenDevice, Register, precopy_info};

const IOVA: u64 = 1 << 20;
const LENGTH: u64 = 64 * 4096;
const TIME: Duration = Duration::from_secs(2);

/// The seeds are fixed; how the threads meet is not.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Goes from state to state, and uses what data fds it gets.
fn wander(device: &OpenDevice, seed: u64, stop: &AtomicBool) -> u64 {
    let (mut random, mut sessions) = (Random(seed), 0);
    while !stop.load(Ordering::Relaxed) {
        let state = u32::try_from(random.below(8)).expect("a small number");
        if let Ok(Some(fd)) = feature::set_state(device.fd(), state) {
            sessions += 1;
            let mut bytes = [0; 5000];
            for _ in 0..random.below(20) {
                // Errors are expected: another thread has ended the session, or this is no fd to read from.
                let _ = (read(&fd, &mut bytes), precopy_info(&fd), write(&fd, &bytes));
            }
        }
    }
    sessions
}

#[test]
fn whatever_happens_at_once_nothing_breaks() {
    let Some(bench) = Bench::take() else { return };
    let knobs = &bench.knobs[0];
    knobs.set("dirty_per_query", 8192);
    let device = OpenDevice::by_group(knobs);
    let memory = Mapping::anonymous(crate::bench::length(LENGTH)).expect("memory");
    device.map(memory.whole(), IOVA);
    device.set_register(Register::Iova, IOVA);
    device.set_register(Register::Length, LENGTH);
    let stop = AtomicBool::new(false);
    let until_stopped = |work: &mut dyn FnMut()| {
        while !stop.load(Ordering::Relaxed) {
            work();
        }
    };
    let sessions: u64 = std::thread::scope(|scope| {
        let wanderers = [1, 2].map(|seed| {
            scope.spawn({
                let (device, stop) = (&device, &stop);
                move || wander(device, seed, stop)
            })
        });
        scope.spawn(|| {
            until_stopped(&mut || {
                let _ = device::reset(device.fd());
                // A reset takes the addresses away.
                for (register, value) in [(Register::Iova, IOVA), (Register::Length, LENGTH), (Register::Control, 1)] {
                    device.set_register(register, value);
                }
                std::thread::sleep(Duration::from_millis(7));
            });
        });
        scope.spawn(|| {
            until_stopped(&mut || {
                device.unmap(IOVA, LENGTH);
                device.map(memory.whole(), IOVA);
            });
        });
        scope.spawn(|| {
            let range = DmaLoggingRange { iova: IOVA, length: LENGTH };
            until_stopped(&mut || {
                let _ = feature::start_dma_logging(device.fd(), &[range], 4096);
                let _ = feature::report_dma_logging(device.fd(), range, 4096, &mut [0]);
                let _ = feature::stop_dma_logging(device.fd());
            });
        });
        scope.spawn(|| {
            until_stopped(&mut || {
                let _ = (knobs.text("trace"), knobs.text("counts"), knobs.truth(), knobs.text("faults"));
                knobs.set("truth", 0);
                let _ = knobs.try_write("size", "20000");
            });
        });
        let begun = Instant::now();
        while begun.elapsed() < TIME {
            std::thread::sleep(Duration::from_millis(10));
        }
        stop.store(true, Ordering::Relaxed);
        wanderers.map(|thread| thread.join().expect("it wanders on")).into_iter().sum()
    });
    assert!(sessions > 10, "only {sessions} sessions");
    device.reset().expect("a reset always works");
    bench.knobs[1].set("size", knobs.get("size"));
    knobs.set("secret", 4711);
    let destination = OpenDevice::by_group(&bench.knobs[1]);
    destination.load(&device.save(), 1 << 20).expect("the device is as good as new");
    destination.to(State::Running);
    assert_eq!(bench.knobs[1].get("secret"), 4711);
}
