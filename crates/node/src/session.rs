//! Sessions: the engine's own threads do the work, one more per session hands its news to JavaScript.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::Env;
use napi::bindgen_prelude::{ClassInstance, Either, Object};
use napi_derive::napi;
use vfio_migration::{
    Code, Control, Device, Error, Finished, RestoreBuilder, SaveBuilder, Session, Tracker, Unstarted,
};
use vfio_migration_model::PAGE_SIZE;

use crate::cleanup::{Live, end_with_environment};
use crate::device::{BindingDevice, Loan, Owner, Whole};
use crate::error::{BindingError, closed};
use crate::model::BindingGuestMemory;
use crate::news::{BindingNews, News};
use crate::options::{BindingRestoreOptions, BindingSaveOptions};
use crate::promise::Answer;
use crate::thread::Thread;
use crate::transport::{BindingSink, BindingSource};

/// The id of the guest memory, the same at both ends.
const MEMORY: &str = "memory";

/// How a session ended for a device.
#[napi(object, object_from_js = false)]
pub struct BindingFinishedDevice {
    /// Its id.
    pub id: String,
    /// How.
    pub outcome: String,
    /// What it said last, if it said anything.
    pub state: Option<String>,
}

/// How a session ended.
#[napi(object, object_from_js = false)]
pub struct BindingFinished {
    /// The whole course, as JSON.
    pub report: String,
    /// What went wrong first, if anything did.
    pub failure: Option<BindingError>,
    /// In the order in which they were added.
    pub devices: Vec<BindingFinishedDevice>,
}

/// A session that runs.
#[napi]
pub struct BindingSession {
    control: Control,
    shared: Arc<Shared>,
}

/// What the session's thread and JavaScript share.
#[derive(Default)]
struct Shared {
    control: Mutex<Option<Control>>,
    news: Arc<News>,
    finished: Mutex<Option<BindingFinished>>,
    thread: Mutex<Option<Thread>>,
}

/// Starts a save. The devices are lent to it: once it is over, or could not start, calls to them go on. What the devices
/// have for tracking watches all of the memory.
#[napi(catch_unwind, ts_return_type = "Promise<BindingSession | BindingError>")]
pub fn start_save<'env>(
    env: &'env Env,
    options: BindingSaveOptions,
    ids: Vec<String>,
    devices: Vec<ClassInstance<'env, BindingDevice>>,
    memory: Option<&BindingGuestMemory>,
    sink: &BindingSink,
) -> napi::Result<Object<'env>> {
    let (sink, memory) = (sink.take(), memory.map(BindingGuestMemory::share));
    start(env, ids, &devices, move |news, group| {
        let sink = sink?;
        if memory.is_some() && group.tracked {
            let mut error = Error::new(Code::Usage, "a log of dirty pages has what the session needs to move memory");
            error.remedy = Some("close the log first".into());
            return Err(error);
        }
        let mut save = SaveBuilder::new(options.into());
        for (id, device) in group.devices.drain(..) {
            save.device(id, device);
        }
        let trackers: Vec<_> = group.trackers.drain(..).map(|tracker| save.tracker(tracker)).collect();
        if let Some(memory) = memory {
            save.memory(MEMORY, Box::new(memory), PAGE_SIZE, &trackers);
        }
        let (pause, unpause) = (news.clone(), news.clone());
        save.on_pause(move |left| pause.hook("pause", left.known(), None));
        save.on_unpause(move |outcome| unpause.hook("unpause", None, Some(outcome.to_string())));
        save.start(sink).map_err(|error| group.again(error, save.into_parts()))
    })
}

