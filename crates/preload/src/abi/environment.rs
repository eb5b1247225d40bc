//! What the environment asks of the library.

use core::fmt;
use std::env;
use std::io;
use std::path::PathBuf;

use crate::host::{HostError, Options, settings_of};
use crate::{Crowd, Place};

/// What is to be served.
#[derive(Debug)]
pub(super) struct Environment {
    /// The devices' addresses, in the order of their places.
    pub(super) devices: Vec<String>,
    /// The folder that stands in for sysfs.
    pub(super) folder: Option<PathBuf>,
    /// What else there is to choose.
    pub(super) options: Options,
}

/// What the environment asks cannot be done.
#[derive(Debug)]
pub(super) enum Wrong {
    Crowd(Crowd),
    Device(HostError),
    NotText,
    Folder(PathBuf, io::Error),
}

/// Addresses of devices, with blanks or ends of lines between them.
pub(super) const DEVICES: &str = "VFIO_MIGRATION_PRELOAD_DEVICES";

/// The folder that stands in for sysfs; made and filled where it is not there.
pub(super) const FOLDER: &str = "VFIO_MIGRATION_PRELOAD_FOLDER";

/// The file that the trace of every access is appended to.
pub(super) const TRACE: &str = "VFIO_MIGRATION_PRELOAD_TRACE";

/// With `1`, no tracker reports a page: what a test of dirty tracking must notice.
pub(super) const BLIND: &str = "VFIO_MIGRATION_PRELOAD_BLIND";

impl Environment {
    /// Reads the environment, and makes the folder; answers none where it asks nothing.
    pub(super) fn read() -> Result<Option<Self>, Wrong> {
        let Some(devices) = env::var_os(DEVICES) else { return Ok(None) };
        let devices = devices.into_string().map_err(|_| Wrong::NotText)?;
        let devices: Vec<_> = devices.split_whitespace().map(str::to_owned).collect();
        if devices.is_empty() {
            return Ok(None);
        }
        let folder = env::var_os(FOLDER).map(PathBuf::from);
        for (index, address) in devices.iter().enumerate() {
            settings_of(address).map_err(Wrong::Device)?;
            let place = Place::of(index).map_err(|_| Wrong::Crowd(Crowd { devices: devices.len() }))?;
            if let Some(folder) = &folder {
                place.build_in(folder).map_err(|error| Wrong::Folder(folder.clone(), error))?;
            }
        }
        let options = Options {
            trace: env::var_os(TRACE).map(PathBuf::from),
            blind: env::var_os(BLIND).is_some_and(|value| value == "1"),
        };
        Ok(Some(Self { devices, folder, options }))
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crowd(crowd) => write!(f, "{DEVICES}: {crowd}"),
            Self::Device(error) => write!(f, "{DEVICES}: {error}"),
            Self::NotText => write!(f, "{DEVICES} is no text: it takes addresses as 'model:size=1MiB'"),
            Self::Folder(folder, error) => {
                write!(f, "{FOLDER}: '{}' cannot be made or filled: {error}", folder.display())
            }
        }
    }
}
