//! The way back of a source: it begins by reading where every device is, and keeps the barrier.

use vfio_migration_protocol::session::{
    Action, Command, DeviceCall, Hook, Message, Object, Save, SaveOptions, Unrecoverable,
};
use vfio_migration_protocol::{Errno, Outcome, State};

use crate::driver::{End, SECOND};
use crate::scenes::{HOUR, options, plain};

/// A source in pre-copy, with two reads of its device outstanding that fail; the device reads as `state` then.
fn reads_fail(state: State) -> (End<Save>, Vec<String>) {
    let mut source = End::source(options(), 1);
    source.withhold = |action| matches!(action, Action::Fill { .. });
    source.go();
    source.devices[0].state = state;
    let mut asked = source.filled(0, Err(Errno::ENODEV));
    assert_eq!(asked, ["says cancelled"], "the other read is still outstanding");
    asked.extend(source.filled(1, Err(Errno::ENODEV)));
    (source, asked)
}

/// "On its return the state is read": a failed read says nothing about where the device is, and a request from a state
/// in which it is not would be no legal arc.
#[test]
fn a_failed_read_is_followed_by_reading_the_state() {
    let (source, asked) = reads_fail(State::Error);
    assert_eq!(asked, ["says cancelled", "d0: read state", "disconnects"], "no arc leads back from error");
    assert_eq!(source.verdict().0, Outcome::Lost);

    let (source, asked) = reads_fail(State::PreCopy);
    assert_eq!(asked, ["says cancelled", "d0: read state", "d0: set state running", "disconnects"]);
    assert_eq!(source.verdict().0, Outcome::Returned);
}

/// As above: between `given-up` and a take-back hours may pass.
#[test]
fn taking_back_begins_by_reading_where_the_devices_are() {
    let mut source = End::source_that_gave_up(2);
    source.pass(5 * HOUR);
    source.devices[0].state = State::Error;
    source.order(Command::TakeBack { force: true }).expect("it is in doubt");
    let expected = [
        "says withdraw",
        "d0: read state",
        "d1: read state",
        "d1: set state running-p2p",
        "d1: set state running",
        "hook unpause: lost",
        "disconnects",
    ];
    assert_eq!(source.go(), expected);
}

/// A call that is overdue: "until it returns the session is not over: no `unpause`". "On its return the state is read
/// and the way back, or `failed`, goes on."
#[test]
fn an_overdue_call_that_returns_is_followed_by_reading_the_state() {
    let mut source = End::source(plain(), 1);
    source.peer_is_alive = true;
    source.withhold = |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::StopCopy)));
    source.go();
    assert_eq!(source.pass(HOUR), ["says cancelled"]);
    let back = source.works(0, DeviceCall::SetState(State::StopCopy));
    let expected = [
        "d0: read state",
        "d0: set state running-p2p",
        "d0: set state running",
        "hook unpause: returned",
        "disconnects",
    ];
    assert_eq!(back, expected);
}

/// "Every way back keeps the barrier: all devices in grace before any runs", and a device that was reset runs.
#[test]
fn no_device_is_reset_before_the_others_are_in_grace() {
    let mut source = End::source(SaveOptions { unrecoverable: Unrecoverable::Reset, ..plain() }, 2);
    source.withhold = |action| matches!(action, Action::Call(Object(0), DeviceCall::SetState(State::StopCopy)));
    source.go();
    source.withhold = |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::RunningP2p)));
    let back = source.fails(0, DeviceCall::SetState(State::StopCopy), State::Error);
    let expected =
        ["d0: read state", "says cancelled", "d0: read state", "d1: read state", "d1: set state running-p2p"];
    assert_eq!(back, expected);
    let expected = ["d0: reset", "d1: set state running", "hook unpause: reset", "disconnects"];
    assert_eq!(source.release(), expected);
}

/// "A reset at the source wipes a device that the guest still needs: it happens only if the caller said so".
#[test]
fn a_broken_device_is_left_alone_unless_the_caller_said_reset() {
    let mut source = End::source(plain(), 1);
    source.withhold = |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::StopCopy)));
    source.go();
    let back = source.fails(0, DeviceCall::SetState(State::StopCopy), State::Error);
    assert_eq!(back, ["d0: read state", "says cancelled", "d0: read state", "hook unpause: lost", "disconnects"]);
}

