//! Logs of dirty pages, each on a thread of its own: they are read while the device is in a session.

use std::sync::Arc;

use napi::Env;
use napi::bindgen_prelude::{BigInt, BigUint64Array, Object};
use napi_derive::napi;
use vfio_migration::device::{DirtyLog, DirtyPages};
use vfio_migration::{CallError, Code, Errno, Error, IovaRange};

use crate::device::{BindingDevice, Whole};
use crate::promise::Answer;
use crate::worker::{Task, Worker};

/// A range of addresses as devices see them.
#[napi(object, object_to_js = false)]
pub struct BindingRange {
    /// First address.
    pub iova: BigInt,
    /// In bytes.
    pub length: BigInt,
}

/// A log of the pages that a device writes to.
#[napi]
pub struct BindingDirtyLog {
    worker: Arc<Worker<DirtyLog>>,
    device: Arc<Worker<Whole>>,
    page_size: u64,
}

/// Pages that were read from a log and cleared there.
#[napi]
pub struct BindingDirtyPages(DirtyPages);

/// Starts the trackers of a device.
#[napi(catch_unwind, ts_return_type = "Promise<BindingDirtyLog | BindingError>")]
pub fn track_dirty<'env>(
    env: &'env Env,
    device: &BindingDevice,
    ranges: Vec<BindingRange>,
    page_size: BigInt,
) -> napi::Result<Object<'env>> {
    let (answer, promise) = Answer::promised(env)?;
    let (device, worker) = (device.worker().clone(), device.worker());
    let (ranges, page_size) = (ranges.iter().map(IovaRange::from).collect(), page_size.get_u64().1);
    worker.send(Task::Run(Box::new(move |whole| {
        let log = started(whole, ranges, page_size);
        answer.make(move |env| {
            let log = log?;
            let page_size = log.page_size();
            match Worker::start(env, "vfio-dirty-log", log) {
                Ok(worker) => Ok(BindingDirtyLog { worker, device, page_size }),
                Err((error, log)) => {
                    // What is told is why there is no log.
                    let _ = returned(log, &device);
                    Err(error)
                }
            }
        });
    })));
    Ok(promise)
}

fn started(whole: &mut Whole, ranges: Vec<IovaRange>, page_size: u64) -> Result<DirtyLog, Error> {
    if whole.tracked {
        let mut error = Error::new(Code::Usage, "the device's dirty pages are logged already");
        error.remedy = Some("close the log that there is".into());
        return Err(error);
    }
    let log = DirtyLog::start(&mut whole.trackers, ranges, page_size);
    let log = log.map_err(|error| Error::dirty_log("cannot log dirty pages", &error, error.errno == Errno::EINVAL))?;
    whole.tracked = true;
    Ok(log)
}

#[napi]
impl BindingDirtyLog {
    /// Bytes of the pages in which it is read.
    #[napi(getter)]
    pub fn page_size(&self) -> u64 {
        self.page_size
    }

    /// Reads and clears what was written to, in a window if there is one.
    #[napi(catch_unwind, ts_return_type = "Promise<BindingDirtyPages | BindingError>")]
    pub fn drain<'env>(&self, env: &'env Env, window: Option<BindingRange>) -> napi::Result<Object<'env>> {
        let window = window.as_ref().map(IovaRange::from);
        self.read(env, move |log| log.drain(window))
    }

    /// As `drain`, of a window that is within one range of the log.
    #[napi(catch_unwind, ts_return_type = "Promise<BindingDirtyPages | BindingError>")]
    pub fn snapshot<'env>(&self, env: &'env Env, window: BindingRange) -> napi::Result<Object<'env>> {
        let window = IovaRange::from(&window);
        self.read(env, move |log| log.snapshot(window))
    }

    /// Gives back what was read from an address on: it is read again.
    #[napi(catch_unwind)]
    pub fn give_back(&self, pages: &BindingDirtyPages, from: BigInt) {
        let (pages, from) = (pages.0.clone(), from.get_u64().1);
        self.worker.send(Task::Run(Box::new(move |log| log.give_back(&pages, from))));
    }

    /// Stops the trackers, after the calls before this one; the device has them back.
    #[napi(catch_unwind, ts_return_type = "Promise<undefined | BindingError>")]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let (answer, promise) = Answer::promised(env)?;
        let device = self.device.clone();
        self.worker.close(move |log| {
            let stopped = log.map_or(Ok(()), |log| returned(log, &device));
            answer.give(stopped.map_err(|error| Error::dirty_log("cannot stop a log of dirty pages", &error, false)));
        });
        Ok(promise)
    }

    fn read<'env>(
        &self,
        env: &'env Env,
        read: impl FnOnce(&mut DirtyLog) -> Result<DirtyPages, CallError> + Send + 'static,
    ) -> napi::Result<Object<'env>> {
        let (answer, promise) = Answer::promised(env)?;
        self.worker.send(Task::Run(Box::new(move |log| {
            let pages = read(log);
            let pages =
                pages.map_err(|error| Error::dirty_log("cannot read dirty pages", &error, log.lost().is_none()));
            answer.make(move |_| pages.map(BindingDirtyPages));
        })));
        Ok(promise)
    }
}

impl Drop for BindingDirtyLog {
    fn drop(&mut self) {
        let device = self.device.clone();
        // Nobody is left to be told.
        self.worker.close(move |log| drop(log.map(|log| returned(log, &device))));
    }
}

/// Stops a log. Its device has the trackers back, once it is back itself from where it is.
fn returned(log: DirtyLog, device: &Worker<Whole>) -> Result<(), CallError> {
    let (trackers, stopped) = log.stop();
    device.send(Task::Run(Box::new(move |whole| (whole.trackers, whole.tracked) = (trackers, false))));
    stopped
}

#[napi]
impl BindingDirtyPages {
    /// Bytes a page.
    #[napi(getter)]
    pub fn page_size(&self) -> u64 {
        self.0.page_size()
    }

    /// How many there are.
    #[napi(catch_unwind)]
    pub fn count(&self) -> u64 {
        self.0.count()
    }

    /// A bit for each page of the first range that was read, clear behind the last.
    #[napi(catch_unwind)]
    pub fn words(&self) -> BigUint64Array {
        BigUint64Array::new(self.0.bitmaps().next().map_or_else(Vec::new, |(_, pages)| pages.to_words()))
    }

    /// Ranges from an address on, at most so many: first address and length of each in turn. Empty at the end.
    #[napi(catch_unwind)]
    pub fn ranges(&self, from: BigInt, most: u32) -> BigUint64Array {
        let ranges = self.0.ranges_from(from.get_u64().1).take(most as usize);
        BigUint64Array::new(ranges.flat_map(|IovaRange { iova, length }| [iova, length]).collect())
    }
}

impl From<&BindingRange> for IovaRange {
    /// The facade has checked that both numbers fit.
    fn from(range: &BindingRange) -> Self {
        Self { iova: range.iova.get_u64().1, length: range.length.get_u64().1 }
    }
}
