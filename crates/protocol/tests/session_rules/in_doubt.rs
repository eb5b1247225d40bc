//! What cannot be known is in doubt: nothing is done by itself, and everything is kept until it is settled.

use vfio_migration_protocol::session::{Action, Command, DeviceCall, Fault, Hook, Input, Message, NotNow, Object};
use vfio_migration_protocol::{Outcome, State};

use crate::driver::{End, SECOND};
use crate::scenes::HOUR;

/// "A source that heard `failed`, or nothing, after `given-up` is in doubt: it stays stopped, keeps everything, says
/// so".
#[test]
fn a_source_that_hears_nothing_is_in_doubt_and_says_so() {
    let mut source = End::source_that_gave_up(2);
    assert_eq!(source.pass(31 * SECOND), Vec::<String>::new());
    assert!(source.is_in_doubt());
    assert!(source.report().objects.iter().all(|object| object.outcome == Some(Outcome::InDoubt)));
    assert!(source.devices.iter().all(|device| device.state == State::StopCopy));
    assert_eq!(source.pass(HOUR), Vec::<String>::new(), "it decides nothing by itself");
}

/// "And goes on listening; a late `running` or `refused` settles it."
#[test]
fn a_late_word_settles_what_is_in_doubt_at_the_source() {
    let mut source = End::source_that_gave_up(1);
    source.pass(HOUR);
    assert_eq!(source.hears(Message::Running), ["d0: set state stop", "disconnects"]);
    assert_eq!(source.verdict(), (Outcome::Completed, None));

    let mut source = End::source_that_gave_up(1);
    source.pass(HOUR);
    let back = source.hears(Message::Refused("it does not validate".into()));
    let expected = [
        "d0: read state",
        "d0: set state running-p2p",
        "d0: set state running",
        "hook unpause: returned",
        "disconnects",
    ];
    assert_eq!(back, expected);
    assert_eq!(source.verdict().0, Outcome::Returned);
}

/// "`takeBack()` sends `withdraw` while the connection lives, and needs `refused` in answer".
#[test]
fn taking_back_waits_for_refused() {
    let mut source = End::source_that_gave_up(1);
    source.hears(Message::Failed("takeOver failed".into()));
    source.order(Command::TakeBack { force: false }).expect("it is in doubt");
    assert_eq!(source.go(), ["says withdraw"]);
    source.peer_is_alive = true;
    assert_eq!(source.pass(HOUR), Vec::<String>::new(), "alive is no answer");
    source.hears(Message::Failed("the guest may have run here".into()));
    assert!(source.is_in_doubt(), "failed is no answer either");
    assert_eq!(source.order(Command::Claim), Err(NotNow::NotInDoubt), "a claim is the destination's");
}

/// "A late `running` or `refused` settles it", and "never two owners": even where the caller has just forced its way
/// back.
#[test]
fn running_stops_a_take_back_by_force_wherever_it_is() {
    let withheld: [fn(&Action) -> bool; 3] = [
        |action| matches!(action, Action::Call(_, DeviceCall::State)),
        |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::RunningP2p))),
        |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::Running))),
    ];
    for withhold in withheld {
        let mut source = End::source_that_gave_up(1);
        source.pass(40 * SECOND);
        source.withhold = withhold;
        source.order(Command::TakeBack { force: true }).expect("it is in doubt");
        let mut asked = source.go();
        assert_eq!(asked[0], "says withdraw");
        asked.extend(source.hears(Message::Running));
        asked.extend(source.release());
        assert!(asked.iter().all(|line| !line.starts_with("hook")), "{asked:#?}");
        assert_eq!(source.devices[0].state, State::Stop, "{asked:#?}");
        assert_eq!(source.verdict(), (Outcome::Completed, None));
    }
}

/// "Without an answer only the caller's explicit force goes on."
#[test]
fn force_takes_the_guest_back_without_an_answer() {
    let mut source = End::source_that_gave_up(1);
    source.pass(40 * SECOND);
    source.order(Command::TakeBack { force: true }).expect("it is in doubt");
    let expected = [
        "says withdraw",
        "d0: read state",
        "d0: set state running-p2p",
        "d0: set state running",
        "hook unpause: returned",
        "disconnects",
    ];
    assert_eq!(source.go(), expected);
    assert_eq!(source.verdict().0, Outcome::Returned, "what was in doubt is settled");
}