/// Starts a restore, as [`start_save`].
#[napi(catch_unwind, ts_return_type = "Promise<BindingSession | BindingError>")]
pub fn start_restore<'env>(
    env: &'env Env,
    options: BindingRestoreOptions,
    ids: Vec<String>,
    devices: Vec<ClassInstance<'env, BindingDevice>>,
    memory: Option<&BindingGuestMemory>,
    source: &BindingSource,
) -> napi::Result<Object<'env>> {
    let (source, memory) = (source.take(), memory.map(BindingGuestMemory::share));
    start(env, ids, &devices, move |news, group| {
        let source = source?;
        let mut restore = RestoreBuilder::new(options.into());
        for (id, device) in group.devices.drain(..) {
            restore.device(id, device);
        }
        if let Some(memory) = memory {
            restore.memory(MEMORY, Box::new(memory));
        }
        let (configure, take_over) = (news.clone(), news.clone());
        restore.on_configure(move || configure.hook("configure", None, None));
        restore.on_take_over(move || take_over.hook("takeOver", None, None));
        restore.start(source).map_err(|error| group.again(error, restore.into_parts()))
    })
}

#[napi]
impl BindingSession {
    /// What happened since the last question, as soon as there is something. One question at a time.
    #[napi(catch_unwind, ts_return_type = "Promise<BindingNews | BindingError>")]
    pub fn news<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let (answer, promise) = Answer::<BindingNews>::promised(env)?;
        self.shared.news.ask(answer);
        Ok(promise)
    }

    /// The answer of a hook: nothing, or what went wrong.
    #[napi(catch_unwind)]
    pub fn answer_hook(&self, id: u32, error: Option<String>) {
        self.shared.news.answer_hook(id, error);
    }

    /// Ends the session and brings everything back, or says why not.
    #[napi(catch_unwind)]
    pub fn cancel(&self, why: String) -> Option<BindingError> {
        failure(self.control.cancel(why))
    }

    /// Ends pre-copy now.
    #[napi(catch_unwind)]
    pub fn switchover(&self) -> Option<BindingError> {
        failure(self.control.switchover())
    }

    /// In doubt: takes the guest back.
    #[napi(catch_unwind)]
    pub fn take_back(&self, force: bool) -> Option<BindingError> {
        failure(self.control.take_back(force))
    }

    /// In doubt: gives up what is kept here.
    #[napi(catch_unwind)]
    pub fn discard(&self) -> Option<BindingError> {
        failure(self.control.discard())
    }

    /// In doubt: takes the guest over.
    #[napi(catch_unwind)]
    pub fn claim(&self) -> Option<BindingError> {
        failure(self.control.claim())
    }

    /// Whether the caller must decide.
    #[napi(getter)]
    pub fn in_doubt(&self) -> bool {
        self.control.is_in_doubt()
    }

    /// How it ended, once, after the news has said that it is over.
    #[napi(catch_unwind, ts_return_type = "BindingFinished | BindingError")]
    pub fn finished(&self) -> Either<BindingFinished, BindingError> {
        match self.shared.finished.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(finished) => Either::A(finished),
            None => Either::B(closed("the session").into()),
        }
    }
}

impl From<&Finished> for BindingFinished {
    fn from(finished: &Finished) -> Self {
        let devices = finished.devices.iter().map(|device| BindingFinishedDevice {
            id: device.id.clone(),
            outcome: device.outcome.to_string(),
            state: device.state.map(|state| state.to_string()),
        });
        Self {
            report: serde_json::to_string(&finished.report).expect("a report is plain data"),
            failure: finished.failure.clone().map(BindingError::from),
            devices: devices.collect(),
        }
    }
}

/// Starts a session with devices that are lent to it, on a thread that stays with it until it is over. A `begin` that fails
/// leaves the group as it was.
fn start<'env>(
    env: &'env Env,
    ids: Vec<String>,
    devices: &[ClassInstance<'env, BindingDevice>],
    begin: impl FnOnce(&Arc<News>, &mut Group) -> Result<Session, Error> + Send + 'static,
) -> napi::Result<Object<'env>> {
    let (answer, promise) = Answer::promised(env)?;
    let loans: Vec<_> = devices.iter().map(|device| device.lend()).collect();
    let shared = Arc::new(Shared::default());
    let living: Arc<dyn Live> = shared.clone();
    end_with_environment(*env, &living)?;
    let watched = shared.clone();
    let thread = answer.by_thread("vfio-session", move |answer| match borrow(ids, loans) {
        Ok((group, lenders)) => watched.run(answer, group, lenders, begin),
        Err(error) => answer.give(Err(error)),
    });
    *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = thread;
    Ok(promise)
}