/// "After a failure the state is read back, never assumed": after a reset that failed as well.
#[test]
fn a_failed_reset_is_followed_by_reading_the_state() {
    let mut source = End::source(SaveOptions { unrecoverable: Unrecoverable::Reset, ..plain() }, 1);
    let stop = DeviceCall::SetState(State::StopCopy);
    source.withhold =
        |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::StopCopy) | DeviceCall::Reset));
    source.go();
    source.fails(0, stop, State::Error);
    let asked = source.fails(0, DeviceCall::Reset, State::Error);
    assert_eq!(asked, ["d0: read state", "hook unpause: lost", "disconnects"]);
    assert_eq!(source.verdict().0, Outcome::Lost);
    let told = source.failures();
    assert!(told.iter().any(|what| what.contains("the reset failed; it is in error now")), "{told:?}");
}

/// "A device that cannot leave pre-copy is `returned` (to pre-copy) and named, never reset by default: it still works
/// for the guest", and the caller's word is about devices that do not.
#[test]
fn a_device_that_cannot_leave_pre_copy_is_returned_and_not_reset() {
    let mut source = End::source(SaveOptions { unrecoverable: Unrecoverable::Reset, ..options() }, 1);
    source.go();
    source.withhold = |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::Running)));
    source.order(Command::Cancel("not today".into())).expect("nothing was given up");
    source.go();
    let asked = source.fails(0, DeviceCall::SetState(State::Running), State::PreCopy);
    assert_eq!(asked, ["d0: read state", "disconnects"]);
    let object = &source.ending().report.objects[0];
    assert_eq!((object.outcome, object.state), (Some(Outcome::Returned), Some(State::PreCopy)));
}

/// What the destination said before it heard of the way back is no broken rule of its own.
#[test]
fn answers_that_were_on_their_way_are_not_told_as_failures() {
    let mut source = End::source(options(), 1);
    source.withhold = |action| matches!(action, Action::Open(_));
    source.go();
    source.order(Command::Cancel("not today".into())).expect("nothing was given up");
    source.hears(Message::Accepted);
    assert_eq!(source.failures(), ["not today"]);
    assert_eq!(source.verdict(), (Outcome::Returned, Some("not today")));

    let mut source = End::source(plain(), 1);
    source.go();
    source.order(Command::Cancel("not today".into())).expect("nothing was given up");
    source.hears(Message::Loaded);
    assert_eq!(source.failures(), ["not today"]);
}

/// "`unpause` failing: `returned`, with the hook's error; the devices run, the caller starts the guest."
#[test]
fn an_unpause_that_fails_is_told_and_the_devices_run() {
    let mut source = End::source(plain(), 1);
    source.withhold = |action| matches!(action, Action::Hook(Hook::Unpause(_)));
    source.go();
    source.order(Command::Cancel("not today".into())).expect("nothing was given up");
    source.go();
    let asked = source.hook_returns(Hook::Unpause(Outcome::Returned), Err("no such VM"));
    assert_eq!(asked, ["disconnects"]);
    assert_eq!(source.verdict().0, Outcome::Returned);
    assert!(source.failures().iter().any(|what| what.contains("no such VM")), "{:?}", source.failures());
}

/// "With one `lost`, the others go back, `unpause` gets the worst outcome, and the VMM decides."
#[test]
fn unpause_hears_the_worst_outcome() {
    let mut source = End::source(plain(), 3);
    source.peer_is_alive = true;
    source.withhold = |action| matches!(action, Action::Call(Object(1), DeviceCall::SetState(State::StopCopy)));
    source.go();
    source.pass(SECOND);
    let back = source.fails(1, DeviceCall::SetState(State::StopCopy), State::Error);
    assert!(back.contains(&"hook unpause: lost".into()), "{back:?}");
    let outcomes: Vec<_> = source.ending().report.objects.iter().map(|object| object.outcome).collect();
    assert_eq!(outcomes, [Some(Outcome::Returned), Some(Outcome::Lost), Some(Outcome::Returned)]);
}
