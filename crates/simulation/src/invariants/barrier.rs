use vfio_migration_protocol::State;
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::Object;

use super::{Broken, Rule};
use crate::end::{End, Thing};

/// Checks a request for a state: that there is a path, and that the group is ready for each arc of it. Answers the path.
pub(super) fn request(broken: &mut Broken, end: &End, object: Object, to: State) -> Vec<State> {
    let Some(device) = end.device(object) else {
        broken.unless(false, Rule::LegalArcs, || format!("object {} is no device", object.0));
        return Vec::new();
    };
    let Some(from) = device.truth() else { return Vec::new() };
    let path = device.table().path(from, to);
    // What breaks by itself nobody has to know before being told.
    broken.unless(path.is_ok() || device.unheard, Rule::LegalArcs, || format!("{}: {from} to {to}", device.id));
    let path = path.unwrap_or_default();
    // A fresh device at a destination has nobody to disturb.
    if end.has_barrier() && (end.side == Side::Save || device.carries) {
        let others = || {
            let mine = end.thing(object);
            let all = end.devices.iter().enumerate();
            all.filter(move |(place, _)| Some(Thing::Device(*place)) != mine).map(|(_, device)| device)
        };
        // One request that goes into grace and out of it again waits for nobody.
        let loud = |state: State| state.is_running() && !state.is_quiet();
        let through = loud(from) && !to.is_running() || !from.is_running() && loud(to);
        broken.unless(!through || device.excused, Rule::Barrier, || {
            format!("{} is asked to go from {from} to {to} at once", device.id)
        });
        let mut at = from;
        for next in path.iter().copied() {
            let stops = at.is_running() && !next.is_running();
            // Whoever is broken is past caring, and nobody waits for it.
            let loud = others().find(|other| other.truth().is_some_and(|state| !state.is_quiet()) && !other.excused);
            broken.unless(!stops || loud.is_none(), Rule::Barrier, || {
                format!("{} stops while {} still works fully", device.id, loud.map_or("", |other| &other.id))
            });
            let runs = next.is_running() && !next.is_quiet() && at.is_quiet();
            let stopped = others().find(|other| {
                other.truth().is_some_and(|state| state.is_quiet() && !state.is_running()) && !other.excused
            });
            broken.unless(!runs || stopped.is_none(), Rule::Barrier, || {
                format!("{} runs while {} is stopped", device.id, stopped.map_or("", |other| &other.id))
            });
            at = next;
        }
    }
    path
}
