//! Traces: what is written is read again, folding loses nothing, shapes forget what may differ and nothing else.

mod dice;

use vfio_migration_protocol::trace::{Access, Change, Item, Trace, diff};
use vfio_migration_protocol::{Errno, State};

use dice::Dice;

/// One of few accesses, so that many come again.
fn access(dice: &mut Dice) -> Access {
    let call = Access::new(["read", "write", "reset"][dice.place(3)]);
    let call = if dice.roll(2) == 0 { call.of("0").within(State::PreCopy) } else { call };
    match dice.roll(4) {
        0 => call.with(format_args!("{}B", dice.roll(2))),
        1 => call.giving("data-fd"),
        2 => call.failing(Errno::from_linux(200)),
        _ => call,
    }
}

/// Loops within loops, each over lines that are nowhere else; the second has the same ones, gone round another number of times.
fn loops(seed: u64) -> [Trace; 2] {
    fn round(dice: &mut Dice, counts: &mut [Dice; 2], names: &mut u32, depth: u32) -> [Vec<Access>; 2] {
        let mut both = [Vec::new(), Vec::new()];
        for _ in 0..=dice.roll(3) {
            let inner = if depth > 0 && dice.roll(2) == 0 {
                round(dice, counts, names, depth - 1)
            } else {
                *names += 1;
                let access = Access::new(&format!("call-{names}"));
                [vec![access.clone()], vec![access]]
            };
            for ((into, inner), counts) in both.iter_mut().zip(inner).zip(&mut *counts) {
                (0..=counts.roll(4)).for_each(|_| into.extend(inner.iter().cloned()));
            }
        }
        both
    }
    let mut counts = [Dice(seed ^ 1 << 40), Dice(seed ^ 2 << 40)];
    round(&mut Dice(seed), &mut counts, &mut 0, 3).map(|accesses| accesses.into_iter().collect())
}

fn any(seed: u64) -> Trace {
    let mut dice = Dice(seed);
    let mut accesses = Vec::new();
    while accesses.len() < 60 {
        // Stretches that come again, of which some come again together.
        let stretch: Vec<_> = (0..=dice.roll(4)).map(|_| access(&mut dice)).collect();
        for _ in 0..=dice.roll(4) {
            accesses.extend(stretch.iter().cloned());
        }
    }
    accesses.into_iter().collect()
}

fn unfolded(items: &[Item], into: &mut Vec<Access>) {
    for item in items {
        match item {
            Item::Access(access) => into.push(access.clone()),
            Item::Repeat { times, items } => (0..*times).for_each(|_| unfolded(items, into)),
        }
    }
}

fn all(trace: &Trace) -> Vec<Access> {
    let mut accesses = Vec::new();
    unfolded(trace.items(), &mut accesses);
    accesses
}

#[test]
fn folding_loses_nothing_and_what_is_written_is_read() {
    for seed in 0..200 {
        let plain = any(seed);
        let folded = plain.fold();
        assert_eq!(all(&folded), all(&plain), "seed {seed}");
        for trace in [&plain, &folded] {
            assert_eq!(trace.to_string().parse().as_ref(), Ok(trace), "seed {seed}");
        }
    }
}

#[test]
fn a_shape_does_not_depend_on_how_often_loops_are_gone_round() {
    for seed in 0..500 {
        let [one, other] = loops(seed);
        assert_eq!(one.shape(), other.shape(), "seed {seed}:\n{one}");
        assert_eq!(one.fold().shape(), other.shape(), "seed {seed}:\n{}", one.fold());
        let mut names = one.shape().iter().map(|access| access.call().to_owned()).collect::<Vec<_>>();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "seed {seed}: each line once");
        assert!(diff(&one.fold(), &other).iter().all(|change| matches!(change, Change::Both(_))), "seed {seed}");
    }
}

#[test]
fn what_comes_often_is_written_once() {
    let mut trace = Trace::new();
    for _ in 0..18 {
        for _ in 0..4 {
            trace.push(Access::new("tracker-report").of("0").within(State::PreCopy));
        }
        trace.push(Access::new("read").of("0").within(State::PreCopy).with("64B").failing(Errno::ENOMSG));
    }
    trace.push(Access::new("dma-map"));
    let text =
        "{\n  0 pre-copy     tracker-report x4\n  0 pre-copy     read 64B -> ENOMSG\n} x18\n- -            dma-map\n";
    assert_eq!(trace.fold().to_string(), text);
}

