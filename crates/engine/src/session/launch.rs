//! Starting a session: the machine, the buffers, one thread for everything that may block.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use vfio_migration_protocol::Tracker;
use vfio_migration_protocol::session::{
    Hook, MAX_CHUNK, MAX_DEPTH, Mode, Object, Restore, RestoreOptions, Save, SaveOptions, TrackerCall, TrackerIndex,
};

use super::control::Session;
use super::core::{Core, Posts};
use super::crew::{Crew, Hand};
use super::incoming::{Answers, Stream};
use super::machine::Machine;
use super::outbox::{Outbox, Posting};
use super::outgoing::{Carrier, Outgoing};
use super::parts::{Hooks, Part, Parts};
use super::pool::Pool;
use super::under_way::UnderWay;
use super::workers::{self, Moved, Task, Worker};
use crate::transport::{Inlet, Link, Outlet};
use crate::{Code, Error, RestoreSettings, Sink, Source};

/// How long the threads of a connection wait for the other end to close, at most.
const LINGER: Duration = Duration::from_secs(2);

pub(crate) fn start_save(
    mut options: SaveOptions,
    parts: &mut Parts,
    hooks: &mut Hooks,
    sink: Sink,
) -> Result<Session, Error> {
    options.mode = sink.mode();
    let (mode, depth, records) = (options.mode, options.depth, !options.no_events);
    let deadline = options.deadline;
    let machine = Save::new(options, random()?, parts.to_save())?;
    let pool = Arc::new(Pool::new(depth));
    let Link { outlet, inlet, interrupt } = sink.into_link();
    let machine = Machine::Save(Box::new(machine));
    let core = Arc::new(Core::new(machine, Some(mode), records, Arc::clone(&pool), interrupt));
    let threads = Threads::start(&core, &pool, parts)?;
    let (back, key) = channel();
    let receiving = |core: &Arc<Core>, done: Sender<()>| {
        let Some(inlet) = inlet else { return Ok(None) };
        let answers = Answers { core: Arc::clone(core), inlet, key };
        let run = move || {
            answers.run();
            drop(done);
        };
        Builder::new().name("vfio-receive".into()).spawn(run).map(Some)
    };
    threads.go(
        core,
        parts,
        hooks,
        Wire { outlet, mode, back: Some(back), outbox: Posting(Arc::new(Outbox::new())), deadline },
        receiving,
    )
}

pub(crate) fn start_restore(
    options: RestoreOptions,
    settings: &RestoreSettings,
    parts: &mut Parts,
    hooks: &mut Hooks,
    source: Source,
) -> Result<Session, Error> {
    let &RestoreSettings { depth, largest_chunk } = settings;
    if !(1..=MAX_DEPTH).contains(&depth) {
        return Err(Error::usage(format!("the depth is {depth} and must be 1 to {MAX_DEPTH}")));
    }
    let Link { outlet, inlet, interrupt } = source.into_link();
    let deadline = options.deadline;
    let machine = Restore::new(options, parts.to_restore())?;
    let pool = Arc::new(Pool::new(depth));
    let machine = Machine::Restore(Box::new(machine));
    let core = Arc::new(Core::new(machine, None, false, Arc::clone(&pool), interrupt));
    let threads = Threads::start(&core, &pool, parts)?;
    let outbox = Arc::new(Outbox::new());
    let can_answer = outlet.is_some();
    let largest_chunk = largest_chunk.min(MAX_CHUNK);
    let receiving = {
        let outbox = Arc::clone(&outbox);
        move |core: &Arc<Core>, done: Sender<()>| {
            let inlet = inlet.unwrap_or_else(|| Inlet::Bytes(Box::new(io::empty())));
            let stream = Stream { core: Arc::clone(core), pool, inlet, can_answer, largest_chunk, outbox };
            let run = move || {
                stream.run();
                drop(done);
            };
            Builder::new().name("vfio-receive".into()).spawn(run).map(Some)
        }
    };
    let wire = Wire { outlet, mode: Mode::Connected, back: None, outbox: Posting(outbox), deadline };
    threads.go(core, parts, hooks, wire, receiving)
}

/// What the sending thread is made of.
struct Wire {
    outlet: Option<Outlet>,
    mode: Mode,
    back: Option<Sender<vfio_migration_protocol::stream::BackKey>>,
    outbox: Posting,
    /// Of every call.
    deadline: Duration,
}

/// The workers, which own nothing yet.
struct Threads {
    pool: Arc<Pool>,
    objects: Vec<Worker<Moved, Task>>,
    under_way: Vec<Arc<UnderWay>>,
    trackers: Vec<Worker<Box<dyn Tracker>, TrackerCall>>,
    hooks: Worker<Hooks, Hook>,
}

