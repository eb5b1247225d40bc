//! A peer that breaks the rules: it may end a session, and never more than that. Some of this the codec stops already;
//! a session over a stream of the caller's own has no codec.

use vfio_migration_protocol::session::{
    Action, Chunk, Command, DeviceCall, Fault, Hook, Input, MAX_OBJECTS, Message, Mode, Object, RestoreOptions,
};
use vfio_migration_protocol::{Outcome, State};

use crate::driver::End;
use crate::scenes::{HOUR, offer, options, plain};

const REFUSED: [&str; 4] = ["d0: read state", "says refused", "d0: reset", "disconnects"];

fn everything_forward() -> Vec<Message> {
    let data = |object, len| Message::Data { object, offset: 0, len, segment_end: true, initial_end: Some(7) };
    vec![
        Message::Begin,
        data(Object(0), 0),
        data(Object(9), 0),
        data(Object(u32::MAX), 1),
        Message::ObjectEnd(Object(0)),
        Message::ObjectEnd(Object(u32::MAX)),
        Message::GivenUp,
        Message::Withdraw,
        Message::Cancelled("so".into()),
        Message::End { goes_on: true },
        Message::Event("{".into()),
        Message::Report(String::new()),
    ]
}

fn everything_back() -> Vec<Message> {
    vec![
        Message::Alive,
        Message::Accepted,
        Message::InitialLoaded(Object(0), 0),
        Message::InitialLoaded(Object(u32::MAX), u32::MAX),
        Message::Ack(Object(0), 0),
        Message::Ack(Object(u32::MAX), u64::MAX),
        Message::Loaded,
        Message::Running,
        Message::Refused("so".into()),
        Message::Failed("so".into()),
    ]
}

/// "Nothing from outside can panic": any two messages, in any order, at any point of a session. Nor can they give a
/// guest two owners: a source that lets its guest run again has never given it up, unless it heard `refused`.
#[test]
fn no_pair_of_messages_panics_a_source_or_gives_the_guest_two_owners() {
    let stages: [fn(&Action) -> bool; 7] = [
        |action| matches!(action, Action::Call(_, DeviceCall::DataSize)),
        |action| matches!(action, Action::Open(_)),
        |action| matches!(action, Action::Call(_, DeviceCall::PreCopyInfo)),
        |action| matches!(action, Action::Hook(Hook::Pause(_))),
        |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::StopCopy))),
        |action| matches!(action, Action::Send(Message::Data { .. }, _)),
        |_| false,
    ];
    let messages: Vec<_> = everything_back().into_iter().chain(everything_forward()).collect();
    for withhold in stages {
        for (first, second) in messages.iter().flat_map(|first| messages.iter().map(move |second| (first, second))) {
            let mut source = End::source(options(), 2);
            source.withhold = withhold;
            source.go();
            let _ = source.order(Command::Switchover);
            let mut asked = source.go();
            asked.extend(source.hears(first.clone()));
            asked.extend(source.hears(second.clone()));
            asked.extend(source.release());
            asked.extend(source.pass(HOUR));
            let has = |what: &str| asked.iter().any(|line| line.starts_with(what));
            let refused = matches!(first, Message::Refused(_)) || matches!(second, Message::Refused(_));
            assert!(!has("hook unpause") || !has("says given-up") || refused, "{first:?} {second:?}: {asked:#?}");
            assert!(!has("hook unpause") || has("hook pause"), "{first:?} {second:?}: {asked:#?}");
        }
    }
}

/// As above, for a destination: who said `refused` never runs.
#[test]
fn no_pair_of_messages_panics_a_destination_or_lets_it_run_what_it_refused() {
    let stages: [fn(&Action) -> bool; 6] = [
        |action| matches!(action, Action::Call(_, DeviceCall::State)),
        |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::Resuming))),
        |action| matches!(action, Action::Hook(Hook::Configure)),
        |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::Stop))),
        |action| matches!(action, Action::Hook(Hook::TakeOver)),
        |_| false,
    ];
    let messages: Vec<_> = everything_forward().into_iter().chain(everything_back()).collect();
    let ways = [(Mode::Connected, false), (Mode::Connected, true), (Mode::OneWay, true)];
    for (withhold, (mode, all)) in stages.into_iter().flat_map(|stage| ways.map(|way| (stage, way))) {
        for (first, second) in messages.iter().flat_map(|first| messages.iter().map(move |second| (first, second))) {
            let mut destination = End::destination_that_waits(RestoreOptions::default(), mode, 1);
            destination.withhold = withhold;
            destination.hear(Input::Opened(offer(mode, 1)));
            let mut asked = destination.go();
            if all {
                if mode == Mode::Connected {
                    asked.extend(destination.hears(Message::Begin));
                }
                asked.extend(destination.hears(Message::ObjectEnd(Object(0))));
            }
            for message in [first, second] {
                let chunk = matches!(message, Message::Data { len: 1.., .. }).then_some(Chunk(0));
                destination.hear(Input::Received(message.clone(), chunk));
                asked.extend(destination.go());
            }
            asked.extend(destination.release());
            asked.extend(destination.pass(HOUR));
            let refused = asked.iter().position(|line| line == "says refused").unwrap_or(asked.len());
            let ran = asked[refused..].iter().find(|line| line.contains("set state running") || line.contains("hook"));
            assert_eq!(ran, None, "{first:?} {second:?}: {asked:#?}");
            // Nothing runs that was not given up in the way of its stream.
            let given_up = [first, second].into_iter().any(|message| match mode {
                Mode::Connected => matches!(message, Message::GivenUp),
                Mode::OneWay => matches!(message, Message::End { .. }),
            });
            let runs = asked.iter().any(|line| line == "hook takeOver");
            assert!(!runs || given_up, "{first:?} {second:?}: {asked:#?}");
        }
    }
}

