//! Region devices in a session: what the machines do where a dialect has no arc, or a device refuses one.

use vfio_migration_protocol::session::{
    Action, Chunk, Command, DeviceCall, DeviceObject, Fault, Hook, Input, Message, Mode, Object, ObjectKind, Protocol,
    Restore, RestoreObject, RestoreOptions, Save, SaveObject, SaveOptions,
};
use vfio_migration_protocol::state::Dialect;
use vfio_migration_protocol::{Capabilities, Estimate, Outcome, Passport, State, Table};

use crate::driver::End;
use crate::scenes::{self, HOUR, offer, options, plain};

const FULL: Capabilities = Capabilities::from_bits(1 | 2 | 4);

/// A device in a test: a region of this dialect, with NDMA or without, or an fsm device.
#[derive(Clone, Copy)]
enum Kind {
    Fsm,
    Region(Dialect, bool),
}

const LIBVFIO_USER: Kind = Kind::Region(Dialect::LibvfioUser, false);
const THREAD: Kind = Kind::Region(Dialect::Thread, false);
const WITH_NDMA: Kind = Kind::Region(Dialect::Thread, true);

impl Kind {
    fn table(self) -> Table {
        match self {
            Self::Fsm => Table::fsm(FULL),
            Self::Region(dialect, ndma) => Table::region(dialect, ndma),
        }
    }

    fn protocol(self) -> Protocol {
        if let Self::Fsm = self { Protocol::Fsm } else { Protocol::Region }
    }
}

fn device((place, kind): (usize, &Kind)) -> DeviceObject {
    DeviceObject { protocol: kind.protocol(), table: kind.table(), ..scenes::device(place) }
}

fn source(mut options: SaveOptions, kinds: &[Kind]) -> End<Save> {
    let object = |one| SaveObject::Device(device(one));
    options.no_p2p_traffic = true;
    End::source_of(options, kinds.iter().enumerate().map(object).collect())
}

/// A destination of these devices, all in resuming.
fn accepted(mode: Mode, kinds: &[Kind]) -> End<Restore> {
    let object = |one| RestoreObject::Device(device(one));
    let options = RestoreOptions { no_p2p_traffic: true, ..RestoreOptions::default() };
    let restore = Restore::new(options, kinds.iter().enumerate().map(object).collect()).expect("they fit");
    let mut end = End::new(restore, mode, kinds.len());
    end.go();
    let mut offer = offer(mode, kinds.len());
    for (object, kind) in offer.objects.iter_mut().zip(kinds) {
        if let ObjectKind::Device { protocol, .. } = &mut object.kind {
            *protocol = kind.protocol();
        }
    }
    end.hear(Input::Opened(offer));
    end.go();
    if mode == Mode::Connected {
        end.hears(Message::Begin);
    }
    end
}

/// A destination of these devices that has heard all of an empty stream, of which nothing is answered that `withhold`
/// names; and what it asked for after the `configure` hook.
fn loads(mode: Mode, kinds: &[Kind], withhold: fn(&Action) -> bool) -> (End<Restore>, Vec<String>) {
    let mut end = accepted(mode, kinds);
    end.withhold = withhold;
    let count = u32::try_from(kinds.len()).expect("a few");
    let asked = (0..count).flat_map(|place| end.hears(Message::ObjectEnd(Object(place)))).collect::<Vec<_>>();
    let configured = asked.iter().position(|line| line == "hook configure").expect("all came");
    (end, asked[configured + 1..].to_vec())
}

/// A source that is cancelled in pre-copy.
fn cancelled_in_pre_copy(kinds: &[Kind], withhold: fn(&Action) -> bool) -> (End<Save>, Vec<String>) {
    let mut source = source(options(), kinds);
    source.go();
    assert!(source.devices.iter().all(|device| device.state == State::PreCopy));
    source.withhold = withhold;
    source.order(Command::Cancel("enough".into())).expect("the guest is here");
    let asked = source.go();
    (source, asked)
}

/// "Where the way back from pre-copy passes a stopped state (libvfio-user's region: 3 -> 2 -> 1), `pause` runs before it
/// and `unpause` after it."
#[test]
fn the_guest_pauses_where_the_way_back_from_pre_copy_passes_a_stop() {
    let (source, asked) = cancelled_in_pre_copy(&[LIBVFIO_USER], |_| false);
    let expected = [
        "says cancelled",
        "d0: read state",
        "hook pause",
        "d0: set state running",
        "hook unpause: returned",
        "disconnects",
    ];
    assert_eq!(asked, expected);
    assert_eq!(source.verdict().0, Outcome::Returned);

    for kind in [THREAD, WITH_NDMA, Kind::Region(Dialect::Qemu, false), Kind::Fsm] {
        let (source, asked) = cancelled_in_pre_copy(&[kind], |_| false);
        assert_eq!(asked, ["says cancelled", "d0: read state", "d0: set state running", "disconnects"]);
        assert_eq!(source.verdict().0, Outcome::Returned);
    }
}

