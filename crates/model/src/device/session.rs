use crate::load::Load;
use crate::save::Save;

/// What stands behind the data fd.
#[derive(Debug)]
pub(super) enum Session {
    /// No data fd was opened yet, or opening it failed: EBADF.
    None,
    /// The data fd is of a session that ended: ENODEV.
    Ended,
    Save(Box<Save>),
    Load(Box<Load>),
}
