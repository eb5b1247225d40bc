//! Traces: read, folded, compared. They may be long, so that is done on a thread of its own.

use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;
use vfio_migration::protocol::trace::{Access, Change, NotATrace, Trace, diff};
use vfio_migration::{Code, Error};

use crate::promise::elsewhere;

/// Which lines of a trace are looked at; all of them without.
#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct BindingTraceFilter {
    /// Only those of this device.
    pub device: Option<String>,
    /// Only these calls.
    pub only: Option<Vec<String>>,
    /// All calls but these.
    pub without: Option<Vec<String>>,
}

/// One line of a comparison.
#[napi(object, object_from_js = false)]
pub struct BindingTraceChange {
    /// `both`, `first` or `second`: who has it.
    pub side: String,
    /// The line.
    pub line: String,
}

/// A trace with what comes several times in a row written once.
#[napi(catch_unwind, ts_return_type = "Promise<string | BindingError>")]
pub fn fold_trace(env: &Env, text: String, filter: BindingTraceFilter) -> napi::Result<Object<'_>> {
    elsewhere(env, "vfio-trace", move || Ok(parsed("the trace", &text, &filter)?.fold().to_string()))
}

/// Two traces compared by their shapes.
#[napi(catch_unwind, ts_return_type = "Promise<Array<BindingTraceChange> | BindingError>")]
pub fn diff_traces(env: &Env, first: String, second: String, filter: BindingTraceFilter) -> napi::Result<Object<'_>> {
    elsewhere(env, "vfio-trace", move || {
        let first = parsed("the first trace", &first, &filter)?;
        let second = parsed("the second trace", &second, &filter)?;
        Ok(diff(&first, &second).into_iter().map(BindingTraceChange::from).collect::<Vec<_>>())
    })
}

fn parsed(which: &str, text: &str, filter: &BindingTraceFilter) -> Result<Trace, Error> {
    let failed = |error: NotATrace| {
        let mut failed = Error::new(Code::Usage, format!("{which} is none: {error}"));
        failed.remedy = Some("give text as a recording wrote it".into());
        failed
    };
    Ok(text.parse::<Trace>().map_err(failed)?.only(|access| filter.keeps(access)))
}

impl BindingTraceFilter {
    fn keeps(&self, access: &Access) -> bool {
        let names =
            |calls: &Option<Vec<String>>| calls.as_ref().map(|calls| calls.iter().any(|call| call == access.call()));
        self.device.as_deref().is_none_or(|device| access.device() == Some(device))
            && names(&self.only).unwrap_or(true)
            && !names(&self.without).unwrap_or(false)
    }
}

impl From<Change> for BindingTraceChange {
    fn from(change: Change) -> Self {
        let (side, access) = match change {
            Change::Both(access) => ("both", access),
            Change::First(access) => ("first", access),
            Change::Second(access) => ("second", access),
        };
        Self { side: side.into(), line: access.to_string() }
    }
}
