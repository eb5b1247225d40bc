//! Every wait has a deadline, of any length, and nobody waits in a circle.

use core::time::Duration;

use vfio_migration_protocol::session::{
    Action, Chunk, Command, DeviceCall, Hook, Input, Message, Mode, Object, RestoreOptions, SaveOptions,
};
use vfio_migration_protocol::{Outcome, Then};

use crate::driver::{End, SECOND};
use crate::scenes::{CHUNK, HOUR, options, plain};

/// A wait is for something that is still to come: no busy loop once `pause` has returned while a call is outstanding.
#[test]
fn pausing_with_a_call_outstanding_waits_for_it() {
    let mut source = End::source(options(), 1);
    source.peer_is_alive = true;
    source.withhold =
        |action| matches!(action, Action::Call(_, DeviceCall::PreCopyInfo) | Action::Fill { chunk: Chunk(0 | 1), .. });
    source.go();
    source.order(Command::Switchover).expect("it may switch over");
    assert_eq!(source.go(), ["hook pause"]);
    source.filled(0, Ok((CHUNK as usize, Then::More)));
    assert_eq!(source.pass(SECOND), Vec::<String>::new());
    let asked = source.release();
    assert_eq!(asked[0], "d0: set state pre-copy-p2p");
}

/// A time of any length is a time: nothing overflows, and a session goes its way.
#[test]
fn times_may_be_as_long_as_they_can_be() {
    let longest = SaveOptions {
        deadline: Duration::MAX,
        max_pre_copy: Duration::MAX,
        downtime_budget: Duration::MAX,
        poll_interval: Duration::MAX,
        ..options()
    };
    for mode in [Mode::Connected, Mode::OneWay] {
        let mut source = End::source(SaveOptions { mode, ..longest.clone() }, 2);
        source.peer_is_alive = mode == Mode::Connected;
        source.pass(HOUR);
        source.order(Command::Switchover).expect("it may switch over");
        source.go();
        if mode == Mode::Connected {
            source.hears(Message::Loaded);
            source.pass(HOUR);
            source.hears(Message::Running);
        }
        assert_eq!(source.verdict(), (Outcome::Completed, None));
    }

    let longest = RestoreOptions { deadline: Duration::MAX, ..RestoreOptions::default() };
    let mut destination = End::destination_that_waits(longest.clone(), Mode::Connected, 1);
    destination.pass(HOUR);
    let mut destination = End::destination(longest, Mode::Connected, 1);
    destination.pass(HOUR);
    destination.data(0, 0, 10, None);
    destination.hears(Message::ObjectEnd(Object(0)));
    destination.pass(HOUR);
    destination.hears(Message::GivenUp);
    destination.pass(HOUR);
    destination.hear(Input::Disconnected("the source closed".into()));
    destination.go();
    assert_eq!(destination.verdict(), (Outcome::Completed, None));
}

/// A poll interval of 0 does not ask a device for ever.
#[test]
fn a_poll_interval_of_nothing_lets_time_pass() {
    let mut source = End::source(SaveOptions { poll_interval: Duration::ZERO, ..options() }, 1);
    source.peer_is_alive = true;
    source.pass(Duration::from_millis(100));
    assert!(!source.is_finished());
}

/// "The destination sends `alive` at least every third of the deadline": and as the deadline of one end is not known to
/// the other, a long one does not make its owner silent for longer than a short one allows.
#[test]
fn alive_is_said_often_enough_for_a_shorter_deadline_at_the_other_end() {
    /// The longest silence between two times.
    fn silence<M>(end: &mut End<M>, from: Duration, until: Duration) -> Duration {
        let mut marks = vec![from];
        marks.append(&mut end.alive);
        marks.push(until);
        marks.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().expect("there are two marks")
    }
    for deadline in [3 * SECOND / 2, 30 * SECOND, HOUR] {
        let often = (deadline / 3).min(SECOND);
        let mut source = End::source(SaveOptions { deadline, max_pre_copy: HOUR, ..options() }, 1);
        source.peer_is_alive = true;
        source.pass(60 * SECOND);
        let now = source.now;
        assert!(silence(&mut source, Duration::ZERO, now) <= often, "at the source, with {deadline:?}");

        let options = RestoreOptions { deadline, ..RestoreOptions::default() };
        let mut destination = End::destination(options, Mode::Connected, 1);
        destination.peer_is_alive = true;
        destination.hears(Message::ObjectEnd(Object(0)));
        destination.pass(60 * SECOND);
        let loaded = destination.now;
        assert!(silence(&mut destination, Duration::ZERO, loaded) <= often, "before given-up, with {deadline:?}");
        destination.withhold = |action| matches!(action, Action::Hook(Hook::TakeOver));
        destination.hears(Message::GivenUp);
        destination.pass(deadline.min(60 * SECOND) * 9 / 10);
        let now = destination.now;
        assert!(silence(&mut destination, loaded, now) <= often, "after given-up, with {deadline:?}");
    }
}

/// "The source's deadline counts silence": a destination that lives is waited for, one that does not is not.
#[test]
fn the_sources_deadline_counts_silence() {
    let mut source = End::source(plain(), 1);
    source.peer_is_alive = true;
    source.go();
    source.hears(Message::Loaded);
    assert_eq!(source.pass(HOUR), Vec::<String>::new());
    assert!(!source.is_in_doubt(), "it is heard");
    source.peer_is_alive = false;
    source.pass(31 * SECOND);
    assert!(source.is_in_doubt(), "it is silent");
}

/// "It closes after the source has closed, or at its deadline": at the deadline, whatever the source says meanwhile.
#[test]
fn closing_ends_at_its_deadline_while_the_source_says_alive() {
    let mut destination = End::destination_that_loaded(1);
    destination.peer_is_alive = true;
    destination.hears(Message::GivenUp);
    destination.pass(29 * SECOND);
    assert!(!destination.is_finished(), "no message is lost with the socket");
    assert_eq!(destination.pass(2 * SECOND), ["disconnects"]);
    assert_eq!(destination.verdict(), (Outcome::Completed, None));
}

/// "It closes after the source has closed".
#[test]
fn closing_ends_when_the_source_closes() {
    let mut destination = End::destination_that_loaded(1);
    destination.hears(Message::GivenUp);
    destination.hear(Input::Disconnected("the source closed".into()));
    assert_eq!(destination.go(), ["disconnects"]);
    assert_eq!(destination.verdict(), (Outcome::Completed, None));
}
