use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use aligned_vec::{AVec, ConstAlign};
use vfio_migration_protocol::session::Chunk;

/// A page: what DMA and direct I/O ask for.
const ALIGNMENT: usize = 4096;

/// The buffers of a session: as many as may be in flight, each allocated when it is first used.
///
/// A buffer's lock is held by whoever fills, sends or places it. At the source the machine says which buffer is used next,
/// at the destination [`take`](Self::take) hands out the one that was given back last: its bytes are still in the cache.
pub(super) struct Pool {
    slots: Vec<Mutex<Slot>>,
    free: Mutex<Free>,
    given: Condvar,
}

struct Free {
    chunks: Vec<Chunk>,
    /// How many wait for one: a call of the operating system is saved where nobody does.
    waiting: usize,
    closed: bool,
}

/// One buffer.
pub(super) struct Slot {
    bytes: AVec<u8, ConstAlign<ALIGNMENT>>,
    /// The checksum of what was filled in last, computed while it was warm.
    pub(super) crc: u32,
}

impl Pool {
    pub(super) fn new(depth: u32) -> Self {
        let slots = (0..depth).map(|_| Mutex::new(Slot { bytes: AVec::new(ALIGNMENT), crc: 0 })).collect();
        let free = Free { chunks: (0..depth).rev().map(Chunk).collect(), waiting: 0, closed: false };
        Self { slots, free: Mutex::new(free), given: Condvar::new() }
    }

    /// The buffer of a chunk, once nobody else holds it.
    pub(super) fn slot(&self, chunk: Chunk) -> MutexGuard<'_, Slot> {
        let index = usize::try_from(chunk.0).expect("a chunk's number is below the depth");
        // A backend that panicked while filling left bytes that nobody will believe.
        self.slots[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a free buffer: this is what holds the source back. `None` once the pool is closed.
    pub(super) fn take(&self) -> Option<Chunk> {
        let mut free = self.free();
        loop {
            if free.closed {
                return None;
            }
            if let Some(chunk) = free.chunks.pop() {
                return Some(chunk);
            }
            free.waiting += 1;
            free = self.given.wait(free).unwrap_or_else(PoisonError::into_inner);
            free.waiting -= 1;
        }
    }

    /// Gives a buffer back.
    pub(super) fn give(&self, chunk: Chunk) {
        let mut free = self.free();
        free.chunks.push(chunk);
        if free.waiting > 0 {
            drop(free);
            self.given.notify_one();
        }
    }

    /// Nothing is taken any more.
    pub(super) fn close(&self) {
        self.free().closed = true;
        self.given.notify_all();
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// The first `len` bytes, for somebody to write to.
    pub(super) fn room(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
        &mut self.bytes[..len]
    }

    /// The first `len` bytes, as they were written.
    pub(super) fn bytes(&self, len: usize) -> &[u8] {
        &self.bytes[..len]
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("depth", &self.slots.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    #[test]
    fn hands_out_the_warmest_buffer_and_waits_for_one() {
        let pool = Arc::new(Pool::new(2));
        let (first, second) = (pool.take().unwrap(), pool.take().unwrap());
        assert_ne!(first, second);
        let waiting = thread::spawn({
            let pool = Arc::clone(&pool);
            move || pool.take()
        });
        pool.give(second);
        assert_eq!(waiting.join().unwrap(), Some(second));
        pool.give(first);
        pool.give(second);
        assert_eq!(pool.take(), Some(second));
        pool.close();
        assert_eq!(pool.take(), None);
    }

    #[test]
    fn aligns_buffers_to_pages_and_grows_them_once() {
        let pool = Pool::new(1);
        let mut slot = pool.slot(Chunk(0));
        let room = slot.room(10_000);
        assert_eq!(room.as_ptr().addr() % ALIGNMENT, 0);
        room.fill(7);
        assert_eq!(slot.room(100), [7; 100]);
        assert_eq!(slot.bytes(10_000).len(), 10_000);
    }
}
