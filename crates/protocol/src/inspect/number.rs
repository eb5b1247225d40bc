//! Numbers in JSON: as numbers where every reader of JSON can hold them, as decimal texts above 2^53 - 1.

use serde::Serializer;

const MOST: u64 = (1 << 53) - 1;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) fn one<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    if *number > MOST { serializer.collect_str(number) } else { serializer.serialize_u64(*number) }
}

#[expect(clippy::ref_option, reason = "serde's signature")]
pub(super) fn maybe<S: Serializer>(number: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => one(number, serializer),
        None => serializer.serialize_none(),
    }
}
