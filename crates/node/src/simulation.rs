//! Migrations that are simulated: a scenario's text goes in, its course comes out as JSON. No thread, no device, no file.

use napi::bindgen_prelude::Either;
use napi_derive::napi;
use vfio_migration::{Code, Error};
use vfio_migration_simulation::{NotSimulated, Scenario, run};

use crate::error::BindingError;

/// Simulates a migration to its end, while the caller waits: a scenario's bounds say how long that can be.
#[napi(catch_unwind)]
pub fn simulate(scenario: String) -> Either<String, BindingError> {
    let course = scenario.parse::<Scenario>().map_err(NotSimulated::from).and_then(|scenario| run(&scenario));
    match course {
        Ok(course) => Either::A(serde_json::to_string(&course).expect("a course is plain data")),
        Err(error) => Either::B(failed(error).into()),
    }
}

fn failed(error: NotSimulated) -> Error {
    match error {
        NotSimulated::Session(failure) => failure.into(),
        NotSimulated::Scenario(_) | NotSimulated::TooLong(_) => Error::new(Code::Usage, error.to_string()),
    }
}
