//! Pictures draw the arcs of a device without asking the table, which they cannot reach: what they draw must be the same.

use std::collections::BTreeMap;

use vfio_migration_protocol::state::{Acceptance, Dialect};
use vfio_migration_protocol::{Capabilities, State, Table};

/// The tables of ts/picture/arcs.ts, by their names.
fn drawn() -> BTreeMap<String, Vec<(State, State)>> {
    let text = include_str!("../../../ts/picture/arcs.ts");
    let (_, rest) = text.split_once("const tables = {").expect("the tables");
    let (tables, _) = rest.split_once("} as const").expect("their end");
    let mut texts = tables.split('\'').skip(1).step_by(2);
    let mut all = BTreeMap::new();
    while let (Some(name), Some(arcs)) = (texts.next(), texts.next()) {
        let arc = |arc: &str| {
            let (from, to) = arc.split_once('>').expect("an arc");
            (from.parse().expect("a state"), to.parse().expect("a state"))
        };
        all.insert(name.to_owned(), arcs.split(' ').map(arc).collect());
    }
    all
}

fn arcs(is_arc: impl Fn(State, State) -> bool) -> Vec<(State, State)> {
    let all = State::ALL.into_iter().flat_map(|from| State::ALL.map(|to| (from, to)));
    let mut arcs: Vec<_> = all.filter(|(from, to)| from != to && is_arc(*from, *to)).collect();
    arcs.sort();
    arcs
}

#[test]
fn are_those_of_the_tables() {
    let drawn = drawn();
    let mut names = 0;
    let mut is = |name: String, wanted: Vec<(State, State)>| {
        let mut found = drawn.get(&name).unwrap_or_else(|| panic!("no table '{name}'")).clone();
        found.sort();
        assert_eq!(found, wanted, "{name}");
        names += 1;
    };
    for capabilities in Capabilities::FSM_SETS {
        let table = Table::fsm(capabilities);
        is(format!("fsm {capabilities}"), arcs(|from, to| table.next(from, to) == Ok(to)));
    }
    for ndma in [false, true] {
        let capabilities = Dialect::Thread.capabilities(ndma);
        let must = |from, to| Dialect::Thread.accepts(from, to, ndma) == Acceptance::Must;
        is(format!("region {capabilities}"), arcs(must));
    }
    assert_eq!(drawn.len(), names);
}

/// As `pathOf` does: breadth first, in the order of the table.
fn shortest(arcs: &[(State, State)], from: State, to: State) -> Option<Vec<State>> {
    let mut ways = vec![vec![]];
    let mut been = vec![from];
    let mut at = 0;
    while let Some(way) = ways.get(at).cloned() {
        let here = way.last().copied().unwrap_or(from);
        if here == to {
            return Some(way);
        }
        for (_, next) in arcs.iter().filter(|(start, _)| *start == here) {
            if !been.contains(next) {
                been.push(*next);
                ways.push([way.as_slice(), &[*next]].concat());
            }
        }
        at += 1;
    }
    None
}

#[test]
fn lead_the_way_that_a_device_goes() {
    let drawn = drawn();
    for capabilities in Capabilities::FSM_SETS {
        let table = Table::fsm(capabilities);
        let arcs = &drawn[&format!("fsm {capabilities}")];
        for from in State::ALL.into_iter().filter(|state| table.has(*state)) {
            for to in State::ALL.into_iter().filter(|state| table.has(*state)) {
                // A request that is refused is never walked.
                if let Ok(path) = table.path(from, to) {
                    assert_eq!(shortest(arcs, from, to), Some(path), "{capabilities}: {from} to {to}");
                }
            }
        }
    }
}
