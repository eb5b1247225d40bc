//! For the benchmark only: its device, as cheap as a device can be, and the references that files are held against.

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Write};
use std::time::Instant;

use napi::Env;
use napi_derive::napi;
use vfio_migration::device::Opened;

use crate::device::BindingDevice;

#[path = "../../../benchmark/src/device.rs"]
mod device;

/// A device that gives so many bytes, or takes any number.
#[napi(catch_unwind)]
pub fn open_benchmark_device(env: Env, size: f64) -> napi::Result<BindingDevice> {
    let device = Box::new(device::BenchDevice::new(bytes(size)));
    let opened = Opened::of(device);
    BindingDevice::new(env, "benchmark:".into(), opened).map_err(|error| napi::Error::from_reason(error.to_string()))
}

/// Reference B for files: one buffer, a checksum, a write, at the end one sync. Answers with the seconds that it took.
#[napi(catch_unwind)]
pub fn pump_to_file(path: String, size: f64, chunk: u32) -> napi::Result<f64> {
    let data = device::buffer();
    let chunk = chunk as usize;
    let (mut one, mut ring, mut sum, mut left) = (vec![0; chunk], device::Ring::default(), 0, bytes(size));
    let started = Instant::now();
    let mut file = File::create(path)?;
    while left > 0 {
        let len = chunk.min(usize::try_from(left).unwrap_or(usize::MAX));
        one[..len].copy_from_slice(&data[ring.next(len)]);
        sum = crc32c::crc32c_append(sum, &one[..len]);
        file.write_all(&one[..len])?;
        left -= len as u64;
    }
    file.write_all(&sum.to_le_bytes())?;
    file.sync_all()?;
    Ok(started.elapsed().as_secs_f64())
}

/// The reference for looking into a file: one buffer, a read, a checksum. Answers with the seconds that it took.
#[napi(catch_unwind)]
pub fn sum_of_file(path: String, chunk: u32) -> napi::Result<f64> {
    let started = Instant::now();
    let (mut file, mut one, mut sum) = (File::open(path)?, vec![0; chunk as usize], 0);
    loop {
        let len = file.read(&mut one)?;
        if len == 0 {
            black_box(sum);
            return Ok(started.elapsed().as_secs_f64());
        }
        sum = crc32c::crc32c_append(sum, &one[..len]);
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number of bytes below 2^53")]
fn bytes(size: f64) -> u64 {
    size as u64
}
