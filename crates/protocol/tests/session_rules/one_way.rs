//! One-way sessions: a file, a pipe, one stream. Nothing comes back, and the last bytes give the guest up.

use vfio_migration_protocol::session::{
    Action, Chunk, Command, CommitError, DeviceCall, Hook, Input, Message, Mode, NotNow, Object, Restore,
    RestoreOptions, Save, SaveOptions, Then,
};
use vfio_migration_protocol::{Outcome, State};

use crate::driver::{End, SECOND};
use crate::scenes::{HOUR, offer, plain};

fn source(then: Then) -> End<Save> {
    End::source(SaveOptions { mode: Mode::OneWay, then, ..plain() }, 1)
}

fn destination(run: Option<bool>) -> End<Restore> {
    End::destination(RestoreOptions { run, ..RestoreOptions::default() }, Mode::OneWay, 1)
}

fn committed(source: &mut End<Save>, maybe_given_up: bool) -> Vec<String> {
    let error = CommitError { maybe_given_up, why: "no space left".into() };
    source.hear(Input::Committed(Err(error)));
    source.go()
}

const BACK: [&str; 6] = [
    "discards",
    "d0: read state",
    "d0: set state running-p2p",
    "d0: set state running",
    "hook unpause: returned",
    "disconnects",
];

/// "Every wait has a deadline": a pipe that nobody reads does not keep the guest paused for ever.
#[test]
fn a_write_that_never_returns_leads_back() {
    let mut source = source(Then::Stop);
    source.withhold = |action| matches!(action, Action::Send(Message::Data { .. }, _));
    source.go();
    assert_eq!(source.pass(HOUR), BACK);
    let (outcome, failure) = source.verdict();
    assert_eq!(outcome, Outcome::Returned);
    assert!(failure.is_some_and(|what| what.contains("write has not returned")), "{failure:?}");
    // It may return after all.
    source.release();
    assert!(source.is_finished());
}

/// "Giving up is its first byte", and after it is "in doubt": a commit that hangs may have given the guest up, and its
/// answer, if one comes, settles it.
#[test]
fn a_commit_that_hangs_is_in_doubt_until_it_returns() {
    let hanging = || {
        let mut source = source(Then::Stop);
        source.withhold = |action| matches!(action, Action::Commit);
        assert_eq!(source.go().last().map(String::as_str), Some("commits"));
        assert_eq!(source.pass(HOUR), Vec::<String>::new());
        assert!(source.is_in_doubt());
        assert_eq!(source.order(Command::Cancel("late".into())), Err(NotNow::TooLate));
        source
    };

    let mut source = hanging();
    assert_eq!(source.release(), ["d0: set state stop", "disconnects"]);
    assert_eq!(source.verdict(), (Outcome::Completed, None));

    let mut source = hanging();
    assert_eq!(committed(&mut source, false), BACK);
    assert_eq!(source.verdict().0, Outcome::Returned);

    let mut source = hanging();
    assert_eq!(committed(&mut source, true), Vec::<String>::new());
    assert!(source.is_in_doubt());
    source.order(Command::Discard).expect("it is in doubt");
    assert_eq!(source.go(), ["d0: set state stop", "disconnects"]);
}

/// A snapshot gives nothing up, so a file that hangs does not hold the guest; the session waits for its answer alone.
#[test]
fn a_snapshots_guest_goes_on_while_its_commit_hangs() {
    let mut source = source(Then::Resume);
    source.withhold = |action| matches!(action, Action::Commit);
    source.go();
    assert_eq!(source.pass(HOUR), BACK[1..5]);
    assert!(!source.is_finished());
    assert_eq!(source.release(), ["disconnects"]);
    let (outcome, failure) = source.verdict();
    assert_eq!(outcome, Outcome::Returned);
    assert!(failure.is_some_and(|what| what.contains("commit has not returned")), "{failure:?}");
}

/// "Before it a failure returns, after it is in doubt": and a guest that is taken back by force leaves no stream behind
/// that somebody could restore.
#[test]
fn taking_back_by_force_leaves_no_stream_behind() {
    let mut source = source(Then::Stop);
    source.withhold = |action| matches!(action, Action::Commit);
    source.go();
    assert_eq!(committed(&mut source, true), Vec::<String>::new());
    assert!(source.is_in_doubt());
    source.order(Command::TakeBack { force: false }).expect("it is in doubt");
    assert_eq!(source.go(), Vec::<String>::new(), "there is nobody to ask");
    assert!(source.is_in_doubt());
    source.order(Command::TakeBack { force: true }).expect("it is in doubt");
    assert_eq!(source.go(), BACK);
    assert_eq!(source.verdict().0, Outcome::Returned);
}

/// The source ends "in running if the caller asked for a snapshot (`goes on`)": whatever became of the snapshot.
#[test]
fn after_a_snapshot_that_cannot_be_kept_the_guest_goes_on() {
    let mut source = source(Then::Resume);
    source.withhold = |action| matches!(action, Action::Commit);
    source.go();
    assert_eq!(committed(&mut source, true), BACK);
    assert_eq!(source.devices[0].state, State::Running);
}

/// Messages come back on connected sessions only: one on a stream that has no way back is not believed.
#[test]
fn a_one_way_source_believes_no_message() {
    for message in [Message::Running, Message::Refused("no".into()), Message::Failed("no".into()), Message::Loaded] {
        let mut source = source(Then::Stop);
        source.withhold = |action| matches!(action, Action::Commit);
        source.go();
        assert_eq!(source.hears(message.clone()), Vec::<String>::new(), "{message:?} while committing");
        assert_eq!(committed(&mut source, true), Vec::<String>::new());
        assert_eq!(source.hears(message.clone()), Vec::<String>::new(), "{message:?} in doubt");
        assert!(source.is_in_doubt());
    }
}

