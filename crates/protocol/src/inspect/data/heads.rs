//! Data with one header at their beginning.
//!
//! | family | magic | what follows, little-endian |
//! |---|---|---|
//! | mtty | `7e9d09898c3e2c4e` (8) | major (4), minor (4), ports (4), flags (4), 36 bytes a port |
//! | hisi | `cdcdcdcdfeedaacc` or `aaccfeeddecadede` (8) | queues (4), device (4), queue isolation (4), base (4), state (4); with the second magic major (2), minor (2) |
//! | model | kind 1 (4), version (4), `VFIOMODL` | size (8), page size (8) |

use super::{Family, Recognised, u16_at, u32_at, u64_at};

const MTTY: u64 = 0x7e9d_0989_8c3e_2c4e;
const MTTY_HEAD: u64 = 24;
const MTTY_PORT: u64 = 36;
const HISI_1: u64 = 0xcdcd_cdcd_feed_aacc;
const HISI_2: u64 = 0xaacc_feed_deca_dede;
const MODEL: u64 = u64::from_le_bytes(*b"VFIOMODL");
/// In a region each segment begins with a head of its own kind.
const MODEL_SEGMENT: u32 = 6;
const MODEL_HEAD: usize = 16;

pub(super) fn recognised(head: &[u8], bytes: u64, complete: bool) -> Option<Recognised> {
    match u64_at(head, 0)? {
        MTTY => mtty(head, bytes, complete),
        HISI_1 => hisi(head).map(|found| found.with("format", 1_u32)),
        HISI_2 => {
            let found = hisi(head)?.with("format", 2_u32);
            Some(found.with("version", format!("{}.{}", u16_at(head, 28)?, u16_at(head, 30)?)))
        }
        _ if u32_at(head, 0)? == MODEL_SEGMENT => model(head.get(MODEL_HEAD..)?),
        _ => model(head),
    }
}

fn model(head: &[u8]) -> Option<Recognised> {
    if u64_at(head, 8)? != MODEL {
        return None;
    }
    let found = Recognised::new(Family::Model).with("format", u32_at(head, 4)?);
    Some(found.with("size", u64_at(head, 16)?).with("pageSize", u64_at(head, 24)?))
}

fn mtty(head: &[u8], bytes: u64, complete: bool) -> Option<Recognised> {
    let ports = u32_at(head, 16)?;
    let due = MTTY_HEAD + MTTY_PORT * u64::from(ports);
    let problem = complete && bytes != due;
    let problem = problem.then(|| format!("{ports} ports take {due} bytes, and there are {bytes}"));
    let version = format!("{}.{}", u32_at(head, 8)?, u32_at(head, 12)?);
    Some(Recognised::new(Family::Mtty).with("version", version).with("ports", ports).problem(problem))
}

fn hisi(head: &[u8]) -> Option<Recognised> {
    let device = format!("{:#06x}", u32_at(head, 12)?);
    let isolation = format!("{:#x}", u32_at(head, 16)?);
    Some(
        Recognised::new(Family::Hisi)
            .with("queues", u32_at(head, 8)?)
            .with("device", device)
            .with("queueIsolation", isolation),
    )
}
