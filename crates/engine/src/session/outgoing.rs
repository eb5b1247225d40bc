//! How something is sent: our container is put around messages, and they are written in order, a chunk with its header in
//! one vectored write, small messages together.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use vfio_migration_protocol::session::{Chunk, CommitError, Input, Message, Mode, Offer};
use vfio_migration_protocol::stream::{BackKey, Encoder};

use super::caught::{caught, caught_io};
use super::core::Core;
use super::outbox::Parcel;
use super::pool::Pool;
use crate::transport::Outlet;

/// Small messages are written at the latest when so many bytes have come together.
const MOST_PENDING: usize = 64 << 10;

/// What sending takes.
pub(super) struct Outgoing {
    pub(super) core: Arc<Core>,
    pub(super) pool: Arc<Pool>,
    pub(super) outlet: Option<Outlet>,
    pub(super) mode: Mode,
    /// Save, connected: tells the receiving thread what the messages back are framed with.
    pub(super) back: Option<Sender<BackKey>>,
}

/// Whoever is sending has it.
pub(super) struct Carrier {
    shared: Outgoing,
    encoder: Option<Encoder>,
    /// Encoded, not yet written.
    pending: Vec<u8>,
    /// Written, perhaps not yet passed on by the transport.
    unflushed: bool,
    broken: bool,
    /// A byte of `end` may have left.
    end_begun: bool,
}

impl Carrier {
    pub(super) const fn new(shared: Outgoing) -> Self {
        Self { shared, encoder: None, pending: Vec::new(), unflushed: false, broken: false, end_begun: false }
    }

