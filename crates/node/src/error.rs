//! Failures as values. They become exceptions in one place of the facade, `ts/native.ts`.

use napi_derive::napi;
use vfio_migration::{CallError, Code, Error, State};

/// A failure on its way to JavaScript.
#[napi(object, object_from_js = false)]
pub struct BindingError {
    /// `ERR_VFIO_...`
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What can be done about it.
    pub remedy: String,
    /// The object it happened to.
    pub object: Option<String>,
    /// What the device says now.
    pub state: Option<String>,
    /// What a call answered.
    pub errno: Option<String>,
}

impl From<Error> for BindingError {
    fn from(error: Error) -> Self {
        Self {
            code: error.code.as_str().to_owned(),
            remedy: error.remedy().to_owned(),
            object: error.object,
            state: error.state.map(|state| state.to_string()),
            errno: error.errno.map(|errno| errno.to_string()),
            message: error.what,
        }
    }
}

/// A call to a device that failed, with what the device then said about its state.
pub(crate) fn call_failed(what: &str, error: &CallError, state: Option<State>) -> Error {
    let mut failed = Error::new(Code::DeviceFailed, format!("{what}: {error}"));
    (failed.state, failed.errno) = (state, Some(error.errno));
    failed
}

/// The handle is used after it was closed.
pub(crate) fn closed(what: &str) -> Error {
    Error::new(Code::Usage, format!("{what} is closed"))
}
