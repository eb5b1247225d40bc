//! What QEMU keeps of a device beside the device's own data: PCI configuration, interrupts.

use serde::Serialize;

use super::cursor::{Cursor, Stop};
use super::vfio::END_OF_STATE;
use crate::inspect::Damage;

/// What the guest had set up of a PCI device: its configuration space and MSI-X table, as they are saved beside its data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PciConfig {
    /// Bytes of configuration space: 256, or 4096 if the guest sees a PCI Express device.
    pub space: usize,
    /// Vendor, device, and those of the subsystem.
    pub ids: [u16; 4],
    /// Class, subclass and interface, 24 bits.
    pub class: u32,
    /// Revision.
    pub revision: u8,
    /// The command register: 1 I/O, 2 memory, 4 bus master, 0x400 legacy interrupts off.
    pub command: u16,
    /// The six base address registers.
    pub bars: [u32; 6],
    /// The ids of the capabilities in their order.
    pub capabilities: Vec<u8>,
    /// Which of the four legacy interrupts were raised.
    pub intx: [bool; 4],
    /// Vectors of the MSI-X table; absent without MSI-X.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub msix: Option<Msix>,
    /// The state of a display follows.
    pub display: bool,
}

/// The MSI-X table of a device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Msix {
    /// How many vectors it has.
    pub vectors: usize,
    /// Whether the guest has enabled it.
    pub enabled: bool,
    /// How many vectors are masked.
    pub masked: usize,
    /// How many are pending.
    pub pending: usize,
}

const VERSION: u32 = 2;
const STATUS_CAPABILITIES: u8 = 0x10;
const MSIX: u8 = 0x11;
/// There is room for so many in 256 bytes.
const MOST_CAPABILITIES: usize = 48;
const SUBSECTION: u8 = 0x05;
const DISPLAY: &str = "VFIOPCIDevice/VFIODisplay";
const DISPLAY_LEN: usize = 28;

/// Reads what follows the tag of a config, up to the tag that ends it, which is left.
///
/// How large the configuration space is does not stand in the file: it is the size with which the end is where it should
/// be.
pub(super) fn read(cursor: &mut Cursor<'_>, last: bool) -> Result<PciConfig, Stop> {
    let at = cursor.at();
    let version = cursor.u32()?;
    if version != VERSION {
        let found = format!("version {version}");
        return Err(Damage::new(at, format!("version {VERSION} of a PCI device's state"), found).into());
    }
    let begin = cursor.used();
    let rest = cursor.rest();
    let mut short = None;
    for size in [256, 4096] {
        let mut inner = Cursor::new(rest, at + 4);
        match with_size(&mut inner, size) {
            Ok(config) => {
                let used = inner.used();
                cursor.bytes(used)?;
                return Ok(config);
            }
            // With the smaller one it may still be; with the larger one only if there is more to come.
            Err(Stop::More(due)) if size == 256 || !last => {
                short = Some(begin + due);
                break;
            }
            Err(_) => {}
        }
    }
    let found = if last { "something else, or the end of the file" } else { "something else" };
    let wrong = Damage::new(at, "the state of a PCI device, and its end", found);
    Err(short.map_or(Stop::Bad(wrong), Stop::More))
}

fn with_size(cursor: &mut Cursor<'_>, size: usize) -> Result<PciConfig, Stop> {
    let at = cursor.at();
    let no = || Stop::Bad(Damage::new(at, "", ""));
    let space = cursor.bytes(size)?;
    let word = |at: usize| u16::from_le_bytes([space[at], space[at + 1]]);
    let long = |at: usize| u32::from(word(at)) | u32::from(word(at + 2)) << 16;
    let mut config = PciConfig {
        space: size,
        ids: [word(0), word(2), word(0x2c), word(0x2e)],
        class: long(8) >> 8,
        revision: space[8],
        command: word(4),
        bars: [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24].map(long),
        ..PciConfig::default()
    };
    for raised in &mut config.intx {
        *raised = match cursor.u32()? {
            0 => false,
            1 => true,
            _ => return Err(no()),
        };
    }
    let mut next = if space[6] & STATUS_CAPABILITIES == 0 { 0 } else { usize::from(space[0x34]) & 0xfc };
    let mut control = None;
    while next >= 0x40 && config.capabilities.len() < MOST_CAPABILITIES {
        config.capabilities.push(space[next]);
        if space[next] == MSIX && control.is_none() {
            control = Some(word(next + 2));
        }
        next = usize::from(space[next + 1]) & 0xfc;
    }
    if let Some(control) = control {
        let vectors = usize::from(control & 0x7ff) + 1;
        let table = cursor.bytes(vectors * 16)?;
        let pending = cursor.bytes(vectors.div_ceil(8))?;
        config.msix = Some(Msix {
            vectors,
            enabled: control & 0x8000 != 0,
            masked: table.chunks_exact(16).filter(|entry| entry[12] & 1 != 0).count(),
            pending: pending.iter().map(|byte| byte.count_ones() as usize).sum(),
        });
    }
    let mark = cursor.rest().first().copied().ok_or(Stop::More(cursor.used() + 1))?;
    if mark == SUBSECTION {
        let head = cursor.bytes(2 + DISPLAY.len())?;
        if usize::from(head[1]) != DISPLAY.len() || &head[2..] != DISPLAY.as_bytes() {
            return Err(no());
        }
        cursor.bytes(4 + DISPLAY_LEN)?;
        config.display = true;
    }
    let end = cursor.rest().first_chunk().ok_or(Stop::More(cursor.used() + 8))?;
    if u64::from_be_bytes(*end) == END_OF_STATE { Ok(config) } else { Err(no()) }
}
