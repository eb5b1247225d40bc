//! Runs many scenarios and shows what is wrong with them.

use std::collections::BTreeMap;
use std::fmt::Write;

use vfio_migration_simulation::{Course, Rule, Scenario, run};

/// The course of a scenario in which nothing goes wrong.
pub(crate) fn clean(text: &str) -> Course {
    let scenario: Scenario = text.parse().expect("a scenario");
    let course = run(&scenario).expect("a session");
    course.expect_sound();
    course
}

/// Runs all scenarios; panics if any of them breaks a rule. Answers how many there were.
#[track_caller]
pub(crate) fn all_sound(scenarios: impl IntoIterator<Item = Scenario>) -> usize {
    all(scenarios, |_| Ok(()))
}

/// As [`all_sound`], with something more that each course must be.
#[track_caller]
pub(crate) fn all(
    scenarios: impl IntoIterator<Item = Scenario>,
    more: impl Fn(&Course) -> Result<(), String>,
) -> usize {
    let mut count = 0;
    let mut broken: BTreeMap<Option<Rule>, Vec<String>> = BTreeMap::new();
    let mut shown = String::new();
    let most = std::env::var("SHOW").ok().and_then(|most| most.parse().ok()).unwrap_or(6);
    for scenario in scenarios {
        count += 1;
        let course = run(&scenario).expect("a session");
        let more = more(&course).err();
        let rules = course.violations.iter().map(|violation| (Some(violation.rule), violation.what.clone()));
        for (rule, what) in rules.chain(more.map(|what| (None, what))) {
            if shown.is_empty() {
                shown = course.to_string();
            }
            broken.entry(rule).or_default().push(format!("{what}\n      replay: {scenario}"));
        }
    }
    if !broken.is_empty() {
        let mut summary = format!("{shown}\n\nof {count} runs:\n");
        for (rule, cases) in &broken {
            let rule = rule.map_or_else(|| "what was expected".to_owned(), |rule| rule.to_string());
            let _ = writeln!(summary, "  {}: {rule}", cases.len());
            cases.iter().take(most).for_each(|case| {
                let _ = writeln!(summary, "    {case}");
            });
        }
        panic!("{summary}");
    }
    count
}
