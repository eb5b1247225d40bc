//! Sessions: the engine's own threads do the work, one more per session hands its news to JavaScript.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use napi::Env;
use napi::bindgen_prelude::{ClassInstance, Either, Object};
use napi_derive::napi;
use vfio_migration::{Code, Control, Device, Error, Finished, RestoreBuilder, SaveBuilder, Session, Tracker};
use vfio_migration_model::PAGE_SIZE;

use crate::cleanup::{Live, end_with_environment};
use crate::device::{BindingDevice, Loan, Whole};
use crate::error::{BindingError, closed};
use crate::model::BindingGuestMemory;
use crate::news::{BindingNews, News};
use crate::options::{BindingRestoreOptions, BindingSaveOptions};
use crate::promise::Answer;
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
    thread: Mutex<Option<JoinHandle<()>>>,
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
    start(env, ids, &devices, move |news, devices| {
        let mut save = SaveBuilder::new(options.into());
        let mut trackers = Vec::new();
        let tracked = devices.iter().any(|(_, whole)| whole.tracked);
        for (id, whole) in devices {
            save.device(id, whole.device);
            trackers.extend(whole.trackers.into_iter().map(|tracker| save.tracker(tracker)));
        }
        if let Some(memory) = memory {
            if tracked {
                let mut error =
                    Error::new(Code::Usage, "a log of dirty pages has what the session needs to move memory");
                error.remedy = Some("close the log first".into());
                return Err((error, save.into_devices()));
            }
            save.memory(MEMORY, Box::new(memory), PAGE_SIZE, &trackers);
        }
        let (pause, unpause) = (news.clone(), news.clone());
        save.on_pause(move |left| pause.hook("pause", left.known(), None));
        save.on_unpause(move |outcome| unpause.hook("unpause", None, Some(outcome.to_string())));
        sink.and_then(|sink| save.start(sink)).map_err(|error| (error, save.into_devices()))
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
    start(env, ids, &devices, move |news, devices| {
        let mut restore = RestoreBuilder::new(options.into());
        for (id, whole) in devices {
            restore.device(id, whole.device);
        }
        if let Some(memory) = memory {
            restore.memory(MEMORY, Box::new(memory));
        }
        let (configure, take_over) = (news.clone(), news.clone());
        restore.on_configure(move || configure.hook("configure", None, None));
        restore.on_take_over(move || take_over.hook("takeOver", None, None));
        source.and_then(|source| restore.start(source)).map_err(|error| (error, restore.into_devices()))
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

type Started = Result<Session, (Error, Vec<(String, Box<dyn Device>)>)>;

/// Starts a session with devices that are lent to it, on a thread that stays with it until it is over.
fn start<'env>(
    env: &'env Env,
    ids: Vec<String>,
    devices: &[ClassInstance<'env, BindingDevice>],
    begin: impl FnOnce(&Arc<News>, Group) -> Started + Send + 'static,
) -> napi::Result<Object<'env>> {
    let (answer, promise) = Answer::promised(env)?;
    let loans: Vec<_> = devices.iter().map(|device| device.lend()).collect();
    let shared = Arc::new(Shared::default());
    let living: Arc<dyn Live> = shared.clone();
    end_with_environment(*env, &living)?;
    let watched = shared.clone();
    let work = move || match borrow(ids, loans) {
        Ok((named, owners)) => watched.run(answer, owners, |news| begin(news, named)),
        Err(error) => answer.give(Err(error)),
    };
    let thread = thread::Builder::new().name("vfio-session".into()).spawn(work)?;
    *shared.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
    Ok(promise)
}

/// Whom a device of a session goes back to.
struct Owner {
    id: String,
    trackers: usize,
    tracked: bool,
    to: Sender<Whole>,
}

/// Gives devices back to their owners. Trackers are those of all devices, in the order in which they were added.
fn give_back(owners: Vec<Owner>, mut devices: Vec<(String, Box<dyn Device>)>, trackers: Vec<Box<dyn Tracker>>) {
    let mut trackers = trackers.into_iter();
    for owner in owners {
        let trackers = trackers.by_ref().take(owner.trackers).collect();
        if let Some(place) = devices.iter().position(|(id, _)| *id == owner.id) {
            let device = devices.swap_remove(place).1;
            // An owner that is gone was closed meanwhile, and so is the device.
            let _ = owner.to.send(Whole { device, trackers, tracked: owner.tracked });
        }
    }
}

/// Devices by their ids, as a session gets them.
type Group = Vec<(String, Whole)>;

fn borrow(ids: Vec<String>, loans: Vec<Loan>) -> Result<(Group, Vec<Owner>), Error> {
    let (mut named, mut owners) = (Vec::new(), Vec::new());
    for (id, loan) in ids.into_iter().zip(loans) {
        // On a failure the devices before this one are dropped with their loans' ends, which closes them: one of the
        // group was closed while the session began.
        let (whole, to) = loan.take()?;
        owners.push(Owner { id: id.clone(), trackers: whole.trackers.len(), tracked: whole.tracked, to });
        named.push((id, whole));
    }
    Ok((named, owners))
}

impl Shared {
    /// Starts a session and hands its news on until it is over.
    fn run(
        self: &Arc<Self>,
        answer: Answer<BindingSession>,
        owners: Vec<Owner>,
        begin: impl FnOnce(&Arc<News>) -> Started,
    ) {
        let session = match begin(&self.news) {
            Ok(session) => session,
            Err((error, devices)) => {
                give_back(owners, devices, Vec::new());
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
        let devices = finished.devices.into_iter().map(|device| (device.id, device.device));
        give_back(owners, devices.collect(), finished.trackers);
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

    fn thread(&self) -> Option<JoinHandle<()>> {
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
