//! Estimates and rates: unknown is not zero.

use core::time::Duration;

use vfio_migration_protocol::Estimate::{self, Known, Unknown};
use vfio_migration_protocol::estimate::Rate;

const SOME: [Estimate; 7] =
    [Unknown, Known(0), Known(1), Known(1 << 32), Known((1 << 63) - 1), Known(u64::MAX - 1), Known(u64::MAX)];

#[test]
fn a_sum_with_something_unknown_is_unknown_and_none_overflows() {
    for a in SOME {
        for b in SOME {
            assert_eq!(a + b, b + a);
            match (a, b) {
                (Known(a), Known(b)) => assert_eq!(Known(a) + Known(b), Known(a.saturating_add(b))),
                _ => assert_eq!(a + b, Unknown),
            }
            for c in SOME {
                assert_eq!((a + b) + c, a + (b + c));
                assert_eq!([a, b, c].into_iter().sum::<Estimate>(), a + b + c);
            }
        }
        assert_eq!(a + Known(0), a);
    }
    assert_eq!([].into_iter().sum::<Estimate>(), Known(0), "the sum of nothing is known");
}

#[test]
fn an_errno_in_the_field_of_a_size_is_unknown() {
    for bytes in [0, 1, 4096, i64::MAX.cast_unsigned()] {
        assert_eq!(Estimate::from_device(bytes), Known(bytes));
    }
    for errno in [1_i64, 22, 107, 4095, i64::MAX] {
        assert_eq!(Estimate::from_device((-errno).cast_unsigned()), Unknown, "-{errno}");
    }
    assert_eq!(Estimate::from_device(1 << 63), Unknown);
}

#[test]
fn it_reads_and_writes_as_a_number_or_null() {
    for estimate in SOME {
        let json = serde_json::to_string(&estimate).expect("a number or null");
        assert_eq!(json, estimate.known().map_or("null".into(), |bytes| bytes.to_string()));
        assert_eq!(serde_json::from_str::<Estimate>(&json).expect("what was written"), estimate);
    }
    assert_eq!((Known(7).to_string(), Unknown.to_string()), ("7 bytes".into(), "unknown".into()));
}

#[test]
fn a_rate_is_unknown_until_a_sample_is_long_enough() {
    let mut rate = Rate::default();
    assert_eq!(rate.per_second(), None);
    rate.count(Duration::ZERO, 1 << 40);
    assert_eq!(rate.per_second(), None, "a burst at the start says nothing yet");
    rate.count(Duration::from_millis(50), 0);
    assert!(rate.per_second().is_some_and(|bytes| bytes > 0.0));
}

#[test]
fn a_steady_stream_has_its_own_rate() {
    for (step, bytes) in [(1, 1000), (7, 64_000), (50, 1 << 20), (400, 3)] {
        let mut rate = Rate::default();
        for n in 1..=1000 {
            rate.count(Duration::from_millis(n * step), bytes);
        }
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let exact = bytes as f64 * 1000.0 / step as f64;
        let measured = rate.per_second().expect("many samples");
        assert!((measured / exact - 1.0).abs() < 0.01, "{bytes} bytes each {step} ms: {measured}, not {exact}");
    }
}

#[test]
fn a_rate_follows_a_change_without_jumping() {
    let mut rate = Rate::default();
    let mut now = Duration::ZERO;
    let mut run = |rate: &mut Rate, samples: u32, bytes: u64| {
        for _ in 0..samples {
            now += Duration::from_millis(100);
            rate.count(now, bytes);
        }
        rate.per_second().expect("samples")
    };
    let fast = run(&mut rate, 50, 100_000);
    let first = run(&mut rate, 1, 10_000);
    let later = run(&mut rate, 50, 10_000);
    assert!((fast / 1e6 - 1.0).abs() < 0.01);
    assert!(first < fast && first > fast / 2.0, "one slow sample is no new rate: {first}");
    assert!((later / 1e5 - 1.0).abs() < 0.01, "{later}");
}

#[test]
fn time_in_which_nothing_was_in_flight_does_not_count() {
    let mut rate = Rate::default();
    rate.starts(Duration::ZERO);
    rate.count(Duration::from_millis(100), 100_000);
    let before = rate.per_second().expect("a sample");
    rate.starts(Duration::from_secs(60));
    rate.count(Duration::from_millis(60_100), 100_000);
    let after = rate.per_second().expect("two samples");
    assert!((after / before - 1.0).abs() < 0.01, "{before} and then {after}");
}

#[test]
fn a_first_guess_is_there_soon_and_a_shorter_moment_says_nothing() {
    let mut rate = Rate::default();
    rate.starts(Duration::from_secs(9));
    rate.count(Duration::from_micros(9_000_900), 1000);
    assert_eq!(rate.per_second(), None, "900 microseconds are no sample");
    rate.count(Duration::from_millis(9001), 1000);
    let first = rate.per_second().expect("a millisecond is one");
    assert!((first / 2e6 - 1.0).abs() < 0.01, "{first}");
}

#[test]
fn a_clock_that_stands_still_or_goes_back_makes_no_infinite_rate() {
    let mut rate = Rate::default();
    rate.starts(Duration::from_secs(1));
    rate.count(Duration::from_secs(1), u64::MAX / 2);
    rate.count(Duration::from_millis(900), 7);
    assert_eq!(rate.per_second(), None);
    rate.count(Duration::from_secs(2), 7);
    assert!(rate.per_second().is_some_and(f64::is_finite));
}