/// "A restore of `stopped` runs once `end` is verified": nothing else gives a guest up on a one-way stream.
#[test]
fn given_up_means_nothing_without_a_way_back() {
    for run in [None, Some(false), Some(true)] {
        for message in [Message::GivenUp, Message::Withdraw] {
            let mut destination = destination(run);
            destination.hears(Message::ObjectEnd(Object(0)));
            let asked = destination.hears(message.clone());
            assert_eq!(asked, ["d0: read state", "d0: reset", "disconnects"], "{message:?}");
        }
    }
}

/// "The stream ends with `end` (totals of all objects": before all of them have ended it is no end, and nobody waits.
#[test]
fn an_end_before_every_object_has_ended_is_refused() {
    let mut destination = destination(None);
    let asked = destination.hears(Message::End { goes_on: false });
    assert_eq!(asked, ["d0: read state", "d0: reset", "disconnects"]);
    assert_eq!(destination.verdict().0, Outcome::Reset);
}

/// "A restore of `stopped` runs once `end` is verified, or stays in stop if asked; a restore of `goes on` stays in stop
/// unless asked to run."
#[test]
fn a_restore_runs_what_stopped_and_leaves_a_snapshot_in_stop() {
    let cases = [
        (false, None, true),
        (false, Some(false), false),
        (false, Some(true), true),
        (true, None, false),
        (true, Some(false), false),
        (true, Some(true), true),
    ];
    for (goes_on, run, runs) in cases {
        let mut destination = destination(run);
        destination.hears(Message::ObjectEnd(Object(0)));
        destination.hears(Message::End { goes_on });
        assert_eq!(destination.verdict(), (Outcome::Completed, None));
        let state = if runs { State::Running } else { State::Stop };
        assert_eq!(destination.devices[0].state, state, "goes on: {goes_on}, run: {run:?}");
    }
}

/// The last bytes of a short stream arrive, and it ends, while devices still enter resuming: that is an end all the
/// same.
#[test]
fn a_stream_that_ended_before_the_devices_were_ready_is_restored() {
    let stages: [fn(&Action) -> bool; 2] = [
        |action| matches!(action, Action::Call(_, DeviceCall::State)),
        |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::Resuming))),
    ];
    for withhold in stages {
        let mut destination = End::destination_that_waits(RestoreOptions::default(), Mode::OneWay, 1);
        destination.withhold = withhold;
        destination.hear(Input::Opened(offer(Mode::OneWay, 1)));
        destination.go();
        destination.data(0, 0, 10, None);
        destination.hears(Message::ObjectEnd(Object(0)));
        destination.hears(Message::End { goes_on: false });
        destination.hear(Input::Disconnected("the end of the file".into()));
        let mut asked = destination.go();
        asked.extend(destination.release());
        assert_eq!(destination.verdict(), (Outcome::Completed, None), "{asked:#?}");
    }
}

/// As above, where devices take their time: a source that has said all it had to say is not silent.
#[test]
fn a_stream_that_has_ended_is_not_waited_for() {
    let mut destination = End::destination_that_waits(RestoreOptions::default(), Mode::OneWay, 1);
    destination.withhold = |action| matches!(action, Action::Call(_, DeviceCall::State | DeviceCall::SetState(_)));
    destination.hear(Input::Opened(offer(Mode::OneWay, 1)));
    destination.go();
    destination.hears(Message::ObjectEnd(Object(0)));
    destination.hears(Message::End { goes_on: false });
    destination.pass(20 * SECOND);
    assert_eq!(destination.works(0, DeviceCall::State), ["d0: set state resuming"]);
    destination.pass(20 * SECOND);
    destination.release();
    assert_eq!(destination.verdict(), (Outcome::Completed, None));
}

/// Nothing comes after the end of a stream, whether the devices were ready for it or not.
#[test]
fn nothing_is_taken_after_the_end_of_a_stream() {
    let mut destination = End::destination_that_waits(RestoreOptions::default(), Mode::OneWay, 1);
    destination.withhold = |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::Resuming)));
    destination.hear(Input::Opened(offer(Mode::OneWay, 1)));
    destination.go();
    destination.hears(Message::ObjectEnd(Object(0)));
    destination.hears(Message::End { goes_on: false });
    destination.data(0, 0, 10, None);
    assert_eq!(destination.released, [Chunk(0)]);
    assert_eq!(destination.release(), ["d0: read state", "d0: reset", "disconnects"]);
}

/// A stream that ends before its end is not restored, whatever of it was kept.
#[test]
fn a_stream_that_was_cut_before_its_end_is_not_restored() {
    let mut destination = End::destination_that_waits(RestoreOptions::default(), Mode::OneWay, 1);
    destination.withhold = |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::Resuming)));
    destination.hear(Input::Opened(offer(Mode::OneWay, 1)));
    destination.go();
    destination.data(0, 0, 10, None);
    destination.hears(Message::ObjectEnd(Object(0)));
    destination.hear(Input::Disconnected("the end of the file".into()));
    destination.go();
    destination.release();
    assert_eq!(destination.verdict(), (Outcome::Reset, Some("the end of the file")));
    assert_eq!(destination.released, [Chunk(0)]);
}

/// A one-way restore that fails says nothing to anybody, and its hook is waited for.
#[test]
fn a_one_way_restore_that_fails_waits_for_its_hook() {
    let mut destination = destination(None);
    destination.withhold = |action| matches!(action, Action::Hook(Hook::Configure));
    destination.hears(Message::ObjectEnd(Object(0)));
    assert_eq!(destination.pass(HOUR), Vec::<String>::new());
    assert!(!destination.is_finished());
    assert_eq!(destination.release(), ["d0: read state", "d0: reset", "disconnects"]);
}
