//! A machine that broke a rule would be found out: what no sound machine does is put before the checks by hand.

use core::time::Duration;

use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{
    Action, Chunk, Command, DeviceCall, Fault, Hook, Input, Message, NotNow, Object, TrackerCall, TrackerIndex,
};
use vfio_migration_protocol::{Estimate, Filled, Outcome, State, Then};

use super::{Invariants, Rule, View};
use crate::end::End;
use crate::scenario::Scenario;

/// Two ends and what was seen of them.
struct Bench {
    scenario: Scenario,
    ends: [End; 2],
    seen: Invariants,
    now: Duration,
}

impl Bench {
    fn new(text: &str) -> Self {
        let scenario: Scenario = text.parse().expect("a scenario");
        let source = End::source(&scenario).expect("a session");
        let destination = End::destination(&scenario).expect("a session");
        Self { ends: [source, destination], seen: Invariants::new(&scenario), scenario, now: Duration::ZERO }
    }

    #[expect(clippy::needless_pass_by_value, reason = "it reads as a list of what is done")]
    fn does(&mut self, side: Side, action: Action) -> &mut Self {
        let view = View { now: self.now, scenario: &self.scenario, ends: &self.ends };
        self.seen.before(view, side, &action);
        self
    }

    #[expect(clippy::needless_pass_by_value, reason = "it reads as a list of what is heard")]
    fn hears(&mut self, side: Side, input: Input) -> &mut Self {
        let view = View { now: self.now, scenario: &self.scenario, ends: &self.ends };
        self.seen.hears(view, side, &input);
        self
    }

    fn looks(&mut self) -> &mut Self {
        let view = View { now: self.now, scenario: &self.scenario, ends: &self.ends };
        self.seen.now(view);
        self
    }

    fn device(&mut self, side: Side, place: usize, state: State) -> &mut Self {
        let device = &mut self.ends[side as usize].devices[place];
        device.put_in(state);
        self
    }

    /// The destination's device has a guest's data in it, and is in this state.
    fn loaded(&mut self, state: State) -> &mut Self {
        self.ends[1].devices[0].carries = true;
        self.device(Side::Restore, 0, state)
    }

    #[track_caller]
    fn broke(&self, rule: Rule) {
        let broken: Vec<Rule> = self.seen.violations.iter().map(|violation| violation.rule).collect();
        assert!(broken.contains(&rule), "{rule:?} was not noticed, only {broken:?}");
    }

    #[track_caller]
    fn is_sound(&self) {
        assert_eq!(self.seen.violations, []);
    }
}

fn bench() -> Bench {
    Bench::new("seed=1 data=5000 pages=2")
}

/// The default destination lists its one device first or later.
fn device_at(bench: &Bench) -> Object {
    let end = &bench.ends[1];
    (0..9).map(Object).find(|object| end.device(*object).is_some()).expect("a device")
}

fn set(object: Object, to: State) -> Action {
    Action::Call(object, DeviceCall::SetState(to))
}

const PAUSED: Input = Input::Hooked(Hook::Pause(Estimate::Unknown), Ok(()));

/// The source up to the point where everything is stopped.
fn stopped(bench: &mut Bench) {
    bench.does(Side::Save, Action::Hook(Hook::Pause(Estimate::Unknown)));
    bench.ends[0].guest.running = false;
    bench.hears(Side::Save, PAUSED);
    bench.device(Side::Save, 0, State::StopCopy).looks();
}

#[test]
fn the_guest_is_paused_before_a_device_is_stopped() {
    for to in [State::StopCopy, State::Stop, State::RunningP2p] {
        bench().does(Side::Save, set(Object(0), to)).broke(Rule::PauseFirst);
    }
    let mut stops_by_itself = bench();
    stops_by_itself.device(Side::Save, 0, State::Stop).looks().broke(Rule::PauseFirst);
    let mut pre_copy = bench();
    pre_copy.does(Side::Save, set(Object(0), State::PreCopy)).is_sound();
}

#[test]
fn no_device_goes_on_before_all_are_in_grace() {
    let mut group = Bench::new("seed=1 devices=stop-copy+p2p,stop-copy+p2p pages=0");
    stopped(&mut group);
    // One works fully, the other is stopped: neither may go on.
    group.does(Side::Save, set(Object(0), State::Running)).broke(Rule::Barrier);
    let mut group = Bench::new("seed=1 devices=stop-copy+p2p,stop-copy+p2p pages=0");
    group.hears(Side::Save, PAUSED).device(Side::Save, 0, State::RunningP2p);
    group.does(Side::Save, set(Object(0), State::StopCopy)).broke(Rule::Barrier);
    let mut group = Bench::new("seed=1 devices=stop-copy+p2p,stop-copy+p2p pages=0");
    group.hears(Side::Save, PAUSED).does(Side::Save, set(Object(0), State::StopCopy)).broke(Rule::Barrier);
}

