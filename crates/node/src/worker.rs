//! A thread that owns something whose calls block: they are made in the order in which they were asked for.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use napi::Env;
use vfio_migration::{Code, Error};

use crate::cleanup::{Live, end_with_environment};
use crate::thread::{self, Thread};

/// The thread that owns a `T` until it is closed or taken.
pub(crate) struct Worker<T> {
    tasks: Mutex<Option<Sender<Task<T>>>>,
    thread: Mutex<Option<Thread>>,
}

pub(crate) enum Task<T> {
    /// A call.
    Run(Box<dyn FnOnce(&mut T) + Send>),
    /// Gives it away, by a channel that keeps nothing, and waits until it is back.
    Lend(SyncSender<T>, Receiver<T>),
    /// The last task.
    Close(Box<dyn FnOnce(Option<T>) + Send>),
}

impl<T: Send + 'static> Worker<T> {
    /// On JavaScript's thread: it is closed at the latest when the environment ends. What cannot be served is given back
    /// with the error.
    pub(crate) fn start(env: Env, name: &str, owned: T) -> Result<Arc<Self>, (Error, T)> {
        let (tasks, todo) = channel();
        let (thread, give) = match thread::waiting(name, |owned| work(owned, todo)) {
            Ok(started) => started,
            Err(error) => return Err((error, owned)),
        };
        let worker = Arc::new(Self { tasks: Mutex::new(Some(tasks)), thread: Mutex::new(Some(thread)) });
        let living: Arc<dyn Live> = worker.clone();
        if let Err(error) = end_with_environment(env, &living) {
            let what = format!("cannot watch the end of the environment: {error}");
            return Err((Error::new(Code::Host, what), owned));
        }
        match give.send(owned) {
            Ok(()) => Ok(worker),
            Err(unsent) => Err((Error::new(Code::Host, format!("the thread {name} has ended already")), unsent.0)),
        }
    }

    /// Once closed, the task is dropped, and its promise says so.
    pub(crate) fn send(&self, task: Task<T>) {
        if let Some(tasks) = &*self.tasks.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = tasks.send(task);
        }
    }

    /// Hands what is owned to `last`, after the tasks before this one; nothing if it was closed before.
    pub(crate) fn close(&self, last: impl FnOnce(Option<T>) + Send + 'static) {
        match self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(tasks) => drop(tasks.send(Task::Close(Box::new(last)))),
            None => last(None),
        }
    }
}

fn work<T>(mut owned: T, todo: Receiver<Task<T>>) {
    for task in todo {
        match task {
            Task::Run(call) => call(&mut owned),
            Task::Lend(to, back) => {
                // Whoever did not take it after all has it in the error.
                let lent = to.send(owned);
                match lent.map_or_else(|unsent| Some(unsent.0), |()| back.recv().ok()) {
                    Some(returned) => owned = returned,
                    None => return,
                }
            }
            Task::Close(last) => return last(Some(owned)),
        }
    }
}

impl<T: Send + 'static> Live for Worker<T> {
    fn signal(&self) {
        self.close(drop);
    }

    fn thread(&self) -> Option<Thread> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn lives(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}
