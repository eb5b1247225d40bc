use vfio_migration_model::{At, CallKind, Effect, Fault, FaultPlan, Which};
use vfio_migration_protocol::{CallError, Device, State};

use crate::direct::{Direct, drain, load};

const SETTINGS: &str = "size=20KiB,window=8KiB,pre-copy";

/// A whole move, as far as it gets.
fn attempt(source: &Direct, destination: &Direct) -> Result<(), CallError> {
    let (mut saving, mut resuming) = (source.client(), destination.client());
    saving.set_state(State::PreCopy)?;
    let mut pieces = Vec::new();
    let mut buffer = vec![0; 5000];
    let filled = saving.read(&mut buffer)?;
    buffer.truncate(filled.len);
    pieces.push((buffer, filled.then == vfio_migration_protocol::Then::SegmentEnd));
    saving.pre_copy_info()?;
    saving.set_state(State::StopCopy)?;
    pieces.extend(drain(&mut saving, 5000)?);
    load(&mut resuming, &pieces)?;
    saving.set_state(State::Stop)
}

/// Every effect at every access of one side. After a failure the state is known, and a reset helps.
fn every_fault(at_source: bool) -> (u32, u32) {
    let (source, destination) = (Direct::new(SETTINGS, 1), Direct::new(SETTINGS, 2));
    attempt(&source, &destination).expect("nothing goes wrong");
    let accesses = if at_source { &source } else { &destination }.model().calls().len() as u64;
    assert!(accesses > 15);
    let (mut failed, mut went_well) = (0, 0);
    for number in 1..=accesses {
        for effect in CallKind::ALL.into_iter().flat_map(Effect::all_for) {
            let (source, destination) = (Direct::new(SETTINGS, 1), Direct::new(SETTINGS, 2));
            let faulty = if at_source { &source } else { &destination };
            let at = At { kind: None, which: Which::Nth(number), within: None };
            faulty.model().set_faults(FaultPlan::from(Fault { at, effect }));
            let answer = attempt(&source, &destination);
            // Only the proof shows these.
            let lies = matches!(effect, Effect::Discard | Effect::Rot);
            let same = source.model().proof() == destination.model().proof();
            match answer {
                Ok(()) => {
                    went_well += 1;
                    assert!(same || lies, "{number} {effect:?} went well and is wrong");
                }
                Err(error) => {
                    failed += 1;
                    assert!(error.detail.is_some(), "{error} says nothing");
                }
            }
            faulty.model().set_faults(FaultPlan::none());
            for side in [&source, &destination] {
                assert_eq!(side.model().resets(), Some(0), "nobody resets by itself");
                let mut client = side.client();
                assert!(!matches!(client.state(), Err(_) | Ok(State::Unknown(_))));
                client.reset().unwrap();
                assert_eq!(client.state(), Ok(State::Running));
            }
        }
    }
    (failed, went_well)
}

#[test]
fn every_fault_at_every_access_of_the_source() {
    let (failed, went_well) = every_fault(true);
    assert!(failed > 60 && went_well > 60, "{failed} and {went_well}");
}

#[test]
fn every_fault_at_every_access_of_the_destination() {
    let (failed, went_well) = every_fault(false);
    assert!(failed > 60 && went_well > 60, "{failed} and {went_well}");
}
