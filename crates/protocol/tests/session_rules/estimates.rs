//! When pre-copy ends, what is said of those that did not converge, and what a rate is.

use core::time::Duration;

use vfio_migration_protocol::report::PreCopyEnd;
use vfio_migration_protocol::session::{Action, Input, Message, Mode, Object, Save, SaveOptions};
use vfio_migration_protocol::{Estimate, EventKind, PreCopyInfo};

use crate::driver::{End, SECOND};
use crate::scenes::{CHUNK, options, plain};

const MILLISECOND: Duration = Duration::from_millis(1);

/// Pre-copy info of a device whose initial data is through.
fn dirty(bytes: u64) -> PreCopyInfo {
    PreCopyInfo { initial: Estimate::Known(0), dirty: Estimate::Known(bytes), reinit: false }
}

fn switchover(source: &End<Save>) -> (PreCopyEnd, Estimate) {
    let found = source.events.iter().find_map(|event| match event {
        EventKind::Switchover { reason, left } => Some((*reason, *left)),
        _ => None,
    });
    found.expect("pre-copy has ended")
}

/// A link that takes a millisecond a chunk, until pre-copy has ended.
fn over_a_fast_link(source: &mut End<Save>) {
    source.withhold = |action| matches!(action, Action::Send(Message::Data { len: 1.., .. }, _));
    source.go();
    while source.report().pre_copy_end.is_none() {
        let left = source.devices[0].left;
        source.devices[0].info = dirty(left);
        source.pass(MILLISECOND);
        source.arrives();
    }
}

/// "The estimate is at most measured rate x downtime budget": what a limit does not let through cannot be counted on.
#[test]
fn a_rate_limit_bounds_the_rate_that_pre_copy_converges_at() {
    let limit = u64::from(CHUNK) * 1000 / 4;
    let budget = 300 * MILLISECOND;
    let mut source = End::source(SaveOptions { rate: Some(limit), downtime_budget: budget, ..options() }, 1);
    source.devices[0].left = limit * 3;
    over_a_fast_link(&mut source);
    let (reason, left) = switchover(&source);
    assert_eq!(reason, PreCopyEnd::Converged);
    let left = left.known().expect("the device says how much it has left");
    assert!(left <= limit * 3 / 10, "{left} bytes take longer than the budget at {limit} bytes a second");
    assert!(source.now >= 2 * SECOND, "{:?}: the limit holds", source.now);
}

/// As above, without a limit: the link is four times as fast, and the same fits it at once.
#[test]
fn without_a_limit_the_measured_rate_counts() {
    let mut source = End::source(SaveOptions { downtime_budget: 300 * MILLISECOND, ..options() }, 1);
    source.devices[0].left = u64::from(CHUNK) * 250;
    over_a_fast_link(&mut source);
    assert_eq!(switchover(&source).0, PreCopyEnd::Converged);
    assert!(source.now < SECOND, "{:?}", source.now);
}

/// "An unknown estimate never counts as small."
#[test]
fn an_unknown_estimate_never_converges_and_is_named() {
    let mut source = End::source(options(), 2);
    source.peer_is_alive = true;
    source.devices[0].info.dirty = Estimate::Unknown;
    source.devices[0].info.initial = Estimate::Known(0);
    source.devices[1].info = dirty(0);
    source.pass(29 * SECOND);
    assert_eq!(source.report().pre_copy_end, None);
    source.pass(2 * SECOND);
    assert_eq!(source.report().pre_copy_end, Some(PreCopyEnd::MaxPreCopy));
    assert_eq!(source.report().not_converged, ["d0"]);
}

/// "Pre-copy ends when the initial data is loaded at the destination": sent is not loaded.
#[test]
fn initial_data_that_is_not_loaded_delays_the_switchover() {
    let mut source = End::source(options(), 1);
    source.peer_is_alive = true;
    source.devices[0].info = dirty(0);
    source.withhold = |action| matches!(action, Action::Send(Message::Data { initial_end: Some(_), .. }, _));
    source.pass(SECOND);
    assert_eq!(source.report().pre_copy_end, None);
    source.hears(Message::InitialLoaded(Object(0), 0));
    assert_eq!(source.report().pre_copy_end, Some(PreCopyEnd::Converged));
}

/// "A device that never converged is named": where each had its share and together they had not, all are.
#[test]
fn whoever_kept_pre_copy_from_converging_is_named() {
    // One chunk in a millisecond, for 300 ms: so much fits the budget.
    let fits = u64::from(CHUNK) * 300;
    let times = SaveOptions { max_pre_copy: 10 * MILLISECOND, poll_interval: SECOND, ..options() };
    let mut source = End::source(times, 2);
    for device in &mut source.devices {
        // A chunk each is read at once; what is left then is just less than half of what fits.
        device.left = u64::from(CHUNK);
        device.info = dirty(fits / 2 - 100 + u64::from(CHUNK));
    }
    source.withhold = |action| matches!(action, Action::Send(Message::Data { len: 1.., .. }, _));
    source.pass(MILLISECOND);
    source.arrives();
    // The other chunk stays in flight.
    source.pass(10 * MILLISECOND);
    assert_eq!(switchover(&source), (PreCopyEnd::MaxPreCopy, Estimate::Known(fits - 200 + u64::from(CHUNK))));
    assert_eq!(source.report().not_converged, ["d0", "d1"]);
}

/// "Unknown is not zero": where nothing moved, or all of it in one instant, there is no rate.
#[test]
fn a_rate_without_bytes_or_without_time_is_unknown() {
    let mut source = End::source(plain(), 1);
    source.withhold = |action| matches!(action, Action::Fill { .. });
    source.go();
    source.peer_is_alive = true;
    source.pass(SECOND);
    assert_eq!(source.report().rate, None, "nothing has moved");

    let mut source = End::source(SaveOptions { mode: Mode::OneWay, ..plain() }, 1);
    source.go();
    assert_eq!((source.report().bytes, source.report().rate), (100, None), "it moved in one instant");

    let mut source = End::source(plain(), 1);
    source.withhold = |action| matches!(action, Action::Send(Message::Data { .. }, _));
    source.go();
    source.hear(Input::Tick);
    source.pass(SECOND / 2);
    source.arrives();
    assert_eq!(source.report().rate, Some(200));
}
