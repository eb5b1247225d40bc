//! When pre-copy ends, whatever devices say about how much is left.

use vfio_migration_protocol::EventKind;
use vfio_migration_protocol::report::{PreCopyEnd, Side};
use vfio_migration_protocol::session::Command;
use vfio_migration_simulation::{Course, Scenario, run};

fn sound(text: &str) -> Course {
    let scenario: Scenario = text.parse().expect("a scenario");
    let course = run(&scenario).expect("a session");
    course.expect_sound();
    assert_eq!((course.guests, course.resets()), ([false, true], 0), "{course}");
    course
}

fn end(course: &Course) -> PreCopyEnd {
    let ending = course.endings[Side::Save as usize].as_ref().expect("it has ended");
    ending.report.pre_copy_end.unwrap_or_else(|| panic!("pre-copy has not ended: {course}"))
}

fn not_converged(course: &Course) -> Vec<String> {
    let ending = course.endings[Side::Save as usize].as_ref().expect("it has ended");
    ending.report.not_converged.clone()
}

const WAYS: [&str; 3] = ["way=connected", "way=pipe", "way=file"];

#[test]
fn it_converges_where_little_is_left() {
    for way in WAYS {
        for seed in 1..6 {
            let course = sound(&format!("seed={seed} {way} data=40000 pages=8"));
            assert_eq!(end(&course), PreCopyEnd::Converged, "{course}");
            assert_eq!(not_converged(&course), [""; 0], "{course}");
        }
    }
}

#[test]
fn a_device_without_pre_copy_switches_over_at_once() {
    for way in WAYS {
        for text in ["devices=stop-copy pages=0", "devices=stop-copy+p2p,stop-copy+p2p pages=4", "pre-copy=no pages=0"]
        {
            let course = sound(&format!("seed=1 {way} data=9000 {text}"));
            assert_eq!(end(&course), PreCopyEnd::NothingToPreCopy, "{course}");
        }
    }
}

#[test]
fn an_unknown_estimate_never_counts_as_small() {
    for way in WAYS {
        let course = sound(&format!("seed=1 {way} data=9000 pages=0 source-model=pre-copy-info@1+:unknown"));
        assert_eq!(end(&course), PreCopyEnd::MaxPreCopy, "{course}");
        assert_eq!(not_converged(&course), ["device0"], "{course}");
    }
}

#[test]
fn a_huge_or_stuck_estimate_waits_as_long_as_it_may() {
    for way in WAYS {
        let huge = sound(&format!("seed=1 {way} data=9000 pages=0 source-model=pre-copy-info@1+:huge"));
        assert_eq!((end(&huge), not_converged(&huge)), (PreCopyEnd::MaxPreCopy, vec!["device0".into()]), "{huge}");
        // What it said first: that all of its initial data is left.
        let stuck = sound(&format!("seed=1 {way} data=9000 pages=0 source-model=pre-copy-info@1:stuck"));
        assert_eq!((end(&stuck), not_converged(&stuck)), (PreCopyEnd::MaxPreCopy, vec!["device0".into()]), "{stuck}");
    }
}

#[test]
fn an_estimate_of_zero_is_believed_and_nothing_is_lost_by_it() {
    for way in WAYS {
        let course = sound(&format!("seed=1 {way} data=90000 pages=0 source-model=pre-copy-info@1+:zero"));
        assert_eq!(end(&course), PreCopyEnd::Converged, "{course}");
    }
}

#[test]
fn a_device_that_changes_faster_than_the_link_is_named() {
    for way in WAYS {
        let course = sound(&format!("seed=1 {way} data=90000 pages=0 churn=8 ticks=8 bandwidth=3000000"));
        assert_eq!(
            (end(&course), not_converged(&course)),
            (PreCopyEnd::MaxPreCopy, vec!["device0".into()]),
            "{course}"
        );
    }
}

#[test]
fn memory_that_changes_faster_than_the_link_is_named() {
    for way in WAYS {
        let course = sound(&format!("seed=1 {way} data=4000 pages=60 writes=60 bandwidth=3000000 budget=1000"));
        assert_eq!(end(&course), PreCopyEnd::MaxPreCopy, "{course}");
        assert!(not_converged(&course).iter().any(|id| id.starts_with("memory")), "{course}");
    }
}

#[test]
fn only_one_of_a_group_that_does_not_converge_is_named() {
    let devices = "stop-copy+p2p+pre-copy,stop-copy+p2p";
    let course = sound(&format!("seed=1 devices={devices} data=60000 pages=0 churn=8 ticks=8 bandwidth=3000000"));
    assert_eq!((end(&course), not_converged(&course)), (PreCopyEnd::MaxPreCopy, vec!["device0".into()]), "{course}");
}

#[test]
fn it_ends_when_the_caller_says_so() {
    for way in WAYS {
        let text = format!("seed=1 {way} data=90000 pages=0 churn=8 ticks=8 bandwidth=3000000");
        let slow: Scenario = text.parse().expect("a scenario");
        let course = run(&slow.wishing(Side::Save, 30, Command::Switchover)).expect("a session");
        course.expect_sound();
        assert_eq!(end(&course), PreCopyEnd::Requested, "{course}");
        assert_eq!(course.answers, [Ok(())], "{course}");
    }
}

#[test]
fn new_initial_data_is_loaded_before_the_switchover() {
    for way in WAYS {
        for reads in [1, 2, 5, 9] {
            let course = sound(&format!("seed=2 {way} data=30000 pages=2 reinit-after={reads}"));
            let reinit = course.events(Side::Save).any(|event| matches!(event.kind, EventKind::Reinit { .. }));
            assert!(reinit, "{course}");
            assert_eq!(end(&course), PreCopyEnd::Converged, "{course}");
            if way == "way=connected" {
                let loaded = course.messages[1].iter().filter(|name| **name == "initial-loaded").count();
                assert!(loaded >= 1, "{course}");
            }
        }
    }
}

#[test]
fn new_initial_data_on_a_slow_link_delays_nothing_for_ever() {
    let course = sound("seed=2 data=90000 pages=0 reinit-after=9 bandwidth=2000000 max-pre-copy=20000");
    assert_eq!(end(&course), PreCopyEnd::MaxPreCopy, "{course}");
}

#[test]
fn a_destination_that_blocks_holds_the_source_back() {
    for depth in [1, 2, 4, 16] {
        let course =
            sound(&format!("seed=3 data=60000 pages=10 depth={depth} capacity=1 call=2000 max-pre-copy=50000"));
        assert!(course.most_held <= depth, "{course}");
    }
}

#[test]
fn a_rate_limit_is_kept() {
    let course = sound("seed=4 data=60000 pages=0 rate=1000000 churn=0");
    let ending = course.endings[0].as_ref().expect("it has ended");
    let most = 1.1 * 1e6 * course.took.as_secs_f64() + 8192.0;
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let bytes = ending.report.bytes as f64;
    assert!(bytes <= most, "{bytes} bytes in {:?}: {course}", course.took);
}
