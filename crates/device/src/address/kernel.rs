//! Addresses of devices of the kernel.

use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;

use super::{Fault, KernelError};
use crate::sysfs::{Bdf, Uuid};

/// A device of the kernel, and how to get at it.
///
/// ```
/// use vfio_migration_device::{Address, KernelAddress, Place};
/// let address: Address = "vfio:65:00.1?vf_token=83b8f4f2-509f-382f-3c1e-e6bfe0fa1001&by=cdev".parse()?;
/// assert_eq!(address.to_string(), "vfio:0000:65:00.1?by=cdev", "a token is not shown");
/// let Address::Kernel(address) = "pidfd:4711:12?device=mdev:83b8f4f2-509f-382f-3c1e-e6bfe0fa1001".parse()? else {
///     unreachable!("it is a descriptor of another process")
/// };
/// assert_eq!(address.place, Place::Process { pid: 4711, fd: 12 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelAddress {
    /// Where the device is, or its descriptor.
    pub place: Place,
    /// By which of the kernel's two ways to open it; by cdev where there is one, unless the caller chooses.
    pub by: Option<By>,
    /// What a virtual function wants of whoever opens it while its physical function belongs to vfio-pci.
    pub token: Option<Token>,
    /// Which device a descriptor belongs to. Only kernels that say so themselves need not be told.
    pub device: Option<Box<Place>>,
}

/// Where a device of the kernel, or a descriptor of one, is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `vfio:BDF`: a PCI function.
    Pci(Bdf),
    /// `vfio:BUS/NAME`: a device on another bus.
    Bus {
        /// As in `/sys/bus`.
        bus: String,
        /// As in `/sys/bus/BUS/devices`.
        name: String,
    },
    /// `mdev:UUID`: a mediated device.
    Mdev(Uuid),
    /// `cdev:PATH`: a node in `/dev/vfio/devices`.
    Cdev(PathBuf),
    /// `fd:N`: a descriptor that this process has.
    Descriptor(u32),
    /// `fd:unix:PATH`: descriptors that the program at this unix socket sends to whoever connects.
    Socket(PathBuf),
    /// `pidfd:PID:N`: a descriptor of another process.
    Process {
        /// Its id.
        pid: u32,
        /// The descriptor's number there.
        fd: u32,
    },
}

/// The kernel's two ways to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `/dev/vfio/N` and a container.
    Group,
    /// `/dev/vfio/devices/vfioN` and an iommufd.
    Cdev,
}

/// The secret between the programs that use a physical function and its virtual functions. It is never shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(Uuid);