fn shape(text: &str) -> Vec<String> {
    let trace: Trace = text.parse().expect("a trace");
    trace.shape().iter().map(|access| access.to_string().split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn a_shape_forgets_how_often_and_how_much_and_nothing_else() {
    let one = "0 pre-copy read 9B -> 8B\n0 pre-copy pre-copy-info -> initial=7B dirty=0B";
    let often = "# a comment\n{\n 0 pre-copy read 8B -> 7B x3\n 0 pre-copy pre-copy-info -> initial=6B dirty=0B\n} x2 # again\n\
                 0 pre-copy note proof -> 00ff";
    assert_eq!(shape(one), shape(often));
    assert_eq!(shape(one), ["0 pre-copy read B -> B", "0 pre-copy pre-copy-info -> initial=B dirty=0B"]);
    // Each of these differs in what matters.
    for other in [
        "0 pre-copy read 9B -> 0B\n0 pre-copy pre-copy-info -> initial=7B dirty=0B",
        "0 pre-copy read 9B -> ENOMSG\n0 pre-copy pre-copy-info -> initial=7B dirty=0B",
        "0 pre-copy read 9B -> 8B\n0 pre-copy pre-copy-info -> initial=7B dirty=1B",
        "0 stop-copy read 9B -> 8B\n0 pre-copy pre-copy-info -> initial=7B dirty=0B",
        "1 pre-copy read 9B -> 8B\n0 pre-copy pre-copy-info -> initial=7B dirty=0B",
        "0 pre-copy pre-copy-info -> initial=7B dirty=0B\n0 pre-copy read 9B -> 8B",
        "0 pre-copy read 9B -> 8B",
    ] {
        assert_ne!(shape(one), shape(other), "{other}");
    }
}

#[test]
fn a_shape_does_not_depend_on_where_a_loop_is_left() {
    let loops = ["A", "A B A", "A B A B A", "A B B A B A A", "A A B A B B A B A B A"];
    let text = |letters: &str| letters.split(' ').map(|letter| format!("- - {letter}")).collect::<Vec<_>>().join("\n");
    for one in &loops[1..] {
        assert_eq!(shape(&text(one)), shape(&text("A B A")), "{one}");
    }
    assert_ne!(shape(&text(loops[0])), shape(&text(loops[1])));
}

#[test]
fn a_difference_tells_both_traces() {
    for seed in 0..100 {
        let (one, other) = (any(seed), any(seed + 1000));
        let changes = diff(&one, &other);
        let first = changes.iter().filter_map(|change| match change {
            Change::Both(access) | Change::First(access) => Some(access.clone()),
            Change::Second(_) => None,
        });
        let second = changes.iter().filter_map(|change| match change {
            Change::Both(access) | Change::Second(access) => Some(access.clone()),
            Change::First(_) => None,
        });
        assert!(first.eq(one.shape()) && second.eq(other.shape()), "seed {seed}");
    }
}

#[test]
fn only_some_of_it() {
    let trace: Trace = "{\n0 running read\n{\n1 running read x2\n} x3\n} x4\n0 stop reset".parse().expect("a trace");
    let one = trace.only(|access| access.device() == Some("0"));
    assert_eq!(one.to_string(), "0 running      read x4\n0 stop         reset\n");
    assert_eq!(trace.only(|access| access.call() == "write"), Trace::new());
}

#[test]
fn what_is_no_trace_is_refused_by_its_line() {
    let deep = "{\n".repeat(70);
    let long = format!("0 - {}", "a".repeat(5000));
    for (text, line, why) in [
        ("\n0 running", 2, "a line has a device"),
        ("0 walking read", 1, "no state"),
        ("0 - read ->", 1, "nothing follows"),
        ("0 - read -> 1 -> 2", 1, "arrow"),
        ("0 - -> read", 1, "arrow"),
        ("0 - read x1", 1, "twice at least"),
        ("0 - read x2 x3", 1, "at the end of a line"),
        ("0 - read x4 -> 5", 1, "at the end of a line"),
        ("{\n} x2", 2, "nothing stands between"),
        ("{\n0 - read\n}", 3, "how often"),
        ("{\n0 - read\n} x2 3", 3, "how often"),
        ("0 - read\n} x2", 2, "no brace is open"),
        ("{\n0 - read", 2, "not closed"),
        (&deep, 65, "more than 64"),
        (&long, 1, "longer than"),
    ] {
        let error = text.parse::<Trace>().expect_err(text);
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.why.contains(why), "{text}: {error}");
    }
}

#[test]
fn a_count_that_nobody_can_have_is_not_carried_out() {
    let text = format!("{{\n{{\n- - read x{0}\n}} x{0}\n}} x{0}\n", u64::MAX);
    let trace: Trace = text.parse().expect("a trace");
    assert_eq!(trace.to_string().parse(), Ok(trace.clone()));
    assert_eq!(trace.fold().shape().len(), 1);
}

#[test]
fn what_is_no_word_becomes_one() {
    let access = Access::new("a b").of("-").with("").with("->").with("{").with("x4").with("#").giving("c\nd");
    let line = "_- -            a_b _ _-> _{ _x4 _# -> c_d";
    assert_eq!(access.to_string(), line);
    assert_eq!(line.parse::<Trace>(), Ok([access].into_iter().collect()));
}
