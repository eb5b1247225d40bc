use core::fmt;

use vfio_migration_model::SettingsError;
use vfio_migration_protocol::Errno;

use crate::region::UnfitRegion;

/// Why a device was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// The address has no scheme.
    NoScheme(String),
    /// No devices have this scheme.
    UnknownScheme(String),
    /// Devices of this scheme cannot be opened yet.
    NotYet(String),
    /// The settings of a software device are wrong.
    Settings(SettingsError),
    /// The operating system gave no thread for a software device.
    Thread(std::io::Error),
    /// The device at this address has a migration region, and nobody asked for one.
    Experimental(String),
    /// The device's migration region is none that a device can be moved through.
    Region(UnfitRegion),
    /// Anything about a device of the kernel.
    Kernel(KernelError),
}

/// Who must act so that a device can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The caller: the address or the descriptor is not what is wanted.
    Usage,
    /// Nobody: this device, or this way to it, cannot be served.
    Unsupported,
    /// Whoever runs the host: it lacks something or does not permit it.
    Host,
    /// The device failed.
    Device,
    /// Nobody: this platform has no such devices.
    Platform,
}

/// Why a device of the kernel was not opened, and what to do about it. It never shows a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelError {
    /// Who must act.
    pub fault: Fault,
    /// What was being done and what came of it: one sentence without a full stop.
    pub what: String,
    /// What to do about it, in the same form.
    pub remedy: String,
    /// What a call answered, where one did.
    pub errno: Option<Errno>,
}

impl OpenError {
    /// Who must act.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::NoScheme(_) | Self::Settings(_) | Self::Experimental(_) => Fault::Usage,
            Self::Region(_) => Fault::Device,
            Self::UnknownScheme(_) | Self::NotYet(_) => Fault::Unsupported,
            Self::Thread(_) => Fault::Host,
            Self::Kernel(error) => error.fault,
        }
    }
}

impl OpenError {
    /// What to do about it, where the message does not say so in passing: one sentence without a full stop.
    pub fn remedy(&self) -> Option<&str> {
        match self {
            Self::Experimental(_) => Some(EXPERIMENTAL_REMEDY),
            Self::Kernel(error) => Some(&error.remedy),
            _ => None,
        }
    }

    /// What came of it, without the [`remedy`](Self::remedy).
    pub fn what(&self) -> String {
        match self {
            Self::Experimental(address) => experimental(address),
            Self::Kernel(error) => error.what.clone(),
            _ => self.to_string(),
        }
    }
}

impl KernelError {
    pub(crate) fn new(fault: Fault, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { fault, what: what.into(), remedy: remedy.into(), errno: None }
    }

    #[cfg(target_os = "linux")]
    pub(crate) const fn with(mut self, errno: rustix::io::Errno) -> Self {
        self.errno = Some(Errno::from_linux(errno.raw_os_error()));
        self
    }
}

impl From<KernelError> for OpenError {
    fn from(error: KernelError) -> Self {
        Self::Kernel(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const THERE_ARE: &str = "there are 'vfio', 'mdev', 'cdev', 'fd' and 'pidfd' for devices of the kernel, such as \
            vfio:0000:65:00.1, and 'model', such as model:size=256MiB";
        match self {
            Self::NoScheme(text) => write!(f, "the address '{text}' has no scheme: {THERE_ARE}"),
            Self::UnknownScheme(scheme) => write!(f, "no devices have the scheme '{scheme}': {THERE_ARE}"),
            Self::NotYet(scheme) => write!(f, "devices of the scheme '{scheme}' are not supported yet: {THERE_ARE}"),
            Self::Settings(error) => write!(f, "the address of a model is wrong: {error}"),
            Self::Thread(_) => f.write_str("no thread could be started for the model"),
            Self::Experimental(_) => write!(f, "{}: {EXPERIMENTAL_REMEDY}", self.what()),
            Self::Region(error) => error.fmt(f),
            Self::Kernel(error) => error.fmt(f),
        }
    }
}

/// Why a device with a migration region is not opened just so.
pub(crate) fn experimental(device: &str) -> String {
    format!(
        "{device} has a migration region (protocol v1), which is experimental: no driver in Linux ever had one, and what \
         devices make of its text differs"
    )
}

/// For Rust, for TypeScript and for the command line.
pub(crate) const EXPERIMENTAL_REMEDY: &str =
    "ask for it if you know its dialect: `OpenOptions::region`, `experimentalRegion`, --experimental-region";

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.remedy)
    }
}

impl std::error::Error for KernelError {}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoScheme(_) | Self::UnknownScheme(_) | Self::NotYet(_) | Self::Experimental(_) | Self::Kernel(_) => {
                None
            }
            Self::Settings(error) => Some(error),
            Self::Region(error) => Some(error),
            Self::Thread(error) => Some(error),
        }
    }
}
