//! What a model is, as a value and as text.
//!
//! As text, settings are separated by commas: `size=256MiB,pre-copy,p2p,seed=7`.
//!
//! | setting | meaning | without it |
//! |---|---|---|
//! | `size=SIZE` | bytes of the device: a number, or a number with KiB, MiB, GiB, TiB | 16 MiB |
//! | `pre-copy`, `p2p`, `dirty-tracking` | what the device is capable of besides stop-copy | it is not |
//! | `seed=N` | from which everything random is drawn | 0 |
//! | `dirty-rate=N` | own pages that the device changes in a tick | 16 |
//! | `working-set=SIZE` | it changes only the first so many bytes of its own | all |
//! | `dma-rate=N` | pages of guest memory that it writes in a tick | 4 |
//! | `lane=K/N` | of guest memory it writes only to pages K, K+N, ...: several devices share it | 0/1 |
//! | `device-memory=SIZE` | memory of its own that its guest writes to by itself; moved in stop-copy | none |
//! | `dma-buffer` | DMA goes where the guest's registers say, and nowhere else | all of guest memory |
//! | `tick=TIME` | how long a tick is, for whoever has a clock | 1ms |
//! | `initial=SIZE` | how much of the first pass of pre-copy is initial data | all |
//! | `late=SIZE` | so many bytes at the end are given in stop-copy only | 0 |
//! | `info-makes-data` | changed pages can be read in pre-copy only after asking for pre-copy information | at once |
//! | `reinit-after=N` | after N reads pre-copy has new initial data, once | never |
//! | `log-page=SIZE` | page size of the DMA log: a power of two from 4 KiB to 1 GiB | 4 KiB |
//! | `empty-stream` | with `size=0`: a device that holds nothing at all; its data has 0 bytes | registers |
//! | `trace` | keeps every call in order, not only the counts | counts |
//! | `protocol=region` | the device has a migration region ([`region`](crate::region)) | `fsm` |
//! | `dialect=NAME` | of the region: `thread`, `qemu` or `libvfio-user` | `thread` |
//! | `tolerate=NAME+NAME` | what the region puts up with ([`Tolerance`](crate::Tolerance)) | what its dialect says |
//! | `window=SIZE` | bytes of the region's window | 1 MiB |
//! | `mmap=whole`, `mmap=sparse` | the region can be mapped, or parts of its window | `none` |
//! | `segment=SIZE`, `segment=LEAST..MOST` | how many bytes a segment has at most, or between which it is drawn | the window |
//! | `reserved=N` | what the reserved bits of `device_state` hold | 0 |
//! | `fault=FAULT` | something goes wrong ([`fault`](crate::fault)); may stand several times | nothing |

mod part;

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use vfio_migration_protocol::{Capabilities, Protocol, Table};

use crate::fault::{Fault, FaultError, FaultPlan};
use crate::pages::PAGE_SIZE;
use crate::region::{Layout, RegionSettings};
pub(crate) use part::{Part, Size};

/// The largest device: 1 TiB, of which the model keeps 4 bytes a page; 16 GiB where addresses have 32 bits.
pub const MAX_SIZE: u64 = if usize::BITS >= 64 { 1 << 40 } else { 1 << 34 };

/// The largest memory that a guest writes to by itself.
const MAX_DEVICE_MEMORY: u64 = 1 << 30;

