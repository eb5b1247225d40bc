//! Names of devices as the kernel writes them. What has been parsed is right: no name leads out of its folder.

use core::fmt;
use core::str::FromStr;

/// Where a PCI function is: `DOMAIN:BUS:DEVICE.FUNCTION`, all hexadecimal. The domain may be left out and is then 0.
///
/// ```
/// use vfio_migration_device::sysfs::Bdf;
/// assert_eq!("65:00.1".parse::<Bdf>()?.to_string(), "0000:65:00.1");
/// assert_eq!("10000:E1:1f.7".parse::<Bdf>()?.to_string(), "10000:e1:1f.7");
/// assert!("0000:65:20.0".parse::<Bdf>().is_err(), "a bus has 32 devices");
/// # Ok::<(), vfio_migration_device::sysfs::NameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bdf {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

/// A name by `bytes` in the order in which they are written (RFC 9562): of an mdev, or a token of virtual functions.
///
/// ```
/// use vfio_migration_device::sysfs::Uuid;
/// let uuid: Uuid = "83B8F4F2-509f-382f-3c1e-e6bfe0fa1001".parse()?;
/// assert_eq!(uuid.to_string(), "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001");
/// assert_eq!(uuid.bytes()[..2], [0x83, 0xb8]);
/// # Ok::<(), vfio_migration_device::sysfs::NameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// What a name ought to look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameError(&'static str);

impl Uuid {
    /// Its 16 bytes.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for Bdf {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const WRONG: NameError = NameError("DOMAIN:BUS:DEVICE.FUNCTION in hexadecimal, such as 0000:65:00.1");
        let (place, function) = text.split_once('.').ok_or(WRONG)?;
        let (domain, bus, device) = match *place.split(':').collect::<Vec<_>>() {
            [domain, bus, device] if (4..=8).contains(&domain.len()) => (domain, bus, device),
            [bus, device] => ("0000", bus, device),
            _ => return Err(WRONG),
        };
        if (bus.len(), device.len(), function.len()) != (2, 2, 1) {
            return Err(WRONG);
        }
        let number = |text| hex(text).ok_or(WRONG);
        let small = |text, end| match u8::try_from(number(text)?) {
            Ok(number) if number < end => Ok(number),
            _ => Err(WRONG),
        };
        let bus = u8::try_from(number(bus)?).map_err(|_| WRONG)?;
        Ok(Self { domain: number(domain)?, bus, device: small(device, 0x20)?, function: small(function, 8)? })
    }
}

impl FromStr for Uuid {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        const WRONG: NameError = NameError("a UUID, such as 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001");
        let groups: Vec<_> = text.split('-').collect();
        if groups.iter().map(|group| group.len()).ne([8, 4, 4, 4, 12]) {
            return Err(WRONG);
        }
        let digits = groups.concat();
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let pair = core::str::from_utf8(pair).map_err(|_| WRONG)?;
            *byte = hex(pair).and_then(|number| u8::try_from(number).ok()).ok_or(WRONG)?;
        }
        Ok(Self(bytes))
    }
}

/// Digits only: Rust's own parser takes a sign.
fn hex(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(text, 16).ok())?
}

impl fmt::Display for Bdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let hyphen = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{hyphen}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it must be {}", self.0)
    }
}

impl core::error::Error for NameError {}
