use core::time::Duration;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::Builder;
use std::time::Instant;

use vfio_migration_protocol::{CallError, Device, Errno, State};

/// How long it takes from one interruption of a call to the next.
const AGAIN: Duration = Duration::from_millis(10);

/// Aborts whatever is under way on a device and closes it, within a bound. Answers with the state that it was left in.
///
/// A device that is being saved, or that is stopped, goes back to `to`, where it was found; one in resuming or error is
/// reset, since no arc may lead out of there. Never call it while it is not known who owns the guest: it makes the device
/// run. In the last quarter of the bound, calls that block are [interrupted](Device::interrupter). One that does not end all
/// the same keeps the device on a thread of its own, which closes it when the call returns.
///
/// # Errors
/// `ETIMEDOUT` when the bound is reached, `ENOMEM` without a thread, and whatever the device says; it is closed in each
/// case but the first.
///
/// ```
/// use std::time::Duration;
/// use vfio_migration_protocol::State;
/// let mut device = vfio_migration_device::open("model:size=1MiB,pre-copy", None)?.device;
/// device.set_state(State::PreCopy)?;
/// let left = vfio_migration_device::release(device, State::Running, Duration::from_secs(5))?;
/// assert_eq!(left, State::Running);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn release(device: Box<dyn Device>, to: State, within: Duration) -> Result<State, CallError> {
    let interrupter = device.interrupter();
    let (answer, answered) = channel();
    let begun = Instant::now();
    let work = move || {
        let mut device = device;
        let left = abort(&mut *device, to);
        // It is closed before anybody hears of it.
        drop(device);
        let _ = answer.send(left);
    };
    let spawned = Builder::new().name("vfio-release".into()).spawn(work);
    spawned.map_err(|error| {
        CallError::because(Errno::ENOMEM, format!("there is no thread to close the device: {error}"))
    })?;
    let mut left = answered.recv_timeout(if interrupter.is_some() { within / 4 * 3 } else { within });
    while let (Err(RecvTimeoutError::Timeout), Some(interrupt)) = (&left, &interrupter)
        && begun.elapsed() < within
    {
        // A call that is just about to block may miss it, and another may follow.
        interrupt();
        left = answered.recv_timeout(AGAIN.min(within.saturating_sub(begun.elapsed())));
    }
    match left {
        Ok(left) => left,
        Err(RecvTimeoutError::Timeout) => {
            let why =
                format!("a call is overdue after {} ms; the device is closed when it returns", within.as_millis());
            Err(CallError::because(Errno::ETIMEDOUT, why))
        }
        Err(RecvTimeoutError::Disconnected) => Err(CallError::because(Errno::EIO, "the backend panicked")),
    }
}

fn abort(device: &mut dyn Device, to: State) -> Result<State, CallError> {
    match device.state()? {
        State::Resuming | State::Error | State::Unknown(_) => device.reset()?,
        state if state != to => device.set_state(to)?,
        _ => {}
    }
    device.state()
}