/// What a model is.
///
/// ```
/// use vfio_migration_model::Settings;
/// let settings = Settings::parse("size=256MiB,pre-copy,p2p,seed=7")?;
/// assert_eq!(settings.size, 256 << 20);
/// assert_eq!(Settings::parse(&settings.to_string()), Ok(settings));
/// let error = Settings::parse("size=256MB").unwrap_err();
/// assert_eq!(error.to_string(), "size=256MB is no size: write bytes, or a number with KiB, MiB, GiB or TiB");
/// # Ok::<(), vfio_migration_model::SettingsError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting that stands by itself in the text")]
pub struct Settings {
    /// Bytes of the device, at most [`MAX_SIZE`].
    pub size: u64,
    /// Stop-copy, and what else the device is capable of.
    pub capabilities: Capabilities,
    /// From which everything random is drawn.
    pub seed: u64,
    /// Own pages that the device changes in a tick.
    pub dirty_rate: u64,
    /// The device changes only the first so many bytes of its own; all of them if `None`.
    pub working_set: Option<u64>,
    /// Pages of guest memory that the DMA engine writes in a tick.
    pub dma_rate: u64,
    /// `(k, n)`: the DMA engine writes only to pages of guest memory whose number is k modulo n.
    pub lane: (u64, u64),
    /// Bytes of memory that the guest writes to by itself: a multiple of [`PAGE_SIZE`].
    pub device_memory: u64,
    /// Whether DMA goes where the guest's registers say ([`Register`](crate::Register)), and nowhere else.
    pub dma_buffer: bool,
    /// How long a tick is, for whoever has a clock. Not 0.
    pub tick: Duration,
    /// How many bytes of the first pass of pre-copy are initial data; all of them if `None`.
    pub initial: Option<u64>,
    /// How many bytes at the end are given in stop-copy only.
    pub late: u64,
    /// Whether changed pages can be read in pre-copy only after asking for pre-copy information (as with mlx5).
    pub info_makes_data: bool,
    /// After how many reads pre-copy has new initial data.
    pub reinit_after: Option<u64>,
    /// Page size of the DMA log in bytes.
    pub log_page: u64,
    /// Whether a device without pages has no registers either.
    pub empty_stream: bool,
    /// The device's migration region; `None` if it has a data fd instead.
    pub region: Option<RegionSettings>,
    /// Whether calls are kept in order.
    pub trace: bool,
    /// What goes wrong.
    pub faults: FaultPlan,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            size: 16 << 20,
            capabilities: Capabilities::STOP_COPY,
            seed: 0,
            dirty_rate: 16,
            working_set: None,
            dma_rate: 4,
            lane: (0, 1),
            device_memory: 0,
            dma_buffer: false,
            tick: Duration::from_millis(1),
            initial: None,
            late: 0,
            info_makes_data: false,
            reinit_after: None,
            log_page: PAGE_SIZE,
            empty_stream: false,
            region: None,
            trace: false,
            faults: FaultPlan::none(),
        }
    }
}

