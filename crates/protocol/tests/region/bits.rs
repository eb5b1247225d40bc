use vfio_migration_protocol::State;
use vfio_migration_protocol::region::{BLOCK, Register, StateBits};

/// What each value of the known bits means; 8 to 15 with NDMA only.
const MEANING: [State; 16] = [
    State::Stop,
    State::Running,
    State::StopCopy,
    State::PreCopy,
    State::Resuming,
    State::Unknown(5),
    State::Error,
    State::Unknown(7),
    State::Stop,
    State::RunningP2p,
    State::StopCopy,
    State::PreCopyP2p,
    State::Resuming,
    State::Unknown(13),
    State::Unknown(14),
    State::Unknown(15),
];

#[test]
fn every_value_means_what_the_text_says_whatever_the_reserved_bits_are() {
    for reserved in [0, 0x10, 0xFFFF_FFF0] {
        for (value, state) in (0_u32..).zip(MEANING) {
            let bits = StateBits::new(reserved | value);
            assert_eq!(bits.state(true), state, "{bits}");
            assert_eq!(bits.state(false), MEANING[value as usize & 7], "{bits}: bit 3 is reserved without NDMA");
            for ndma in [false, true] {
                let valid = !matches!(bits.state(ndma), State::Error | State::Unknown(_));
                assert_eq!(bits.is_valid(ndma), valid, "{bits}");
                assert_eq!(bits.reserved(ndma), bits.value() & !if ndma { 15 } else { 7 });
            }
        }
    }
}

#[test]
fn asking_for_a_state_keeps_reserved_bits() {
    for (value, ndma) in (0..0x40_u32).flat_map(|value| [(value, false), (value, true)]) {
        let bits = StateBits::new(value | 0xABCD_0000);
        for state in State::ALL.into_iter().chain([State::Unknown(9)]) {
            let Some(asked) = bits.with(state, ndma) else {
                let p2p = matches!(state, State::RunningP2p | State::PreCopyP2p) && !ndma;
                assert!(p2p || matches!(state, State::Error | State::Unknown(_)), "{state}");
                continue;
            };
            assert_eq!((asked.state(ndma), asked.reserved(ndma)), (state, bits.reserved(ndma)));
            assert!(asked.is_valid(ndma));
        }
    }
}

/// "clear RUNNING, clear SAVING, clear RESUMING, set RESUMING, set SAVING, set RUNNING; unwind = same routine with swapped
/// arguments; NDMA between RUNNING and SAVING."
#[test]
fn bits_change_one_after_the_other_and_back() {
    let order = [(1, 0), (8, 0), (2, 0), (4, 0), (4, 4), (2, 2), (8, 8), (1, 1)];
    let is_valid = |value: u32| StateBits::new(value).is_valid(true);
    for (from, to) in (0..16).filter(|from| is_valid(*from)).flat_map(|from| (0..16).map(move |to| (from, to))) {
        let to = StateBits::new(to);
        let begin = StateBits::new(from);
        let passed = begin.changes(to);
        let mut at = from;
        let mut expected = Vec::new();
        for (bit, set) in order {
            if to.value() & bit == set && at & bit != set {
                at ^= bit;
                expected.push(StateBits::new(at));
            }
        }
        assert_eq!(passed, expected, "{begin} to {to}");
        assert_eq!(passed.last().copied().unwrap_or(begin), to);
        if !to.is_valid(true) {
            continue;
        }
        assert!(passed.iter().all(|bits| bits.is_valid(true)), "{begin} to {to} passes {passed:?}");
        // From wherever it got to, the way back passes the same values.
        for reached in 0..passed.len() {
            let mut back = vec![begin];
            back.extend(&passed[..reached]);
            back.reverse();
            assert_eq!(passed[reached].changes(begin), back, "{begin} to {to}, back from {}", passed[reached]);
        }
    }
}

#[test]
fn reserved_bits_do_not_change_by_themselves() {
    let passed = StateBits::new(0x31).changes(StateBits::new(0x2));
    assert_eq!(passed, [0x30, 0x32].map(StateBits::new));
}

#[test]
fn registers_lie_side_by_side_and_are_accessed_whole() {
    let mut end = 0;
    for register in Register::ALL {
        assert_eq!(register.offset(), end);
        assert_eq!(register.offset() % register.width() as u64, 0, "{register} is aligned to its width");
        end += register.width() as u64;
    }
    assert_eq!(end, BLOCK);
    for (offset, width) in (0..64).flat_map(|offset| (0..10).map(move |width| (offset, width))) {
        let expected = match (offset, width) {
            (0, 4) => Some(Register::DeviceState),
            (4, 4) => Some(Register::Reserved),
            (8, 8) => Some(Register::PendingBytes),
            (16, 8) => Some(Register::DataOffset),
            (24, 8) => Some(Register::DataSize),
            _ => None,
        };
        assert_eq!(Register::at(offset, width), expected);
    }
    let written = Register::ALL.into_iter().filter(|register| !register.is_read_only());
    assert_eq!(written.collect::<Vec<_>>(), [Register::DeviceState, Register::DataSize]);
}

#[test]
fn bits_are_shown_by_name() {
    let shown = [0, 1, 3, 6, 9, 0x30, 0x102].map(|value| StateBits::new(value).to_string());
    assert_eq!(shown, ["0", "running", "running|saving", "saving|resuming", "running|bit 3", "0x30", "saving|0x100"]);
    assert_eq!((StateBits::DEFAULT.value(), StateBits::ERROR.value()), (1, 6));
}
