//! Options of sessions, from JavaScript's values to the engine's. What is absent keeps the engine's default.

use std::time::Duration;

use napi::bindgen_prelude::BigInt;
use napi_derive::napi;
use vfio_migration::{RestoreOptions, SaveOptions, Then, Unrecoverable};

/// How a save goes.
#[napi(object, object_to_js = false)]
pub struct BindingSaveOptions {
    /// Payload of one frame, in bytes.
    pub chunk: Option<u32>,
    /// How many chunks may be in flight.
    pub depth: Option<u32>,
    /// For every wait, in milliseconds.
    pub deadline_ms: Option<f64>,
    /// In milliseconds.
    pub downtime_budget_ms: Option<f64>,
    /// In milliseconds.
    pub max_pre_copy_ms: Option<f64>,
    /// Whether to use pre-copy at all.
    pub pre_copy: Option<bool>,
    /// Most bytes a second.
    pub rate: Option<BigInt>,
    /// Whether a one-way save goes on at its end.
    pub resume: Option<bool>,
    /// Whether a device that cannot be brought back is reset.
    pub reset_unrecoverable: Option<bool>,
    /// The caller's word that no device of the group accesses another.
    pub no_p2p_traffic: Option<bool>,
    /// Whether to end after the passports.
    pub dry_run: Option<bool>,
    /// Whether to leave out event and report frames.
    pub no_events: Option<bool>,
}

/// How a restore goes.
#[napi(object, object_to_js = false)]
pub struct BindingRestoreOptions {
    /// For every wait, in milliseconds.
    pub deadline_ms: Option<f64>,
    /// Whether the guest runs after a one-way stream.
    pub run: Option<bool>,
    /// The caller's word that no device of the group accesses another.
    pub no_p2p_traffic: Option<bool>,
}

impl From<BindingSaveOptions> for SaveOptions {
    fn from(options: BindingSaveOptions) -> Self {
        let default = Self::default();
        Self {
            mode: default.mode,
            chunk: options.chunk.unwrap_or(default.chunk),
            depth: options.depth.unwrap_or(default.depth),
            deadline: time(options.deadline_ms, default.deadline),
            downtime_budget: time(options.downtime_budget_ms, default.downtime_budget),
            max_pre_copy: time(options.max_pre_copy_ms, default.max_pre_copy),
            poll_interval: default.poll_interval,
            pre_copy: options.pre_copy.unwrap_or(default.pre_copy),
            rate: options.rate.map(|rate| rate.get_u64().1).or(default.rate),
            then: if options.resume.unwrap_or(false) { Then::Resume } else { default.then },
            unrecoverable: match options.reset_unrecoverable {
                Some(true) => Unrecoverable::Reset,
                _ => default.unrecoverable,
            },
            no_p2p_traffic: options.no_p2p_traffic.unwrap_or(default.no_p2p_traffic),
            dry_run: options.dry_run.unwrap_or(default.dry_run),
            no_events: options.no_events.unwrap_or(default.no_events),
        }
    }
}

impl From<BindingRestoreOptions> for RestoreOptions {
    fn from(options: BindingRestoreOptions) -> Self {
        let default = Self::default();
        Self {
            deadline: time(options.deadline_ms, default.deadline),
            run: options.run.or(default.run),
            no_p2p_traffic: options.no_p2p_traffic.unwrap_or(default.no_p2p_traffic),
        }
    }
}

/// As good as for ever, and still a time that can be added to another.
const LONGEST: Duration = Duration::from_secs(1 << 32);

fn time(ms: Option<f64>, default: Duration) -> Duration {
    ms.map_or(default, milliseconds)
}

/// The facade has checked that it is a number of milliseconds from 0 on.
pub(crate) fn milliseconds(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(LONGEST).min(LONGEST)
}
