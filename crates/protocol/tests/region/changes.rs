use vfio_migration_protocol::region::{Access, Change, RegionError, Register, StateBits, Step};
use vfio_migration_protocol::state::Dialect;
use vfio_migration_protocol::{CallError, Errno, State, Table};

/// Changes a register to another state; answers what was written, and what the register says then.
fn change(table: Table, ndma: bool, register: u32, to: State) -> (Result<State, RegionError>, Vec<u32>, u32) {
    let mut register = register;
    let mut writes = Vec::new();
    let (mut change, first) = Change::begin(table, ndma, to);
    let mut step = Step::Access(first);
    loop {
        match step {
            Step::Done(state) => return (Ok(state), writes, register),
            Step::Access(Access::Read(Register::DeviceState)) => {}
            Step::Access(Access::Write(Register::DeviceState, value)) => {
                register = u32::try_from(value).expect("four bytes");
                writes.push(register);
            }
            Step::Access(other) => panic!("{other:?}"),
        }
        match change.answered(register.into()) {
            Ok(next) => step = next,
            Err(error) => return (Err(error), writes, register),
        }
    }
}

#[test]
fn a_change_writes_the_states_of_its_path_and_keeps_reserved_bits() {
    const RESERVED: u32 = 0x4000_0030;
    for (dialect, ndma) in Dialect::ALL.into_iter().flat_map(|dialect| [(dialect, false), (dialect, true)]) {
        let table = Table::region(dialect, ndma);
        for (value, to) in (0..16_u32).flat_map(|value| State::ALL.map(|to| (value, to))) {
            let bits = StateBits::new(value | RESERVED);
            let from = bits.state(ndma);
            let (answer, writes, register) = change(table, ndma, bits.value(), to);
            let Ok(path) = table.path(from, to) else {
                assert!(matches!(answer, Err(RegionError::NoArc(_))), "{dialect}: {from} to {to}: {answer:?}");
                assert!(writes.is_empty(), "{dialect}: {from} to {to} wrote {writes:?}");
                continue;
            };
            assert_eq!(answer, Ok(to));
            let reserved = bits.reserved(ndma);
            let expected: Vec<_> =
                path.iter().map(|state| StateBits::new(reserved).with(*state, ndma).expect("valid").value()).collect();
            assert_eq!(writes, expected, "{dialect}, NDMA {ndma}: {from} to {to}");
            assert_eq!(StateBits::new(register).reserved(ndma), reserved);
        }
    }
}

/// A register that is not where its device was asked to be.
#[test]
fn a_device_that_is_somewhere_else_is_told() {
    for found in [State::Error, State::Stop, State::Unknown(5)] {
        let register = match found {
            State::Error => 6,
            State::Stop => 0,
            _ => 5,
        };
        let (mut change, first) = Change::begin(Table::region(Dialect::Thread, false), false, State::PreCopy);
        assert_eq!(first, Access::Read(Register::DeviceState));
        assert_eq!(change.answered(1), Ok(Step::Access(Access::Write(Register::DeviceState, 3))));
        assert_eq!(change.answered(0), Ok(Step::Access(Access::Read(Register::DeviceState))));
        assert_eq!(change.answered(register), Err(RegionError::NotThere { asked: State::PreCopy, found }));
    }
}

#[test]
fn nothing_is_asked_of_a_device_in_error_or_in_no_state() {
    for register in [5, 6, 7, 13, 14, 15, u64::from(u32::MAX), 1 << 32 | 1] {
        for dialect in Dialect::ALL {
            let (mut change, _) = Change::begin(Table::region(dialect, true), true, State::Running);
            let answer = change.answered(register);
            assert!(matches!(answer, Err(RegionError::NoArc(_))), "{register:#x}: {answer:?}");
        }
    }
    let (mut change, _) = Change::begin(Table::region(Dialect::Thread, true), false, State::RunningP2p);
    let answer = change.answered(1);
    assert!(matches!(answer, Err(RegionError::NoArc(_))), "this device does not announce NDMA: {answer:?}");
}

#[test]
fn an_error_of_the_region_is_an_error_of_the_call() {
    let refusal = Table::region(Dialect::LibvfioUser, false).next(State::Resuming, State::Stop).expect_err("no arc");
    let numbers = [
        (RegionError::NoArc(refusal), Errno::EINVAL),
        (RegionError::Window { window: 1, segment: 2 }, Errno::ENOSPC),
        (RegionError::Outside { offset: 1, len: 2, size: 2 }, Errno::EIO),
    ];
    for (error, errno) in numbers {
        let call = CallError::from(error);
        assert_eq!((call.errno, call.detail.as_deref()), (errno, Some(error.to_string().as_str())));
    }
}