#[test]
fn a_guest_that_is_paused_already_is_not_asked_again() {
    let mut source = source(options(), &[LIBVFIO_USER, Kind::Fsm]);
    source.go();
    source.withhold = |action| matches!(action, Action::Hook(Hook::Pause(_)));
    source.order(Command::Switchover).expect("it may switch over");
    assert_eq!(source.go(), ["hook pause"]);
    source.order(Command::Cancel("enough".into())).expect("the guest is here");
    assert_eq!(source.go(), ["says cancelled"]);
    let expected = [
        "d0: read state",
        "d1: read state",
        "d0: set state running",
        "d1: set state running",
        "hook unpause: returned",
        "disconnects",
    ];
    assert_eq!(source.release(), expected);
}

/// "A device that cannot leave pre-copy is `returned` (to pre-copy) and named": here because its guest does not pause.
#[test]
fn a_device_stays_in_pre_copy_if_the_guest_does_not_pause() {
    let (mut source, asked) =
        cancelled_in_pre_copy(&[LIBVFIO_USER, Kind::Fsm], |action| matches!(action, Action::Hook(Hook::Pause(_))));
    assert_eq!(asked, ["says cancelled", "d0: read state", "d1: read state", "hook pause"]);
    let back = source.hook_returns(Hook::Pause(Estimate::Known(0)), Err("it does not"));
    assert_eq!(back, ["d1: set state running", "hook unpause: returned", "disconnects"]);
    assert_eq!(source.devices[0].state, State::PreCopy);
    assert_eq!(source.verdict().0, Outcome::Returned);
    assert!(source.failures().iter().any(|what| what.contains("the hook pause failed")), "{:?}", source.failures());
}

/// Nothing was changed yet when a session refuses what it could not go on with.
#[test]
fn a_device_that_has_no_way_on_from_where_it_is_is_refused_at_once() {
    let mut end = source(options(), &[LIBVFIO_USER]);
    end.devices[0].state = State::Stop;
    assert_eq!(end.go(), ["d0: read state", "disconnects"]);
    let (outcome, failure) = end.verdict();
    assert_eq!(outcome, Outcome::Returned);
    assert_eq!(failure, Some("it is in stop, from where no arc leads to stop-copy on this device"));

    let mut end = source(plain(), &[THREAD]);
    end.devices[0].state = State::Stop;
    assert!(end.go().contains(&"d0: set state stop-copy".to_owned()));
}

/// "Where a dialect has no arc from resuming to stop, `loaded` says only that everything was written; the report says so;
/// leaving resuming counts as leaving stop, and such devices go first after `given-up`."
#[test]
fn a_device_without_an_arc_to_stop_leaves_resuming_after_given_up_and_before_the_others() {
    let (mut end, asked) = loads(Mode::Connected, &[Kind::Fsm, LIBVFIO_USER], |_| false);
    assert_eq!(asked, ["d0: set state stop", "says loaded"]);
    let states: Vec<_> = end.devices.iter().map(|device| device.state).collect();
    assert_eq!(states, [State::Stop, State::Resuming]);
    let validated: Vec<_> = end.report().objects.iter().map(|object| object.validated).collect();
    assert_eq!(validated, [Some(true), Some(false)]);
    let asked = end.hears(Message::GivenUp);
    let expected = [
        "d1: set state running",
        "d0: set state running-p2p",
        "d0: set state running",
        "hook takeOver",
        "says running",
    ];
    assert_eq!(asked, expected);
}

#[test]
fn a_device_with_ndma_leaves_resuming_into_its_grace_state() {
    // It could go to stop, and refuses.
    let withhold = |action: &Action| *action == Action::Call(Object(0), DeviceCall::SetState(State::Stop));
    let (mut end, asked) = loads(Mode::Connected, &[WITH_NDMA, WITH_NDMA], withhold);
    assert_eq!(asked, ["d0: set state stop", "d1: set state stop"]);
    let asked = end.fails(0, DeviceCall::SetState(State::Stop), State::Resuming);
    assert_eq!(asked, ["d0: read state", "says loaded"]);
    let asked = end.hears(Message::GivenUp);
    let expected = [
        "d0: set state running-p2p",
        "d1: set state running-p2p",
        "d0: set state running",
        "d1: set state running",
        "hook takeOver",
        "says running",
    ];
    assert_eq!(asked, expected);
}

/// "Any region device that answers 4 -> 0 with an error and still reads 4"; an fsm device that does so has refused its
/// data, and one that reads anything else has failed.
#[test]
fn only_a_region_device_may_refuse_to_leave_resuming_for_stop() {
    let stop = DeviceCall::SetState(State::Stop);
    let withhold = |action: &Action| matches!(action, Action::Call(_, DeviceCall::SetState(State::Stop)));

    let (mut end, _) = loads(Mode::Connected, &[THREAD], withhold);
    assert_eq!(end.fails(0, stop, State::Resuming), ["d0: read state", "says loaded"]);
    assert!(end.failures().iter().any(|what| what.contains("changing to stop failed")), "{:?}", end.failures());
    assert_eq!(end.report().objects[0].validated, Some(false));

    let (mut end, _) = loads(Mode::Connected, &[THREAD], withhold);
    let asked = end.fails(0, stop, State::Error);
    assert_eq!(asked, ["d0: read state", "d0: read state", "says refused", "d0: reset", "disconnects"]);

    let (mut end, _) = loads(Mode::Connected, &[Kind::Fsm], withhold);
    let asked = end.fails(0, stop, State::Resuming);
    assert_eq!(asked, ["d0: read state", "d0: read state", "says refused", "d0: reset", "disconnects"]);
    assert_eq!(end.report().objects[0].validated, None);
}