impl Token {
    /// A token.
    pub const fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The secret itself, for the kernel.
    pub const fn reveal(&self) -> &Uuid {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

/// The schemes of devices of the kernel.
pub(super) const SCHEMES: [&str; 5] = ["vfio", "mdev", "cdev", "fd", "pidfd"];

impl KernelAddress {
    pub(super) fn parse(scheme: &str, rest: &str) -> Result<Self, KernelError> {
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut address = Self { place: Place::parse(scheme, place)?, by: None, token: None, device: None };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            address.take(key, value)?;
        }
        if rest.ends_with('?') {
            return Err(wrong("nothing follows the '?' of the address", "leave it out"));
        }
        Ok(address)
    }

    fn take(&mut self, key: &str, value: &str) -> Result<(), KernelError> {
        let opened_by_us = !self.place.is_descriptor();
        match key {
            "by" if opened_by_us => {
                self.by = Some(match value {
                    "group" => By::Group,
                    "cdev" => By::Cdev,
                    _ => return Err(wrong(format!("'{value}' is no way to a device"), "write by=group or by=cdev")),
                });
            }
            "vf_token" if opened_by_us => {
                // What may be a token with a mistake in it is not shown either.
                let token =
                    value.parse().map_err(|error| wrong(format!("the vf_token is wrong, {error}"), "mend it"))?;
                self.token = Some(Token(token));
            }
            "device" if !opened_by_us => {
                let place = match value.split_once(':') {
                    Some((scheme @ ("vfio" | "mdev"), rest)) => Place::parse(scheme, rest)?,
                    _ => {
                        return Err(wrong(
                            format!("'{value}' names no device"),
                            "write device=vfio:BDF or device=mdev:UUID",
                        ));
                    }
                };
                self.device = Some(Box::new(place));
            }
            _ if opened_by_us => {
                return Err(wrong(format!("an address has no setting '{key}'"), "there are 'by' and 'vf_token'"));
            }
            _ => return Err(wrong(format!("a descriptor has no setting '{key}'"), "there is 'device'")),
        }
        Ok(())
    }

    /// The number of a descriptor of this process that the address names, for whoever may make an owner of a number.
    pub const fn descriptor(&self) -> Option<u32> {
        match self.place {
            Place::Descriptor(number) => Some(number),
            _ => None,
        }
    }
}

impl Place {
    fn parse(scheme: &str, rest: &str) -> Result<Self, KernelError> {
        if rest.contains('\0') {
            return Err(wrong("the address contains a zero byte", "leave it out"));
        }
        match scheme {
            "vfio" => match rest.split_once('/') {
                Some((bus, name)) if !bus.is_empty() && !name.is_empty() => {
                    Ok(Self::Bus { bus: bus.into(), name: name.into() })
                }
                _ => match rest.parse() {
                    Ok(bdf) => Ok(Self::Pci(bdf)),
                    Err(error) => Err(wrong(
                        format!("'{rest}' is no address of a PCI function, {error}"),
                        "'lspci -D' shows them; on other buses write vfio:BUS/NAME",
                    )),
                },
            },
            "mdev" => match rest.parse() {
                Ok(uuid) => Ok(Self::Mdev(uuid)),
                Err(error) => Err(wrong(
                    format!("'{rest}' is no name of an mdev, {error}"),
                    "'ls /sys/bus/mdev/devices' shows them",
                )),
            },
            "cdev" if rest.is_empty() => Err(wrong("the address names no node", "write cdev:/dev/vfio/devices/vfio0")),
            "cdev" => Ok(Self::Cdev(rest.into())),
            "pidfd" => {
                let numbers = rest.split_once(':').map(|(pid, fd)| (decimal(pid), decimal(fd)));
                let Some((Some(pid @ 1..), Some(fd))) = numbers else {
                    return Err(wrong(format!("'{rest}' is no descriptor of a process"), "write pidfd:PID:N"));
                };
                Ok(Self::Process { pid, fd })
            }
            _ => match rest.strip_prefix("unix:") {
                Some("") => Err(wrong("the address names no socket", "write fd:unix:PATH")),
                Some(path) => Ok(Self::Socket(path.into())),
                None => decimal(rest)
                    .map(Self::Descriptor)
                    .ok_or_else(|| wrong(format!("'{rest}' is no file descriptor"), "write fd:N or fd:unix:PATH")),
            },
        }
    }

    /// Whether somebody else opened the device.
    pub const fn is_descriptor(&self) -> bool {
        matches!(self, Self::Descriptor(_) | Self::Socket(_) | Self::Process { .. })
    }
}

impl FromStr for Place {
    type Err = KernelError;

    fn from_str(text: &str) -> Result<Self, KernelError> {
        match text.split_once(':') {
            Some((scheme, rest)) if SCHEMES.contains(&scheme) => Self::parse(scheme, rest),
            _ => Err(wrong(
                "a place has no scheme of the kernel's",
                "write vfio:BDF, mdev:UUID, cdev:PATH, fd:N or pidfd:PID:N",
            )),
        }
    }
}

/// A number of a process or a descriptor. Digits only: Rust's own parser takes a sign.
fn decimal(text: &str) -> Option<u32> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())??;
    i32::try_from(number).is_ok().then_some(number)
}

fn wrong(what: impl Into<String>, remedy: &str) -> KernelError {
    KernelError::new(Fault::Usage, what, remedy)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pci(bdf) => write!(f, "vfio:{bdf}"),
            Self::Bus { bus, name } => write!(f, "vfio:{bus}/{name}"),
            Self::Mdev(uuid) => write!(f, "mdev:{uuid}"),
            Self::Cdev(path) => write!(f, "cdev:{}", path.display()),
            Self::Descriptor(number) => write!(f, "fd:{number}"),
            Self::Socket(path) => write!(f, "fd:unix:{}", path.display()),
            Self::Process { pid, fd } => write!(f, "pidfd:{pid}:{fd}"),
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Group => "group",
            Self::Cdev => "cdev",
        })
    }
}

/// Without the token, which may not be shown: what is shown opens a device that wants none.
impl fmt::Display for KernelAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)?;
        if let Some(by) = self.by {
            write!(f, "?by={by}")?;
        }
        if let Some(device) = &self.device {
            write!(f, "?device={device}")?;
        }
        Ok(())
    }
}
