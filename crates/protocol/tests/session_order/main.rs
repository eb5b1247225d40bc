//! The order of a migration, kept as golden traces: what each end asks of devices, trackers, hooks and the peer.
//!
//! The devices here answer at once and always say yes; what happens when they do not is the simulation's to test.

mod pair;

use pair::{Pair, Setup};
use vfio_migration_protocol::session::{Mode, Then};
use vfio_migration_protocol::{Capabilities, Outcome};

const FULL: Capabilities = Capabilities::from_bits(1 | 2 | 4);

#[test]
fn two_devices_and_memory_go_through_every_barrier_together() {
    let mut pair = Pair::new(&Setup { devices: vec![FULL, FULL], memory: true, ..Setup::default() });
    pair.run();
    assert_eq!(pair.trace(), include_str!("connected.trace"), "\n{}", pair.trace());
    assert_eq!(pair.outcomes(), (Outcome::Completed, Outcome::Completed));
}

#[test]
fn a_device_without_options_goes_straight_to_stop_copy() {
    let mut pair = Pair::new(&Setup { devices: vec![Capabilities::STOP_COPY], ..Setup::default() });
    pair.run();
    assert_eq!(pair.trace(), include_str!("plain.trace"), "\n{}", pair.trace());
}

#[test]
fn a_snapshot_ends_where_it_began() {
    let setup = Setup { devices: vec![FULL], mode: Mode::OneWay, then: Then::Resume, ..Setup::default() };
    let mut pair = Pair::new(&setup);
    pair.run();
    assert_eq!(pair.trace(), include_str!("snapshot.trace"), "\n{}", pair.trace());
}

#[test]
fn a_dry_run_changes_nothing_at_either_end() {
    let mut pair = Pair::new(&Setup { devices: vec![FULL], dry_run: true, ..Setup::default() });
    pair.run();
    assert_eq!(pair.trace(), include_str!("dry_run.trace"), "\n{}", pair.trace());
    assert_eq!(pair.outcomes(), (Outcome::Returned, Outcome::Returned));
}
