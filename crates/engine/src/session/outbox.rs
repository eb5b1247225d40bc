//! What waits to be sent. Whoever puts a small message in sends it at once if nobody else is sending and the transport takes
//! it without blocking: an acknowledgement then costs no switch to another thread. All else wakes the thread that sends.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use vfio_migration_protocol::session::{Chunk, Message, Offer};
use vfio_migration_protocol::stream::BackKey;

use super::outgoing::Carrier;

/// Something to be sent, or to be done once everything before it was sent.
#[derive(Debug)]
pub(super) enum Parcel {
    /// Save: the head of the stream.
    Open(Offer),
    /// Restore: what the messages back are framed with.
    Answer(BackKey),
    Message(Message, Option<Chunk>),
    Commit,
    Discard,
    Disconnect,
}

/// The queue of a session's outgoing half, and who empties it.
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    news: Condvar,
    /// Held by whoever is sending.
    carrier: Mutex<Option<Carrier>>,
}

#[derive(Debug, Default)]
struct Queue {
    parcels: VecDeque<Parcel>,
    /// The thread waits for news.
    asleep: bool,
    /// Nothing more will come.
    closed: bool,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self { queue: Mutex::default(), news: Condvar::new(), carrier: Mutex::new(None) }
    }

    /// Puts something in. Once its locks are open, the thread that does so owes a call of [`help`](Self::help), or of
    /// another [`post`](Self::post) that will have one.
    pub(super) fn post(&self, parcel: Parcel) {
        let mut queue = self.queue();
        let small = is_small(&parcel);
        queue.parcels.push_back(parcel);
        if !small && queue.asleep {
            queue.asleep = false;
            drop(queue);
            self.news.notify_one();
        }
    }

    /// Nothing more will come: the thread ends when it has sent the rest.
    fn close(&self) {
        self.queue().closed = true;
        self.news.notify_one();
    }

    /// Sends what is small, without blocking. What is left is the thread's.
    pub(super) fn help(&self) {
        loop {
            {
                let queue = self.queue();
                // While the thread is awake it looks here again before it sleeps.
                if !queue.asleep || queue.parcels.is_empty() {
                    return;
                }
            }
            // Whoever has the carrier looks at the queue again after giving it back.
            let Ok(mut carrier) = self.carrier.try_lock() else { return };
            let Some(carrier) = carrier.as_mut() else { return };
            if !carrier.takes_at_once() || !self.send_small(carrier) {
                self.queue().asleep = false;
                self.news.notify_one();
                return;
            }
        }
    }

    /// Whether all that was there is on its way.
    fn send_small(&self, carrier: &mut Carrier) -> bool {
        loop {
            let parcel = {
                let mut queue = self.queue();
                match queue.parcels.front() {
                    None => break,
                    Some(parcel) if !is_small(parcel) => return false,
                    Some(_) => queue.parcels.pop_front(),
                }
            };
            if let Some(parcel) = parcel {
                carrier.take(parcel);
            }
        }
        carrier.flush_without_blocking()
    }

    /// The thread's work: sends until the box is closed and empty.
    pub(super) fn serve(&self, carrier: Carrier) {
        *self.carrier() = Some(carrier);
        while self.wait() {
            let mut carrier = self.carrier();
            let Some(carrier) = carrier.as_mut() else { return };
            while let Some(parcel) = self.next() {
                carrier.take(parcel);
            }
            carrier.flush_or_fail();
        }
        let carrier = self.carrier().take();
        if let Some(mut carrier) = carrier {
            carrier.close();
        }
    }

    fn next(&self) -> Option<Parcel> {
        self.queue().parcels.pop_front()
    }

    /// Waits until there is something to do. `false` at the end.
    fn wait(&self) -> bool {
        let mut queue = self.queue();
        if !queue.parcels.is_empty() {
            return true;
        }
        if queue.closed {
            return false;
        }
        queue.asleep = true;
        while queue.asleep && !queue.closed {
            queue = self.news.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        queue.asleep = false;
        true
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn carrier(&self) -> MutexGuard<'_, Option<Carrier>> {
        self.carrier.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether sending it takes neither a buffer nor the operating system's time.
const fn is_small(parcel: &Parcel) -> bool {
    matches!(
        parcel,
        Parcel::Answer(_)
            | Parcel::Message(
                Message::Ack(..)
                    | Message::InitialLoaded(..)
                    | Message::Alive
                    | Message::Accepted
                    | Message::Loaded
                    | Message::Running,
                None
            )
    )
}

/// A way into an outbox for as long as there may be something to send; its drop closes the box.
#[derive(Debug)]
pub(super) struct Posting(pub(super) Arc<Outbox>);

impl Deref for Posting {
    type Target = Outbox;

    fn deref(&self) -> &Outbox {
        &self.0
    }
}

impl Drop for Posting {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("queue", &*self.queue()).finish_non_exhaustive()
    }
}
