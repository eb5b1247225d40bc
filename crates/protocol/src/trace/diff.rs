//! Where two traces differ.

use super::{Access, Trace};

/// One line of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Both have it.
    Both(Access),
    /// Only the first has it.
    First(Access),
    /// Only the second has it.
    Second(Access),
}

/// Compares two traces by their shapes. They are the same if every line is in [`Change::Both`].
///
/// ```
/// use vfio_migration_protocol::trace::{Change, Trace, diff};
/// let first: Trace = "0 running set-state stop\n0 stop set-state stop-copy -> data-fd".parse()?;
/// let second: Trace = "0 running set-state stop-copy -> data-fd".parse()?;
/// let changes = diff(&first, &second);
/// assert_eq!(changes.iter().filter(|change| matches!(change, Change::First(_))).count(), 2);
/// assert!(diff(&first, &first).iter().all(|change| matches!(change, Change::Both(_))));
/// # Ok::<(), vfio_migration_protocol::trace::NotATrace>(())
/// ```
pub fn diff(first: &Trace, second: &Trace) -> Vec<Change> {
    let (one, other) = (first.shape(), second.shape());
    let before = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let (one_end, other_end) = (&one[before..], &other[before..]);
    let after = one_end.iter().rev().zip(other_end.iter().rev()).take_while(|(a, b)| a == b).count();
    let middle = between(&one_end[..one_end.len() - after], &other_end[..other_end.len() - after]);
    let both = |access: &Access| Change::Both(access.clone());
    let start = one[..before].iter().map(both);
    start.chain(middle).chain(one[one.len() - after..].iter().map(both)).collect()
}

/// More pairs of lines than this are not compared one by one: time and memory have a bound.
const MOST_PAIRS: usize = 1 << 24;

/// By the longest common subsequence.
fn between(one: &[Access], other: &[Access]) -> Vec<Change> {
    let width = other.len() + 1;
    if one.len().saturating_mul(width) > MOST_PAIRS {
        let first = one.iter().cloned().map(Change::First);
        return first.chain(other.iter().cloned().map(Change::Second)).collect();
    }
    // How many lines two ends have in common, for each place in one and in the other.
    let mut common = vec![0_u32; (one.len() + 1) * width];
    for i in (0..one.len()).rev() {
        for j in (0..other.len()).rev() {
            common[i * width + j] = if one[i] == other[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let mut changes = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < one.len() || j < other.len() {
        if i < one.len() && j < other.len() && one[i] == other[j] {
            changes.push(Change::Both(one[i].clone()));
            (i, j) = (i + 1, j + 1);
        } else if j == other.len() || i < one.len() && common[(i + 1) * width + j] >= common[i * width + j + 1] {
            changes.push(Change::First(one[i].clone()));
            i += 1;
        } else {
            changes.push(Change::Second(other[j].clone()));
            j += 1;
        }
    }
    changes
}
