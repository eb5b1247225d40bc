use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vfio_migration_protocol::trace::{Access, Trace};
use vfio_migration_protocol::{
    Bitmap, CallError, Capabilities, Companions, Device, Estimate, Filled, IovaRange, Passport, PreCopyInfo, Protocol,
    State, Table, Then, Tracker,
};

/// A trace holds so many lines at most; what comes after them is left out, and the last line says so.
const MOST: usize = 1 << 20;

/// Writes down every call of devices and trackers, in the order in which they end. A clone writes into the same trace.
///
/// The state that a line shows is the one that the device was last known to be in: nothing is asked for the trace's sake.
///
/// ```
/// use vfio_migration::{Device, Recording, State, device};
///
/// let recording = Recording::new();
/// let mut device = recording.device("gpu0", device::open("model:size=64KiB", None)?.device);
/// device.set_state(State::Stop)?;
/// device.set_state(State::StopCopy)?;
/// let text = "gpu0 -            set-state stop\ngpu0 stop         set-state stop-copy\n";
/// assert_eq!(recording.trace().to_string(), text);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Recording(Arc<Mutex<Trace>>);

impl Recording {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was done so far.
    pub fn trace(&self) -> Trace {
        self.lock().clone()
    }

    /// The device, with all its calls written down under a name.
    pub fn device(&self, name: &str, device: Box<dyn Device>) -> Box<dyn Device> {
        Box::new(RecordedDevice { device, name: name.into(), state: None, recording: self.clone() })
    }

    /// The tracker, with all its calls written down under a name: the device's, if it is a device's own.
    pub fn tracker(&self, name: &str, tracker: Box<dyn Tracker>) -> Box<dyn Tracker> {
        Box::new(RecordedTracker { tracker, name: name.into(), recording: self.clone() })
    }

    fn add(&self, access: Access) {
        let mut trace = self.lock();
        match trace.items().len() {
            ..MOST => trace.push(access),
            MOST => trace.push(Access::note("cut").giving("too-many-lines")),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Trace> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct RecordedDevice {
    device: Box<dyn Device>,
    name: Box<str>,
    state: Option<State>,
    recording: Recording,
}

impl RecordedDevice {
    /// The line of a call, as far as it is known before the call.
    fn begin(&self, call: &str) -> Access {
        let access = Access::new(call).of(&self.name);
        match self.state {
            Some(state) => access.within(state),
            None => access,
        }
    }

    fn end<T>(&self, access: Access, answer: &Result<T, CallError>, give: impl FnOnce(Access, &T) -> Access) {
        self.recording.add(ended(access, answer, give));
    }
}

fn ended<T>(access: Access, answer: &Result<T, CallError>, give: impl FnOnce(Access, &T) -> Access) -> Access {
    match answer {
        Ok(value) => give(access, value),
        Err(error) => access.failing(error.errno),
    }
}

/// The call gives nothing.
fn plain<T>(access: Access, _: &T) -> Access {
    access
}

/// A number of bytes as a word.
fn bytes(number: impl fmt::Display) -> String {
    format!("{number}B")
}

fn estimate(name: &str, estimate: Estimate) -> String {
    estimate.known().map_or_else(|| format!("{name}unknown"), |known| format!("{name}{known}B"))
}

impl Device for RecordedDevice {
    fn passport(&self) -> &Passport {
        self.device.passport()
    }

    fn capabilities(&self) -> Capabilities {
        self.device.capabilities()
    }

    fn protocol(&self) -> Protocol {
        self.device.protocol()
    }

    fn table(&self) -> Table {
        self.device.table()
    }

    fn state(&mut self) -> Result<State, CallError> {
        let access = self.begin("state");
        let answer = self.device.state();
        self.state = answer.as_ref().ok().copied();
        self.end(access, &answer, |access, state| access.giving(state));
        answer
    }

    fn set_state(&mut self, to: State) -> Result<(), CallError> {
        let access = self.begin("set-state").with(to);
        let answer = self.device.set_state(to);
        self.state = answer.is_ok().then_some(to);
        self.end(access, &answer, plain);
        answer
    }

    fn reset(&mut self) -> Result<(), CallError> {
        let access = self.begin("reset");
        let answer = self.device.reset();
        self.state = answer.is_ok().then_some(State::Running);
        self.end(access, &answer, plain);
        answer
    }

    fn read(&mut self, into: &mut [u8]) -> Result<Filled, CallError> {
        let access = self.begin("read").with(bytes(into.len()));
        let answer = self.device.read(into);
        self.end(access, &answer, |access, filled| {
            let access = access.giving(bytes(filled.len));
            match filled.then {
                Then::More => access,
                Then::SegmentEnd => access.giving("segment-end"),
                Then::Pause => access.giving("pause"),
                Then::End => access.giving("end"),
            }
        });
        answer
    }

    fn write(&mut self, data: &[u8], segment_end: bool) -> Result<usize, CallError> {
        let access = self.begin("write").with(bytes(data.len()));
        let access = if segment_end { access.with("segment-end") } else { access };
        let answer = self.device.write(data, segment_end);
        self.end(access, &answer, |access, taken| access.giving(bytes(taken)));
        answer
    }

    fn pre_copy_info(&mut self) -> Result<PreCopyInfo, CallError> {
        let access = self.begin("pre-copy-info");
        let answer = self.device.pre_copy_info();
        self.end(access, &answer, |access, info| {
            let access = access.giving(estimate("initial=", info.initial)).giving(estimate("dirty=", info.dirty));
            if info.reinit { access.giving("reinit") } else { access }
        });
        answer
    }

    fn data_size(&mut self) -> Result<Estimate, CallError> {
        let access = self.begin("data-size");
        let answer = self.device.data_size();
        self.end(access, &answer, |access, size| access.giving(estimate("", *size)));
        answer
    }

    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        self.device.interrupter()
    }

    fn companions(&self) -> Option<Companions> {
        self.device.companions()
    }

    fn resets(&self) -> Option<u64> {
        self.device.resets()
    }
}

struct RecordedTracker {
    tracker: Box<dyn Tracker>,
    name: Box<str>,
    recording: Recording,
}

impl RecordedTracker {
    fn call<T>(
        &mut self,
        call: &str,
        work: impl FnOnce(&mut dyn Tracker) -> Result<T, CallError>,
        give: impl FnOnce(Access, &T) -> Access,
    ) -> Result<T, CallError> {
        let answer = work(&mut *self.tracker);
        self.recording.add(ended(Access::new(call).of(&self.name), &answer, give));
        answer
    }
}

impl Tracker for RecordedTracker {
    fn start(&mut self, ranges: &[IovaRange], page_size: u64) -> Result<u64, CallError> {
        let give = |access: Access, size: &u64| access.giving(format_args!("page={size}"));
        self.call("tracker-start", |tracker| tracker.start(ranges, page_size), give)
    }

    fn report(&mut self, range: IovaRange, into: &mut Bitmap) -> Result<(), CallError> {
        self.call("tracker-report", |tracker| tracker.report(range, into), plain)
    }

    fn stop(&mut self) -> Result<(), CallError> {
        self.call("tracker-stop", |tracker| tracker.stop(), plain)
    }

    fn interrupter(&self) -> Option<Arc<dyn Fn() + Send + Sync>> {
        self.tracker.interrupter()
    }
}
