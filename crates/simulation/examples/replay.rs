//! Replays a scenario from its text and shows the whole course: `replay seed=7 fault=save:12:fails(5)`.

use vfio_migration_simulation::{Scenario, run};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let scenario: Scenario = words.join(" ").parse()?;
    let course = run(&scenario)?;
    course.moments.iter().for_each(|moment| println!("{moment}"));
    println!("{course}");
    Ok(())
}