/// The devices of a session, by their ids, and what it has no use for of what came with them.
#[derive(Default)]
struct Group {
    devices: Vec<(String, Box<dyn Device>)>,
    /// Those of all devices, in the order of the devices.
    trackers: Vec<Box<dyn Tracker>>,
    /// A log of dirty pages has those of a device.
    tracked: bool,
}

/// Whom a device of a session goes back to.
struct Lender {
    id: String,
    trackers: usize,
    tracked: bool,
    to: Owner,
}

/// Waits for devices. If one of them was closed meanwhile, the others stay where they were.
fn borrow(ids: Vec<String>, loans: Vec<Loan>) -> Result<(Group, Vec<Lender>), Error> {
    let (mut group, mut lenders, mut failed) = (Group::default(), Vec::new(), None);
    for (id, loan) in ids.into_iter().zip(loans) {
        match loan.take() {
            Ok((Whole { device, trackers, tracked }, to)) => {
                lenders.push(Lender { id: id.clone(), trackers: trackers.len(), tracked, to });
                group.devices.push((id, device));
                group.trackers.extend(trackers);
                group.tracked |= tracked;
            }
            Err(error) => failed = Some(Error { object: Some(id), ..error }),
        }
    }
    match failed {
        None => Ok((group, lenders)),
        Some(error) => {
            group.give_back(lenders);
            Err(error)
        }
    }
}

impl Group {
    /// Takes everything back from a session that did not start, and passes on why not.
    fn again(&mut self, error: Error, unstarted: Unstarted) -> Error {
        self.devices = unstarted.devices;
        self.trackers.extend(unstarted.trackers);
        error
    }

    fn give_back(self, lenders: Vec<Lender>) {
        let (mut devices, mut trackers) = (self.devices, self.trackers.into_iter());
        for Lender { id, trackers: count, tracked, to } in lenders {
            let trackers = trackers.by_ref().take(count).collect();
            if let Some(place) = devices.iter().position(|(other, _)| *other == id) {
                to.give_back(Whole { device: devices.swap_remove(place).1, trackers, tracked });
            }
        }
    }
}

impl Shared {
    /// Starts a session and hands its news on until it is over.
    fn run(
        self: &Arc<Self>,
        answer: Answer<BindingSession>,
        mut group: Group,
        lenders: Vec<Lender>,
        begin: impl FnOnce(&Arc<News>, &mut Group) -> Result<Session, Error>,
    ) {
        let session = match begin(&self.news, &mut group) {
            Ok(session) => session,
            Err(error) => {
                group.give_back(lenders);
                return answer.give(Err(error));
            }
        };
        *self.control() = Some(session.control());
        let binding = BindingSession { control: session.control(), shared: self.clone() };
        answer.give(Ok(binding));
        for event in session.events() {
            self.news.event(event);
        }
        let finished = session.wait();
        let summary = BindingFinished::from(&finished);
        group.devices = finished.devices.into_iter().map(|device| (device.id, device.device)).collect();
        group.trackers.extend(finished.trackers);
        group.give_back(lenders);
        *self.finished.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary);
        self.news.over();
    }

    fn control(&self) -> MutexGuard<'_, Option<Control>> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live for Shared {
    fn signal(&self) {
        if let Some(control) = &*self.control() {
            // Too late to cancel: then the session goes on to its end, or stays in doubt, without JavaScript.
            let _ = control.cancel("the process ends");
        }
        self.news.deafen();
    }

    fn thread(&self) -> Option<Thread> {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // In doubt nothing ends before somebody decides, and nobody is left who could.
        thread.filter(|_| !self.control().as_ref().is_some_and(Control::is_in_doubt))
    }

    fn lives(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

fn failure(result: Result<(), Error>) -> Option<BindingError> {
    result.err().map(BindingError::from)
}