/// Why these are no settings of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsError {
    /// No setting has this name.
    Unknown(String),
    /// A setting stands there twice.
    Repeated(String),
    /// The setting needs a value.
    NoValue(String),
    /// The setting takes no value.
    Value(String),
    /// The setting's value is no size.
    Size(String),
    /// The setting's value is no number below 2^64.
    Number(String),
    /// The setting's value is no time.
    Time(String),
    /// The setting's value is none of those that it may have.
    Choice(String, Vec<String>),
    /// A size beyond what fits into 64 bits, or beyond [`MAX_SIZE`].
    TooLarge(String),
    /// Settings that do not go together.
    Conflict(&'static str),
    /// The text of a fault is wrong.
    Fault(FaultError),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(key) => {
                write!(f, "a model has no setting '{key}': it has {}", KEYS[0])?;
                KEYS[1..].iter().try_for_each(|known| write!(f, ", {known}"))
            }
            Self::Repeated(key) => write!(f, "{key} stands there twice"),
            Self::NoValue(key) => write!(f, "{key} needs a value: {key}=..."),
            Self::Value(key) => write!(f, "{key} takes no value"),
            Self::Size(text) => write!(f, "{text} is no size: write bytes, or a number with KiB, MiB, GiB or TiB"),
            Self::Number(text) => write!(f, "{text} is no number below 2^64"),
            Self::Time(text) => write!(f, "{text} is no time: write a number with us, ms or s, up to a day"),
            Self::Choice(text, choices) => write!(f, "{text} is not possible: there is {}", choices.join(", ")),
            Self::TooLarge(text) => write!(f, "{text} is too large: a model has up to {}", Size(MAX_SIZE)),
            Self::Conflict(why) => f.write_str(why),
            Self::Fault(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SettingsError {}

impl Settings {
    /// Reads settings from text, the form of [`settings`](self).
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let mut settings = Self::default();
        let mut seen = Vec::new();
        let parts = || text.split(',').filter(|part| !part.is_empty());
        if parts().any(|part| part == "protocol=region") {
            settings.region = Some(RegionSettings::default());
        }
        for part in parts() {
            let (key, value) = part.split_once('=').map_or((part, None), |(key, value)| (key, Some(value)));
            if !KEYS.contains(&key) {
                return Err(SettingsError::Unknown(key.to_owned()));
            }
            if key != "fault" && seen.contains(&key) {
                return Err(SettingsError::Repeated(key.to_owned()));
            }
            seen.push(key);
            settings.apply(&Part { text: part, key, value })?;
        }
        settings.check()?;
        Ok(settings)
    }

    /// Whether such a model can be. [`Model::new`](crate::Model::new) asks.
    pub fn check(&self) -> Result<(), SettingsError> {
        let conflict = |why| Err(SettingsError::Conflict(why));
        let (k, n) = self.lane;
        if self.size > MAX_SIZE {
            return Err(SettingsError::TooLarge(format!("size={}", Size(self.size))));
        }
        if !self.capabilities.has(Capabilities::STOP_COPY) {
            return conflict("a device without stop-copy cannot migrate");
        }
        if k >= n {
            return conflict("lane=K/N needs K below N");
        }
        if !self.log_page.is_power_of_two() || !(PAGE_SIZE..=1 << 30).contains(&self.log_page) {
            return conflict("log-page must be a power of two from 4KiB to 1GiB");
        }
        if !self.device_memory.is_multiple_of(PAGE_SIZE) || self.device_memory > MAX_DEVICE_MEMORY {
            return conflict("device-memory must be a multiple of 4KiB, up to 1GiB");
        }
        if self.empty_stream && self.device_memory > 0 {
            return conflict("empty-stream goes with no device-memory");
        }
        if self.empty_stream && self.size > 0 {
            return conflict("empty-stream needs size=0");
        }
        if self.tick.is_zero() {
            return conflict("a tick must take some time");
        }
        if let Some(region) = &self.region {
            if self.reinit_after.is_some() {
                return conflict("a region cannot say that there is new initial data: leave out reinit-after");
            }
            return region.conflict(self.capabilities.has(Capabilities::P2P)).map_or(Ok(()), conflict);
        }
        Ok(())
    }

    /// The protocol that the device speaks.
    pub const fn protocol(&self) -> Protocol {
        if self.region.is_some() { Protocol::Region } else { Protocol::Fsm }
    }

    /// The arcs that the device accepts.
    pub fn table(&self) -> Table {
        match &self.region {
            Some(region) => Table::region(region.dialect, self.capabilities.has(Capabilities::P2P)),
            None => Table::fsm(self.capabilities),
        }
    }

    /// Where things lie in the device's region, if it has one.
    pub fn layout(&self) -> Option<Layout> {
        self.region.as_ref().map(|region| Layout::of(region, self.capabilities.has(Capabilities::P2P)))
    }

    fn apply(&mut self, part: &Part<'_>) -> Result<(), SettingsError> {
        match part.key {
            "size" => self.size = part.size()?,
            "pre-copy" => self.capabilities = self.capabilities | part.flag(Capabilities::PRE_COPY)?,
            "p2p" => self.capabilities = self.capabilities | part.flag(Capabilities::P2P)?,
            "dirty-tracking" => self.capabilities = self.capabilities | part.flag(Capabilities::DIRTY_TRACKING)?,
            "seed" => self.seed = part.number()?,
            "dirty-rate" => self.dirty_rate = part.number()?,
            "working-set" => self.working_set = Some(part.size()?),
            "dma-rate" => self.dma_rate = part.number()?,
            "lane" => self.lane = part.lane()?,
            "device-memory" => self.device_memory = part.size()?,
            "dma-buffer" => self.dma_buffer = part.flag(true)?,
            "tick" => self.tick = part.time()?,
            "initial" => self.initial = Some(part.size()?),
            "late" => self.late = part.size()?,
            "info-makes-data" => self.info_makes_data = part.flag(true)?,
            "reinit-after" => self.reinit_after = Some(part.number()?),
            "log-page" => self.log_page = part.size()?,
            "empty-stream" => self.empty_stream = part.flag(true)?,
            "protocol" => drop(part.choice(["fsm", "region"])?),
            "trace" => self.trace = part.flag(true)?,
            "fault" => {
                let fault: Fault = part.value()?.parse().map_err(SettingsError::Fault)?;
                self.faults = core::mem::take(&mut self.faults).with(fault);
            }
            _ => self.region.as_mut().ok_or(SettingsError::Conflict(OF_A_REGION))?.apply(part)?,
        }
        Ok(())
    }
}

const OF_A_REGION: &str = "dialect, tolerate, window, mmap, segment and reserved are settings of protocol=region";

impl FromStr for Settings {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        Self::parse(text)
    }
}

