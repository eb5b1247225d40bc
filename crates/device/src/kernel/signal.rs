//! The signal that ends calls which block.

use vfio_migration_uapi::interruption;

use crate::address::{Fault, KernelError};

/// Chooses the signal that ends calls to devices of the kernel which do not return; `None` for none: they are waited for
/// then. Call it before the first device is opened.
///
/// Without it the signal is `SIGRTMAX - 5`. It is sent to a thread of this process, only while that is in a call to a
/// device, and only after a session's deadline or when a device is [released](crate::release). A handler that does nothing
/// is installed before the first time, never over one of the program's: where the program has one, no signal is sent. A
/// signal that is chosen here may have a handler, which is then called.
///
/// # Errors
/// If the number is none of a signal that can be handled, or the signal is ignored, or its handler was installed with
/// `SA_RESTART`.
///
/// ```
/// use vfio_migration_device::kernel;
/// assert!(kernel::interrupt_with(Some(9)).is_err());
/// kernel::interrupt_with(None)?;
/// # Ok::<(), vfio_migration_device::KernelError>(())
/// ```
pub fn interrupt_with(signal: Option<i32>) -> Result<(), KernelError> {
    interruption::choose(signal).map_err(|errno| {
        let what = format!("signal {} cannot end calls that block", signal.unwrap_or_default());
        let remedy = "choose one from SIGRTMIN to SIGRTMAX that has no handler, or one without SA_RESTART";
        KernelError::new(Fault::Usage, what, remedy).with(errno)
    })
}
