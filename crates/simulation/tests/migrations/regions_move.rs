//! Devices with a migration region: where nothing goes wrong everything arrives, with the segments that left.

use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::{Outcome, State};
use vfio_migration_simulation::{Course, Step, run};

use crate::sweep;

/// Every dialect, with and without NDMA, with and without data in pre-copy.
pub(crate) const KINDS: [&str; 7] = [
    "dialects=thread devices=stop-copy",
    "dialects=thread devices=stop-copy+pre-copy+dirty-tracking",
    "dialects=thread devices=stop-copy+p2p+dirty-tracking",
    "dialects=thread devices=stop-copy+p2p+pre-copy+dirty-tracking",
    "dialects=qemu devices=stop-copy+pre-copy+dirty-tracking",
    "dialects=libvfio-user devices=stop-copy",
    "dialects=libvfio-user devices=stop-copy+pre-copy+dirty-tracking",
];

/// Groups in which a session has to keep a barrier, or is told that there is no P2P traffic.
pub(crate) const GROUPS: [&str; 6] = [
    "dialects=thread,thread devices=stop-copy+p2p+pre-copy,stop-copy+p2p",
    "dialects=thread,thread,thread devices=stop-copy+p2p,stop-copy+p2p+pre-copy,stop-copy+p2p",
    "dialects=thread,fsm devices=stop-copy+p2p+pre-copy,stop-copy+p2p+pre-copy",
    "dialects=libvfio-user,libvfio-user devices=stop-copy+pre-copy,stop-copy no-p2p-traffic=yes \
     restore-no-p2p-traffic=yes",
    "dialects=libvfio-user,thread,qemu devices=stop-copy+pre-copy,stop-copy,stop-copy+pre-copy no-p2p-traffic=yes \
     restore-no-p2p-traffic=yes",
    "dialects=fsm,libvfio-user devices=stop-copy+pre-copy,stop-copy+pre-copy no-p2p-traffic=yes \
     restore-no-p2p-traffic=yes",
];

/// Windows and segments of all kinds: larger and smaller than a chunk, cut at will, read and written or mapped.
const WINDOWS: [&str; 6] = [
    "region=",
    "region=window=4KiB",
    "region=window=8KiB,segment=100..3000",
    "region=window=16KiB,segment=100..16KiB,mmap=sparse",
    "region=window=8KiB,mmap=whole,reserved=4096",
    "region=window=64KiB,segment=9000 chunk=8192 depth=1",
];

fn all_kinds() -> impl Iterator<Item = &'static str> {
    KINDS.into_iter().chain(GROUPS)
}

fn moves(kind: &str, more: &str) -> Course {
    sweep::clean(&format!("{kind} {more}"))
}

#[test]
fn over_every_way_through_every_window() {
    for (kind, window) in all_kinds().flat_map(|kind| WINDOWS.map(|window| (kind, window))) {
        for way in ["way=connected", "way=connected wire=no depth=1", "way=pipe", "way=file", "way=pipe then=resume"] {
            for seed in 1..4 {
                moves(kind, &format!("seed={seed} {window} {way} data=20000 pages=4"));
            }
        }
    }
}

/// Both ends may read the text another way, and have other windows, as long as what is given fits into them.
#[test]
fn between_ends_that_differ() {
    const DIALECTS: [&str; 3] = ["thread", "qemu", "libvfio-user"];
    const PAIRS: [(&str, &str); 3] = [
        ("window=4KiB", "window=64KiB,mmap=whole"),
        ("window=64KiB,segment=100..3000", "window=4KiB"),
        ("window=16KiB,segment=8KiB,mmap=sparse", "window=8KiB,reserved=4096"),
    ];
    for (here, there) in DIALECTS.into_iter().flat_map(|here| DIALECTS.map(|there| (here, there))) {
        for ((ours, theirs), way) in
            PAIRS.into_iter().flat_map(|pair| ["connected", "pipe", "file"].map(|way| (pair, way)))
        {
            for seed in 1..4 {
                moves(
                    &format!("dialects={here} dialects-there={there} devices=stop-copy+pre-copy+dirty-tracking"),
                    &format!("seed={seed} region={ours} region-there={theirs} way={way} data=20000 pages=4"),
                );
            }
        }
    }
}

