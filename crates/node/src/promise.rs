//! Promises that another thread settles, with a value or with a failure as a value.

use std::any::type_name;

use napi::bindgen_prelude::{Either, Object, ToNapiValue};
use napi::{Env, JsDeferred};
use vfio_migration::{Code, Error};

use crate::error::BindingError;
use crate::thread::{self, Thread};

type Settle<T> = Box<dyn FnOnce(Env) -> napi::Result<Either<T, BindingError>> + Send>;

/// The duty to settle a promise once. Dropped without an answer, it says that whoever had the duty is gone.
pub(crate) struct Answer<T: ToNapiValue + 'static> {
    deferred: Option<JsDeferred<Either<T, BindingError>, Settle<T>>>,
}

impl<T: ToNapiValue + 'static> Answer<T> {
    /// A promise, and the duty to settle it.
    pub(crate) fn promised(env: &Env) -> napi::Result<(Self, Object<'_>)> {
        let (deferred, promise) = env.create_deferred()?;
        Ok((Self { deferred: Some(deferred) }, promise))
    }

    /// Settles it with a value that is made on JavaScript's thread.
    pub(crate) fn make(mut self, make: impl FnOnce(Env) -> Result<T, Error> + Send + 'static) {
        self.settle(Box::new(move |env| {
            Ok(match make(env) {
                Ok(value) => Either::A(value),
                Err(error) => Either::B(error.into()),
            })
        }));
    }

    /// Hands the duty to a thread of its own. Where the host refuses one, that is the answer.
    pub(crate) fn by_thread(self, name: &str, work: impl FnOnce(Self) + Send + 'static) -> Option<Thread> {
        match thread::waiting(name, work) {
            Ok((thread, hand)) => {
                // A thread that is gone already has dropped it: then it says that nobody is left.
                let _ = hand.send(self);
                Some(thread)
            }
            Err(error) => {
                self.make(|_| Err(error));
                None
            }
        }
    }

    fn settle(&mut self, settle: Settle<T>) {
        if let Some(deferred) = self.deferred.take() {
            deferred.resolve(settle);
        }
    }
}

impl<T: ToNapiValue + Send + 'static> Answer<T> {
    /// Settles it.
    pub(crate) fn give(self, result: Result<T, Error>) {
        self.make(move |_| result);
    }
}

impl<T: ToNapiValue + 'static> Drop for Answer<T> {
    fn drop(&mut self) {
        self.settle(Box::new(|_| {
            let what = format!("nobody is left to answer with {}", type_name::<T>());
            Ok(Either::B(Error::new(Code::Usage, what).into()))
        }));
    }
}

/// Does something that may take long on a thread of its own.
pub(crate) fn elsewhere<'env, T: ToNapiValue + Send + 'static>(
    env: &'env Env,
    name: &str,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> napi::Result<Object<'env>> {
    let (answer, promise) = Answer::promised(env)?;
    answer.by_thread(name, |answer| answer.give(work()));
    Ok(promise)
}
