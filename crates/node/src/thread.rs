//! Threads that JavaScript's thread asks for.
//!
//! In WASM a thread is made by JavaScript's event loop, while libc of whoever asked for it holds the lock on its list of
//! threads (`pthread_create`). If JavaScript's thread asked itself, it could wait for that lock while the other one waits
//! for the event loop: for ever. So there one thread, made before any other, asks on its behalf, and nobody waits.

use std::io;

use vfio_migration::{Code, Error};

#[cfg(target_family = "wasm")]
pub(crate) use on_behalf::{Thread, spawn};
#[cfg(not(target_family = "wasm"))]
pub(crate) use own::{Thread, spawn};

fn refused(error: &io::Error) -> Error {
    Error::new(Code::Host, format!("cannot start a thread: {error}"))
}

#[cfg(not(target_family = "wasm"))]
mod own {
    use std::thread::{Builder, JoinHandle};

    use vfio_migration::Error;

    use super::refused;

    /// A thread that can be waited for.
    pub(crate) struct Thread(JoinHandle<()>);

    /// Runs something on a thread of its own.
    pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<Thread, Error> {
        Builder::new().name(name.into()).spawn(run).map(Thread).map_err(|error| refused(&error))
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

    use vfio_migration::Error;

    use super::refused;

    /// A thread that is going to be made, or was.
    pub(crate) struct Thread(Weak<()>);

    struct Wish {
        name: String,
        run: Box<dyn FnOnce() + Send>,
    }

    static WISHES: OnceLock<Sender<Wish>> = OnceLock::new();

    /// Runs something on a thread of its own, or drops it: what it was to answer then says that nobody is left to.
    pub(crate) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<Thread, Error> {
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
                let granting = Builder::new().name("vfio-threads".into()).spawn(|| grant(todo));
                granting.map_err(|error| refused(&error))?;
                WISHES.get_or_init(|| wishes)
            }
        };
        let wish = Wish { name: name.into(), run };
        wishes.send(wish).map_err(|_| refused(&io::Error::other("the thread that makes them has ended")))?;
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