#[test]
fn of_every_size() {
    for (kind, data) in KINDS.into_iter().flat_map(|kind| [0, 1, 4096, 65_536].map(|data| (kind, data))) {
        for way in ["way=connected", "way=pipe", "way=file run=no"] {
            moves(kind, &format!("seed=4 {way} data={data} pages=0 region=window=8KiB,segment=70..8KiB"));
        }
    }
}

#[test]
fn over_links_of_all_kinds() {
    for kind in all_kinds() {
        for link in ["latency=20000 bandwidth=10000000", "capacity=1", "bandwidth=300000 call=500", "call=3000"] {
            moves(kind, &format!("seed=5 {link} data=9000 pages=2"));
        }
    }
}

/// Where a dialect has no arc from resuming to stop, `loaded` says only that everything was written, and the report says
/// so.
#[test]
fn the_report_says_which_devices_have_not_validated_their_data() {
    for (kind, validated) in all_kinds().map(|kind| (kind, !kind.contains("qemu") && !kind.contains("libvfio-user"))) {
        let course = moves(kind, "seed=6 data=9000 pages=0");
        let report = &course.endings[Side::Restore as usize].as_ref().expect("it ended").report;
        let all = report.objects.iter().filter_map(|object| object.validated).all(|said| said);
        assert_eq!(all, validated, "{course}");
    }
}

/// The order in which the devices of one end are asked for states.
fn states(course: &Course, side: Side) -> Vec<State> {
    let asked = course.steps[side as usize].iter().filter_map(|step| match step {
        Step::SetState { to, .. } => Some(*to),
        _ => None,
    });
    asked.collect()
}

#[test]
fn a_dialect_without_stop_goes_from_resuming_to_running_after_given_up() {
    let course = moves("dialects=libvfio-user devices=stop-copy+pre-copy", "seed=7 data=9000 pages=0");
    assert_eq!(states(&course, Side::Save), [State::PreCopy, State::StopCopy, State::Stop], "{course}");
    assert_eq!(states(&course, Side::Restore), [State::Resuming, State::Running], "{course}");

    let course = moves("dialects=thread devices=stop-copy+pre-copy+p2p", "seed=7 data=9000 pages=0");
    let asked = [State::Resuming, State::Stop, State::RunningP2p, State::Running];
    assert_eq!(states(&course, Side::Restore), asked, "{course}");
}

#[test]
fn a_snapshot_waits_in_resuming_where_it_cannot_wait_in_stop() {
    let kept = |kind| moves(kind, "seed=8 way=file run=no data=9000 pages=2").states[Side::Restore as usize].clone();
    assert_eq!(kept("dialects=libvfio-user devices=stop-copy+pre-copy"), [Some(State::Resuming)]);
    assert_eq!(kept("dialects=thread devices=stop-copy+pre-copy"), [Some(State::Stop)]);
}

#[test]
fn a_group_without_ndma_is_refused_unless_the_caller_says_that_there_is_no_p2p_traffic() {
    for dialects in ["thread,thread", "libvfio-user,libvfio-user", "qemu,fsm", "fsm,libvfio-user"] {
        let text = format!("dialects={dialects} devices=stop-copy,stop-copy pages=0 data=3000");
        assert!(run(&text.parse().expect("a scenario")).is_err(), "{text}");
        moves(&text, "no-p2p-traffic=yes restore-no-p2p-traffic=yes");
    }
}

/// The guest is paused before a device is stopped, even where it goes back to running at once: libvfio-user's 3 -> 2 -> 1.
#[test]
fn cancelling_pre_copy_pauses_the_guest_where_the_way_back_passes_a_stop() {
    for (kind, pauses) in [("libvfio-user", true), ("thread", false), ("qemu", false)] {
        let text = format!("seed=9 dialects={kind} devices=stop-copy+pre-copy data=60000 pages=0");
        let course = sweep::clean(&text);
        let cancel = course.steps[0].iter().position(|step| *step == Step::ReadDevice).expect("it reads");
        let course = run(&format!("{text} command=save:{cancel}:cancel").parse().expect("a scenario"));
        let course = course.expect("a session");
        course.expect_sound();
        assert_eq!(course.outcome(Side::Save), Some(Outcome::Returned), "{course}");
        assert_eq!(course.steps[0].contains(&Step::Hook("pause")), pauses, "{course}");
        assert_eq!(course.guests, [true, false], "{course}");
    }
}
