//! Whether what a stream offers fits what is here. Objects are matched by id and passport, never by order.

use super::super::objects::Listed;
use super::super::{DeviceObject, Failure, Fault, ObjectDescription, ObjectKind, Offer, RestoreObject};
use crate::Estimate;

/// For each object of the stream, its place in the list of what is here.
pub(super) fn match_objects(offer: &Offer, here: &[RestoreObject]) -> Result<Vec<usize>, Failure> {
    let mut places = Vec::with_capacity(offer.objects.len());
    for offered in &offer.objects {
        let place = here.iter().position(|object| object.id() == offered.id);
        let Some(place) = place else {
            return refuse(&offered.id, format!("is in the stream and not here; here is {}", names(here)));
        };
        if places.contains(&place) {
            return refuse(&offered.id, "stands twice in the stream".into());
        }
        compare(offered, &here[place])?;
        places.push(place);
    }
    match here.iter().enumerate().find(|(place, _)| !places.contains(place)) {
        Some((_, missing)) => refuse(missing.id(), "is here and not in the stream".into()),
        None => Ok(places),
    }
}

fn compare(offered: &ObjectDescription, here: &RestoreObject) -> Result<(), Failure> {
    match (&offered.kind, here) {
        (
            ObjectKind::Device { protocol, passport, .. },
            RestoreObject::Device(DeviceObject { protocol: own_protocol, passport: own_passport, .. }),
        ) => {
            if protocol != own_protocol {
                return refuse(&offered.id, format!("speaks {protocol:?} at the source and {own_protocol:?} here"));
            }
            passport.accepts(own_passport).or_else(|mismatch| refuse(&offered.id, mismatch.to_string()))
        }
        (ObjectKind::Memory { iova }, RestoreObject::Memory { range, .. }) => {
            if (*iova, offered.size) == (range.iova, Estimate::Known(range.length)) {
                return Ok(());
            }
            let Estimate::Known(length) = offered.size else {
                return refuse(&offered.id, "has no length in the stream".into());
            };
            let here = format!("{:#x} with {} bytes here", range.iova, range.length);
            refuse(&offered.id, format!("lies at {iova:#x} with {length} bytes at the source and at {here}"))
        }
        (ObjectKind::Device { .. }, RestoreObject::Memory { .. }) => {
            refuse(&offered.id, "is a device at the source and memory here".into())
        }
        (ObjectKind::Memory { .. }, RestoreObject::Device(_)) => {
            refuse(&offered.id, "is memory at the source and a device here".into())
        }
    }
}

fn names(here: &[RestoreObject]) -> String {
    here.iter().map(Listed::id).collect::<Vec<_>>().join(", ")
}

fn refuse<T>(id: &str, what: String) -> Result<T, Failure> {
    Err(Failure { fault: Fault::Incompatible, what, object: Some(id.into()), error: None })
}
