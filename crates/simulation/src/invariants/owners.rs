use vfio_migration_protocol::State;
use vfio_migration_protocol::report::Side;
use vfio_migration_protocol::session::{Command, Then};

use super::{Broken, Destination, Rule, View};
use crate::scenario::Way;
use crate::subject::Subject;

/// Who works for the guest.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    /// A caller gave its word for something that was not so; what follows is its fault.
    pub(crate) false_word: bool,
}

impl Owners {
    /// A caller's word was taken. It may be false.
    pub(super) fn commanded(&mut self, view: View<'_>, side: Side, command: &Command, seen: &Destination) {
        let (source, destination) = (view.end(Side::Save), view.end(Side::Restore));
        let never_runs = destination.dead || (destination.finished || seen.in_doubt) && !destination.works();
        self.false_word |= match (side, command) {
            (Side::Save, Command::TakeBack { force: true }) => !never_runs,
            (Side::Restore, Command::Claim) => source.works(),
            // Who gives up what the other end does not have leaves the guest to nobody.
            (Side::Save, Command::Discard) => !destination.works(),
            (Side::Restore, Command::Discard) => source.dead || source.finished && !source.works(),
            _ => false,
        };
    }

    pub(super) fn now(&self, broken: &mut Broken, view: View<'_>, seen: &Destination) {
        let (source, destination) = (view.end(Side::Save), view.end(Side::Restore));
        // A snapshot that its caller asked to run is another guest.
        let snapshot = view.scenario.way != Way::Connected && view.scenario.save.then == Then::Resume;
        let two = source.works() && destination.works() && !snapshot && !self.false_word;
        broken.unless(!two, Rule::OneOwner, || {
            let states = |side| {
                let devices = view
                    .end(side)
                    .devices
                    .iter()
                    .map(|device| device.truth().map_or_else(|| "gone".to_owned(), |state| state.to_string()));
                devices.collect::<Vec<_>>().join(", ")
            };
            let (here, there) = (states(Side::Save), states(Side::Restore));
            format!(
                "source: guest {}, devices {here}; destination: guest {}, devices {there}",
                source.guest.running, destination.guest.running
            )
        });
        broken.unless(!destination.works() || seen.may_run(view), Rule::GivenFirst, || {
            "something works at the destination, which has no right to it".into()
        });
        // A guest works only on devices that work.
        for end in [source, destination].into_iter().filter(|end| end.guest.running) {
            let idle = end.devices.iter().find(|device| {
                let found_so = device.truth() == Some(device.found);
                !device.is_running() && !device.excused && !found_so
            });
            broken.unless(idle.is_none(), Rule::PauseFirst, || {
                let state = idle.and_then(Subject::truth).unwrap_or(State::Error);
                let id = idle.map_or("", |device| &device.id);
                format!("the guest runs at the {:?} end and {id} is in {state}", end.side)
            });
        }
    }
}