impl Threads {
    fn start(core: &Arc<Core>, pool: &Arc<Pool>, parts: &Parts) -> Result<Self, Error> {
        let mut under_way: Vec<_> =
            parts.objects.iter().map(|part| Arc::new(UnderWay::new(part.interrupter()))).collect();
        let objects = (0..).zip(&under_way).map(|(index, under_way)| {
            let serve = workers::object(Object(index), Arc::clone(core), Arc::clone(pool), Arc::clone(under_way));
            Worker::start("vfio-object", serve)
        });
        let objects = objects.collect::<io::Result<_>>().map_err(|error| no_thread(&error))?;
        let tracking: Vec<_> =
            parts.trackers.iter().map(|tracker| Arc::new(UnderWay::new(tracker.interrupter()))).collect();
        let trackers = (0..).zip(&tracking).map(|(index, under_way)| {
            let serve = workers::tracker(TrackerIndex(index), Arc::clone(core), Arc::clone(under_way));
            Worker::start("vfio-tracker", serve)
        });
        let trackers = trackers.collect::<io::Result<_>>().map_err(|error| no_thread(&error))?;
        under_way.extend(tracking);
        let hooks = Worker::start("vfio-hooks", workers::hooks(Arc::clone(core))).map_err(|error| no_thread(&error))?;
        Ok(Self { pool: Arc::clone(pool), objects, under_way, trackers, hooks })
    }

    /// Starts the rest; only when every thread stands do they get what they own.
    fn go(
        self,
        core: Arc<Core>,
        parts: &mut Parts,
        hooks: &mut Hooks,
        wire: Wire,
        receiving: impl FnOnce(&Arc<Core>, Sender<()>) -> io::Result<Option<JoinHandle<()>>>,
    ) -> Result<Session, Error> {
        let Wire { outlet, mode, back, outbox, deadline } = wire;
        // Nobody waits for the close of what cannot be answered.
        let linger = if outlet.is_some() { LINGER.min(deadline) } else { Duration::ZERO };
        let (done, ended) = channel::<()>();
        let outgoing = Outgoing { core: Arc::clone(&core), pool: self.pool, outlet, mode, back };
        let (sending_done, sends) = (done.clone(), Arc::clone(&outbox.0));
        let sending = Builder::new().name("vfio-send".into()).spawn(move || {
            sends.serve(Carrier::new(outgoing));
            drop(sending_done);
        });
        let sending = sending.map_err(|error| no_thread(&error))?;
        let (crew_for, crew) = channel::<Crew>();
        let driver = Builder::new().name("vfio-session".into()).spawn({
            let core = Arc::clone(&core);
            move || crew.recv().ok().map(|crew| crew.run(&core))
        });
        let driver = driver.map_err(|error| no_thread(&error))?;
        let receiving = receiving(&core, done).map_err(|error| no_thread(&error))?;

        let mut posts = Posts {
            objects: Vec::new(),
            trackers: Vec::new(),
            hooks: channel().0,
            parcels: outbox,
            posted: Cell::new(false),
        };
        let mut hands = Vec::new();
        for (part, worker) in parts.objects.drain(..).zip(self.objects) {
            let (id, moved) = match part {
                Part::Device { id, device } => (id, Moved::Device(device)),
                Part::Memory { id, memory, .. } => (id, Moved::Memory(memory)),
            };
            let (tasks, thread) = worker.own(moved);
            posts.objects.push(tasks);
            hands.push(Hand { id, thread });
        }
        let mut tracking = Vec::new();
        for (tracker, worker) in parts.trackers.drain(..).zip(self.trackers) {
            let (tasks, thread) = worker.own(tracker);
            posts.trackers.push(tasks);
            tracking.push(thread);
        }
        let (hook, hooking) = self.hooks.own(std::mem::take(hooks));
        posts.hooks = hook;
        let crew = Crew {
            objects: hands,
            trackers: tracking,
            hooks: hooking,
            under_way: self.under_way,
            deadline,
            sending,
            receiving,
            ended,
            linger,
        };
        // From here on nothing can be given back any more, and nothing fails.
        crew_for.send(crew).expect("the session's own thread waits for this and does nothing before");
        core.begin(posts);
        Ok(Session::new(core, driver))
    }
}

fn random() -> Result<[u8; 16], Error> {
    let mut bytes = [0; 16];
    crate::transport::random(&mut bytes)
        .map_err(|error| Error::io(Code::Host, "cannot have random numbers", &error))?;
    Ok(bytes)
}

fn no_thread(error: &io::Error) -> Error {
    Error::io(Code::Host, "cannot start a thread", error)
}
