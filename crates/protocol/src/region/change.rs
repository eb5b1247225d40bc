use super::{Access, RegionError, Register, StateBits, Step};
use crate::state::Refusal;
use crate::{State, Table};

/// A change of `device_state`: read, write what the next step of the way needs and nothing else, read again, until the
/// device is where it should be.
///
/// The register is read before each write, so that its reserved bits stay as they are, and after it, since a state is
/// never assumed. A write that fails ends the change: whoever asked reads the state then, which is the old one, or error.
///
/// ```
/// use vfio_migration_protocol::region::{Access, Change, Register, Step};
/// use vfio_migration_protocol::{State, Table, state::Dialect};
/// let mut register = 3;
/// let mut writes = Vec::new();
/// let (mut change, first) = Change::begin(Table::region(Dialect::LibvfioUser, false), false, State::Running);
/// let mut step = Step::Access(first);
/// while let Step::Access(access) = step {
///     if let Access::Write(_, value) = access {
///         register = value;
///         writes.push(value);
///     }
///     step = change.answered(register)?;
/// }
/// assert_eq!(writes, [2, 1]);
/// # Ok::<(), vfio_migration_protocol::region::RegionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Change {
    table: Table,
    ndma: bool,
    to: State,
    /// What was written last.
    asked: Option<State>,
    /// Whether the access under way is the write.
    writes: bool,
}

impl Change {
    /// Begins a change of a device with this table; `ndma` says whether it announces NDMA. The access is the first one.
    pub const fn begin(table: Table, ndma: bool, to: State) -> (Self, Access) {
        (Self { table, ndma, to, asked: None, writes: false }, Access::Read(Register::DeviceState))
    }

    /// Goes on with what the access answered. When it is done the device is in the state that was asked for, which the
    /// step names.
    pub fn answered(&mut self, value: u64) -> Result<Step<State>, RegionError> {
        if core::mem::take(&mut self.writes) {
            return Ok(Step::Access(Access::Read(Register::DeviceState)));
        }
        // More bits than the register has mean no state either.
        let bits = StateBits::new(u32::try_from(value).unwrap_or(u32::MAX));
        let found = bits.state(self.ndma);
        if let Some(asked) = self.asked.filter(|asked| *asked != found) {
            return Err(RegionError::NotThere { asked, found });
        }
        let next = self.table.next(found, self.to).map_err(RegionError::NoArc)?;
        if found == self.to {
            return Ok(Step::Done(found));
        }
        let Some(bits) = bits.with(next, self.ndma) else {
            // A table with P2P states for a device that does not announce NDMA.
            return Err(RegionError::NoArc(Refusal { from: found, to: next }));
        };
        (self.asked, self.writes) = (Some(next), true);
        Ok(Step::Access(Access::Write(Register::DeviceState, bits.value().into())))
    }
}
