//! Threads that JavaScript's thread asks for.
//!
//! In WASM a thread is made by JavaScript's event loop, while libc of whoever asked for it holds the lock on its list of
//! threads (`pthread_create`). If JavaScript's thread asked itself, it could wait for that lock while the other one waits
//! for the event loop: for ever. So there one thread, made before any other, asks on its behalf, and nobody waits.

use std::sync::mpsc::{Sender, channel};

use vfio_migration::{Code, Error};

#[cfg(target_family = "wasm")]
pub(crate) use on_behalf::Thread;
#[cfg(target_family = "wasm")]
use on_behalf::spawn;
#[cfg(not(target_family = "wasm"))]
pub(crate) use own::Thread;
#[cfg(not(target_family = "wasm"))]
use own::spawn;

/// Starts a thread that waits for what it is to work with: until that is sent, the caller has it, whatever fails.
pub(crate) fn waiting<T: Send + 'static>(
    name: &str,
    work: impl FnOnce(T) + Send + 'static,
) -> Result<(Thread, Sender<T>), Error> {
    let (give, given) = channel();
    let thread = spawn(name, move || {
        if let Ok(owned) = given.recv() {
            work(owned);
        }
    });
    let thread = thread.map_err(|error| Error::new(Code::Host, format!("cannot start a thread: {error}")))?;
    Ok((thread, give))
}

#[cfg(not(target_family = "wasm"))]
mod own {
    use std::io;
    use std::thread::{Builder, JoinHandle};

    /// A thread that can be waited for.
    pub(crate) struct Thread(JoinHandle<()>);

    /// Runs something on a thread of its own.
    pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
        Builder::new().name(name.into()).spawn(run).map(Thread)
    }

    impl Thread {
        pub(crate) fn is_finished(&self) -> bool {
            self.0.is_finished()
        }

        /// Waits for its end. A panic was reported where it happened; there is nobody left to tell.
        pub(crate) fn join(self) {
            let _ = self.0.join();
        }
    }
}

#[cfg(target_family = "wasm")]
mod on_behalf {
    use std::io;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, OnceLock, Weak};
    use std::thread::Builder;

    /// A thread that is going to be made, or was.
    pub(crate) struct Thread(Weak<()>);

    struct Wish {
        name: String,
        run: Box<dyn FnOnce() + Send>,
    }

    static WISHES: OnceLock<Sender<Wish>> = OnceLock::new();

    /// Runs something on a thread of its own, or drops it: what it was to answer then says that nobody is left to.
    pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
        let alive = Arc::new(());
        let thread = Thread(Arc::downgrade(&alive));
        let run = Box::new(move || {
            run();
            drop(alive);
        });
        let wishes = match WISHES.get() {
            Some(wishes) => wishes,
            None => {
                let (wishes, todo) = channel();
                Builder::new().name("vfio-threads".into()).spawn(|| grant(todo))?;
                WISHES.get_or_init(|| wishes)
            }
        };
        let wish = Wish { name: name.into(), run };
        wishes.send(wish).map_err(|_| io::Error::other("the thread that makes them has ended"))?;
        Ok(thread)
    }

    fn grant(todo: Receiver<Wish>) {
        for Wish { name, run } in todo {
            // Where there are no more threads, the wish has been dropped.
            let _ = Builder::new().name(name).spawn(run);
        }
    }

    impl Thread {
        pub(crate) fn is_finished(&self) -> bool {
            self.0.strong_count() == 0
        }

        /// Nothing is waited for where the event loop would have to go on.
        pub(crate) fn join(self) {}
    }
}