/// Writes the size, and what differs from the default: [`Settings::parse`] reads it back.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = Self::default();
        write!(f, "size={}", Size(self.size))?;
        let flags = [
            (self.capabilities.has(Capabilities::PRE_COPY), "pre-copy"),
            (self.capabilities.has(Capabilities::P2P), "p2p"),
            (self.capabilities.has(Capabilities::DIRTY_TRACKING), "dirty-tracking"),
            (self.dma_buffer, "dma-buffer"),
            (self.info_makes_data, "info-makes-data"),
            (self.empty_stream, "empty-stream"),
            (self.trace, "trace"),
        ];
        for (_, name) in flags.iter().filter(|(on, _)| *on) {
            write!(f, ",{name}")?;
        }
        let numbers = [
            ("seed", self.seed, default.seed),
            ("dirty-rate", self.dirty_rate, default.dirty_rate),
            ("dma-rate", self.dma_rate, default.dma_rate),
        ];
        for (name, number, _) in numbers.iter().filter(|(_, number, usual)| number != usual) {
            write!(f, ",{name}={number}")?;
        }
        let sizes = [
            ("working-set", self.working_set),
            ("initial", self.initial),
            ("device-memory", Some(self.device_memory).filter(|size| *size != default.device_memory)),
            ("late", Some(self.late).filter(|late| *late != default.late)),
            ("log-page", Some(self.log_page).filter(|page| *page != default.log_page)),
        ];
        for (name, size) in sizes.iter().filter_map(|(name, size)| size.map(|size| (name, size))) {
            write!(f, ",{name}={}", Size(size))?;
        }
        if let Some(reads) = self.reinit_after {
            write!(f, ",reinit-after={reads}")?;
        }
        if self.lane != default.lane {
            write!(f, ",lane={}/{}", self.lane.0, self.lane.1)?;
        }
        if self.tick != default.tick {
            write!(f, ",tick={}us", self.tick.as_micros())?;
        }
        if let Some(region) = &self.region {
            region.fmt(f)?;
        }
        self.faults.faults().iter().try_for_each(|fault| write!(f, ",fault={fault}"))
    }
}

const KEYS: [&str; 27] = [
    "size",
    "pre-copy",
    "p2p",
    "dirty-tracking",
    "seed",
    "dirty-rate",
    "working-set",
    "dma-rate",
    "lane",
    "device-memory",
    "dma-buffer",
    "tick",
    "initial",
    "late",
    "info-makes-data",
    "reinit-after",
    "log-page",
    "empty-stream",
    "protocol",
    "dialect",
    "tolerate",
    "window",
    "mmap",
    "segment",
    "reserved",
    "trace",
    "fault",
];
