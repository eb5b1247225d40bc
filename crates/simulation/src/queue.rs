use core::cmp::Reverse;
use core::time::Duration;
use std::collections::BinaryHeap;

/// What will happen, ordered by time, and by the order of asking within the same time.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    asked: u64,
}

#[derive(Debug)]
struct Entry<T> {
    at: Duration,
    sequence: u64,
    what: T,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), asked: 0 }
    }

    pub(crate) fn push(&mut self, at: Duration, what: T) {
        self.asked += 1;
        self.heap.push(Reverse(Entry { at, sequence: self.asked, what }));
    }

    pub(crate) fn next_at(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        self.heap.pop().map(|Reverse(entry)| entry.what)
    }
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_first_comes_first_and_the_same_time_keeps_its_order() {
        let mut queue = Queue::new();
        for (at, what) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c'), (3, 'e')] {
            queue.push(Duration::from_millis(at), what);
        }
        assert_eq!(queue.next_at(), Some(Duration::from_millis(1)));
        let order: String = core::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, "abcde");
        assert_eq!(queue.next_at(), None);
    }
}
