//! A destination that says no: when it may, when it must, and that nobody waits for it for ever.

use vfio_migration_protocol::session::{
    Action, Command, DeviceCall, Hook, Input, Message, Mode, Object, Restore, RestoreOptions,
};
use vfio_migration_protocol::{Errno, Outcome, State};

use crate::driver::End;
use crate::scenes::{HOUR, offer};

const REFUSED: [&str; 4] = ["d0: read state", "says refused", "d0: reset", "disconnects"];

fn loading() -> End<Restore> {
    let mut destination = End::destination(RestoreOptions::default(), Mode::Connected, 1);
    destination.peer_is_alive = true;
    destination
}

/// "`ack` means verified and placed", and so does `initial-loaded`: a write error is final, whatever was queued behind
/// it.
#[test]
fn a_write_error_before_the_end_of_initial_data_is_refused() {
    let mut destination = loading();
    destination.withhold = |action| matches!(action, Action::Place { .. });
    destination.data(0, 0, 10, None);
    destination.data(0, 10, 0, Some(0));
    assert_eq!(destination.placed(0, Err(Errno::EIO)), REFUSED);
    assert_eq!(destination.verdict().0, Outcome::Reset);
}

/// As above: what came behind a failed write is not acknowledged, and `refused` waits until it has been written.
#[test]
fn nothing_behind_a_write_error_is_acknowledged() {
    let mut destination = loading();
    destination.withhold = |action| matches!(action, Action::Place { .. });
    destination.data(0, 0, 10, None);
    destination.data(1, 10, 10, Some(0));
    destination.data(2, 20, 10, None);
    assert_eq!(destination.placed(0, Ok(())), ["says ack 10"]);
    assert_eq!(destination.placed(1, Err(Errno::EIO)), Vec::<String>::new());
    assert_eq!(destination.placed(2, Ok(())), REFUSED);
}

/// "Every device *reads* stop or resuming" where it refuses: a failed write says nothing about where the device is.
#[test]
fn a_failed_write_is_followed_by_reading_the_state() {
    let mut destination = loading();
    destination.withhold = |action| matches!(action, Action::Place { .. });
    destination.data(0, 0, 10, None);
    destination.devices[0].state = State::Error;
    assert_eq!(destination.placed(0, Err(Errno::EIO)), REFUSED);
}

/// "Before `given-up`, `failed` does the same": a call that will not end does not let the source wait, whichever it is.
#[test]
fn an_overdue_call_before_given_up_does_not_keep_the_source_waiting() {
    // Resuming, a write, configure, validating.
    let calls: [fn(&Action) -> bool; 4] = [
        |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::Resuming))),
        |action| matches!(action, Action::Place { .. }),
        |action| matches!(action, Action::Hook(Hook::Configure)),
        |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::Stop))),
    ];
    for (place, withhold) in calls.into_iter().enumerate() {
        let mut destination = End::destination_that_waits(RestoreOptions::default(), Mode::Connected, 1);
        destination.peer_is_alive = true;
        destination.withhold = withhold;
        destination.hear(Input::Opened(offer(Mode::Connected, 1)));
        destination.go();
        destination.hears(Message::Begin);
        destination.data(0, 0, 10, None);
        destination.hears(Message::ObjectEnd(Object(0)));
        assert_eq!(destination.pass(HOUR), ["says failed"], "call {place}");
        assert!(!destination.is_finished(), "call {place} has not returned");
        let asked = destination.release();
        assert_eq!(asked.last().map(String::as_str), Some("disconnects"), "call {place}: {asked:?}");
        assert!(!asked.contains(&"says loaded".into()), "call {place}: {asked:?}");
    }
}

