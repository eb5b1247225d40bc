//! What a model is driven by: its data fd, or the client of its region.

use vfio_migration_model::Model;
use vfio_migration_protocol::region::{Limits, RegionDevice, RegionOptions};
use vfio_migration_protocol::{Device, Table};

/// Most that a region device may give once it has stopped, in bytes: far more than a scenario's devices have.
const MOST: u64 = 1 << 24;

/// A model, and the client that its protocol needs.
#[derive(Debug)]
pub(crate) enum Driver {
    /// It has a data fd, and is a device as it is.
    Fsm(Box<Model>),
    /// It has a region.
    Region(Box<RegionDevice<Model>>),
}

impl Driver {
    pub(crate) fn new(model: Model) -> Self {
        let Some(region) = &model.settings().region else { return Self::Fsm(Box::new(model)) };
        let limits = Limits { max_stop_copy_bytes: MOST, ..Limits::default() };
        let options = RegionOptions { dialect: region.dialect, limits, ..RegionOptions::default() };
        let passport = model.passport().clone();
        let beside = model.capabilities();
        let device = RegionDevice::new(model, passport, beside, options);
        Self::Region(Box::new(device.expect("a model's region is fit")))
    }

    pub(crate) fn model(&self) -> &Model {
        match self {
            Self::Fsm(model) => model,
            Self::Region(device) => device.region(),
        }
    }

    pub(crate) fn model_mut(&mut self) -> &mut Model {
        match self {
            Self::Fsm(model) => model,
            Self::Region(device) => device.region_mut(),
        }
    }

    /// What the session's calls are made on.
    pub(crate) fn device(&mut self) -> &mut dyn Device {
        match self {
            Self::Fsm(model) => &mut **model,
            Self::Region(device) => &mut **device,
        }
    }

    pub(crate) fn table(&self) -> Table {
        match self {
            Self::Fsm(model) => model.table(),
            Self::Region(device) => device.table(),
        }
    }

    pub(crate) const fn is_region(&self) -> bool {
        matches!(self, Self::Region(_))
    }
}
