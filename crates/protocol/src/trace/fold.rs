//! Stretches that come several times in a row.

use super::{Access, Item};

/// The longest stretch that is looked for, in lines that are already folded.
const LONGEST: usize = 64;

/// Writes what comes several times in a row once, shorter stretches first.
pub(super) fn fold(mut items: Vec<Item>) -> Vec<Item> {
    loop {
        let before = items.len();
        for length in 1..=LONGEST {
            items = fold_by(items, length);
        }
        if items.len() == before {
            return items;
        }
    }
}

fn fold_by(items: Vec<Item>, length: usize) -> Vec<Item> {
    let runs = runs(&items, length);
    if runs.is_empty() {
        return items;
    }
    let mut folded = Vec::with_capacity(items.len());
    let mut rest = items.into_iter();
    let mut at = 0;
    for (from, times) in runs {
        folded.extend(rest.by_ref().take(from - at));
        let items: Vec<_> = rest.by_ref().take(length).collect();
        at = from + length * times;
        // The others are the same.
        rest.by_ref().take(length * (times - 1)).for_each(drop);
        folded.push(again(items, times as u64));
    }
    folded.extend(rest);
    folded
}

/// One stretch, `times` times; of a repeated one as many more.
fn again(mut items: Vec<Item>, times: u64) -> Item {
    match (items.pop(), items.is_empty()) {
        (Some(Item::Repeat { times: inner, items }), true) => {
            Item::Repeat { times: inner.saturating_mul(times), items }
        }
        (last, _) => {
            items.extend(last);
            Item::Repeat { times, items }
        }
    }
}

/// Every stretch leaves one of its kind, until nothing comes twice in a row.
pub(super) fn collapse(mut lines: Vec<Access>) -> Vec<Access> {
    loop {
        let before = lines.len();
        for length in 1..=LONGEST {
            let mut kept = Vec::with_capacity(lines.len());
            let mut at = 0;
            for (from, times) in runs(&lines, length) {
                kept.extend_from_slice(&lines[at..from + length]);
                at = from + length * times;
            }
            kept.extend_from_slice(&lines[at..]);
            lines = kept;
        }
        if lines.len() == before {
            return lines;
        }
    }
}

/// Where stretches of this length come several times in a row: `(from, times)`, in order.
fn runs<T: PartialEq>(items: &[T], length: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    // How many items before `at`, and up to it, are the same as those one stretch later.
    let mut same = 0;
    while at + length < items.len() {
        if items[at] == items[at + length] {
            same += 1;
            at += 1;
            continue;
        }
        if same >= length {
            found.push((at - same, same / length + 1));
            // Those behind the last whole stretch may begin another one.
            at = at - same + (same / length + 1) * length;
        } else {
            at += 1;
        }
        same = 0;
    }
    if same >= length {
        found.push((at - same, same / length + 1));
    }
    found
}