    pub(super) fn take(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::Open(offer) => self.attempt(|carrier| carrier.open(&offer)),
            Parcel::Answer(key) => self.encoder = Some(Encoder::back(key)),
            Parcel::Message(message, chunk) => {
                self.attempt(|carrier| carrier.send(&message, chunk));
                if let Some(chunk) = chunk {
                    self.shared.core.input(Input::Sent(chunk));
                }
            }
            Parcel::Commit => {
                let answer = self.commit();
                self.shared.core.input(Input::Committed(answer));
            }
            Parcel::Discard => {
                self.pending.clear();
                self.broken = true;
                let outlet = self.shared.outlet.take();
                // Whoever panics here leaves behind what is not ours.
                let _ = caught(|| match outlet {
                    Some(Outlet::Bytes(mut sink)) => sink.discard(),
                    Some(Outlet::Frames(mut sink)) => sink.discard(),
                    None => {}
                });
            }
            Parcel::Disconnect => self.close(),
        }
    }

    /// Does something that may fail. After the first failure nothing is sent any more.
    fn attempt(&mut self, act: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.broken || self.shared.outlet.is_none() {
            return;
        }
        if let Err(error) = caught_io(|| act(self)) {
            self.broken = true;
            self.pending.clear();
            self.shared.core.sending_failed(&error);
        }
    }

    fn open(&mut self, offer: &Offer) -> io::Result<()> {
        if let Some(Outlet::Frames(sink)) = &mut self.shared.outlet {
            return sink.open(offer);
        }
        let (encoder, head) = Encoder::forward(offer).map_err(io::Error::other)?;
        if let (Some(back), Some(key)) = (&self.shared.back, encoder.back_key()) {
            // If the receiving thread has ended already, it has said why.
            let _ = back.send(key);
        }
        self.encoder = Some(encoder);
        self.pending.extend(head);
        Ok(())
    }

    fn send(&mut self, message: &Message, chunk: Option<Chunk>) -> io::Result<()> {
        let sink = match &mut self.shared.outlet {
            None => return Ok(()),
            Some(Outlet::Bytes(sink)) => sink,
            Some(Outlet::Frames(sink)) => {
                self.end_begun |= matches!(message, Message::End { .. });
                let Some(chunk) = chunk else { return sink.send(message, &[]) };
                let slot = self.shared.pool.slot(chunk);
                return sink.send(message, slot.bytes(payload_len(message)));
            }
        };
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        let Some(chunk) = chunk else {
            // Everything before `end` is on its way before its first byte, which gives the guest up.
            if matches!(message, Message::End { .. }) {
                let end = encoder.message(message);
                self.flush()?;
                self.end_begun = true;
                self.pending = end;
                return Ok(());
            }
            self.pending.extend(encoder.message(message));
            return if self.pending.len() > MOST_PENDING { self.flush() } else { Ok(()) };
        };
        let &Message::Data { object, offset, len, segment_end, initial_end } = message else {
            return Err(io::Error::other("only data has a payload"));
        };
        let slot = self.shared.pool.slot(chunk);
        self.pending.extend(encoder.data(object, offset, len, segment_end, initial_end, slot.crc));
        let written = sink.write_both(&self.pending, slot.bytes(payload_len(message)));
        self.pending.clear();
        self.unflushed = true;
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        let Some(Outlet::Bytes(sink)) = &mut self.shared.outlet else { return Ok(()) };
        if !self.pending.is_empty() {
            let written = sink.write_both(&self.pending, &[]);
            self.pending.clear();
            self.unflushed = true;
            written?;
        }
        if std::mem::take(&mut self.unflushed) { sink.flush() } else { Ok(()) }
    }

    /// Writes what is pending, however long that takes.
    pub(super) fn flush_or_fail(&mut self) {
        self.attempt(Self::flush);
    }

    /// Whether small messages can be written without blocking.
    pub(super) fn takes_at_once(&self) -> bool {
        self.broken || matches!(&self.shared.outlet, Some(Outlet::Bytes(sink)) if sink.takes_at_once())
    }

    /// Writes what is pending as far as that does not block. Whether nothing is left.
    pub(super) fn flush_without_blocking(&mut self) -> bool {
        self.attempt(|carrier| {
            let Some(Outlet::Bytes(sink)) = &mut carrier.shared.outlet else { return Ok(()) };
            let written = sink.write_at_once(&carrier.pending)?;
            carrier.pending.drain(..written.min(carrier.pending.len()));
            Ok(())
        });
        self.pending.is_empty()
    }

    fn commit(&mut self) -> Result<(), CommitError> {
        self.attempt(Self::flush);
        let lost = |maybe_given_up, why| Err(CommitError { maybe_given_up, why });
        let commit = match &mut self.shared.outlet {
            Some(Outlet::Bytes(sink)) if self.broken => {
                return lost(self.end_begun && !sink.commits_by_name(), self.why());
            }
            Some(Outlet::Frames(_)) if self.broken => return lost(self.end_begun, self.why()),
            None => return lost(self.end_begun, self.why()),
            Some(Outlet::Bytes(sink)) => caught(|| sink.commit()),
            Some(Outlet::Frames(sink)) => {
                caught(|| sink.finish().map_err(|error| CommitError { maybe_given_up: true, why: error.to_string() }))
            }
        };
        commit.unwrap_or_else(|words| lost(true, format!("the stream panicked: {words}")))
    }

    /// Sends what is pending, then tells the other end that nothing follows.
    pub(super) fn close(&mut self) {
        self.attempt(Self::flush);
        let (outlet, last_word) = (self.shared.outlet.take(), !self.broken && self.shared.mode == Mode::Connected);
        // Whoever listens has the last word already; there is nobody left to tell of a failure.
        let _ = caught(|| match outlet {
            Some(Outlet::Bytes(mut sink)) => sink.close(),
            Some(Outlet::Frames(mut sink)) if last_word => drop(sink.finish()),
            _ => {}
        });
    }

    fn why(&self) -> String {
        self.shared.core.why_sending_failed()
    }
}

fn payload_len(message: &Message) -> usize {
    match message {
        Message::Data { len, .. } => usize::try_from(*len).expect("a chunk fits into memory"),
        _ => 0,
    }
}
