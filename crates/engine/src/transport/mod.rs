//! Where bytes go and come from. A connected transport (a socket, a duplex pair) carries messages back; a one-way
//! transport (a file, a pipe, a terminal) does not. What a file descriptor is, is asked, never guessed.

#[cfg(not(target_os = "linux"))]
#[path = "absent.rs"]
mod system;
#[cfg(target_os = "linux")]
#[path = "native/mod.rs"]
mod system;

mod address;
mod frames;
mod interrupt;
mod link;
mod sink;
mod source;

pub use address::Address;
pub use frames::{Duplex, FrameSink, FrameSource};
pub use interrupt::Interrupt;
pub(crate) use link::{Inlet, Link, Outlet};
pub use sink::Sink;
pub use source::{Listener, Source};

pub(crate) use system::random;

use std::time::Duration;

/// How a transport is opened.
#[derive(Clone, Debug, Default)]
pub struct TransportOptions {
    /// How long to try to connect, or to wait for whoever connects; 10 s to connect, for ever to wait. Looking a host's name
    /// up counts; a resolver that does not answer in time leaves a thread called `vfio-resolve` behind until it does.
    pub wait: Option<Duration>,
    /// Whether a file that stands there already may be replaced; false.
    pub overwrite: bool,
    /// Whether TCP may leave this machine, unencrypted and unauthenticated as it is; false.
    pub insecure: bool,
    /// Ends the waiting early.
    pub interrupt: Option<Interrupt>,
}
