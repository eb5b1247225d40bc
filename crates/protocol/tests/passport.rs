//! Passports: which devices may take each other's state.

use vfio_migration_protocol::Passport;
use vfio_migration_protocol::passport::Entry;

#[test]
fn an_empty_passport_fits_what_needs_nothing() {
    let informs = Passport::new().says("host", "a").says("firmware", "1");
    assert_eq!(Passport::new().accepts(&Passport::new()), Ok(()));
    assert_eq!(Passport::new().accepts(&informs), Ok(()));
    assert_eq!(informs.accepts(&Passport::new()), Ok(()));
}

#[test]
fn what_either_side_needs_must_stand_in_both() {
    let needs = Passport::new().needs("firmware", "7");
    for (source, destination) in [(needs.clone(), Passport::new()), (Passport::new(), needs.clone())] {
        let mismatch = source.accepts(&destination).expect_err("one side needs what the other lacks");
        assert_eq!(mismatch.key, "firmware");
        assert!(mismatch.to_string().starts_with("firmware is "), "{mismatch}");
    }
    let informs = Passport::new().says("firmware", "7");
    assert_eq!(needs.accepts(&informs), Ok(()), "the value stands there, needed or not");
    assert_eq!(informs.accepts(&needs), Ok(()));
}

#[test]
fn a_mismatch_says_both_values() {
    let source = Passport::new().needs("device", "model").needs("size", "4096");
    let destination = Passport::new().needs("device", "model").needs("size", "8192").says("slot", "3");
    let mismatch = source.accepts(&destination).expect_err("sizes differ");
    assert_eq!((mismatch.key.as_str(), mismatch.source.as_str()), ("size", "4096"));
    assert_eq!(mismatch.here.as_deref(), Some("8192"));
    let mismatch = source.accepts(&Passport::new()).expect_err("nothing is there");
    assert_eq!(mismatch.to_string(), "device is model at the source and nothing here");
    let mismatch = Passport::new().accepts(&destination).expect_err("nothing is at the source");
    assert_eq!(mismatch.to_string(), "device is nothing at the source and model here");
}

#[test]
fn the_order_of_lines_and_lines_for_people_do_not_matter() {
    let source = Passport::new().needs("a", "1").says("host", "x").needs("b", "2");
    let destination = Passport::new().needs("b", "2").needs("a", "1").says("host", "y").says("rack", "9");
    assert_eq!(source.accepts(&destination), Ok(()));
    assert_eq!(destination.accepts(&source), Ok(()));
}

#[test]
fn every_combination_of_two_lines_is_accepted_alike_from_both_ends() {
    // Absent, informing or needed, with one of two values: all pairs of passports of up to two such lines.
    let line = |key: &str, kind: u32| {
        let value = if kind.is_multiple_of(2) { "even" } else { "odd" };
        (kind > 0).then(|| Entry { key: key.into(), value: value.into(), needed: kind > 2 })
    };
    let passports: Vec<Passport> = (0..25)
        .map(|n| [line("x", n % 5), line("y", n / 5)].into_iter().flatten().fold(Passport::new(), Passport::with))
        .collect();
    for source in &passports {
        for destination in &passports {
            let find = |of: &Passport, key: &str| of.entries().iter().find(|entry| entry.key == key).cloned();
            let fits = ["x", "y"].into_iter().all(|key| {
                let (a, b) = (find(source, key), find(destination, key));
                let needed = [&a, &b].into_iter().flatten().any(|entry| entry.needed);
                !needed || a.map(|entry| entry.value) == b.map(|entry| entry.value)
            });
            assert_eq!(source.accepts(destination).is_ok(), fits, "{source:?} and {destination:?}");
            assert_eq!(destination.accepts(source).is_ok(), fits, "the other way round");
        }
    }
}

#[test]
fn lines_are_kept_in_the_order_in_which_they_were_added() {
    let passport = Passport::new().needs("a", "1").says("b", "2");
    let lines: Vec<_> = passport.entries().iter().map(|entry| (entry.key.as_str(), entry.needed)).collect();
    assert_eq!(lines, [("a", true), ("b", false)]);
}