#[test]
fn only_arcs_of_the_table_are_asked_for() {
    let mut source = bench();
    stopped(&mut source);
    source.does(Side::Save, set(Object(0), State::PreCopy)).broke(Rule::LegalArcs);
    bench().does(Side::Save, set(Object(0), State::Error)).broke(Rule::LegalArcs);
    bench().does(Side::Save, set(Object(1), State::Stop)).broke(Rule::LegalArcs);
}

#[test]
fn nothing_is_reset_unasked() {
    bench().does(Side::Save, Action::Call(Object(0), DeviceCall::Reset)).broke(Rule::NoReset);
    let mut destination = bench();
    let device = device_at(&destination);
    destination.does(Side::Restore, Action::Call(device, DeviceCall::Reset)).broke(Rule::NoReset);
}

#[test]
fn memory_is_read_under_the_eyes_of_its_trackers() {
    let fill = Action::Fill { object: Object(1), chunk: Chunk(0), offset: 0, len: 4096 };
    bench().does(Side::Save, fill).broke(Rule::TrackersFirst);
}

#[test]
fn memory_ends_after_the_last_report() {
    let mut source = bench();
    let start = TrackerCall::Start { ranges: Vec::new(), page_size: 4096 };
    for tracker in [0, 1].map(TrackerIndex) {
        let started = Ok(vfio_migration_protocol::session::TrackerAnswer::Started(4096));
        source.hears(Side::Save, Input::Tracked(tracker, start.clone(), started));
    }
    stopped(&mut source);
    source.does(Side::Save, Action::Send(Message::ObjectEnd(Object(1)), None)).broke(Rule::LastReport);
}

#[test]
fn a_device_ends_after_its_data_and_once() {
    let mut source = bench();
    stopped(&mut source);
    let end = || Action::Send(Message::ObjectEnd(Object(0)), None);
    source.does(Side::Save, end()).broke(Rule::Order);
    let mut source = bench();
    stopped(&mut source);
    let all = Ok(Filled { len: 0, then: Then::End });
    source.hears(Side::Save, Input::Filled(Object(0), Chunk(0), all)).does(Side::Save, end()).is_sound();
    source.does(Side::Save, end()).broke(Rule::Order);
}

#[test]
fn given_up_comes_after_loaded() {
    bench().does(Side::Save, Action::Send(Message::GivenUp, None)).broke(Rule::GivenAfterLoaded);
    let mut source = bench();
    stopped(&mut source);
    source.hears(Side::Save, Input::Received(Message::Loaded, None));
    source.does(Side::Save, Action::Send(Message::GivenUp, None)).is_sound();
    // From here on the devices stay as they are.
    source.does(Side::Save, set(Object(0), State::Stop)).broke(Rule::KeepsUntilRunning);
}

#[test]
fn unpause_comes_once_and_only_after_pause() {
    let unpause = || Action::Hook(Hook::Unpause(Outcome::Returned));
    bench().does(Side::Save, unpause()).broke(Rule::Unpause);
    let mut source = bench();
    source.hears(Side::Save, PAUSED).does(Side::Save, unpause()).is_sound();
    source.does(Side::Save, unpause()).broke(Rule::Unpause);
}

#[test]
fn nothing_runs_at_the_destination_before_it_may() {
    let mut destination = bench();
    let device = device_at(&destination);
    destination.loaded(State::Stop);
    destination.does(Side::Restore, set(device, State::RunningP2p)).broke(Rule::GivenFirst);
    let mut destination = bench();
    destination.loaded(State::Running);
    destination.looks().broke(Rule::GivenFirst);
    destination.broke(Rule::OneOwner);
    bench().does(Side::Restore, Action::Hook(Hook::TakeOver)).broke(Rule::GivenFirst);
}

#[test]
fn who_said_refused_never_runs_and_who_said_failed_stays() {
    for (message, rule) in
        [(Message::Refused(String::new()), Rule::RefusedNeverRuns), (Message::Failed(String::new()), Rule::FailedStays)]
    {
        let mut destination = bench();
        let device = device_at(&destination);
        destination.loaded(State::Stop);
        destination.does(Side::Restore, Action::Send(message, None));
        destination.does(Side::Restore, set(device, State::RunningP2p)).broke(rule);
    }
}

#[test]
fn refused_is_said_at_rest() {
    let mut destination = bench();
    destination.loaded(State::RunningP2p);
    destination.does(Side::Restore, Action::Send(Message::Refused(String::new()), None)).broke(Rule::RefusedAtRest);
}