/// "After `loaded`, without `given-up`: it stays in stop, in doubt", and a silent destination puts the source in doubt
/// too: neither waits for the other's word for ever.
#[test]
fn a_destination_in_doubt_is_silent() {
    let mut destination = End::destination_that_loaded(1);
    destination.hear(Input::Corrupt(Fault::Corrupt, "given-up was damaged".into()));
    destination.go();
    destination.alive.clear();
    assert_eq!(destination.pass(HOUR), Vec::<String>::new());
    assert_eq!(destination.alive, []);
    assert!(destination.is_in_doubt());
    assert!(destination.report().objects.iter().all(|object| object.outcome == Some(Outcome::InDoubt)));
    assert_eq!(destination.devices[0].state, State::Stop);
}

/// "`claim()`": the caller says that the source does not run, and a late `given-up` only says the same.
#[test]
fn a_late_given_up_agrees_with_a_claim() {
    for returns_before in [false, true] {
        let mut destination = End::destination_that_loaded(1);
        destination.pass(31 * SECOND);
        assert!(destination.is_in_doubt());
        destination.order(Command::Claim).expect("it is in doubt");
        if !returns_before {
            destination.withhold = |action| matches!(action, Action::Call(..));
        }
        let mut asked = destination.go();
        asked.extend(destination.hears(Message::GivenUp));
        asked.extend(destination.release());
        let expected = ["d0: set state running-p2p", "d0: set state running", "hook takeOver", "says running"];
        assert_eq!(asked, expected);
        destination.hear(Input::Disconnected("the source closed".into()));
        destination.go();
        assert_eq!(destination.verdict(), (Outcome::Completed, None));
    }
}

/// "With `given-up` received it is the owner and goes on", however late that came.
#[test]
fn a_late_given_up_settles_what_is_in_doubt_at_the_destination() {
    let mut destination = End::destination_that_loaded(1);
    destination.pass(HOUR);
    assert!(destination.is_in_doubt());
    let asked = destination.hears(Message::GivenUp);
    assert_eq!(asked, ["d0: set state running-p2p", "d0: set state running", "hook takeOver", "says running"]);
}

/// "Every device in running -> `takeOver` -> `running`": a claim does not go on without a device that is broken.
#[test]
fn a_claim_does_not_run_the_guest_without_one_of_its_devices() {
    let mut destination = End::destination_that_loaded(2);
    destination.withhold = |action| matches!(action, Action::Call(Object(0), DeviceCall::SetState(State::Running)));
    destination.hears(Message::GivenUp);
    let fallen = destination.fails(0, DeviceCall::SetState(State::Running), State::Error);
    let expected = [
        "d0: read state",
        "says failed",
        "d0: read state",
        "d1: read state",
        "d1: set state running-p2p",
        "d1: set state stop",
    ];
    assert_eq!(fallen, expected);
    assert!(destination.is_in_doubt());

    destination.withhold = |_| false;
    destination.hear(Input::Disconnected("the source is gone".into()));
    destination.order(Command::Claim).expect("it is in doubt");
    assert_eq!(destination.go(), ["d0: read state", "d1: read state"], "nothing runs");
    assert!(destination.is_in_doubt());
    assert_eq!(destination.devices[1].state, State::Stop);

    destination.order(Command::Discard).expect("it is in doubt");
    assert_eq!(destination.go(), ["d0: reset", "d1: reset", "disconnects"]);
    assert_eq!(destination.verdict().0, Outcome::Reset);
}

/// "It brings its devices back to stop through the barrier, keeps them, and never goes on by itself."
#[test]
fn a_take_over_that_fails_never_goes_on_by_itself() {
    let mut destination = End::destination_that_loaded(2);
    destination.withhold = |action| matches!(action, Action::Hook(Hook::TakeOver));
    destination.hears(Message::GivenUp);
    let expected = [
        "says failed",
        "d0: read state",
        "d1: read state",
        "d0: set state running-p2p",
        "d1: set state running-p2p",
        "d0: set state stop",
        "d1: set state stop",
    ];
    assert_eq!(destination.hook_returns(Hook::TakeOver, Err("no vCPU")), expected);
    assert_eq!(destination.pass(HOUR), Vec::<String>::new());
    assert_eq!(destination.hears(Message::Withdraw), ["says failed"], "the guest may have run");
}

/// A report before the end does not call in doubt what is settled.
#[test]
fn what_was_in_doubt_and_is_settled_is_not_reported_as_in_doubt() {
    let mut source = End::source_that_gave_up(1);
    source.pass(40 * SECOND);
    source.withhold = |action| matches!(action, Action::Call(..));
    source.hears(Message::Refused("no".into()));
    assert!(!source.is_in_doubt());

    let mut destination = End::destination_that_loaded(1);
    destination.pass(31 * SECOND);
    destination.withhold = |action| matches!(action, Action::Call(..));
    destination.order(Command::Claim).expect("it is in doubt");
    destination.go();
    assert!(!destination.is_in_doubt());
}