/// As above: the state that is read before `refused` may be the call that will not end.
#[test]
fn reading_the_state_before_refusing_does_not_keep_the_source_waiting() {
    let mut destination = loading();
    destination.withhold = |action| matches!(action, Action::Call(_, DeviceCall::State));
    destination.order(Command::Cancel("not here".into())).expect("nothing was given up");
    assert_eq!(destination.pass(HOUR), ["d0: read state", "says failed"]);
    assert!(!destination.is_finished());
}

/// "A call there that passes its own deadline makes it say `failed`": on the way back of a caller who
/// cancelled while `given-up` was on its way as well; `refused` follows once it can be said.
#[test]
fn a_call_overdue_while_refusing_after_given_up_is_failed_and_then_refused() {
    let mut destination = End::destination_that_loaded(1);
    destination.withhold = |action| matches!(action, Action::Call(_, DeviceCall::State));
    destination.order(Command::Cancel("not here".into())).expect("it has not heard given-up");
    destination.hears(Message::GivenUp);
    destination.peer_is_alive = true;
    assert_eq!(destination.pass(HOUR), ["says failed"]);
    assert_eq!(destination.release(), ["says refused", "d0: reset", "disconnects"]);

    // The same, but given-up comes after the deadline.
    let mut destination = End::destination_that_loaded(1);
    destination.withhold = |action| matches!(action, Action::Call(_, DeviceCall::State));
    destination.order(Command::Cancel("not here".into())).expect("it has not heard given-up");
    destination.peer_is_alive = true;
    destination.pass(HOUR);
    destination.hears(Message::GivenUp);
    assert_eq!(destination.release(), ["says refused", "d0: reset", "disconnects"]);
}

/// "A call there that passes its own deadline makes it say `failed`, and it does not go on when the call returns."
#[test]
fn an_overdue_call_after_given_up_is_failed() {
    let mut destination = End::destination_that_loaded(1);
    destination.withhold = |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::RunningP2p)));
    destination.hears(Message::GivenUp);
    assert_eq!(destination.pass(HOUR), ["says failed"]);
    let asked = destination.works(0, DeviceCall::SetState(State::RunningP2p));
    assert_eq!(asked, ["d0: read state", "d0: set state stop"]);
    assert!(destination.is_in_doubt());
}

/// "After `given-up`, a device in error, unknown or unreadable counts as having left": that is `failed`, not `refused`.
#[test]
fn a_broken_device_after_given_up_is_failed_and_not_refused() {
    let mut destination = End::destination_that_loaded(1);
    destination.withhold = |action| matches!(action, Action::Call(_, DeviceCall::State));
    destination.order(Command::Cancel("not here".into())).expect("it has not heard given-up");
    destination.go();
    destination.hears(Message::GivenUp);
    destination.devices[0].state = State::Error;
    assert_eq!(destination.release(), ["says failed", "d0: read state"]);
    assert!(destination.is_in_doubt());
}

/// "A destination device that has entered resuming goes back only by RESET", and one that cannot be reset is lost.
#[test]
fn a_reset_that_fails_is_followed_by_reading_the_state() {
    let mut destination = loading();
    destination.withhold = |action| matches!(action, Action::Call(_, DeviceCall::Reset));
    destination.order(Command::Cancel("not here".into())).expect("nothing was given up");
    assert_eq!(destination.go(), REFUSED[..3]);
    let asked = destination.fails(0, DeviceCall::Reset, State::Error);
    assert_eq!(asked, ["d0: read state", "disconnects"]);
    assert_eq!(destination.verdict().0, Outcome::Lost);
    let told = destination.failures();
    assert!(told.iter().any(|what| what.contains("the reset failed; it is in error now")), "{told:?}");
}

/// "`configure` failing is `refused`."
#[test]
fn a_configure_that_fails_is_refused() {
    let mut destination = loading();
    destination.withhold = |action| matches!(action, Action::Hook(Hook::Configure));
    destination.hears(Message::ObjectEnd(Object(0)));
    assert_eq!(destination.hook_returns(Hook::Configure, Err("no such PCI device")), REFUSED);
}
