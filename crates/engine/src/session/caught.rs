//! The caller's code may panic: that is a failure of what it was called for, and of nothing else.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls the caller's code; a panic becomes its words.
pub(super) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| words(&*panic).to_owned())
}

/// Calls the caller's stream; a panic becomes an error of it.
pub(super) fn caught_io<T>(call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    caught(call).unwrap_or_else(|words| Err(io::Error::other(format!("the stream panicked: {words}"))))
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let words = panic.downcast_ref::<&str>().copied();
    words.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it did not say why")
}
