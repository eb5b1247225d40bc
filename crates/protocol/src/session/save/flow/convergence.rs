//! Whether what is left is little enough for the switchover.

use core::time::Duration;

use super::Flow;
use super::source::{Source, Stage};
use crate::Estimate;

impl Flow {
    /// What pre-copy can still shrink, and what is in flight.
    pub(in crate::session::save) fn left(&self) -> Estimate {
        let flowing = self.objects.iter().filter(|source| source.stage == Stage::PreCopy);
        let in_flight: u64 =
            self.objects.iter().flat_map(|source| &source.in_flight).map(|(len, _)| u64::from(*len)).sum();
        flowing.map(Source::left).sum::<Estimate>() + Estimate::Known(in_flight)
    }

    /// Whether what is left fits the budget at the measured rate, and all initial data has arrived.
    #[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 53 bits")]
    pub(in crate::session::save) fn has_converged(&self, budget: Duration) -> bool {
        let loaded = self.objects.iter().all(Source::is_initial_loaded);
        let fits = match (self.left(), self.rate()) {
            (Estimate::Known(0), _) => true,
            (Estimate::Known(left), Some(rate)) => left as f64 <= rate * budget.as_secs_f64(),
            _ => false,
        };
        loaded && fits
    }

    /// Ids of what keeps pre-copy from converging.
    #[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 53 bits")]
    pub(in crate::session::save) fn not_converged(&self, budget: Duration) -> Vec<String> {
        let flowing: Vec<_> = self.objects.iter().filter(|source| source.stage == Stage::PreCopy).collect();
        let share = self.rate().unwrap_or(0.0) * budget.as_secs_f64() / flowing.len().max(1) as f64;
        let small = |left: Estimate| left.known().is_some_and(|left| left == 0 || left as f64 <= share);
        let late = |source: &Source| !source.is_initial_loaded() || !small(source.left());
        let named: Vec<_> = flowing.iter().filter(|source| late(source)).map(|source| source.id.clone()).collect();
        if named.is_empty() {
            // Each had its share, and together they had not.
            return flowing.iter().map(|source| source.id.clone()).collect();
        }
        named
    }

    /// Bytes a second that can be counted on: what was measured, or the limit.
    #[expect(clippy::cast_precision_loss, reason = "an estimate needs no more than 53 bits")]
    pub(super) fn rate(&self) -> Option<f64> {
        let limit = self.limit.map(|limit| limit as f64);
        self.rate.per_second().map(|rate| limit.map_or(rate, |limit| rate.min(limit)))
    }
}
