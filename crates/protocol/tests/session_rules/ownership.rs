//! Who owns the guest, and when that changes.

use vfio_migration_protocol::session::{
    Action, Command, DeviceCall, Fault, Hook, Input, Message, Mode, NotNow, Object, RestoreOptions, SaveOptions,
};
use vfio_migration_protocol::{Estimate, Outcome, State};

use crate::driver::End;
use crate::scenes::{HOUR, options, plain};

/// Where a source can stand before it gives up: each is held there by what is not answered.
const BEFORE_GIVEN_UP: [fn(&Action) -> bool; 8] = [
    |action| matches!(action, Action::Open(_)),
    |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::PreCopy))),
    |action| matches!(action, Action::Call(_, DeviceCall::PreCopyInfo)),
    |action| matches!(action, Action::Hook(Hook::Pause(_))),
    |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::PreCopyP2p))),
    |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::StopCopy))),
    |action| matches!(action, Action::Fill { .. }),
    // It waits for `loaded`.
    |_| false,
];

/// "Until `given-up` the source owns the guest": who says that it runs there lies, and the guest goes on here.
#[test]
fn running_before_given_up_leads_back_from_every_stage() {
    for (stage, withhold) in BEFORE_GIVEN_UP.into_iter().enumerate() {
        let mut source = End::source(options(), 2);
        source.withhold = withhold;
        let mut asked = source.go();
        source.order(Command::Switchover).expect("it may switch over");
        asked.extend(source.go());

        asked.extend(source.hears(Message::Running));
        assert_eq!(source.order(Command::Discard), Err(NotNow::Ending), "stage {stage} is not in doubt");
        asked.extend(source.hears(Message::Running));
        asked.extend(source.release());

        let (outcome, failure) = source.verdict();
        assert_eq!(outcome, Outcome::Returned, "stage {stage}: {asked:#?}");
        assert!(failure.is_some_and(|what| what.contains("which is not its own")), "stage {stage}: {failure:?}");
        assert!(source.devices.iter().all(|device| device.state == State::Running), "stage {stage}: {asked:#?}");
        let count = |what: &str| asked.iter().filter(|line| line.starts_with(what)).count();
        assert_eq!(count("hook unpause"), count("hook pause"), "stage {stage}: {asked:#?}");
        assert_eq!(count("says given-up"), 0, "stage {stage}: {asked:#?}");
        assert_eq!(count("says cancelled"), 1, "stage {stage}: {asked:#?}");
    }
}

/// "No `unpause`" while a call is outstanding: what the peer says does not make the way back quicker.
#[test]
fn a_peer_that_says_running_too_early_does_not_let_the_guest_run_before_its_devices() {
    let mut source = End::source(plain(), 2);
    source.withhold = |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::StopCopy)));
    source.go();
    assert_eq!(source.hears(Message::Running), ["says cancelled"]);

    let stop = DeviceCall::SetState(State::StopCopy);
    assert_eq!(source.fails(0, stop, State::RunningP2p), ["d0: read state"]);
    let back = source.works(1, stop);
    let expected = [
        "d0: read state",
        "d1: read state",
        "d1: set state running-p2p",
        "d0: set state running",
        "d1: set state running",
        "hook unpause: returned",
        "disconnects",
    ];
    assert_eq!(back, expected);
}

/// "From then on cancelling is too late", and a device that fails then does not bring the guest back.
#[test]
fn a_device_that_fails_after_the_guest_has_left_is_only_told() {
    let mut source = End::source_that_gave_up(2);
    source.withhold = |action| matches!(action, Action::Call(Object(0), DeviceCall::SetState(State::Stop)));
    source.hears(Message::Running);
    let asked = source.fails(0, DeviceCall::SetState(State::Stop), State::Error);
    assert_eq!(asked, ["d0: read state", "disconnects"]);
    assert_eq!(source.verdict(), (Outcome::Completed, None));
    assert_eq!(source.failures().len(), 1, "{:?}", source.failures());
}

/// "It goes back only if the destination refuses": late answers of devices do not lead out of doubt.
#[test]
fn in_doubt_nothing_that_a_device_does_leads_back() {
    let mut source = End::source_that_gave_up(1);
    source.hear(Input::Corrupt(Fault::Corrupt, "an answer was damaged".into()));
    source.go();
    assert!(source.is_in_doubt());
    source.withhold = |action| matches!(action, Action::Call(..));
    let later = source.pass(HOUR);
    assert_eq!(later, Vec::<String>::new());
    assert!(source.is_in_doubt());
}

/// "From then on cancelling is too late, and says so": in every stage from `given-up` to the end.
#[test]
fn cancelling_is_too_late_from_given_up_to_the_end() {
    let cancel = || Command::Cancel("too late".into());
    let mut source = End::source_that_gave_up(1);
    assert_eq!(source.order(cancel()), Err(NotNow::TooLate), "given up");
    source.hears(Message::Failed("no".into()));
    assert_eq!(source.order(cancel()), Err(NotNow::TooLate), "in doubt");
    source.order(Command::TakeBack { force: false }).expect("it is in doubt");
    assert_eq!(source.order(cancel()), Err(NotNow::TooLate), "withdrawing");
    source.withhold = |action| matches!(action, Action::Call(..));
    source.hears(Message::Running);
    assert_eq!(source.order(cancel()), Err(NotNow::TooLate), "finishing");
    source.release();
    assert!(source.is_finished());
    assert_eq!(source.order(cancel()), Err(NotNow::Ending), "ended");

    let mut destination = End::destination_that_loaded(1);
    destination.withhold = |action| matches!(action, Action::Hook(Hook::TakeOver));
    destination.hears(Message::GivenUp);
    assert_eq!(destination.order(cancel()), Err(NotNow::TooLate), "taking over");
    destination.release();
    assert_eq!(destination.order(cancel()), Err(NotNow::TooLate), "closing");

    let mut file = End::source(SaveOptions { mode: Mode::OneWay, ..plain() }, 1);
    file.withhold = |action| matches!(action, Action::Commit);
    file.go();
    assert_eq!(file.order(cancel()), Err(NotNow::TooLate), "committing");
}

/// "Cancelling brings every source device back", as long as the guest was not given up.
#[test]
fn cancelling_before_given_up_brings_every_device_back() {
    let mut source = End::source(plain(), 2);
    source.go();
    source.order(Command::Cancel("not today".into())).expect("nothing was given up");
    source.go();
    assert_eq!(source.verdict(), (Outcome::Returned, Some("not today")));
    assert!(source.devices.iter().all(|device| device.state == State::Running));

    let mut destination = End::destination(RestoreOptions::default(), Mode::Connected, 2);
    destination.order(Command::Cancel("not here".into())).expect("nothing was given up");
    let asked = destination.go();
    assert_eq!(asked, ["d0: read state", "d1: read state", "says refused", "d0: reset", "d1: reset", "disconnects"]);
}

/// "`pause` failing or overdue rolls back, but `unpause` is called only after `pause` has settled; then exactly once."
#[test]
fn unpause_waits_for_a_pause_that_is_overdue() {
    let mut source = End::source(plain(), 1);
    source.peer_is_alive = true;
    source.withhold = |action| matches!(action, Action::Hook(Hook::Pause(_)));
    source.go();
    assert_eq!(source.pass(HOUR), ["says cancelled"]);
    let pause = Hook::Pause(Estimate::Known(0));
    let asked = source.hook_returns(pause, Err("the VMM is busy"));
    assert_eq!(asked, ["hook unpause: returned", "disconnects"]);
}