/// "Leaving resuming counts as leaving stop in 3 and 4": a failure there is `failed`, and nothing goes on by itself.
#[test]
fn a_device_that_fails_to_leave_resuming_after_given_up_has_failed() {
    for state in [State::Resuming, State::Error, State::Stop] {
        let withhold = |action: &Action| matches!(action, Action::Call(_, DeviceCall::SetState(State::Running)));
        let (mut end, _) = loads(Mode::Connected, &[LIBVFIO_USER, Kind::Fsm], withhold);
        assert_eq!(end.hears(Message::GivenUp), ["d0: set state running"]);
        let cancel = end.order(Command::Cancel("no".into()));
        assert!(cancel.is_err(), "a device may be on its way to the guest");
        let asked = end.fails(0, DeviceCall::SetState(State::Running), state);
        assert_eq!(asked, ["d0: read state", "says failed", "d0: read state", "d1: read state"], "{state}");
        assert!(end.is_in_doubt(), "{state}");
        assert_eq!(end.pass(HOUR), [""; 0], "it never goes on by itself");
        // Only who says that it neither runs nor is broken can let the source have the guest.
        let answer = end.hears(Message::Withdraw);
        let rests = state != State::Error;
        let says = if rests { "says refused" } else { "says failed" };
        assert_eq!(answer.first().map(String::as_str), Some(says), "{state}");
    }
}

/// Before `given-up` nothing has left: the destination may refuse, and its device is reset.
#[test]
fn before_given_up_a_device_in_resuming_can_be_refused() {
    let (mut end, _) = loads(Mode::Connected, &[LIBVFIO_USER], |_| false);
    let asked = end.hears(Message::Cancelled("the source goes on".into()));
    assert_eq!(asked, ["d0: read state", "d0: reset", "disconnects"]);
    assert_eq!(end.ending().failure.as_ref().map(|failure| failure.fault), Some(Fault::Cancelled));
}

#[test]
fn one_way_a_device_leaves_resuming_once_the_end_was_verified() {
    let (mut end, asked) = loads(Mode::OneWay, &[LIBVFIO_USER], |_| false);
    assert_eq!(asked, [""; 0]);
    let asked = end.hears(Message::End { goes_on: false });
    assert_eq!(asked, ["d0: set state running", "hook takeOver", "disconnects"]);

    // A snapshot's device waits in resuming where it cannot wait in stop.
    let (mut end, _) = loads(Mode::OneWay, &[LIBVFIO_USER], |_| false);
    assert_eq!(end.hears(Message::End { goes_on: true }), ["disconnects"]);
    assert_eq!(end.devices[0].state, State::Resuming);
    assert_eq!((end.verdict().0, end.report().objects[0].validated), (Outcome::Completed, Some(false)));
}

/// What the device was given of the segment it has not taken, and nobody may take it for a refusal to leave resuming.
#[test]
fn data_that_ends_in_the_middle_of_a_segment_is_refused() {
    let data = |segment_end| Message::Data { object: Object(0), offset: 0, len: 9, segment_end, initial_end: None };
    for (kind, segment_end, refused) in
        [(THREAD, false, true), (LIBVFIO_USER, false, true), (THREAD, true, false), (Kind::Fsm, false, false)]
    {
        let mut end = accepted(Mode::Connected, &[kind]);
        end.hear(Input::Received(data(segment_end), Some(Chunk(0))));
        end.go();
        let says = end.hears(Message::ObjectEnd(Object(0)));
        assert_eq!(says.contains(&"says refused".to_owned()), refused, "{says:?}");
        let failure = end.failures().iter().any(|what| what.contains("the end of d0 in the middle of a segment"));
        assert_eq!(failure, refused, "{:?}", end.failures());
    }
}

#[test]
fn a_stream_of_another_protocol_is_refused() {
    let mut offer = offer(Mode::Connected, 1);
    offer.objects[0].kind =
        ObjectKind::Device { protocol: Protocol::Region, capabilities: FULL, passport: Passport::new() };
    let mut end = End::destination_that_waits(RestoreOptions::default(), Mode::Connected, 1);
    end.hear(Input::Opened(offer));
    assert_eq!(end.go(), ["says refused", "disconnects"]);
    let (outcome, failure) = end.verdict();
    assert_eq!(outcome, Outcome::Returned);
    assert_eq!(failure, Some("speaks Region at the source and Fsm here"));
}
