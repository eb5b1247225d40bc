//! Whatever an address says, a page that simulates it is neither hung nor brought down.

use std::fmt::Write;

use vfio_migration_simulation::{Dice, MOST_MOMENTS, NotSimulated, Scenario, run};

#[test]
fn what_is_too_large_is_refused_by_name_with_its_bounds() {
    for (text, part, bounds) in [
        ("data=524289", "data=524289", "from 0 to 524288"),
        ("pages=257", "pages=257", "from 0 to 256"),
        ("chunk=4095", "chunk=4095", "from 4096 to 262144"),
        ("chunk=4294967295", "chunk=4294967295", "from 4096 to 262144"),
        ("depth=0", "depth=0", "from 1 to 32"),
        ("depth=33", "depth=33", "from 1 to 32"),
        ("ticks=65", "ticks=65", "from 0 to 64"),
        ("writes=65", "writes=65", "from 0 to 64"),
        ("churn=65", "churn=65", "from 0 to 64"),
        ("deadline=18446744073709551615", "deadline=18446744073709551615", "from 0 to 60000000"),
        ("call=60000001", "call=60000001", "from 0 to 60000000"),
        ("devices=stop-copy,stop-copy,stop-copy,stop-copy,stop-copy", "devices=5", "from 1 to 4"),
        ("region=window=2MiB dialects=thread", "region=window=2097152", "from 4096 to 1048576"),
    ] {
        let error = text.parse::<Scenario>().expect_err(text);
        assert_eq!(error.part, part);
        let why = error.why.clone().unwrap_or_default();
        assert!(why.contains(bounds), "{error}");
    }
    let many = "fault=save:1:breaks ".repeat(65);
    assert_eq!(many.parse::<Scenario>().expect_err("too many").part, "fault=65");
}

#[test]
fn a_device_that_no_model_can_be_is_refused() {
    for text in ["devices=p2p", "devices=stop-copy+p2p dialects=qemu", "dialects=thread reinit-after=3"] {
        let error = text.parse::<Scenario>().expect_err(text);
        assert_eq!(error.part, "devices");
        assert!(error.why.is_some(), "{error}");
    }
    let by_hand = Scenario { devices: Vec::new(), ..Scenario::default() };
    assert!(matches!(run(&by_hand), Err(NotSimulated::Scenario(_))));
}

#[test]
fn a_run_without_end_ends_with_an_error() {
    let text = "data=524288 pages=256 max-pre-copy=60000000 ticks=64 churn=64 writes=64 call=0 latency=0 depth=32";
    let error = run(&text.parse().expect("a scenario")).expect_err("it goes on for ever");
    assert!(matches!(error, NotSimulated::TooLong(_)), "{error}");
    assert!(error.to_string().contains(&MOST_MOMENTS.to_string()), "{error}");
}

/// Values for each word, good ones and odd ones.
const VALUES: [(&str, &[&str]); 30] = [
    ("devices", &["stop-copy", "stop-copy+pre-copy", "stop-copy+p2p", "stop-copy+p2p+pre-copy,stop-copy+p2p"]),
    ("dialects", &["thread", "qemu", "libvfio-user", "fsm,thread", "thread,thread,thread,fsm"]),
    ("region", &["", "window=4KiB", "window=1MiB,mmap=sparse", "segment=64..4KiB", "reserved=4294967280"]),
    ("data", &["0", "1", "4097", "100000", "262144"]),
    ("pages", &["0", "1", "3", "256"]),
    ("way", &["connected", "pipe", "file"]),
    ("wire", &["yes", "no"]),
    ("found", &["stop", "running-p2p", "resuming", "error", "unknown(77)", "pre-copy", "stop-copy"]),
    ("there", &["stop", "resuming", "error", "unknown(7)", "pre-copy"]),
    ("chunk", &["4096", "5000", "262144"]),
    ("depth", &["1", "2", "32"]),
    ("deadline", &["0", "1", "1000", "60000000"]),
    ("budget", &["0", "60000000"]),
    ("max-pre-copy", &["0", "1", "60000000"]),
    ("poll", &["0", "60000000"]),
    ("pre-copy", &["yes", "no"]),
    ("rate", &["none", "0", "1", "18446744073709551615"]),
    ("then", &["stop", "resume"]),
    ("unrecoverable", &["leave", "reset"]),
    ("no-p2p-traffic", &["yes", "no"]),
    ("dry-run", &["yes", "no"]),
    ("events", &["yes", "no"]),
    ("restore-deadline", &["0", "1", "60000000"]),
    ("run", &["none", "yes", "no"]),
    ("latency", &["0", "1", "60000000"]),
    ("bandwidth", &["0", "1", "18446744073709551615"]),
    ("capacity", &["0", "1", "4294967295"]),
    ("call", &["0", "1", "60000000"]),
    ("ticks", &["0", "1", "64"]),
    (
        "fault",
        &[
            "save:4294967295:odd",
            "save:3:page-size(1)",
            "forward:0:flip",
            "back:1:stray(running)",
            "save:9:says(18446744073709551615)",
            "restore:4:part(255,-1)",
            "forward:2:cut(4294967295)",
        ],
    ),
];

#[test]
fn no_scenario_brings_it_down() {
    let mut dice = Dice::new(99);
    let mut pick = |count: usize| usize::try_from(dice.roll(count as u64)).unwrap_or(0);
    let (mut ran, mut refused) = (0, 0);
    for seed in 0..300 {
        let mut text = format!("seed={seed}");
        for _ in 0..=pick(5) {
            let (word, values) = VALUES[pick(VALUES.len())];
            let _ = write!(text, " {word}={}", values[pick(values.len())]);
        }
        // What cannot be is an error; what is simulated may break rules only where a caller lies to a session.
        match text.parse::<Scenario>().map_err(NotSimulated::from).and_then(|scenario| run(&scenario)) {
            Ok(course) => {
                ran += 1;
                assert!(!course.broke(vfio_migration_simulation::Rule::NoPanic), "{course}");
            }
            Err(_) => refused += 1,
        }
    }
    assert!(ran > 100, "only {ran} ran, {refused} were refused");
}