/// "It closes after the source has closed": what is odd while the guest runs here is told, and the session is a
/// success.
#[test]
fn a_broken_rule_while_closing_does_not_spoil_a_session_that_is_complete() {
    let mut destination = End::destination_that_loaded(1);
    destination.hears(Message::GivenUp);
    destination.hears(Message::Begin);
    assert_eq!(destination.failures().len(), 1, "it is told");
    destination.hear(Input::Corrupt(Fault::Corrupt, "noise".into()));
    destination.hear(Input::Disconnected("the source closed".into()));
    destination.go();
    assert_eq!(destination.verdict(), (Outcome::Completed, None));
}

/// One stream has one head: a second one changes nothing.
#[test]
fn a_second_head_of_the_stream_changes_nothing() {
    let mut destination = End::destination(RestoreOptions::default(), Mode::Connected, 1);
    destination.hear(Input::Opened(offer(Mode::OneWay, 1)));
    assert_eq!(destination.go(), Vec::<String>::new());
    let asked = destination.hears(Message::ObjectEnd(Object(0)));
    assert_eq!(asked, ["hook configure", "d0: set state stop", "says loaded"], "it is connected still");
}

/// A connected source begins once its offer was accepted: nothing that comes before is kept.
#[test]
fn data_before_begin_is_refused() {
    let mut destination = End::destination_that_waits(RestoreOptions::default(), Mode::Connected, 1);
    destination.hear(Input::Opened(offer(Mode::Connected, 1)));
    assert_eq!(destination.go(), ["d0: read state", "says accepted"]);
    assert_eq!(destination.data(0, 0, 10, None), ["says refused", "disconnects"]);
    assert_eq!(destination.released, [Chunk(0)]);
    assert_eq!(destination.verdict().0, Outcome::Returned, "nothing was changed");
}

/// "Every buffer a bound": what comes while devices enter resuming is kept for them, and not without end.
#[test]
fn frames_that_have_to_wait_are_not_kept_without_end() {
    let mut destination = End::destination_that_waits(RestoreOptions::default(), Mode::OneWay, 1);
    destination.withhold = |action| matches!(action, Action::Call(_, DeviceCall::SetState(State::Resuming)));
    destination.hear(Input::Opened(offer(Mode::OneWay, 1)));
    destination.go();
    let mut kept = 0;
    while kept < 1 << 20 && destination.failures().is_empty() {
        kept += 1;
        destination.data(0, 0, 0, Some(kept));
    }
    assert!(kept as usize <= 16 * MAX_OBJECTS + 1, "{kept} frames are kept");
    assert_eq!(destination.release().last().map(String::as_str), Some("disconnects"));
}

/// As above, while a write is outstanding: of generations of initial data only the newest is of interest.
#[test]
fn ends_of_initial_data_behind_a_write_are_kept_once() {
    let mut destination = End::destination(RestoreOptions::default(), Mode::Connected, 1);
    destination.withhold = |action| matches!(action, Action::Place { .. });
    destination.data(0, 0, 10, Some(0));
    for generation in 1..10_000 {
        assert_eq!(destination.data(0, 10, 0, Some(generation)), Vec::<String>::new());
    }
    assert_eq!(destination.placed(0, Ok(())), ["says ack 10", "says initial-loaded 9999"]);
}

/// A message that cannot be, before `given-up`, is the end of the session: the guest stays where it is.
#[test]
fn a_broken_rule_before_given_up_leads_back_at_both_ends() {
    let mut source = End::source(plain(), 1);
    source.go();
    source.hears(Message::Ack(Object(0), 100));
    assert_eq!(source.verdict().0, Outcome::Returned);

    let mut destination = End::destination(RestoreOptions::default(), Mode::Connected, 1);
    assert_eq!(destination.hears(Message::Begin), REFUSED);
    assert_eq!(destination.verdict().0, Outcome::Reset);
}
