use vfio_migration_simulation::{Rule, Scenario, run};

/// A scenario's text, as it may stand in an address: what is read means the same when it is written and read again, and
/// is simulated to an end, or refused. Whatever it says, no session panics.
pub fn scenario(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let Ok(scenario) = text.parse::<Scenario>() else { return };
    let again: Scenario = scenario.to_string().parse().expect("what was written can be read");
    assert_eq!(again, scenario);
    if let Ok(course) = run(&scenario) {
        assert!(!course.broke(Rule::NoPanic), "{course}");
    }
}
