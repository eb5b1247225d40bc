use std::collections::BTreeMap;

use vfio_migration_protocol::session::{Action, Chunk, Input};

use super::{Broken, Rule};

/// Which chunk is used for what at one end.
#[derive(Debug)]
pub(super) struct Chunks {
    depth: u32,
    /// Chunks that are not free.
    used: BTreeMap<Chunk, Use>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Filling,
    Filled,
    /// Source: the transport still reads from it.
    Sending,
    Sent,
    /// Destination: its bytes have come.
    Received,
    Placing,
    Placed,
}

impl Chunks {
    pub(super) const fn new(depth: u32) -> Self {
        Self { depth, used: BTreeMap::new() }
    }

    pub(super) fn before(&mut self, broken: &mut Broken, action: &Action) {
        let mut step = |chunk: Chunk, from: &[Option<Use>], to: Option<Use>| {
            let now = self.used.get(&chunk).copied();
            broken.unless(from.contains(&now), Rule::Chunks, || format!("{action:?}, while the chunk is {now:?}"));
            broken.unless(chunk.0 < self.depth, Rule::Chunks, || format!("chunk {} of {}", chunk.0, self.depth));
            match to {
                Some(to) => drop(self.used.insert(chunk, to)),
                None => drop(self.used.remove(&chunk)),
            }
        };
        match *action {
            Action::Fill { chunk, .. } => step(chunk, &[None], Some(Use::Filling)),
            Action::Send(_, Some(chunk)) => step(chunk, &[Some(Use::Filled)], Some(Use::Sending)),
            Action::Place { chunk, .. } => step(chunk, &[Some(Use::Received)], Some(Use::Placing)),
            // Never while a call or the transport still has it.
            Action::Release(chunk) => {
                step(chunk, &[Use::Filled, Use::Sent, Use::Received, Use::Placed].map(Some), None);
            }
            _ => {}
        }
    }

    pub(super) fn hears(&mut self, input: &Input) {
        match *input {
            Input::Filled(_, chunk, _) => drop(self.used.insert(chunk, Use::Filled)),
            Input::Sent(chunk) => drop(self.used.insert(chunk, Use::Sent)),
            Input::Placed(_, chunk, _) => drop(self.used.insert(chunk, Use::Placed)),
            Input::Received(_, Some(chunk)) => drop(self.used.insert(chunk, Use::Received)),
            _ => {}
        }
    }
}