#[test]
fn nothing_changes_at_the_destination_before_the_source_begins() {
    let mut destination = bench();
    let device = device_at(&destination);
    destination.does(Side::Restore, set(device, State::Resuming)).broke(Rule::BeginFirst);
}

#[test]
fn nothing_is_placed_after_damage() {
    let mut destination = bench();
    let place = Action::Place { object: Object(0), chunk: Chunk(0), offset: 0, len: 1, segment_end: false };
    destination.hears(Side::Restore, Input::Corrupt(Fault::Corrupt, String::new()));
    destination.does(Side::Restore, place).broke(Rule::NothingAfterDamage);
}

#[test]
fn loaded_and_running_are_said_when_they_are_so() {
    bench().does(Side::Restore, Action::Send(Message::Loaded, None)).broke(Rule::LoadedAfterAll);
    bench().does(Side::Restore, Action::Send(Message::Running, None)).broke(Rule::RunningAfterTakeOver);
    bench().does(Side::Restore, Action::Hook(Hook::Configure)).broke(Rule::Order);
}

#[test]
fn only_a_device_that_cannot_stop_waits_in_resuming_when_loaded_is_said() {
    let says = |dialect: &str| {
        let mut destination = Bench::new(&format!("seed=1 devices=stop-copy pages=0 dialects={dialect}"));
        destination.loaded(State::Resuming);
        destination.does(Side::Restore, Action::Send(Message::Loaded, None));
        destination.seen.violations.iter().map(|violation| violation.what.clone()).collect::<Vec<_>>()
    };
    assert!(says("thread").iter().any(|what| what.contains("has not left resuming: Some")), "{:?}", says("thread"));
    assert!(says("libvfio-user").iter().all(|what| what.contains("has not left resuming: None")));
}

#[test]
fn the_guest_is_paused_before_a_device_stops_on_its_way_back() {
    let mut source = Bench::new("seed=1 devices=stop-copy+pre-copy pages=0 dialects=libvfio-user");
    source.device(Side::Save, 0, State::PreCopy);
    source.does(Side::Save, set(Object(0), State::Running)).broke(Rule::PauseFirst);
    let mut source = Bench::new("seed=1 devices=stop-copy+pre-copy pages=0 dialects=thread");
    source.device(Side::Save, 0, State::PreCopy);
    source.does(Side::Save, set(Object(0), State::Running)).is_sound();
}

#[test]
fn silence_after_given_up_is_noticed() {
    let mut destination = bench();
    destination.seen.destination.loaded = true;
    destination.hears(Side::Restore, Input::Received(Message::GivenUp, None)).looks().is_sound();
    destination.now = destination.scenario.restore.deadline / 2;
    destination.looks().broke(Rule::Alive);
}

#[test]
fn a_chunk_is_used_for_one_thing_at_a_time() {
    let fill = |chunk| Action::Fill { object: Object(0), chunk: Chunk(chunk), offset: 0, len: 1 };
    bench().does(Side::Save, fill(0)).does(Side::Save, fill(0)).broke(Rule::Chunks);
    bench().does(Side::Save, fill(4)).broke(Rule::Chunks);
    bench().does(Side::Save, fill(0)).does(Side::Save, Action::Release(Chunk(0))).broke(Rule::Chunks);
    bench().does(Side::Save, Action::Release(Chunk(0))).broke(Rule::Chunks);
    bench().does(Side::Save, fill(0)).does(Side::Save, fill(1)).is_sound();

    let sending = |sent: &[Chunk]| {
        let mut source = bench();
        source.does(Side::Save, fill(0));
        source.hears(Side::Save, Input::Filled(Object(0), Chunk(0), Ok(Filled { len: 1, then: Then::More })));
        let data = Message::Data { object: Object(0), offset: 0, len: 1, segment_end: false, initial_end: None };
        source.does(Side::Save, Action::Send(data, Some(Chunk(0))));
        for chunk in sent {
            source.hears(Side::Save, Input::Sent(*chunk));
        }
        source.does(Side::Save, Action::Release(Chunk(0)));
        source
    };
    sending(&[]).broke(Rule::Chunks);
    sending(&[Chunk(0)]).is_sound();
}

#[test]
fn wishes_are_answered_by_the_rules() {
    let cancel = Command::Cancel(String::new());
    for (command, answer) in [
        (cancel, Err(NotNow::TooLate)),
        (Command::Claim, Ok(())),
        (Command::Discard, Ok(())),
        (Command::TakeBack { force: false }, Ok(())),
    ] {
        let Bench { scenario, ends, mut seen, now } = bench();
        seen.commanded(View { now, scenario: &scenario, ends: &ends }, Side::Save, &command, answer);
        assert!(seen.violations.iter().any(|violation| violation.rule == Rule::Commands), "{command:?}");
    }
}
