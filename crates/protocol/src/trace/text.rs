//! How a trace is written and read.

use core::fmt;

use super::access::times;
use super::{Access, Item, NotATrace};

/// Braces within braces, at most: [`fold`](super::Trace::fold) makes as many levels as there are lengths of stretches.
const DEEPEST: usize = 64;

/// Characters of a line, at most.
const LONGEST: usize = 4096;

pub(super) fn write(f: &mut fmt::Formatter<'_>, items: &[Item]) -> fmt::Result {
    write_at(f, items, 0)
}

fn write_at(f: &mut fmt::Formatter<'_>, items: &[Item], depth: usize) -> fmt::Result {
    let indent = depth * 2;
    for item in items {
        match item {
            Item::Access(access) => writeln!(f, "{:indent$}{access}", "")?,
            Item::Repeat { times, items } => match &items[..] {
                [Item::Access(access)] => writeln!(f, "{:indent$}{access} x{times}", "")?,
                items => {
                    writeln!(f, "{:indent$}{{", "")?;
                    write_at(f, items, depth + 1)?;
                    writeln!(f, "{:indent$}}} x{times}", "")?;
                }
            },
        }
    }
    Ok(())
}

pub(super) fn parse(text: &str) -> Result<Vec<Item>, NotATrace> {
    let mut open = vec![Vec::new()];
    let mut last = 0;
    for (number, line) in (1..).zip(text.lines()) {
        last = number;
        let fail = |why| NotATrace { line: number, why };
        if line.len() > LONGEST {
            return Err(fail("the line is longer than 4096 bytes"));
        }
        let words: Vec<_> = line.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        match words[..] {
            [] => {}
            ["{"] if open.len() > DEEPEST => return Err(fail("more than 64 braces are open")),
            ["{"] => open.push(Vec::new()),
            ["}", ref rest @ ..] => {
                let items = open.pop().unwrap_or_default();
                let Some(outer) = open.last_mut() else { return Err(fail("no brace is open")) };
                if items.is_empty() {
                    return Err(fail("nothing stands between the braces"));
                }
                outer.push(repeated(items, rest).map_err(fail)?);
            }
            [ref access @ .., word] if times(word).is_some() => {
                let access = Access::from_words(access).map_err(fail)?;
                let item = repeated(vec![Item::Access(access)], &[word]).map_err(fail)?;
                open.last_mut().ok_or(fail("no brace is open"))?.push(item);
            }
            ref access => {
                let access = Access::from_words(access).map_err(fail)?;
                open.last_mut().ok_or(fail("no brace is open"))?.push(Item::Access(access));
            }
        }
    }
    let items = open.pop().unwrap_or_default();
    if open.is_empty() { Ok(items) } else { Err(NotATrace { line: last, why: "a brace is not closed" }) }
}

fn repeated(items: Vec<Item>, words: &[&str]) -> Result<Item, &'static str> {
    match words {
        [word] => match times(word) {
            Some(times @ 2..) => Ok(Item::Repeat { times, items }),
            _ => Err("a stretch comes twice at least: x2"),
        },
        _ => Err("after a closing brace stands how often the stretch came: } x4"),
    }
}
